"""What the catalogue of output specs promises to the people who edit it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crown.errors import BadInput, ConfigurationError
from crown.product_images.renditions.specs import (
    Spec,
    category,
    file_name,
    load_specs,
    select_specs,
)

V3 = [
    "original_300dpi_png",
    "original_300dpi_tiff",
    "2500_longest_300dpi_tiff",
    "1000x1000_72dpi_jpeg",
    "128x128_72dpi_jpeg",
]


def written(folder: Path, text: str) -> Path:
    path = folder / "specs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_catalogue_has_22_formats_and_17_watermarked_twins() -> None:
    specs = load_specs()
    twins = [name for name in specs if name.startswith("watermark_")]
    assert (len(specs), len(twins)) == (39, 17)
    assert all(name.removeprefix("watermark_") in specs for name in twins)
    assert all(specs[name].watermark for name in twins)


def test_without_a_selection_the_five_known_formats_are_made() -> None:
    assert list(select_specs(load_specs())) == V3


def test_a_selection_names_specs_families_and_categories() -> None:
    specs = load_specs()
    assert list(select_specs(specs, ["standard"])) == V3
    assert set(select_specs(specs, ["transparent", "32x32_72dpi_jpeg"])) == {*V3[:2], "32x32_72dpi_jpeg"}
    assert len(select_specs(specs, ["all"])) == 39
    assert len(select_specs(specs, ["standard", "catalogue"])) == 22


def test_a_misspelt_selection_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'standard'"):
        select_specs(load_specs(), ["standart"])


def test_a_twin_differs_from_its_spec_in_the_watermark_only(tmp_path: Path) -> None:
    (tmp_path / "watermark.png").write_bytes(b"any bytes")
    specs = load_specs(brand_dir=tmp_path)
    plain = specs["1000x1000_72dpi_jpeg"].recipe()
    twin = specs["watermark_1000x1000_72dpi_jpeg"].recipe()
    assert {key for key in plain if plain[key] != twin[key]} == {"watermark"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("original_300dpi_png", "transparent"),
        ("2500_longest_300dpi_tiff", "print"),
        ("1500x1500_300dpi_jpeg", "print"),
        ("1000x1000_72dpi_jpeg", "web"),
        ("600x390_72dpi_png", "web"),
        ("300x200_72dpi_jpeg", "web"),
        ("128x128_72dpi_jpeg", "thumbnail"),
        ("watermark_64x64_72dpi_jpeg", "thumbnail"),
        ("32x32_72dpi_jpeg", "thumbnail"),
    ],
)
def test_each_format_lies_in_the_folder_people_know(name: str, expected: str) -> None:
    assert load_specs()[name].category == expected


@pytest.mark.parametrize(
    ("name", "mode", "dpi", "expected"),
    [
        ("my_original", "RGB", 72, "transparent"),
        ("cut", "RGBA", 300, "transparent"),
        ("cut_128", "RGB", 300, "print"),
        ("big_1280", "RGB", 72, "thumbnail"),
        ("cut", "RGBA", 72, "web"),
    ],
)
def test_the_first_matching_category_rule_wins(name: str, mode: str, dpi: int, expected: str) -> None:
    assert (
        category(Spec.model_validate({"name": name, "format": "png", "mode": mode, "dpi": dpi})) == expected
    )


def test_file_names_carry_number_view_and_spec() -> None:
    specs = load_specs()
    assert file_name("52000123_1", specs["1000x1000_72dpi_jpeg"]) == "52000123_1_1000x1000_72dpi_jpeg.jpg"
    assert file_name("52000123", specs["original_300dpi_tiff"]) == "52000123_original_300dpi_tiff.tif"


@pytest.mark.parametrize("key", ["", "../x", "a/b", "a\0b", "..", ".hidden", "a:b", "a\nb"])
def test_a_key_that_would_leave_the_folder_is_refused(key: str) -> None:
    with pytest.raises(BadInput):
        file_name(key, load_specs()["1000x1000_72dpi_jpeg"])


@pytest.mark.parametrize(
    ("row", "line", "sentence"),
    [
        ("  a: {format: jpeg, dpi: 72, fitt: none}", 3, "unknown key 'fitt'; did you mean 'fit'?"),
        ("  a:\n    format: jpeg\n    dpi: 0", 5, "greater than or equal to 1"),
        (
            "  a: {format: jpeg, dpi: 72, border: [20, 20], fit: {box: [32, 32]}}",
            3,
            "a border of 20 on both sides leaves nothing of 32 pixels; write a border below 16",
        ),
        (
            "  a:\n    format: png\n    dpi: 72\n    fit:\n      longest: 99999",
            7,
            "less than or equal to 30000",
        ),
        (
            "  a: {format: png, dpi: 72, fit: {longest: 5, box: [5, 5]}}",
            3,
            "either `longest: N` or `box: [W, H]`",
        ),
        (
            "  a: {format: png, dpi: 72, canvas: [30000, 5], border: [1, 1], padding: outside}",
            3,
            "more than 30000",
        ),
        ("  a: {format: png, dpi: 72, resize_longest: 2500}", 3, "write `fit: {longest: 2500}`"),
        ("  a: {format: jpeg, mode: RGBA, dpi: 72}", 3, "JPEG has no transparency"),
        ("  a: {format: png, dpi: 72, background: none}", 3, "needs a background"),
        ("  a: {format: png, dpi: 72, background: blueish}", 3, 'white, black, none or "#rrggbb"'),
        ("  a: {format: png, dpi: 72, quality: 80}", 3, "belong to JPEG"),
        ("  a: {format: png}", 3, "the key 'dpi' is missing"),
        ("  a: {format: png, dpi: 72, name: b}", 3, "remove `name`"),
        ("  a/b: {format: png, dpi: 72}", 3, "letters, digits"),
        ("  a: {format: png, dpi: 72, watermark: {file: ../../etc/passwd}}", 3, "a file in the brand folder"),
        ("  a: {format: png, dpi: 72}\n  a: {format: png, dpi: 72}", 4, "a second time (first in line 3)"),
        ("  a: {format: png, dpi: 72\n  b: 5", 4, "correct the YAML there"),
        (
            "  ab: {format: png, dpi: 72}\n  aB: {format: png, dpi: 72}",
            4,
            "'aB' and 'ab' differ only in case; rename one of them",
        ),
        (
            "  1_a: {format: png, dpi: 72}\n  a: {format: png, dpi: 72}",
            3,
            "'1_a' and 'a' name the files of a view 1 alike; rename one of them",
        ),
        ("  a: 5", 3, "`key: value` pairs are needed"),
        ("  a: {format: png, dpi: 72, border: 15}", 3, "a list is needed, such as `[15, 15]`"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_what_to_write(
    tmp_path: Path, row: str, line: int, sentence: str
) -> None:
    path = written(tmp_path, f"# my formats\nspecs:\n{row}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_specs(path)
    assert f"{path}:{line}: " in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["specs:\n  a: {background: 2026-13-41}\n", "specs: &s\n  a: *s\n"])
def test_yaml_that_cannot_be_built_is_a_sentence_with_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=r"specs\.yaml cannot be read as YAML"):
        load_specs(path)


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "specs:\n  a: {format: gif, dpi: 72}\n  b: {format: png, dpi: x}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_specs(path)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [f"{path}:2", f"{path}:3"]


def test_a_twin_of_an_unknown_spec_is_refused_with_its_line(tmp_path: Path) -> None:
    twins = "twins:\n  - {prefix: w_, family: w, watermark: {file: w.png}, of:\n      [aa,\n       bb]}\n"
    path = written(tmp_path, f"specs:\n  aa: {{format: png, dpi: 72}}\n{twins}")
    with pytest.raises(ConfigurationError, match=f"{path}:6: twins: there is no spec 'bb'"):
        load_specs(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml cannot be read"):
        load_specs(tmp_path / "nowhere.yaml")


def test_defaults_hold_for_every_spec_that_is_silent(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "defaults: {padding: outside}\nspecs:\n  a: {format: png, dpi: 72}\n"
        "  b: {format: png, dpi: 72, padding: inside}\n",
    )
    assert {name: spec.padding for name, spec in load_specs(path).items()} == {"a": "outside", "b": "inside"}


def test_a_recipe_is_plain_json_and_blind_to_what_decides_no_pixel() -> None:
    spec = load_specs()["1000x1000_72dpi_jpeg"]
    recipe = spec.recipe()
    assert json.loads(json.dumps(recipe)) == recipe
    renamed = spec.model_copy(update={"name": "other", "family": "mine", "enabled": False})
    assert renamed.recipe() == recipe


@pytest.mark.parametrize(
    "change",
    [
        {"dpi": 96},
        {"quality": 91},
        {"border": (14, 15)},
        {"padding": "outside"},
        {"enlarge": True},
        {"background": (255, 255, 254)},
        {"progressive": False},
        {"kernel": "mitchell"},
    ],
)
def test_every_key_that_decides_pixels_or_encoding_is_in_the_recipe(change: dict[str, object]) -> None:
    spec = load_specs()["1000x1000_72dpi_jpeg"]
    assert spec.model_copy(update=change).recipe() != spec.recipe()


def test_another_watermark_under_the_same_name_is_another_recipe(tmp_path: Path) -> None:
    mark = tmp_path / "watermark.png"
    mark.write_bytes(b"first")
    spec = load_specs(brand_dir=tmp_path)["watermark_1000x1000_72dpi_jpeg"]
    first = spec.recipe()
    mark.write_bytes(b"second")
    assert spec.recipe() != first


def test_a_missing_watermark_is_refused_with_spec_and_file(tmp_path: Path) -> None:
    spec = load_specs(brand_dir=tmp_path)["watermark_1000x1000_72dpi_jpeg"]
    with pytest.raises(
        ConfigurationError, match=r"watermark_1000x1000_72dpi_jpeg wants the watermark .*watermark\.png"
    ):
        spec.recipe()


def _square(side: int, border: int = 15) -> tuple[object, ...]:
    return ((side, side), (side, side), border)


#: The old catalogue as its facts tell it: what the picture is fitted to (a side or a box), canvas, border.
CATALOGUE = {
    "original_300dpi_png": (None, None, 0),
    "original_300dpi_tiff": (None, None, 0),
    "2500_longest_300dpi_tiff": (2500, None, 15),
    "2500_longest_300dpi_jpeg": (2500, None, 15),
    "2500x2500_300dpi_tiff": _square(2500),
    "2500x2500_300dpi_jpeg": _square(2500),
    "1500_longest_300dpi_tiff": (1500, None, 15),
    "1500_longest_300dpi_jpeg": (1500, None, 15),
    "1500x1500_300dpi_tiff": _square(1500),
    "1500x1500_300dpi_jpeg": _square(1500),
    "1000x1000_72dpi_jpeg": _square(1000),
    "1000_longest_72dpi_jpeg": (1000, None, 15),
    "720x720_72dpi_jpeg": _square(720),
    "720_longest_72dpi_jpeg": (720, None, 15),
    "600x600_72dpi_jpeg": _square(600),
    "600_longest_72dpi_jpeg": (600, None, 15),
    "600x390_72dpi_png_icon": ((580, 370), (600, 390), 10),
    "600x390_72dpi_png": ((580, 370), (600, 390), 10),
    "300x200_72dpi_jpeg": ((300, 200), (300, 200), 10),
    "128x128_72dpi_jpeg": _square(128, 5),
    "64x64_72dpi_jpeg": _square(64, 5),
    "32x32_72dpi_jpeg": _square(32, 1),
}
WITHOUT_TWIN = {*V3[:3], "2500_longest_300dpi_jpeg", "32x32_72dpi_jpeg"}


def test_every_format_of_the_old_catalogue_is_there_with_its_values() -> None:
    specs = load_specs()
    twins = {f"watermark_{name}" for name in CATALOGUE.keys() - WITHOUT_TWIN}
    assert specs.keys() == CATALOGUE.keys() | twins
    for name, spec in specs.items():
        fit, canvas, border = CATALOGUE[name.removeprefix("watermark_")]
        assert (spec.fit and (spec.fit.longest or spec.fit.box), spec.canvas) == (fit, canvas), name
        assert spec.border == (border, border), name
        assert spec.format in name, name
        assert f"_{spec.dpi}dpi_" in name, name
        clear = spec.format == "png" or "original" in name
        assert (spec.mode, spec.background) == (("RGBA", None) if clear else ("RGB", (255, 255, 255))), name
        assert (spec.padding, spec.enlarge) == ("inside", False), name
        assert (spec.brand_icon is not None) == ("icon" in name), name
        assert (spec.watermark is not None) == name.startswith("watermark_"), name
