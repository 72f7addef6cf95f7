"""File names people give to pictures, and the one photo each of them means.

A photo is a product number and, where there is one, a view: `52000124_2.png` is view 2 of 52000124, `52000124_front.png`
its view FRONT. The name is brought to its normal form once and parsed once; everything later uses the photo key, never
a file name.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from crown.errors import BadInput
from crown.flow.patterns import Patterns

#: Endings taken in, lower case, with the dot.
EXTENSIONS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".webp", ".psd", ".psb", ".heic", ".heif", ".avif", ".jxl",
    ".gif", ".bmp",
)  # fmt: skip
MAX_LENGTH = 100
_NAME_IT = "name the file NUMBER.ext or NUMBER_VIEW.ext"
#: Characters that no share, no shell or no keyword of a picture (`;`) can carry.
_FORBIDDEN = frozenset('<>:"|?*\\/;')
#: Characters without any width that Unicode counts as letters or marks.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0") | frozenset(
    chr(code) for code in range(0xFE00, 0xFE10)
)
#: Words that name a view. Fixed: a photo's product must not depend on a setting.
VIEW_WORDS = (
    *("FRONT", "BACK", "REAR", "LEFT", "RIGHT", "SIDE", "TOP", "BOTTOM"),
    *("INSIDE", "OUTSIDE", "DETAIL", "MAIN"),
)
#: The view at the end of a photo's key, as Python and PostgreSQL read it: plane (and hemisphere) and frame of a
#: 360-degree set, digits, or a word. https://digital.autocare.org/best-practices-aces-pies/ (frames), section 8.
VIEW = rf"_([0-9]{{2}}[NS]?_[0-9]{{3}}|[0-9]+|({'|'.join(VIEW_WORDS)})(_[0-9]+)?)$"
_VIEW = re.compile(VIEW)
#: More digits than this are a camera's count or a date (`20260501_113000.jpg`), not a view.
_VIEW_DIGITS = 3
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

    The stem is brought to NFC and upper case, spaces and hyphens become `_`; then the last part is the view when it is
    of only the digits 0-9 (kept as typed), a word of `VIEW_WORDS`, or plane and frame of a 360-degree set (`_01_022`).
    The time that `errors/` puts before a name is no part of it, nor is a second ending (`52000123.tif.jpg`: Windows
    hides endings, and converters add theirs).

    Raises:
        BadInput: no product number, characters that a name cannot have, or too long.
    """
    stem = without_stamp(unicodedata.normalize("NFC", PurePosixPath(file_name).stem))
    while accepted(stem):
        stem = PurePosixPath(stem).stem
    return _photo(stem, file_name)


def without_stamp(name: str) -> str:
    """A name without the time that `errors/` puts before it."""
    stamp = _STAMP.match(name)
    return name[stamp.end() :] if stamp else name


def _photo(stem: str, given: str) -> PhotoName:
    for character in stem:
        _refuse_character(character, given)
    photo = photo_name(stem.strip().upper().replace(" ", "_").replace("-", "_"))
    if not photo.number.strip("_."):
        raise BadInput(f"{given!r} holds no product number; {_NAME_IT}.")
    if len(photo.key) > MAX_LENGTH:
        raise BadInput(f"{given[:40]!r}... is longer than {MAX_LENGTH} characters; shorten the name.")
    if photo.number.startswith(".") or photo.number.endswith(".") or _RESERVED.fullmatch(photo.number):
        raise BadInput(f"{given!r} cannot be the name of a folder on the share; give the product number.")
    return photo


def _refuse_character(character: str, given: str) -> None:
    """Refuse what cannot be in a name: for a share, for the texts in a picture, or because nobody would see it.

    Of letters, those whose capital is another letter's as well (`ß`, which is `SS`): two products would become one.
    """
    kind = unicodedata.category(character)
    if character in _FORBIDDEN:
        raise BadInput(f"{given!r} holds the character {character!r}; {_NAME_IT}.")
    if kind[0] == "C" or (kind[0] == "Z" and character != " ") or character in _BLANK:
        raise BadInput(f"{given!r} holds the invisible character U+{ord(character):04X}; {_NAME_IT}.")
    capital, small = character.upper(), character.lower()
    if len(capital + small + character.casefold()) > 3 or capital.lower() != small:
        raise BadInput(
            f"{given!r} holds {character!r}, which is {capital!r} in capitals, as other letters are too; write the"
            " number without it."
        )


def refuse_unlikely(photo: PhotoName, pattern: str, given: str) -> None:
    """Refuse a name that is no product's: a camera's (`IMG_1234`, `DSC-0001`) or a date's.

    Args:
        photo: what the name means.
        pattern: regular expression of product numbers in normal form (CROWN_PRODUCT_IMAGES_PRODUCT_NUMBER_PATTERN).
        given: the name.

    Raises:
        BadInput: the number does not match, or the view has too many digits.
    """
    if not re.fullmatch(pattern, photo.number):
        raise BadInput(
            f"{given!r} would be of the product {photo.number!r}, and product numbers do not look like that; {_NAME_IT}"
            " (or have the setting CROWN_PRODUCT_IMAGES_PRODUCT_NUMBER_PATTERN changed)."
        )
    if photo.view is not None and photo.view.isdecimal() and len(photo.view) > _VIEW_DIGITS:
        raise BadInput(
            f"{given!r} would be view {photo.view} of {photo.number}, and a view has at most {_VIEW_DIGITS} digits;"
            f" {_NAME_IT}."
        )


def photo_name(key: str) -> PhotoName:
    """The number and view of a photo key in normal form."""
    match = _VIEW.search(key)
    return PhotoName(key[: match.start()], match[1]) if match else PhotoName(key)


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
            f"{given!r} cannot be a product number; give it as it appears before the view in a file name."
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
    """Whether a photo's key is the pattern, or matches it as a shell pattern; case is no difference.

    Brackets may be part of a product number: the key itself always means that photo.
    """
    name, wanted = _capitals(photo), _capitals(pattern)
    return name == wanted or fnmatch.fnmatchcase(name, wanted)


def patterns_of(patterns: Iterable[str]) -> Patterns:
    """The patterns for a condition in SQL on photo keys, which are in normal form; it says what `matches` says."""
    return Patterns.of(patterns, _capitals)


def _capitals(name: str) -> str:
    """A name in NFC and capitals, but for letters whose capital is more than one (`groß` never means GROSS)."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in unicodedata.normalize("NFC", name))
