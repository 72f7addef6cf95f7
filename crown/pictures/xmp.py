"""The XMP packet: properties put into it and read from it, those of others kept.

Belongs here: XMP's XML and the properties that hold our texts. Does not: the position of the packet in a file.

Sources: XMP Specification Part 1 (ISO 16684-1) and Part 2; IPTC Photo Metadata Standard 2022.1 (the properties
DigitalSourceType and ProductInImage of IPTC Extension).
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.dom import XMLNS_NAMESPACE, minidom
from xml.parsers.expat import ExpatError
from xml.sax.saxutils import escape, quoteattr

from crown.errors import BadInput

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_FORMS = {
    "dc:creator": "Seq",
    "dc:description": "Alt",
    "dc:rights": "Alt",
    "dc:subject": "Bag",
    "tiff:Make": "text",
    "tiff:Model": "text",
    "xmp:CreatorTool": "text",
    "Iptc4xmpExt:DigitalSourceType": "text",
    "Iptc4xmpExt:ProductInImage": "product",
}
"""The properties written here, in this order, and the form in which each holds its texts."""

_OURS = {(_NAMESPACES[name.split(":")[0]], name.split(":")[1]) for name in _FORMS}
_ESCAPES = {"\r": "&#13;"}


def changed_packet(
    packet: bytes | None, properties: Mapping[str, tuple[str, ...]], name: str
) -> bytes | None:
    """A packet with our properties set, those without a text removed, and all others kept.

    Args:
        packet: the packet of the file, if it has one.
        properties: texts by property, such as `{"dc:subject": ("brake", "disc")}`.
        name: the file, for sentences.

    Returns:
        The packet, or None when nothing is left in it.

    Raises:
        BadInput: the packet of the file cannot be read.
    """
    foreign, attributes = "", f'xmlns:rdf="{RDF}"'
    if packet is not None:
        if not properties and not read_packet(packet, name):
            return packet
        rdf = _rdf(packet, name)
        foreign = "".join(_without_ours(child) for child in _elements(rdf))
        attributes = _attributes(rdf) + _inherited_namespaces(rdf)
    ours = "".join(
        _property(key, form, properties.get(key, ())) for key, form in _FORMS.items() if properties.get(key)
    )
    if ours:
        spaces = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _NAMESPACES.items())
        ours = f'<rdf:Description xmlns:rdf="{RDF}" rdf:about=""{spaces}>{ours}</rdf:Description>'
    if not ours and not foreign:
        return None
    tag = "rdf:RDF" if packet is None else rdf.tagName
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Crown">'
        f"<{tag} {attributes}>{foreign}{ours}</{tag}></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def read_packet(packet: bytes, name: str) -> dict[str, tuple[str, ...]]:
    """The texts of our properties that the packet holds.

    Raises:
        BadInput: the packet cannot be read.
    """
    found: dict[str, tuple[str, ...]] = {}
    for description in _elements(_rdf(packet, name)):
        for key, form in _FORMS.items():
            prefix, local = key.split(":")
            uri = _NAMESPACES[prefix]
            if description.hasAttributeNS(uri, local):
                found[key] = (description.getAttributeNS(uri, local),)
            for element in _elements(description):
                if (element.namespaceURI, element.localName) == (uri, local):
                    found[key] = _texts(element, form)
    return found


def _property(key: str, form: str, texts: tuple[str, ...]) -> str:
    if form == "text":
        return f"<{key}>{escape(texts[0], _ESCAPES)}</{key}>"
    if form == "product":
        number = escape(texts[0], _ESCAPES)
        content = (
            '<rdf:Bag><rdf:li rdf:parseType="Resource"><Iptc4xmpExt:ProductName><rdf:Alt>'
            f'<rdf:li xml:lang="x-default">{number}</rdf:li></rdf:Alt></Iptc4xmpExt:ProductName>'
            f"<Iptc4xmpExt:ProductId>{number}</Iptc4xmpExt:ProductId></rdf:li></rdf:Bag>"
        )
        return f"<{key}>{content}</{key}>"
    language = ' xml:lang="x-default"' if form == "Alt" else ""
    items = "".join(f"<rdf:li{language}>{escape(text, _ESCAPES)}</rdf:li>" for text in texts)
    return f"<{key}><rdf:{form}>{items}</rdf:{form}></{key}>"


def _texts(element: minidom.Element, form: str) -> tuple[str, ...]:
    if form == "product":
        numbers = element.getElementsByTagNameNS(_NAMESPACES["Iptc4xmpExt"], "ProductId")
        return tuple(_text(number) for number in numbers[:1])
    items = list(element.getElementsByTagNameNS(RDF, "li"))
    if form == "Alt":
        items = [item for item in items if item.getAttribute("xml:lang") == "x-default"] or items[:1]
    return tuple(_text(item) for item in items) if items else (_text(element),)


def _text(element: minidom.Element) -> str:
    return "".join(child.data for child in element.childNodes if isinstance(child, minidom.Text))


def _rdf(packet: bytes, name: str) -> minidom.Element:
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise BadInput(
            f"The XMP in {name} declares a document type, which XMP does not have; remove the XMP from it."
        )
    try:
        document = minidom.parseString(packet.strip(b"\0 \t\r\n"))  # noqa: S318 - see the import
    except (ExpatError, UnicodeError, LookupError) as error:
        raise BadInput(f"The XMP in {name} cannot be read ({error}); remove the XMP from it.") from error
    found = document.getElementsByTagNameNS(RDF, "RDF")
    if not found:
        raise BadInput(f"The XMP in {name} holds no RDF; remove the XMP from it.")
    return found[0]


def _elements(parent: minidom.Element) -> list[minidom.Element]:
    return [child for child in parent.childNodes if isinstance(child, minidom.Element)]


def _without_ours(description: minidom.Element) -> str:
    """A description of the file without our properties; empty when it held nothing else."""
    for child in _elements(description):
        if (child.namespaceURI, child.localName) in _OURS:
            description.removeChild(child)
    left = 0
    for (uri, local), _ in list(description.attributes.itemsNS()):
        if (uri, local) in _OURS:
            description.removeAttributeNS(str(uri), local)
        elif uri != XMLNS_NAMESPACE and local != "about":
            left += 1
    return _serialised(description) if left or _elements(description) else ""


def _attributes(element: minidom.Element) -> str:
    # quoteattr keeps tabs and line ends as references, without which a parser would make them spaces.
    return " ".join(f"{key}={quoteattr(value)}" for key, value in element.attributes.items())


def _inherited_namespaces(rdf: minidom.Element) -> str:
    """Prefixes declared around the RDF element, which the new packet would lose; the nearest declaration holds."""
    found: dict[str, str] = {}
    parent = rdf.parentNode
    while isinstance(parent, minidom.Element):
        for key, value in parent.attributes.items():
            if key.startswith("xmlns") and not rdf.hasAttribute(key):
                found.setdefault(key, value)
        parent = parent.parentNode
    return "".join(f" {key}={quoteattr(value)}" for key, value in found.items() if key != "xmlns:x")


def _serialised(node: minidom.Element) -> str:
    """XML of an element; white space between elements, which says nothing in RDF, is left out."""
    inner = ""
    only_elements = bool(_elements(node))
    for child in node.childNodes:
        if isinstance(child, minidom.Element):
            inner += _serialised(child)
        elif isinstance(child, minidom.Text) and not (only_elements and not child.data.strip()):
            inner += escape(child.data, _ESCAPES)
    attributes = _attributes(node)
    return f"<{node.tagName}{' ' if attributes else ''}{attributes}>{inner}</{node.tagName}>"
