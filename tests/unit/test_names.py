"""What a file name means, one promise a test."""

from __future__ import annotations

import unicodedata

import pytest

from crown.errors import BadInput
from crown.product_images.names import accepted, parse, photo_name, product_number


@pytest.mark.parametrize(
    ("file_name", "number", "view"),
    [
        ("52000123.png", "52000123", None),
        ("52000123_1.JPG", "52000123", "1"),
        ("52000123_01.jpg", "52000123", "01"),
        ("52000123_front.jpg", "52000123_FRONT", None),
        ("j5200 12-a.tif", "J5200_12_A", None),
        ("52000123_\u00b2.png", "52000123_\u00b2", None),
        ("caf\u00e9 (1).webp", "CAF\u00c9_(1)", None),
    ],
)
def test_a_name_gives_one_number_and_one_view(file_name: str, number: str, view: str | None) -> None:
    photo = parse(file_name)
    assert (photo.number, photo.view) == (number, view)
    assert photo_name(photo.key) == photo


def test_a_hyphen_before_a_view_gives_one_identity() -> None:
    assert parse("52000124-2.png").key == parse("52000124_2.png").key == "52000124_2"
    assert parse("52000124-2.png").number == "52000124"


def test_a_dot_in_a_number_is_part_of_it_everywhere() -> None:
    assert parse("12345.67.jpg").number == "12345.67"


@pytest.mark.parametrize("file_name", ["52000123_1.jpg.jpg", "52000123_1.TIF.jpg", "52000123-1.psd.tif.PNG"])
def test_a_second_ending_is_no_part_of_the_number(file_name: str) -> None:
    assert parse(file_name).key == "52000123_1"


def test_a_product_number_that_a_person_gives_is_never_shortened() -> None:
    assert product_number("52000123.jpg") == "52000123.JPG"


def test_names_that_look_the_same_are_the_same_photo() -> None:
    assert parse(unicodedata.normalize("NFD", "caf\u00e9.jpg")) == parse("CAF\u00c9.png")


@pytest.mark.parametrize(
    "file_name",
    [
        "_1.jpg",
        "___.jpg",
        "-.png",
        'a"b.png',
        "a:b.jpg",
        "a<b>.jpg",
        "a|b.jpg",
        "a?.jpg",
        "a*.jpg",
        "a\nb.jpg",
        "a\\b.jpg",
    ],
)
def test_a_name_without_a_number_or_with_forbidden_characters_is_refused_with_the_reason(
    file_name: str,
) -> None:
    with pytest.raises(BadInput, match=r"NUMBER\.ext"):
        parse(file_name)


@pytest.mark.parametrize(
    "file_name", ["..jpg", "..._1.jpg", "con.jpg", "NUL.png", "a..jpg", "9" * 200 + ".jpg"]
)
def test_a_name_that_cannot_be_a_folder_on_the_share_is_refused(file_name: str) -> None:
    with pytest.raises(BadInput):
        parse(file_name)


def test_a_name_never_climbs_out_of_its_folder() -> None:
    assert parse("../../etc/passwd_1.jpg").number == "PASSWD"


def test_endings_are_compared_without_case() -> None:
    assert accepted("A.JPeG")
    assert not accepted("a.txt")
    assert not accepted("jpg")
