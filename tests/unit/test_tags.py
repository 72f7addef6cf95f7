"""What writing texts into a picture promises: they are there for any reader, and no pixel was touched."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin, TiffImagePlugin

from crown.errors import BadInput, CrownError, Refused
from crown.pictures.tags import (
    SOURCE_TYPES,
    Tags,
    read_tags,
    write_tags,
)

TAGS = Tags(
    artist="Müller & Söhne",
    make="Werk <1>",
    model="52000123",
    image_description="Bremsscheibe, größe 300 mm\nzweite Zeile 日本",
    copyright="© 2026 Werk",
    keywords=("brake disc", "Scheibe ö", "日本"),
    product_number="52000123",
    digital_source_type="algorithmicallyEnhanced",
    software="Crown 0.1",
)
FORMATS = ["jpg", "png", "tif"]


def picture(path: Path) -> Path:
    y, x = np.mgrid[0:90, 0:140]
    pixels = np.stack([x * 255 // 140, y * 255 // 90, (x * y) % 256], axis=-1).astype(np.uint8)
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb", xres=300 / 25.4, yres=300 / 25.4)
    options: dict[str, Any] = {"profile": "srgb"}
    if path.suffix == ".jpg":
        options |= {"Q": 90, "interlace": True}
    if path.suffix == ".tif":
        options |= {"compression": "lzw", "predictor": "horizontal"}
    image.write_to_file(str(path), **options)
    return path


def stream(path: Path) -> bytes:
    """The compressed pixels, found by other code than ours."""
    data = path.read_bytes()
    if path.suffix == ".tif":
        with Image.open(path) as image:
            tags = image.tag_v2  # type: ignore[attr-defined]
            return b"".join(data[at : at + size] for at, size in zip(tags[273], tags[279], strict=True))
    if path.suffix == ".png":
        return b"".join(body for kind, body in png_chunks(data) if kind == b"IDAT")
    at = 2
    while data[at + 1] != 0xDA:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return data[at:]


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def pixels(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def tagged(folder: Path, kind: str, tags: Tags = TAGS) -> tuple[Path, Path]:
    source, target = picture(folder / f"source.{kind}"), folder / f"target.{kind}"
    write_tags(source, target, tags)
    return source, target


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_and_compressed_stream_stay_as_they_are(tmp_path: Path, kind: str) -> None:
    source, target = tagged(tmp_path, kind)
    assert len(stream(source)) > 1000
    assert stream(target) == stream(source)
    assert np.array_equal(pixels(target), pixels(source))
    first, second = (pyvips.Image.new_from_file(str(path)) for path in (source, target))
    assert np.array_equal(first.numpy(), second.numpy())


@pytest.mark.parametrize("kind", FORMATS)
def test_profile_and_resolution_stay(tmp_path: Path, kind: str) -> None:
    source, target = tagged(tmp_path, kind)
    with Image.open(source) as before, Image.open(target) as after:
        assert after.info["icc_profile"] == before.info["icc_profile"]
        assert after.info["dpi"] == pytest.approx((300, 300), abs=0.05)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_texts_read_back_as_written(tmp_path: Path, kind: str) -> None:
    assert read_tags(tagged(tmp_path, kind)[1]) == TAGS


@pytest.mark.parametrize("kind", FORMATS)
def test_pillow_finds_the_texts_in_exif(tmp_path: Path, kind: str) -> None:
    _, target = tagged(tmp_path, kind)
    with Image.open(target) as image:
        exif = image.getexif()
        texts = {
            tag: exif[tag].encode("latin-1").decode()
            for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x8298)
        }
        keywords = exif[0x9C9E].decode("utf-16-le").rstrip("\0")
    assert texts == {
        0x010E: TAGS.image_description,
        0x010F: TAGS.make,
        0x0110: TAGS.model,
        0x0131: TAGS.software,
        0x013B: TAGS.artist,
        0x8298: TAGS.copyright,
    }
    assert keywords == "brake disc;Scheibe ö;日本"


@pytest.mark.parametrize("kind", FORMATS)
def test_pillow_and_libvips_find_the_same_xmp_with_the_edit_marker(tmp_path: Path, kind: str) -> None:
    _, target = tagged(tmp_path, kind)
    with Image.open(target) as image:
        packet = image.info["xmp"]
    assert pyvips.Image.new_from_file(str(target)).get("xmp-data") == packet
    marker = b"http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced"
    assert b"<Iptc4xmpExt:DigitalSourceType>" + marker + b"</Iptc4xmpExt:DigitalSourceType>" in packet


def test_pillow_finds_the_png_texts(tmp_path: Path) -> None:
    _, target = tagged(tmp_path, "png")
    with Image.open(target) as image:
        text = image.text  # type: ignore[attr-defined]
    assert text["Author"] == TAGS.artist
    assert text["Description"] == TAGS.image_description
    assert text["Copyright"] == TAGS.copyright


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
@pytest.mark.parametrize("kind", FORMATS)
def test_exiftool_reads_every_text_and_finds_the_file_valid(tmp_path: Path, kind: str) -> None:
    _, target = tagged(tmp_path, kind)
    command = ["exiftool", "-json", "-G1", "-struct", "-validate", "-warning", "-a", "-XMP:all", "-IFD0:all"]
    answer = subprocess.run([*command, str(target)], capture_output=True, check=True)
    found = json.loads(answer.stdout)[0]
    assert found["ExifTool:Validate"] == "OK"
    assert found["XMP-dc:Creator"] == [TAGS.artist]
    assert found["XMP-dc:Description"] == TAGS.image_description
    assert found["XMP-dc:Subject"] == list(TAGS.keywords)
    assert found["XMP-iptcExt:ProductInImage"][0]["ProductId"] == 52000123
    assert found["XMP-iptcExt:DigitalSourceType"].endswith("/algorithmicallyEnhanced")
    assert found["IFD0:Artist"] == TAGS.artist
    assert found["IFD0:Copyright"] == TAGS.copyright
    assert found["IFD0:XPKeywords"] == ";".join(TAGS.keywords)


@pytest.mark.parametrize("kind", FORMATS)
def test_same_texts_give_same_bytes_however_often_they_are_written(tmp_path: Path, kind: str) -> None:
    source, target = tagged(tmp_path, kind)
    again, other = tmp_path / f"again.{kind}", tmp_path / f"other.{kind}"
    write_tags(target, again, TAGS)
    assert again.read_bytes() == target.read_bytes()
    write_tags(target, other, replace(TAGS, image_description="short", keywords=()))
    write_tags(other, again, TAGS)
    assert again.read_bytes() == target.read_bytes()
    write_tags(again, other, Tags())
    assert other.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_new_text_replaces_the_old_one_everywhere(tmp_path: Path, kind: str) -> None:
    _, target = tagged(tmp_path, kind, replace(TAGS, artist="Former Name"))
    changed = tmp_path / f"changed.{kind}"
    write_tags(target, changed, replace(TAGS, artist="Present Name"))
    data = changed.read_bytes()
    assert b"Former Name" not in data
    assert data.count(b"Present Name") >= 2


def rich_foreign(path: Path) -> Path:
    """A picture as another program leaves it: own EXIF with GPS, own XMP, own segments, big-endian TIFF."""
    image = Image.new("RGB", (60, 40), (9, 99, 199))
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x013B] = "Somebody"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 30.0)
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        b' <rdf:Description rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" photoshop:City="K&#xF6;ln" xmp:CreatorTool="Old Tool">\n'
        b"  <photoshop:Headline>A &amp; B &#13;</photoshop:Headline>\n </rdf:Description>\n</rdf:RDF></x:xmpmeta>"
    )
    if path.suffix == ".jpg":
        image.save(path, exif=exif, xmp=packet, comment=b"a foreign comment")
        data = path.read_bytes()
        irb = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x07\x1c\x02\x78\x00\x02hi\x00"
        path.write_bytes(data[:2] + b"\xff\xed" + struct.pack(">H", len(irb) + 2) + irb + data[2:])
    elif path.suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "a foreign comment")
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(path, exif=exif, pnginfo=text)
    else:
        directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"MM")
        directory[0x0112] = 3
        directory[0x013B] = "Somebody"
        directory[0x8769] = {0x9286: b"a foreign comment"}
        directory.tagtype[700] = 1
        directory[700] = packet
        second = Image.new("RGB", (30, 20), (1, 2, 3))
        image.encoderinfo = {}  # type: ignore[attr-defined]
        image.save(path, tiffinfo=directory, save_all=True, append_images=[second], big_endian=True)
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_what_other_programs_wrote_stays(tmp_path: Path, kind: str) -> None:
    source, target = rich_foreign(tmp_path / f"foreign.{kind}"), tmp_path / f"target.{kind}"
    write_tags(source, target, TAGS)
    assert read_tags(target) == TAGS
    assert stream(target) == stream(source)
    data = target.read_bytes()
    assert b"a foreign comment" in data
    with Image.open(source) as before, Image.open(target) as after:
        assert after.getexif()[0x0112] == 3
        for directory in (0x8825, 0x8769):
            assert after.getexif().get_ifd(directory) == before.getexif().get_ifd(directory)
        packet = after.info["xmp"].decode()
        assert getattr(after, "n_frames", 1) == getattr(before, "n_frames", 1)
    assert 'photoshop:City="Köln"' in packet
    assert "<photoshop:Headline>A &amp; B &#13;</photoshop:Headline>" in packet
    assert "Old Tool" not in packet
    if kind == "jpg":
        assert b"Photoshop 3.0\x008BIM" in data


@pytest.mark.parametrize("kind", FORMATS)
def test_rewriting_beside_foreign_data_is_stable(tmp_path: Path, kind: str) -> None:
    source = rich_foreign(tmp_path / f"foreign.{kind}")
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    write_tags(source, first, TAGS)
    write_tags(first, second, TAGS)
    assert second.read_bytes() == first.read_bytes()


def test_an_edit_by_another_program_after_ours_is_kept(tmp_path: Path) -> None:
    _, target = tagged(tmp_path, "tif")
    edited, again = tmp_path / "edited.tif", tmp_path / "again.tif"
    edited.write_bytes(target.read_bytes().replace(b"52000123\0", b"99999999\0", 1) + b"tail")
    write_tags(edited, again, replace(TAGS, software="Crown 0.2"))
    assert again.read_bytes().startswith(edited.read_bytes()[8:20], 8)
    assert b"tail" in again.read_bytes()
    assert read_tags(again).software == "Crown 0.2"
    assert np.array_equal(pixels(again), pixels(target))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "</rdf:li></rdf:RDF><script>",
        "]]> & &amp; &#0; \"'",
        "line\r\nline\rline\n\ttab",
        "  spaces around  ",
        "\u202eright to left\u200b",
        "\U0001f6de wheel",
        "<!DOCTYPE x>",
        "Exif\\0\\0 %s {0}",
    ],
)
def test_hostile_text_comes_back_unchanged(tmp_path: Path, kind: str, text: str) -> None:
    tags = Tags(image_description=text, artist=text, keywords=(text.replace(";", ",").strip(),))
    assert read_tags(tagged(tmp_path, kind, tags)[1]) == tags


@pytest.mark.parametrize("text", ["nul\0inside", "bell\x07", "half \ud800", "\uffff"])
def test_text_that_no_picture_can_hold_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="image_description contains the character U\\+"):
        Tags(image_description=text)


@pytest.mark.parametrize("keyword", ["", "  ", "two;words"])
def test_a_keyword_that_would_not_come_back_is_refused(keyword: str) -> None:
    with pytest.raises(BadInput, match="keyword"):
        Tags(keywords=("ok", keyword))


def test_an_unknown_source_type_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="compositeWithTrainedAlgorithmicMedia"):
        Tags(digital_source_type="magic")


@pytest.mark.parametrize("source_type", SOURCE_TYPES)
def test_every_source_type_is_written_as_its_address(tmp_path: Path, source_type: str) -> None:
    _, target = tagged(tmp_path, "jpg", Tags(digital_source_type=source_type))
    assert f"newscodes/digitalsourcetype/{source_type}<".encode() in target.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("text", ["x" * 66_000, "<" * 20_000, "日" * 22_000])
def test_text_beyond_64_kb_is_refused_and_nothing_is_left(tmp_path: Path, kind: str, text: str) -> None:
    with pytest.raises(Refused, match=f"source.{kind} .* shorten"):
        tagged(tmp_path, kind, Tags(image_description=text))
    assert not (tmp_path / f"target.{kind}").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_the_longest_text_allowed_fits_into_every_format(tmp_path: Path, kind: str) -> None:
    tags = Tags(image_description="x" * 60_000)
    assert read_tags(tagged(tmp_path, kind, tags)[1]) == tags


@pytest.mark.parametrize("kind", FORMATS)
def test_no_texts_change_no_byte(tmp_path: Path, kind: str) -> None:
    source, target = tagged(tmp_path, kind, Tags())
    assert target.read_bytes() == source.read_bytes()


def test_source_and_target_may_not_be_the_same(tmp_path: Path) -> None:
    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    with pytest.raises(Refused, match="another target"):
        write_tags(source, source, TAGS)
    assert source.read_bytes() == before


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_off_before_its_pixels_is_refused_and_leaves_no_target(tmp_path: Path, kind: str) -> None:
    source = picture(tmp_path / f"source.{kind}")
    source.write_bytes(source.read_bytes()[:40])
    with pytest.raises(BadInput, match=f"source.{kind}"):
        write_tags(source, tmp_path / "target", TAGS)
    assert not (tmp_path / "target").exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from crown.errors import SystemicFailure
from crown.pictures.tags import Tags, write_tags
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    write_tags(Path(sys.argv[1]), Path(sys.argv[2]), Tags(artist="A"))
except SystemicFailure:
    print("systemic", Path(sys.argv[2]).exists())
"""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_stops_the_run_and_leaves_no_half_copy(tmp_path: Path, kind: str) -> None:
    source = picture(tmp_path / f"source.{kind}")
    assert source.stat().st_size > 3000
    command = [sys.executable, "-c", FULL_DISK, str(source), str(tmp_path / "target")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "systemic False\n", result.stderr


def test_other_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(30))
    with pytest.raises(BadInput, match="JPEG, PNG or TIFF"):
        write_tags(tmp_path / "a.gif", tmp_path / "b.gif", TAGS)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_texts_change_no_byte_beside_foreign_data(tmp_path: Path, kind: str) -> None:
    image = Image.new("RGB", (30, 20))
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:a="urn:a" a:b="c"/></rdf:RDF></x:xmpmeta>'
    )
    source, target = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    if kind == "png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(source, pnginfo=text)
    elif kind == "jpg":
        image.save(source, xmp=packet)
    else:
        image.save(source, tiffinfo={700: packet})
    write_tags(source, target, Tags())
    assert target.read_bytes() == source.read_bytes()


