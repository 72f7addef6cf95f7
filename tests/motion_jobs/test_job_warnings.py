"""Warnings come from measured values and rules in a file, and say unknown where nothing can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pytest

from crown.errors import ConfigurationError
from crown.motion_jobs.after_effects.ae_project import Expression, Footage, Layer
from crown.motion_jobs.matches.job_warnings import Job, warning_rules, warnings_of
from crown.motion_jobs.matches.matching import layers_of, match, slots_of
from crown.motion_jobs.matches.text_fit import text_width
from crown.motion_jobs.photoshop.psd_file import (
    PsdDocument,
    PsdLayer,
    PsdText,
    TextRun,
)
from tests.motion_jobs.projects import comp, footage, project, source_layer, text_layer

FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FONTS: dict[str, Path | None] = {"ArialMT": FONT}


def psd_layer(
    layer_id: int, name: str, width: int, height: int, text: str = "", font: str = "ArialMT"
) -> PsdLayer:
    runs = (TextRun(text, font, 20, None, 0, 1.0),)
    words = PsdText(tuple(text.split("\n")), runs, is_box=True) if text else None
    box = (0, 0, width, height)
    kind = "type" if text else "pixel"
    return PsdLayer(
        layer_id, name, kind, None, (name,), True, box, box, None, False, 255, "normal", words, None
    )


def job(layers: list[PsdLayer], slots: list[Layer], items: list[Footage] | None = None, **more: Any) -> Job:
    size = more.pop("size", (1200, 1500))
    document = PsdDocument(Path("a.psd"), *size, 8, "RGB", False, True, tuple(layers))
    made = project([comp(1, "main", *slots)], items or [], more.pop("expressions", ()))
    matching = match(layers_of(document), slots_of(made, 1))
    return Job(document, made, 1, matching, more.pop("fonts", FONTS))


def found(one: Job) -> list[tuple[str, str]]:
    return [(warning.type, warning.severity) for warning in warnings_of(one)]


def test_a_job_that_fits_has_no_warnings() -> None:
    one = job(
        [psd_layer(1, "title", 90, 20, "Sale"), psd_layer(2, "photo", 100, 50)],
        [text_layer(10, "title", box=(100.0, 30.0)), source_layer(11, "photo", 5)],
        [footage(5, "/a/photo.png")],
    )
    assert found(one) == []


def test_a_missing_font_is_one_that_characters_use_by_its_postscript_name() -> None:
    one = job(
        [psd_layer(1, "title", 90, 20, "Sale", font="RUSHFLOW")], [text_layer(10, "title", box=(100.0, 30.0))]
    )
    assert [(w.type, w.message) for w in warnings_of(one)] == [
        ("missing_font", "The text 'title' uses the font RUSHFLOW, which is not installed.")
    ]


def test_without_a_list_of_fonts_they_are_unknown_and_not_missing() -> None:
    one = job(
        [psd_layer(1, "title", 90, 20, "Sale")], [text_layer(10, "title", box=(100.0, 30.0))], fonts=None
    )
    assert found(one) == [("unknown_fonts", "info"), ("text_overflow_unknown", "info")]


@pytest.mark.parametrize(
    ("exists", "kind"), [(False, ("missing_asset", "critical")), (None, ("unknown_asset", "info"))]
)
def test_footage_that_is_not_there_is_critical_even_when_no_layer_shows_it(
    exists: bool | None, kind: tuple[str, str]
) -> None:
    assert found(job([], [], [footage(5, "/a/photo.png", exists)])) == [kind]


def test_a_slot_that_nothing_fills_is_named() -> None:
    warnings = warnings_of(job([], [text_layer(10, "title", box=(100.0, 30.0))]))
    assert [(one.type, one.details["layer_id"]) for one in warnings] == [("unmatched_slot", 10)]


@pytest.mark.parametrize(("factor", "severity"), [(0.97, []), (0.90, ["warning"]), (0.75, ["critical"])])
def test_a_text_wider_than_its_slot_is_measured_in_its_font(factor: float, severity: list[str]) -> None:
    width = text_width("WWWW Sale", FONT, 20.0)
    assert width is not None
    one = job(
        [psd_layer(1, "title", 90, 20, "Sale\nWWWW Sale")],
        [text_layer(10, "title", box=(width * factor, 60.0))],
    )
    assert [w.severity for w in warnings_of(one) if w.type == "text_overflow"] == severity


@pytest.mark.parametrize(
    ("box", "fonts", "text", "reason"),
    [
        (None, FONTS, "Sale", "point text has no box"),
        ((100.0, 30.0), {"ArialMT": None}, "Sale", "the file of the font ArialMT is not here"),
        ((100.0, 30.0), FONTS, "名前", "the font ArialMT lacks some of its characters"),
    ],
)
def test_an_overflow_that_cannot_be_measured_is_unknown_with_the_reason(
    box: tuple[float, float] | None, fonts: dict[str, Path | None], text: str, reason: str
) -> None:
    one = job([psd_layer(1, "title", 90, 20, text)], [text_layer(10, "title", box=box)], fonts=fonts)
    warnings = warnings_of(one)
    assert [w.type for w in warnings] == ["text_overflow_unknown"]
    assert reason in warnings[0].message


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 50), []),
        ((100, 44), [("aspect", "warning"), ("resolution", "warning")]),
        ((100, 80), [("aspect", "critical")]),
        ((40, 20), [("resolution", "critical")]),
        ((400, 200), []),
    ],
)
def test_pictures_are_held_against_their_slots(
    size: tuple[int, int], expected: list[tuple[str, str]]
) -> None:
    one = job([psd_layer(1, "photo", *size)], [source_layer(11, "photo", 5)], [footage(5, "/a/photo.png")])
    assert found(one) == expected


def test_a_document_of_another_shape_than_the_composition_is_noted() -> None:
    assert found(job([], [], size=(1500, 1200))) == [("document_size", "info")]


def test_an_uncertain_pair_is_named_with_its_reason() -> None:
    one = job([psd_layer(1, "team 1 name", 90, 20, "Ajax")], [text_layer(10, "team name", box=(100.0, 30.0))])
    assert [(w.type, w.details["value"]) for w in warnings_of(one)] == [("ambiguous_match", 0.65)]


def test_an_expression_that_reads_files_is_critical() -> None:
    code = '$.evalFile("/a/data.js")'
    one = job([], [], expressions=(Expression(1, 10, "ADBE Text Document", code, reads_files=True),))
    assert found(one) == [("expression_reads_files", "critical")]


def test_an_expression_that_reads_what_is_not_there_or_speaks_one_language_is_named() -> None:
    slots = [text_layer(10, "title")]
    codes = ('thisComp.layer("gone").text', 'thisLayer("Transformieren")', 'effect("A")("Slider")')
    one = job([], slots, expressions=tuple(Expression(1, 10, "ADBE Opacity", code, False) for code in codes))
    said = {(w.type, w.severity): w.message for w in warnings_of(one)}
    assert said["broken_reference", "warning"] == (
        "The expression on 'title' reads layer 'gone' in 'main', which does not exist."
    )
    assert said["localised_name", "warning"] == (
        "The expression on 'title' reads group 'Transformieren' of 'title' in 'main', named in German; "
        "write 'ADBE Transform Group'."
    )
    assert not any("Slider" in message for message in said.values())


def test_thresholds_and_severities_are_data(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("unmatched_slot:\n  severities: [{severity: critical}]\n  message: 'No {slot}.'\n")
    one = job([], [text_layer(10, "title", box=(100.0, 30.0))], [footage(5, "/a", None)])
    assert [(w.severity, w.message) for w in warnings_of(one, warning_rules(path))] == [
        ("critical", "No title.")
    ]
    path.write_text(
        "aspect:\n  severities: [{severity: info, above: 1}, {severity: critical, above: 2}]\n  message: x\n"
    )
    with pytest.raises(ConfigurationError, match="from the highest to the lowest"):
        warning_rules(path)


def test_tracking_scale_and_kerning_count_in_a_width() -> None:
    plain = text_width("AVAV", FONT, 100.0)
    letters = [text_width(letter, FONT, 100.0) for letter in "AVAV"]
    assert plain is not None
    assert plain < sum(width for width in letters if width is not None)
    assert text_width("AVAV", FONT, 100.0, tracking=50) == pytest.approx(plain + 4 * 5)
    assert text_width("AVAV", FONT, 100.0, horizontal_scale=0.5) == pytest.approx(plain / 2)
    assert text_width("", FONT, 100.0) == 0
