"""File names people give to pictures, and the one photo each of them means.

A photo is a product number and, where there is one, a view: `52000124_2.png` is view 2 of 52000124. The name is
brought to its normal form once and parsed once; everything later uses the photo key, never a file name.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

from crown.errors import BadInput
from crown.store.roots import comparable

#: Endings taken in, lower case, with the dot.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".psd", ".psb", ".heic", ".heif")
MAX_LENGTH = 100
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f\x7f]')
_VIEW = re.compile(r"(?P<number>.*)_(?P<view>[0-9]+)", re.DOTALL)
#: What we put before the name of a file in `errors/`; one that is put back into the inbox still has it.
_STAMP = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])_(?:[01][0-9]|2[0-3])(?:[0-5][0-9]){2}_(?=.)",
    re.DOTALL,
)
#: How desktops name a second copy: `a (2)`, `a - Copy`, `a copy 2`, `a - Kopie (3)`.
_COPY = re.compile(
    r"(?P<of>.+?)(?: \([0-9]+\)|(?: -)? (?:copy|kopie)(?: \(?[0-9]+\)?)?)", re.DOTALL | re.IGNORECASE
)
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(\..*)?", re.DOTALL)


@dataclass(frozen=True)
class PhotoName:
    """A product number and an optional view, in normal form."""

    number: str
    view: str | None = None

    @property
    def key(self) -> str:
        """The photo's key: `<NUMBER>` or `<NUMBER>_<VIEW>`."""
        return self.number if self.view is None else f"{self.number}_{self.view}"


def parse(file_name: str) -> PhotoName:
    """The photo that a file name means.

    The stem is brought to NFC and upper case, spaces and hyphens become `_`; then a last part of only the
    digits 0-9 is the view, kept as typed. The time that `errors/` puts before a name is no part of it, nor is a
    second ending (`52000123.tif.jpg`: Windows hides endings, and converters add theirs).

    Raises:
        BadInput: no product number, forbidden characters, or too long.
    """
    stem = unicodedata.normalize("NFC", PurePosixPath(file_name).stem)
    stamp = _STAMP.match(stem)
    stem = stem[stamp.end() :] if stamp else stem
    while accepted(stem):
        stem = PurePosixPath(stem).stem
    return _photo(stem, file_name)


def _photo(stem: str, given: str) -> PhotoName:
    found = _FORBIDDEN.search(stem)
    if found:
        raise BadInput(
            f"{given!r} holds the character {found.group()!r}; name the file NUMBER.ext or NUMBER_VIEW.ext."
        )
    photo = photo_name(stem.strip().upper().replace(" ", "_").replace("-", "_"))
    if not photo.number.strip("_."):
        raise BadInput(f"{given!r} holds no product number; name the file NUMBER.ext or NUMBER_VIEW.ext.")
    if len(photo.key) > MAX_LENGTH:
        raise BadInput(f"{given[:40]!r}... is longer than {MAX_LENGTH} characters; shorten the name.")
    if photo.number.startswith(".") or photo.number.endswith(".") or _RESERVED.fullmatch(photo.number):
        raise BadInput(f"{given!r} cannot be the name of a folder on the share; give the product number.")
    return photo


def photo_name(key: str) -> PhotoName:
    """The number and view of a photo key in normal form."""
    match = _VIEW.fullmatch(key)
    return PhotoName(match["number"], match["view"]) if match else PhotoName(key)


def product_number(given: str) -> str:
    """A product number that a person gave, in normal form.

    Raises:
        BadInput: it cannot be one, or it is the name of a single photo.
    """
    if "/" in given:
        raise BadInput(f"{given!r} is not a product number; it holds a slash.")
    try:
        photo = _photo(unicodedata.normalize("NFC", given), given)
    except BadInput:
        raise BadInput(
            f"{given!r} cannot be a product number; give it as it stands before the view in a file name."
        ) from None
    if photo.view is not None:
        raise BadInput(f"{given!r} is photo {photo.view} of product {photo.number}; give the product number.")
    return photo.number


def copy_of(file_name: str) -> PhotoName | None:
    """The photo of which a file bears the name of a desktop's copy (`52000123 (2).jpg`); None for other names.

    Brackets may be part of a product number, so whether it is a copy is for the caller to say who knows the photos.
    """
    path = PurePosixPath(file_name)
    match = _COPY.fullmatch(unicodedata.normalize("NFC", path.stem))
    try:
        return parse(f"{match['of']}{path.suffix}") if match else None
    except BadInput:
        return None


def accepted(file_name: str) -> bool:
    """Whether a file's ending is one we take in."""
    return PurePosixPath(file_name).suffix.lower() in EXTENSIONS


def matches(photo: str, pattern: str) -> bool:
    """Whether a photo's key is the pattern, or matches it as a shell pattern.

    Brackets may be part of a product number: the key itself always means that photo.
    """
    name, wanted = comparable(photo), comparable(pattern)
    return name == wanted or fnmatch.fnmatchcase(name, wanted)