def test_prefixes_declared_around_foreign_xmp_stay_declared(tmp_path: Path) -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:a="urn:a"><rdf:RDF'
        b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description a:b="c"/></rdf:RDF></x:xmpmeta>'
    )
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", xmp=packet)
    write_tags(tmp_path / "a.jpg", tmp_path / "b.jpg", TAGS)
    assert read_tags(tmp_path / "b.jpg") == TAGS
    with Image.open(tmp_path / "b.jpg") as image:
        described = ElementTree.fromstring(image.info["xmp"]).findall(".//{*}Description")  # noqa: S314 - our own file
    assert described[0].attrib == {"{urn:a}b": "c"}


def test_xmp_with_entities_is_refused_unparsed(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", bomb)
    Image.new("RGB", (4, 4)).save(tmp_path / "bomb.png", pnginfo=text)
    with pytest.raises(BadInput, match="document type"):
        write_tags(tmp_path / "bomb.png", tmp_path / "b.png", TAGS)


plain_text = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=60
)
words = st.lists(plain_text.map(lambda text: text.replace(";", "").strip()).filter(bool), max_size=4).map(
    tuple
)
any_tags = st.builds(
    Tags,
    artist=plain_text,
    make=plain_text,
    model=plain_text,
    image_description=plain_text,
    copyright=plain_text,
    keywords=words,
    product_number=plain_text,
    digital_source_type=st.sampled_from(["", *SOURCE_TYPES]),
    software=plain_text,
)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=any_tags, second=any_tags)
def test_any_texts_come_back_and_replace_any_others(
    tmp_path: Path, kind: str, first: Tags, second: Tags
) -> None:
    source, target, again = (tmp_path / f"{name}.{kind}" for name in ("s", "t", "u"))
    if not source.exists():
        picture(source)
    write_tags(source, target, first)
    assert read_tags(target) == first
    write_tags(target, again, second)
    assert read_tags(again) == second
    write_tags(source, target, second)
    assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_sentence_never_in_a_traceback(
    tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    source = tmp_path / f"f.{kind}"
    if not source.exists():
        rich_foreign(source)
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(3, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged.{kind}"
    damaged.write_bytes(bytes(content[: data.draw(st.integers(8, len(content)))]))
    try:
        write_tags(damaged, tmp_path / "out", TAGS)
        outcome = ""
    except CrownError as error:
        outcome = str(error)
    assert damaged.name in outcome if outcome else read_tags(tmp_path / "out") == TAGS


def test_libvips_opens_a_tagged_tiff_strictly(tmp_path: Path) -> None:
    _, target = tagged(tmp_path, "tif")
    image = pyvips.Image.tiffload_buffer(target.read_bytes(), fail_on="warning")
    assert image.get("image-description").strip("\0") == TAGS.image_description
    assert BytesIO(target.read_bytes()).read(4) == b"II*\0"
    assert image.avg() > 0
