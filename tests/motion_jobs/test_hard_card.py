"""A data composition is filled from a row or a file, and every expression says what it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import py_aep
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from crown.errors import BadInput, Refused
from crown.motion_jobs import stages
from crown.motion_jobs.after_effects.ae_project import Expression, Project, read_project
from crown.motion_jobs.after_effects.expression_reads import effect_names, reads_of
from crown.motion_jobs.after_effects.hard_card import (
    card_comp,
    card_of_row,
    fill_card,
    hard_card,
    read_values,
)
from crown.motion_jobs.jobs import batches, jobs, reviewing
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.tasks import target_comp
from crown_cli.main import cli
from tests.motion_jobs.department import HEADER, open_motion
from tests.motion_jobs.projects import comp, footage, made_psd, project, source_layer, text_layer

RealFile = Callable[[str, str], Path]
CARD = "composition 'Hard Card'"
CONTROLS = {
    10: {"Size": {"Slider": "ADBE Slider Control-0001", "Compositing Options": "ADBE Effect Built In Params"}}
}


def made(*codes: str) -> Project:
    """A card of three variables, and a composition whose title has the given expressions."""
    card = comp(
        1,
        "Hard Card",
        text_layer(2, "team_name", text="Reds"),
        text_layer(3, "score"),
        text_layer(4, "Ünïcode 👽"),
    )
    main = comp(9, "render_a", text_layer(10, "title"), source_layer(11, "photo", 5))
    expressions = tuple(Expression(9, 10, "ADBE Opacity", code, False) for code in codes)
    return project([card, main], [footage(5, "/a/data.json")], expressions)


def sentences(code: str) -> list[str]:
    return [one.sentence() for found in reads_of(made(code), CONTROLS) for one in found.reads]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        (
            'comp("Hard Card").layer("team_name").text.sourceText',
            ["layer 'team_name' in 'Hard Card'", CARD],
        ),
        ("var c = comp('Hard Card'); c.layer('score').text;", [CARD, "layer 'score' in 'Hard Card'"]),
        ('n = "score"; comp("Hard Card").layer(n)', ["layer 'score' in 'Hard Card'", CARD]),
        ('comp("Hard Card").layer("gone")', ["layer 'gone' in 'Hard Card', which does not exist", CARD]),
        ('comp("Gone").layer("x")', ["layer 'x' in 'Gone'", "composition 'Gone', which does not exist"]),
        ('thisComp.layer("photo").transform.opacity', ["layer 'photo' in 'render_a'"]),
        ("thisComp.layer(index + 1).name", ["a layer in 'render_a' whose name is worked out"]),
        ("thisComp.layer(1).name", []),
        (
            'comp("Hard Card").layer("\\u00dcn\\u00efcode \\u{1f47d}")',
            ["layer 'Ünïcode 👽' in 'Hard Card'", CARD],
        ),
        ('footage("data.json").sourceData.name', ["footage 'data.json'"]),
        ('footage("none.json").sourceData.name', ["footage 'none.json', which does not exist"]),
        ('$.evalFile("/x/data.js"); go()', ["file '/x/data.js'"]),
        (
            'effect("Size")("ADBE Slider Control-0001")',
            ["parameter 'ADBE Slider Control-0001' of 'title' in 'render_a'", "effect 'Size' of 'title' in 'render_a'"],
        ),
    ],
)  # fmt: skip
def test_an_expression_says_what_it_reads(code: str, wanted: list[str]) -> None:
    assert sentences(code) == wanted


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ('effect("Size")("Slider")', "a name that depends on the language; write 'ADBE Slider Control-0001'"),
        ('effect("Size")("Schieberegler")', "named in German; write 'ADBE Slider Control-0001'"),
        ('thisLayer.effect("Size")("Curseur")', "named in French; write 'ADBE Slider Control-0001'"),
        ('thisComp.layer("title").effect("Size")("スライダー")', "named in Japanese; write 'ADBE Slider Control-0001'"),
        ('var l = thisComp.layer("title"); l.effect("Size")("x")', "the language; write 'ADBE Slider Control-0001'"),
        ('thisComp.layer("photo").effect("Other")("Wert")', "on the language; its match name is not known"),
        ('thisLayer("Transformieren")("Deckkraft")', "group 'Deckkraft', named in German; write 'ADBE Opacity'"),
        ('thisComp.layer("photo").property("Effekte")', "named in German; write 'ADBE Effect Parade'"),
        ('content("Inhalt")', "named in German; write 'ADBE Root Vectors Group'"),
    ],
)  # fmt: skip
def test_a_name_of_one_language_is_flagged_and_resolved_by_match_name(code: str, sentence: str) -> None:
    assert any(sentence in one for one in sentences(code)), sentences(code)


def test_names_that_hold_in_every_language_are_not_flagged() -> None:
    code = 'content("Group 1").content("My shape"); mask("Mask 1"); thisLayer("ADBE Transform Group")("ADBE Opacity")'
    assert [one for found in reads_of(made(code)) for one in found.reads if one.localised] == []


@pytest.mark.parametrize(
    "code", ["if (", "a = `${", "\x00", "}" * 500, "(" * 3000, "x = x; x.layer('a')", "a=b;b=a;a.layer('x')"]
)
def test_broken_and_odd_expressions_are_read_or_said_and_never_stop(code: str) -> None:
    assert len(reads_of(made(code))) == 1


def test_match_names_of_a_real_projects_effects_are_found(real_file: RealFile) -> None:
    names = effect_names(real_file("aepx", "boltframe_Property-01.aep"))
    assert names[14]["Slider Control"]["Slider"] == "ADBE Slider Control-0001"


def test_real_expressions_that_read_a_file_are_listed(real_file: RealFile) -> None:
    found = reads_of(read_project(real_file("aepx", "nexrender_assets_nm05ae15.aepx")))
    assert [one.sentence() for expression in found for one in expression.reads] == [
        "file '/Users/Inlife/NXRendering/nm05/data.js'"
    ] * 7


def test_a_card_lists_its_variables_with_their_readers_and_what_is_wrong() -> None:
    card = made(
        'comp("Hard Card").layer("team_name").text.sourceText',
        'comp("Hard Card").layer("teamname").text.sourceText',
        'effect("Size")("Schieberegler")',
    )
    found = hard_card(card, reads_of(card, CONTROLS))
    assert [(one.name, one.value, one.readers) for one in found.variables] == [
        ("team_name", "Reds", ("render_a / title",)),
        ("score", "score", ()),
        ("Ünïcode 👽", "Ünïcode 👽", ()),
    ]
    assert found.problems == (
        "render_a / title reads layer 'teamname' in 'Hard Card', which does not exist.",
        "render_a / title reads parameter 'Schieberegler' of 'title' in 'render_a', named in German; "
        "write 'ADBE Slider Control-0001'.",
    )


def test_the_card_is_the_composition_of_that_name_or_the_named_one() -> None:
    assert card_comp(made()).id == 1
    assert card_comp(made(), "render_a").id == 9
    with pytest.raises(Refused, match="has 0 compositions called Hard Card"):
        card_comp(project([comp(1, "data")], []))
    with pytest.raises(Refused, match="has 2 compositions called Hard Card"):
        card_comp(project([comp(1, "Hard Card"), comp(2, "hard_card")], []))


def test_values_fill_variables_whatever_their_capitals_and_others_are_named() -> None:
    card = hard_card(made(), [])
    filling = fill_card(card, {"TEAM_NAME": 'it\'s "x"\n👽', " score ": "3", "season": "2026"})
    assert filling.edits.texts == {2: 'it\'s "x"\n👽', 3: "3"}
    assert (filling.unknown, filling.kept) == (("season",), ("Ünïcode 👽",))
    with pytest.raises(Refused, match="Two values are for the layer 'score'"):
        fill_card(card, {"score": "1", "Score": "2"})


def test_twins_and_variables_of_an_expression_are_refused() -> None:
    twins = project([comp(1, "Hard Card", text_layer(2, "a"), text_layer(3, "a"))], [])
    with pytest.raises(Refused, match="several layers named 'a'"):
        fill_card(hard_card(twins, []), {"a": "1"})
    code = Expression(1, 2, "ADBE Text Properties/ADBE Text Document", "time", False)
    driven = project([comp(1, "Hard Card", text_layer(2, "a"))], [], (code,))
    with pytest.raises(Refused, match="gets its text from an expression"):
        fill_card(hard_card(driven, []), {"a": "1"})


@pytest.mark.parametrize(
    "body",
    [
        {"a": "x", "b": 3, "c": 1.5, "d": True, "e": None},
        {"variables": {"a": "x", "b": 3, "c": 1.5, "d": True, "e": None}},
    ],
)
def test_values_are_read_from_json(tmp_path: Path, body: object) -> None:
    path = tmp_path / "values.json"
    path.write_text(json.dumps(body))
    assert read_values(path) == {"a": "x", "b": "3", "c": "1.5", "d": "true", "e": ""}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("{", "is no JSON"),
        ("[1]", "holds no object"),
        ('{"a": [1]}', "the value of 'a' is a list"),
        ('{"a": 1, "a": 2}', "the name 'a' is in it twice"),
        ("[" * 200_000, "is no JSON"),
        (json.dumps({str(n): n for n in range(1001)}), "has 1,001 values"),
        ("\xff", "is no JSON"),
    ],
)  # fmt: skip
def test_what_holds_no_values_is_refused(tmp_path: Path, raw: str, sentence: str) -> None:
    path = tmp_path / "values.json"
    path.write_bytes(raw.encode("latin-1"))
    with pytest.raises(BadInput, match=sentence):
        read_values(path)


def test_a_made_card_is_filled_and_proven_from_the_command_line(tmp_path: Path) -> None:
    app = py_aep.new(platform="macos").project
    card = app.root_folder.add_comp("Hard Card", 100, 100, 1.0, 5.0, 25.0)
    card.add_text("TEAM")
    main = app.root_folder.add_comp("render_main", 1920, 1080, 1.0, 5.0, 25.0)
    title = main.add_text("title")
    title.text.source_text.expression = 'comp("Hard Card").layer("TEAM").text.sourceText'
    app.save(tmp_path / "made.aep")
    (tmp_path / "values.json").write_text(json.dumps({"TEAM": "O'Neil\n👽", "none": 1}))

    def run(*more: str) -> str:
        result = CliRunner().invoke(cli, ["motion", "card", str(tmp_path / "made.aep"), *more])
        assert result.exit_code == 0, result.output
        return result.output

    assert "render_main / title" in run()
    shown = json.loads(run("--json"))
    assert [(one["name"], one["readers"]) for one in shown["variables"]] == [
        ("TEAM", ["render_main / title"])
    ]
    said = run("--values", str(tmp_path / "values.json"), "-o", str(tmp_path / "out.aep"))
    assert "No variable: none." in said
    after = read_project(tmp_path / "out.aep")
    filled = next(one for one in after.compositions if one.name == "Hard Card")
    assert [one.text.text for one in filled.layers if one.text] == ["O'Neil\n👽"]


def test_further_columns_of_a_row_fill_the_card_and_an_empty_cell_keeps_its_value() -> None:
    filling = card_of_row(made(), 9, {"Score": "3", "team_name": "", "season": "2026"})
    assert filling is not None
    assert (filling.edits.texts, filling.unknown, filling.kept) == (
        {3: "3"},
        ("season",),
        ("team_name", "Ünïcode 👽"),
    )
    assert card_of_row(made(), 1, {"Score": "3"}) is None
    assert card_of_row(project([comp(9, "render_a")], []), 9, {"Score": "3"}) is None


def test_a_card_is_never_the_composition_that_a_job_fills() -> None:
    card = comp(1, "Hard Card", *(text_layer(n, f"v{n}") for n in range(20, 50)))
    main = comp(9, "main", text_layer(10, "title"))
    assert target_comp(project([card, main], []), None) == (9, "no other composition shows it")


def test_a_job_brings_its_further_columns_into_the_package(engine: Engine, tmp_path: Path) -> None:
    workspace = open_motion(engine, tmp_path)
    folder = tmp_path / "media" / "motion" / "batches"
    folder.mkdir(parents=True, exist_ok=True)
    app = py_aep.new(platform="macos").project
    app.root_folder.add_comp("Hard Card", 100, 100, 1.0, 5.0, 25.0).add_text("TEAM")
    main = app.root_folder.add_comp("render_main", 64, 48, 1.0, 2.0, 25.0)
    main.add_text("title")
    app.save(folder / "made.aep")
    made_psd(folder / "a.psd", ("Photo",))
    (folder / "a.csv").write_text(
        f'{HEADER},team,season\none,a.psd,made.aep,one.aep,,,,,"O\'Neil ""x"" 👽",2026\n', "utf-8"
    )
    batches.upload(workspace, folder / "a.csv", who="ann")
    stages.run(workspace)
    reviewing.approve(workspace, ["one"], Person("ann"), apply=True)
    stages.run(workspace)
    reviewing.approve(workspace, ["one"], Person("ann"), with_warnings=True, apply=True)
    stages.run(workspace)
    shown = jobs.show(workspace, "one")
    package = tmp_path / "media" / "motion" / shown["deployment"]["project"]
    texts = {
        layer.name: layer.text.text
        for one in read_project(package).compositions
        for layer in one.layers
        if layer.text
    }
    assert texts == {"TEAM": 'O\'Neil "x" 👽', "title": "title"}
    report = json.loads((package.parent / "report.json").read_text())
    assert report["hard_card"]["unknown_columns"] == ["season"]
