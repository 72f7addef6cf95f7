"""What a compliance profile promises: the offending number, said in one sentence, and nothing overlooked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from crown.errors import BadInput, ConfigurationError
from crown.product_images.renditions.compliance import (
    Measurements,
    blocked,
    judge,
    load_profiles,
    measure,
)
from crown.product_images.renditions.render import render
from crown.product_images.renditions.specs import load_specs

PROFILES = load_profiles()

GOOD = Measurements(
    name="52000123_1_2500_longest_300dpi_tiff.tif",
    format="tiff",
    width=2500,
    height=1677,
    mode="RGB",
    bits=8,
    dpi=300.0,
    colour_profile="sRGB",
    compression="lzw",
    bytes=4_000_000,
    corner_white=255,
    margin_smallest=15,
    margin_largest=15,
    fill_share=0.988,
    source_longest_side=6000,
)


def cut_out(path: Path, width: int, height: int) -> Path:
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x * 2 + 1) / width - 1) ** 2 + ((y * 2 + 1) / height - 1) ** 2 <= 1.001
    rgba = np.dstack([np.full((height, width, 3), 90), inside * 255]).astype(np.uint8)
    pyvips.Image.new_from_array(rgba).copy(interpretation="srgb").pngsave(str(path))
    return path


def rendition(folder: Path, name: str, size: tuple[int, int] = (3000, 2000)) -> Measurements:
    spec = load_specs()[name]
    path = folder / f"52000123_{name}.{spec.extension}"
    render(cut_out(folder / "master.png", *size), [(spec, path)])
    return measure(path, source_longest_side=max(size))


def rules(measurements: Measurements, profile: str) -> dict[str, str]:
    return {finding.rule: finding.severity for finding in judge(measurements, PROFILES[profile])}


@pytest.mark.slow
def test_our_print_rendition_meets_auto_care(tmp_path: Path) -> None:
    assert rules(rendition(tmp_path, "2500_longest_300dpi_tiff"), "autocare") == {}


def test_our_web_rendition_meets_the_marketplace(tmp_path: Path) -> None:
    assert rules(rendition(tmp_path, "1000x1000_72dpi_jpeg"), "marketplace") == {}


def test_a_print_rendition_of_a_small_master_is_blocked_with_the_number(tmp_path: Path) -> None:
    findings = judge(rendition(tmp_path, "2500_longest_300dpi_tiff", (1100, 900)), PROFILES["autocare"])
    assert blocked(findings)
    first = findings[0]
    assert (first.rule, first.severity, first.measured, first.wanted) == (
        "minimum_size",
        "error",
        "1130 px",
        "at least 1500 px",
    )
    assert first.sentence == (
        "52000123_2500_longest_300dpi_tiff.tif: the longest side is 1130 px, Auto Care catalogue photo wants at "
        "least 1500 px; photograph it larger or crop less."
    )


def test_the_measured_values_are_those_of_the_file(tmp_path: Path) -> None:
    found = rendition(tmp_path, "2500_longest_300dpi_tiff")
    assert (found.width, found.height, found.format, found.mode, found.bits) == (2500, 1677, "tiff", "RGB", 8)
    assert (found.dpi, found.compression, found.corner_white) == (300.0, "lzw", 255)
    assert found.colour_profile.startswith("sRGB")
    assert 15 <= found.margin_smallest <= found.margin_largest <= 17
    assert found.fill_share == pytest.approx(2470 / 2500, abs=0.002)
    assert found.bytes == (tmp_path / found.name).stat().st_size


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"width": 1499, "height": 900}, {"minimum_size": "error", "recommended_size": "warning"}),
        ({"width": 2499}, {"recommended_size": "warning"}),
        ({"source_longest_side": 1200}, {"minimum_source": "error"}),
        ({"source_longest_side": None}, {"minimum_source": "error"}),
        ({"margin_largest": 40}, {"white_space": "error"}),
        ({"margin_smallest": 4}, {"breathing_space": "warning"}),
        ({"mode": "CMYK"}, {"colour_mode": "error"}),
        ({"mode": "L"}, {"colour_mode": "error"}),
        ({"colour_profile": "Adobe RGB (1998)"}, {"colour_space": "error", "profile_embedded": "warning"}),
        ({"colour_profile": "none"}, {"profile_embedded": "warning"}),
        ({"dpi": 72.0}, {"resolution": "error"}),
        ({"dpi": None}, {"resolution": "error"}),
        ({"dpi": 600.0}, {"resolution": "error"}),
        ({"format": "png", "compression": "deflate"}, {"format", "preferred_format", "compression"}),
        ({"format": "jpeg", "compression": "jpeg"}, {"preferred_format": "warning"}),
        ({"compression": "deflate"}, {"compression": "error"}),
        ({"corner_white": 254}, {"white_background": "error"}),
        ({"name": "52000123 1.tif"}, {"name_characters": "error"}),
        ({"name": "größe.tif"}, {"name_characters": "error"}),
        ({"name": "52000123"}, {"name_characters": "error"}),
        ({"name": "5" * 77 + ".tif"}, {"name_length": "error"}),
    ],
)
def test_auto_care_finds_each_fault_and_no_other(
    change: dict[str, Any], expected: dict[str, str] | set[str]
) -> None:
    found = rules(replace(GOOD, **change), "autocare")
    assert (set(found) if isinstance(expected, set) else found) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"fill_share": 0.84}, {"fill"}),
        ({"corner_white": 240}, {"white_background"}),
        ({"width": 999, "height": 999}, {"minimum_size"}),
        ({"mode": "RGBA"}, {"colour_mode"}),
        ({"name": "52000123-1.jpg"}, {"name_characters"}),
        ({"format": "webp"}, {"format"}),
    ],
)
def test_the_marketplace_finds_each_fault_and_no_other(change: dict[str, Any], expected: set[str]) -> None:
    good = replace(
        GOOD, name="52000123_1_web.jpg", format="jpeg", compression="jpeg", width=1000, height=1000
    )
    assert set(rules(replace(good, **change), "marketplace")) == set(expected)


def test_only_errors_block() -> None:
    assert not blocked(judge(replace(GOOD, width=2000), PROFILES["autocare"]))
    assert blocked(judge(replace(GOOD, dpi=72.0), PROFILES["autocare"]))


def test_errors_stand_before_warnings() -> None:
    worst = replace(GOOD, width=100, height=100, format="png", margin_smallest=0, colour_profile="none")
    severities = [finding.severity for finding in judge(worst, PROFILES["autocare"])]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


def drawn(path: Path, box: tuple[int, int, int, int], background: int = 255, **options: Any) -> Measurements:
    image = Image.new("RGB", (200, 100), (background,) * 3)
    image.paste((30, 60, 90), box)
    image.save(path, **options)
    return measure(path)


def test_margins_and_fill_are_counted_along_the_fuller_axis(tmp_path: Path) -> None:
    wide = drawn(tmp_path / "a.png", (10, 30, 185, 70))
    assert (wide.margin_smallest, wide.margin_largest, wide.fill_share) == (10, 15, 175 / 200)
    tall = drawn(tmp_path / "b.png", (50, 4, 100, 98))
    assert (tall.margin_smallest, tall.margin_largest, tall.fill_share) == (2, 4, 94 / 100)


def test_one_dark_pixel_in_one_corner_is_seen(tmp_path: Path) -> None:
    image = Image.new("RGB", (100, 80), "white")
    image.putpixel((99, 79), (255, 250, 255))
    image.save(tmp_path / "a.png")
    assert measure(tmp_path / "a.png").corner_white == 250


def test_a_transparent_background_counts_as_white_and_the_mode_as_rgba(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(tmp_path / "a.png")
    found = measure(tmp_path / "a.png")
    assert (found.corner_white, found.mode, found.dpi) == (255, "RGBA", None)


def test_a_resolution_that_is_not_in_the_file_is_not_made_up(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a.jpg", (10, 10, 50, 50)).dpi is None
    assert drawn(tmp_path / "b.tif", (10, 10, 50, 50)).dpi is None


@pytest.mark.parametrize(
    ("compression", "expected"), [("raw", "none"), ("tiff_lzw", "lzw"), ("tiff_adobe_deflate", "deflate")]
)
def test_tiff_compression_and_resolution_are_read_from_its_entries(
    tmp_path: Path, compression: str, expected: str
) -> None:
    found = drawn(tmp_path / "a.tif", (10, 10, 50, 50), compression=compression, dpi=(240, 240))
    assert (found.compression, found.dpi) == (expected, 240.0)


def test_resolution_in_exif_alone_is_found(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 118.1102, 118.1102, 3
    image = Image.new("RGB", (50, 40), "white")
    image.save(tmp_path / "a.jpg", exif=exif)
    data = (tmp_path / "a.jpg").read_bytes()
    at = data.index(b"JFIF\0")
    (tmp_path / "a.jpg").write_bytes(data[: at + 7] + b"\0" + data[at + 8 :])
    assert measure(tmp_path / "a.jpg").dpi == 300.0


def test_a_published_name_is_judged_instead_of_the_stored_one(tmp_path: Path) -> None:
    cut_out(tmp_path / "0a1b.png", 100, 80)
    assert measure(tmp_path / "0a1b.png", name="52000123.png").name == "52000123.png"


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no")
    with pytest.raises(BadInput, match=r"a\.jpg"):
        measure(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{measure: longest_sid, at_least: 5, severity: error, advice: x}", "no measure 'longest_sid'"),
        ("{measure: dpi, one_of: [300], severity: error, advice: x}", "this must be a valid string"),
        ("{measure: dpi, pattern: x, severity: error, advice: x}", "dpi is a number"),
        ("{measure: name, at_most: 5, severity: error, advice: x}", "name is a word"),
        ("{measure: name, pattern: '[', severity: error, advice: x}", "the pattern cannot be read"),
        ("{measure: dpi, at_least: 300, severity: fatal, advice: x}", "'error' or 'warning'"),
        ("{measure: dpi, at_leest: 300, severity: error, advice: x}", "did you mean 'at_least'"),
        ("{measure: dpi, at_least: 300, severity: error}", "'advice' is missing"),
    ],
)
def test_a_mistake_in_a_profile_is_named_with_its_line(tmp_path: Path, rule: str, sentence: str) -> None:
    path = tmp_path / "profiles.yaml"
    head = "profiles:\n  mine:\n    title: Mine\n    source: me\n    categories: [web]\n    rules:\n"
    path.write_text(f"{head}      first: {rule}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_profiles(path)
    assert f"{path}:7: " in str(caught.value)
    assert sentence in str(caught.value)
