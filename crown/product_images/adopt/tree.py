"""The files of an old CrownPipe tree: originals, masters, renditions and published files, by photo and spec.

Names and folders are read here, by the rules of the folder contract; no picture is opened and nothing is written.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from crown.errors import BadInput
from crown.product_images import names
from crown.product_images.names import PhotoName, photo_name
from crown.product_images.renditions.specs import Spec, file_name
from crown.store import watch

PRODUCTS = "products"
PRODUCTION = "production"
ARCHIVE = "archive"
#: Folders of work that CrownPipe had not finished, and what becomes of the pictures in them.
WAITING = {
    "inbox": "the next run takes them in",
    "processing/pending_bg_removal": "put them into inbox/ again",
    "processing/pending_format": "put them into inbox/ again",
    "review/bg_removed": "the next run takes them as cut-outs that wait for an approval",
    "review/bg_removal_failed": "put each, retouched, into ready_for_formatting/",
    "ready_for_formatting": "the next run takes them as approved",
}


@dataclass(frozen=True)
class OldFile:
    """A file of the tree: its path, the same relative to the tree, the photo it is of, and its status."""

    path: Path
    relative: str
    photo: PhotoName
    status: os.stat_result

    @property
    def arrived(self) -> float:
        """When it came, as seconds since 1970: its own time, but not before the month it was archived in."""
        month = self.relative.split("/")[1] if self.relative.startswith(f"{ARCHIVE}/") else ""
        try:
            # A day early: the month is the server's own, in its own zone.
            begun = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC).timestamp() - 86_400
        except ValueError:
            begun = 0.0
        return max(self.status.st_mtime, begun)


@dataclass(frozen=True)
class OldOutput:
    """A rendition, in `formats` or in production, and what it should be."""

    path: Path
    relative: str
    photo: str
    spec: str
    status: os.stat_result


@dataclass
class OldPhoto:
    """A photo: originals (oldest first), its master, and the renditions and published files that bear its name."""

    name: PhotoName
    originals: list[OldFile] = field(default_factory=list)
    master: OldFile | None = None
    renditions: dict[str, OldOutput] = field(default_factory=dict)
    published: dict[str, OldOutput] = field(default_factory=dict)


@dataclass
class OldTree:
    """The tree; `left` says of each file that is not taken over why."""

    folder: Path
    photos: dict[str, OldPhoto] = field(default_factory=dict)
    #: Folders of products that came of a file name's collision, and the photo each is really of.
    unknown_products: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    #: Originals and masters that are kept as bytes but belong to no photo.
    kept_only: list[OldFile] = field(default_factory=list)


def read_tree(folder: Path, specs: Mapping[str, Spec], products: str = "*") -> OldTree:
    """Read the tree's names.

    Args:
        folder: CrownPipe's media folder.
        specs: the specs whose files are looked for.
        products: only product numbers that match this shell pattern.

    Raises:
        BadInput: the folder holds neither `products` nor `archive`.
    """
    if not (folder / PRODUCTS).is_dir() and not (folder / ARCHIVE).is_dir():
        raise BadInput(
            f"{folder} holds neither products/ nor archive/; give CrownPipe's media folder, mounted."
        )
    tree = OldTree(folder)
    for relative, status in _below(tree, ARCHIVE, products, product_at=2):
        _add(tree, relative, status, "original")
    for relative, status in _below(tree, PRODUCTS, products, product_at=1):
        if relative.split("/")[2] == "source":
            _add(tree, relative, status, "master")
    _set_unknown_products_apart(tree)
    for photo in tree.photos.values():
        photo.originals.sort(key=lambda one: (one.arrived, one.relative))
    expected = {
        f"{photo.name.number}/{spec.category}/{file_name(key, spec)}": (photo, spec.name)
        for key, photo in tree.photos.items()
        if photo.master is not None
        for spec in specs.values()
    }
    for relative, status in _below(tree, PRODUCTS, products, product_at=1):
        number, what, *rest = relative.split("/")[1:]
        if what == "formats":
            _add_output(tree, expected, relative, f"{number}/{'/'.join(rest)}", status)
        elif what != "source":
            tree.left[relative] = f"{relative} is in no folder of the contract."
    for relative, status in _below(tree, PRODUCTION, products, product_at=1):
        _add_output(tree, expected, relative, relative.removeprefix(f"{PRODUCTION}/"), status)
    for waiting in WAITING:
        count = len(watch.listing(folder / waiting)) if (folder / waiting).is_dir() else 0
        if count:
            tree.waiting[waiting] = count
    return tree


def _below(
    tree: OldTree, top: str, products: str, *, product_at: int
) -> Iterator[tuple[str, os.stat_result]]:
    """Files deep enough to belong to a product, by path relative to the tree; others lie loose and are passed.

    What cannot be read, or has a name that is no text, is said in `left`.
    """
    if not (tree.folder / top).is_dir():
        return
    closed: list[str] = []
    found = watch.listing(tree.folder / top, depth=8, closed=closed)
    for one in closed:
        relative = watch.spelt_out(f"{top}/{one}".removesuffix("/."))
        tree.left[relative] = (
            f"{relative} may not be looked into; give the right to read it, then do this again."
        )
    for name, status in found:
        relative = f"{top}/{name}"
        if not watch.storable(relative):
            shown = watch.spelt_out(relative)
            tree.left[shown] = f"{shown} has a name that is no UTF-8 text; rename it, then do this again."
            continue
        parts = relative.split("/")
        deep_enough = len(parts) > product_at + (2 if top == PRODUCTS else 1)
        if deep_enough and names.matches(parts[product_at], products):
            yield relative, status


def _add(tree: OldTree, relative: str, status: os.stat_result, kind: str) -> None:
    path = tree.folder / relative
    number = relative.split("/")[2 if kind == "original" else 1]
    if not stat.S_ISREG(status.st_mode):
        tree.left[relative] = f"{relative} is a link or device; links are not followed."
        return
    try:
        if not names.accepted(path.name):
            raise BadInput(f"{relative} is not one of the kinds of picture taken in.")
        photo = names.parse(path.name)
    except BadInput as error:
        tree.left[relative] = str(error)
        return
    # CrownPipe knew views of digits only: `X_front` was a product to it, and plane and frame a number and a view.
    if number not in (photo.number, re.sub("_[0-9]+$", "", photo.key)):
        tree.left[relative] = (
            f"{relative} names the product {photo.number} and is in the folder of {number}; correct one of them."
        )
        return
    found = OldFile(path, relative, photo, status)
    known = tree.photos.setdefault(photo.key, OldPhoto(photo))
    if kind == "original":
        known.originals.append(found)
    elif known.master is None:
        known.master = found
    else:
        # One photo, two spellings of its file: the one CrownPipe itself would have written counts.
        other = known.master
        if found.path.name == f"{photo.key}.png":
            known.master, other = found, known.master
        tree.kept_only.append(other)
        tree.left[other.relative] = f"{other.relative} is a second master of {photo.key}; its bytes are kept."


def _set_unknown_products_apart(tree: OldTree) -> None:
    """CrownPipe turned the second upload of `A_1` into `A_1_1` and later into a product `A_1`: that is none.

    A product whose own number ends like a view (`ABC_12`) is recognised by there being no photo of that name.
    """
    for key, photo in list(tree.photos.items()):
        number = photo.name.number
        if photo_name(number).view is None or number not in tree.photos or photo.name.view is None:
            continue
        tree.unknown_products[number] = number
        for file in [*photo.originals, *([photo.master] if photo.master else [])]:
            tree.kept_only.append(file)
            tree.left[file.relative] = (
                f"{file.relative} came of a second upload of {number} and is no product; its bytes are kept. If it"
                f" is the better picture, put it into the inbox as {number}{file.path.suffix}."
            )
        del tree.photos[key]


def _add_output(
    tree: OldTree,
    expected: Mapping[str, tuple[OldPhoto, str]],
    relative: str,
    name: str,
    status: os.stat_result,
) -> None:
    number = name.split("/")[0]
    if not stat.S_ISREG(status.st_mode):
        tree.left[relative] = f"{relative} is a link or device; links are not followed."
    elif number in tree.unknown_products:
        tree.left[relative] = (
            f"{relative} is of {number}, which is no product; nothing replaces or removes it."
        )
    elif name not in expected:
        tree.left[relative] = (
            f"{relative} is made of no master by no selected spec; nothing replaces or removes it."
        )
    else:
        photo, spec = expected[name]
        output = OldOutput(tree.folder / relative, relative, photo.name.key, spec, status)
        (photo.published if relative.startswith(f"{PRODUCTION}/") else photo.renditions)[spec] = output
