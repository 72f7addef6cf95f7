"""A profile is collected by a script inside After Effects, and says what of a project will fail there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_project import Expression, Project, read_project
from crown.motion_jobs.after_effects.expression_reads import reads_of
from crown.motion_jobs.deliverables.es3 import es3_problems
from crown.motion_jobs.deliverables.extendscript import ModelMachine, run_script
from crown.motion_jobs.renders.render_machine import (
    RenderMachine,
    preflight,
    profile_script,
    read_machine,
)
from crown_cli.main import cli
from tests.motion_jobs.projects import comp, footage, project, source_layer, text_layer

RealFile = Callable[[str, str], Path]
EMPTY = project([], [])


def collected(folder: Path, machine: ModelMachine) -> Path:
    """The profile of a machine of the model."""
    run = run_script(profile_script(), EMPTY, set(), machine=machine)
    assert (run.result, run.dialogs) == ("/scripts/render_machine.json", ())
    path = folder / "render_machine.json"
    path.write_text(run.written["/scripts/render_machine.json"])
    return path


def machine(**more: object) -> RenderMachine:
    values = {
        "format": "crown-render-machine/1",
        "version": "25.5x4",
        "language": "en_US",
        "system": "Macintosh OS 14",
        "collected_at": "1764000000000",
        "effects": ["ADBE Fill"],
        "fonts": ["ArialMT"],
    }
    return RenderMachine.model_validate({**values, **more})


def needy(version: str = "25.5x4", file: str = "/a/photo.png", code: str = "") -> Project:
    made = comp(1, "render_a", text_layer(10, "title"), source_layer(11, "photo", 5, effects=1))
    expressions = (Expression(1, 10, "ADBE Opacity", code, False),) if code else ()
    return replace(project([made], [footage(5, file)], expressions), version=version)


def test_the_script_is_es3_and_writes_what_the_machine_has(tmp_path: Path) -> None:
    assert es3_problems(profile_script()) == []
    fonts = ((("ArialMT", False), ("Arial-BoldMT", False)), (("Gone-Regular", True), ('Fö"nt\\\n👽', False)))
    found = read_machine(
        collected(
            tmp_path,
            ModelMachine("24.1x2", "de_DE", "Windows 11", effects=("ADBE Fill", "CC Toner"), fonts=fonts),
        )
    )
    assert (found.version, found.spoken, found.windows) == ("24.1x2", "German", True)
    assert found.effects == {"ADBE Fill", "CC Toner"}
    assert found.fonts == {"ArialMT", "Arial-BoldMT", 'Fö"nt\\\n👽'}
    assert found.collected.year >= 2026


def test_a_machine_that_cannot_list_its_fonts_says_so(tmp_path: Path) -> None:
    found = read_machine(collected(tmp_path, ModelMachine("16.0", fonts=None)))
    assert found.fonts is None
    assert [(one.kind, one.severity) for one in preflight(needy("16.0"), found)][-1] == ("unknown", "info")


def test_nothing_is_missing_where_all_is_there() -> None:
    assert preflight(needy(), machine()) == []
    assert preflight(needy(), machine(version="26.0")) == []
    assert preflight(needy("25.5"), machine(version="25.1")) == []


@pytest.mark.parametrize(
    ("made", "there", "wanted"),
    [
        (needy("26.0x1"), machine(), ("version", "critical", "which cannot open it")),
        (needy("odd"), machine(), ("unknown", "info", "Versions cannot be compared")),
        (needy(), machine(effects=[]), ("effect", "critical", "The effect ADBE Fill on render_a / photo is not installed")),
        (needy(), machine(fonts=[]), ("font", "warning", "The font ArialMT is not installed")),
        (needy(file="D:\\a.png"), machine(), ("path", "warning", "the machine runs macOS: D:\\a.png")),
        (needy(), machine(system="Windows 11"), ("path", "warning", "the machine runs Windows: /a/photo.png")),
        (needy(code='thisLayer("Transformieren")'), machine(), ("language", "critical", "named in German")),
        (needy(code='effect("A")("Slider")'), machine(language="fr_FR"), ("language", "critical", "is in French there")),
        (needy(code='effect("A")("Wert")'), machine(language="fr_FR"), ("language", "warning", "is in French there")),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(made: Project, there: RenderMachine, wanted: tuple[str, str, str]) -> None:
    found = preflight(made, there, reads_of(made))
    assert [(one.kind, one.severity) for one in found] == [wanted[:2]]
    assert wanted[2] in found[0].message


def test_a_name_in_the_machines_own_language_is_no_problem() -> None:
    made = needy(code='thisLayer("Transformieren")')
    assert preflight(made, machine(language="de_DE"), reads_of(made)) == []
    assert (
        preflight(
            needy(code='effect("A")("Slider")'), machine(), reads_of(needy(code='effect("A")("Slider")'))
        )
        == []
    )


def test_effects_that_the_project_brings_itself_are_not_missing(real_file: RealFile) -> None:
    made = read_project(real_file("aepx", "nexrender_Testo.mogrt"))
    used = {effect for one in made.compositions for layer in one.layers for effect in layer.effects}
    assert any(effect.startswith("Pseudo/") for effect in used)
    there = machine(effects=[one for one in used if not one.startswith("Pseudo/")], fonts=list(made.fonts))
    assert [one.kind for one in preflight(made, there)] == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"format": "other"}',
        b"\xff\xfe",
        b'{"format": "crown-render-machine/1"}',
    ],
)
def test_what_is_no_profile_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(raw)
    with pytest.raises(BadInput, match=r"a\.json is no profile of a render machine"):
        read_machine(path)


def test_preflight_is_labelled_and_fails_on_what_is_critical(real_file: RealFile, tmp_path: Path) -> None:
    source = real_file("aepx", "ae-to-json_testProject.aepx")
    profile = collected(
        tmp_path, ModelMachine(effects=("ADBE Gaussian Blur",), fonts=((("Helvetica", False),),))
    )
    result = CliRunner().invoke(cli, ["motion", "preflight", str(source), str(profile), "--json"])
    assert result.exit_code == 1
    shown = json.loads(result.output)
    assert shown["label"] == "by profile, not by rendering"
    assert [one["message"] for one in shown["lacks"] if one["severity"] == "critical"] == [
        "The effect ADBE LIQUIFY on Test-DifferentFootage / movie_layer is not installed; After Effects renders without it."
    ]
    script = CliRunner().invoke(cli, ["motion", "profile-script"]).output
    assert script == profile_script()
