"""What a file name means, one promise a test."""

from __future__ import annotations

import re
import unicodedata

import pytest

from crown.errors import BadInput
from crown.product_images.names import (
    VIEW,
    accepted,
    matches,
    parse,
    photo_name,
    product_number,
    refuse_unlikely,
)
from crown.settings.model import load_settings


@pytest.mark.parametrize(
    ("file_name", "number", "view"),
    [
        ("52000123.png", "52000123", None),
        ("52000123_1.JPG", "52000123", "1"),
        ("52000123_01.jpg", "52000123", "01"),
        ("52000123_front.jpg", "52000123", "FRONT"),
        ("52000123-Back-2.jpg", "52000123", "BACK_2"),
        ("52000123_frontal.jpg", "52000123_FRONTAL", None),
        ("12345_01_022.jpg", "12345", "01_022"),
        ("12345_02n_144.jpg", "12345", "02N_144"),
        ("12345_1_022.jpg", "12345_1", "022"),
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
        "a;b.jpg",
        "5200\u200b0123.jpg",
        "\u202e52000123.jpg",
        "52000\u00ad123.jpg",
        "52000\ufe0f123.jpg",
        "52000\u3164123.jpg",
        "52000\u00a0123.jpg",
        "52000\ufffe123.jpg",
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


@pytest.mark.parametrize(
    "file_name", ["gro\u00df.jpg", "GRO\u1e9e.jpg", "\u017f1.jpg", "d\u0131sk.jpg", "10\u00b5.jpg"]
)
def test_a_letter_whose_capital_is_another_letters_is_refused_and_no_two_products_become_one(
    file_name: str,
) -> None:
    with pytest.raises(BadInput, match="in capitals, as other letters are too"):
        parse(file_name)


def test_a_pattern_never_means_a_photo_of_another_spelling() -> None:
    assert matches("GROSS", "gross")
    assert not matches("GROSS", "gro\u00df")
    assert not matches("GROSS_1", "gro\u00df*")
    assert matches("CAF\u00c9", unicodedata.normalize("NFD", "caf\u00e9"))


@pytest.mark.parametrize(
    "file_name",
    [
        "IMG_1234.jpg",
        "DSC-0001.jpg",
        "DSC00012.jpg",
        "PXL_20240501_113000.jpg",
        "IMG20240501_113000.jpg",
        "20240501_113000.jpg",
        "100_1234.jpg",
        "photo.jpg",
        "front.jpg",
        "52000123_frontal.jpg",
    ],
)
def test_a_cameras_name_is_no_product_under_the_default_pattern(file_name: str) -> None:
    pattern = load_settings({}, None).product_images.product_number_pattern
    with pytest.raises(BadInput, match=r"product numbers do not look like that|a view has at most 3 digits"):
        refuse_unlikely(parse(file_name), pattern, file_name)


@pytest.mark.parametrize(
    "file_name", ["52000123.jpg", "J0648932_1.jpg", "68003557AA.jpg", "rt21001-front.jpg", "12345.67.jpg"]
)
def test_digits_and_the_catalogues_form_are_product_numbers_under_the_default_pattern(file_name: str) -> None:
    refuse_unlikely(
        parse(file_name), load_settings({}, None).product_images.product_number_pattern, file_name
    )
    with pytest.raises(BadInput, match="CROWN_PRODUCT_IMAGES_PRODUCT_NUMBER_PATTERN"):
        refuse_unlikely(parse(file_name), "[0-9]{3}", file_name)


@pytest.mark.parametrize("key", ["12345", "12345_1", "12345_FRONT_2", "12345_01S_022", "AB_12_1", "X_1_022"])
def test_the_expression_for_the_database_reads_a_key_as_python_does(key: str) -> None:
    assert re.sub(VIEW, "", key) == photo_name(key).number
