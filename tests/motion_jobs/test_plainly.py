"""Plainly's rules fire on real data, each with its severity; score and grade follow from them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_edit import Edits, edit_project, refuse_renames
from crown.motion_jobs.after_effects.ae_project import Expression, Project, read_project
from crown.motion_jobs.deliverables.plainly import (
    Finding,
    PlainlyReport,
    fixes,
    validate,
)
from crown_cli.main import cli
from tests.motion_jobs.projects import comp, footage, made_project, project, source_layer, text_layer

GOOD = comp(1, "render_main", text_layer(10, "txt_title"), source_layer(11, "img_photo", 5))
ITEMS = [footage(5, "/a/photo.png")]


def rules(made: Project) -> list[tuple[str, str]]:
    return [(one.rule, one.severity) for one in validate(made).findings]


def test_a_project_that_keeps_all_rules_has_100_points() -> None:
    report = validate(project([GOOD], ITEMS))
    assert (report.findings, report.score, report.grade, report.plainly_ready) == ((), 100, "A", True)


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (project([comp(1, "render_ä")], []), ("name", "critical")),
        (project([comp(1, "render_a", text_layer(2, "txt_a#"))], []), ("name", "critical")),
        (project([comp(1, "render_a", source_layer(2, "audio_a", 5, "audio"))], [footage(5, "b.MP3")]), ("mp3", "critical")),
        (project([comp(1, "render_a", text_layer(2, "title"))], []), ("prefix", "warning")),
        (project([comp(1, "render_a", source_layer(2, "photo", 5))], ITEMS), ("prefix", "warning")),
        (project([comp(1, "render_a", source_layer(2, "img_clip", 5))], [footage(5, "C:\\a.mov")]), ("prefix", "warning")),
        (project([comp(1, "render_a", source_layer(2, "song", 5))], [footage(5, "/a/b.wav")]), ("prefix", "warning")),
        (project([comp(1, "main")], []), ("render_comp", "warning")),
        (project([comp(1, "render_a"), comp(2, "render_b")], []), ("render_comps", "info")),
        (project([comp(1, "render_a", source_layer(2, "img_a", 5, effects=11))], ITEMS), ("effects", "warning")),
        (project([comp(1, "render_a", source_layer(2, "img_a", 5, effects=6))], ITEMS), ("effects", "info")),
        (project([comp(1, "render_a")], [footage(5, "/a/b.eps")]), ("source", "warning")),
        (project([comp(1, "render_a", *(text_layer(n, f"txt_{n}") for n in range(101)))], []), ("layers", "info")),
        (project([comp(1, "render_a"), *(comp(n, f"c{n}") for n in range(2, 23))], []), ("comps", "info")),
        (project([comp(1, "render_a", text_layer(2, "txt_a", all_caps=True))], []), ("all_caps", "warning")),
        (project([comp(1, "render_a", renderer="ADBE Calder")], []), ("renderer", "warning")),
    ],
)  # fmt: skip
def test_each_rule_fires_alone_with_its_severity(made: Project, wanted: tuple[str, str]) -> None:
    assert rules(made) == [wanted]


def test_a_layered_import_breaks_the_plug_ins_rule_too() -> None:
    made = project([comp(1, "render_a")], [footage(5, "/a/b.psd", psd_layer="Title")])
    assert rules(made) == [("source", "warning"), ("layered", "warning")]


@pytest.mark.parametrize(
    ("critical", "warning", "info", "score", "grade", "valid", "ready"),
    [
        (0, 2, 0, 90, "A", True, True),
        (0, 2, 1, 89, "B", True, True),
        (0, 3, 0, 85, "B", True, False),
        (1, 0, 1, 79, "C", False, False),
        (1, 3, 0, 65, "D", False, False),
        (2, 0, 1, 59, "F", False, False),
        (9, 0, 0, 0, "F", False, False),
    ],
)
def test_the_score_counts_20_5_and_1(
    critical: int, warning: int, info: int, score: int, grade: str, valid: bool, ready: bool
) -> None:
    severities = ["critical"] * critical + ["warning"] * warning + ["info"] * info
    report = PlainlyReport(tuple(Finding("x", severity, "") for severity in severities))
    assert (report.score, report.grade, report.valid, report.plainly_ready) == (score, grade, valid, ready)


def test_the_rules_see_sources_and_effects_of_a_real_project(real_file: Callable[[str, str], Path]) -> None:
    audio = validate(read_project(real_file("aepx", "nexrender_assets_nm05ae15.aepx")))
    assert [one.item_id for one in audio.findings if one.rule == "mp3"] == [39]
    assert sorted(one.layer_id or 0 for one in audio.findings if one.rule == "name") == [34, 36, 38]
    effects = validate(read_project(real_file("aepx", "boltframe_Property-01.aep")))
    assert (effects.score, effects.grade) == (89, "B")
    layered = validate(read_project(real_file("aepx", "edforman_test-correct.aepx")))
    assert sum(one.rule == "layered" for one in layered.findings) == 6


def test_the_fixes_change_the_project_file_and_mend_its_findings(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    before = read_project(source)
    top = next(one for one in before.compositions if one.name == "render_main")
    spoiled = edit_project(
        source, Edits(comp_names={top.id: "Häuptfilm #1"}), tmp_path / "spoiled.aep"
    ).output
    assert {"name", "render_comp"} <= {one.rule for one in validate(read_project(spoiled)).findings}
    proof = edit_project(spoiled, fixes(read_project(spoiled)), tmp_path / "fixed.aep")
    assert {one.path.rsplit("/", 1)[-1] for one in proof.changed} <= {"Utf8[1]", "ldta[1]"}
    after = validate(read_project(proof.output))
    assert [one.rule for one in after.findings if one.rule in ("name", "render_comp", "prefix")] == []
    assert "render_Hauptfilm _1" in {one.name for one in read_project(proof.output).compositions}


def test_a_name_that_an_expression_spells_out_is_not_changed() -> None:
    code = Expression(1, 10, "ADBE Opacity", 'thisComp.layer("title").opacity', reads_files=False)
    made = project([comp(1, "render_a", text_layer(10, "title"))], [], (code,))
    with pytest.raises(Refused, match="The layer 'title' is named in an expression"):
        refuse_renames(made, Edits(layer_names={10: "txt_title"}))


def test_a_fix_leaves_what_an_expression_spells_out_and_mends_the_rest() -> None:
    code = Expression(1, 10, "ADBE Opacity", 'thisComp.layer("title").opacity', reads_files=False)
    made = project([comp(1, "render_a", text_layer(10, "title"), text_layer(11, "date"))], [], (code,))
    assert fixes(made).layer_names == {11: "txt_date"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["motion", "plainly", *map(str, arguments)])


def test_fix_writes_a_mended_copy_and_shows_what_differs(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    before = source.read_bytes()
    result = run(source, "--fix", "-o", tmp_path / "fixed.aep")
    assert "inner / txt_Headline: name changed from 'Headline' to 'txt_Headline'" in result.output
    assert "fixed.aep is written." in result.output
    assert source.read_bytes() == before
    shown = json.loads(run(tmp_path / "fixed.aep", "--json").output)
    assert [one["rule"] for one in shown["findings"] if one["rule"] in ("name", "prefix")] == []
    again = run(tmp_path / "fixed.aep", "--fix", "-o", tmp_path / "more.aep")
    assert "Nothing can be mended by itself; no file is written." in again.output
    assert not (tmp_path / "more.aep").exists()


def test_a_real_project_is_mended_and_what_only_a_person_can_mend_stays(
    real_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    source = real_file("aepx", "nexrender_assets_nm05ae15.aepx")
    result = run(source, "--fix", "-o", tmp_path / "fixed.aepx", "--json")
    assert result.exit_code == 1
    shown = json.loads(result.output)
    assert {one["property"] for one in shown["changes"]} == {"name"}
    assert {one["rule"] for one in shown["findings"] if one["severity"] == "critical"} == {"mp3"}


def test_a_fix_never_makes_two_names_equal() -> None:
    made = project([comp(1, "render_a", text_layer(10, "title"), text_layer(11, "txt_title"))], [])
    assert fixes(made).layer_names == {}
