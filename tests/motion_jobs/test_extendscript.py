"""Scripts are ES3 without dialogs; every value survives into them; run on a model of After Effects they do what is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_project import Expression, Project, read_project
from crown.motion_jobs.deliverables.es3 import es3_problems
from crown.motion_jobs.deliverables.extendscript import (
    ScriptOrder,
    carriage_returns,
    extendscript,
    extendscript_uri,
    run_script,
)
from tests.motion_jobs.projects import comp, footage, project, source_layer, text_layer

RealFile = Callable[[str, str], Path]
NASTY = (
    "it's", 'say "x"', "back\\slash\\", "two\nlines", "soft\x03return", "line\u2028paragraph\u2029end",
    "שלום מרחבא", "👽 👩‍🚀", "</script> */ /*JOB*/{}", "${x} `y`", "\x00\x01\x1f\x7f", "\ud800", "", "%41%", "\\u0041",
)  # fmt: skip


def template(name: str = "Headline", comp_name: str = "render_a", expression: str = "") -> Project:
    """A composition with a text, a picture and an inner composition with a text."""
    inner = comp(2, "inner", text_layer(20, "Inside"))
    outer = comp(
        1,
        comp_name,
        text_layer(10, name),
        source_layer(11, "photo", 5),
        source_layer(12, "inner", 2, "composition"),
    )
    code = (
        (Expression(1, 10, "ADBE Text Properties/ADBE Text Document", expression, False),)
        if expression
        else ()
    )
    return project([outer, inner], [footage(5, "/a/photo.png"), footage(6, "/a/other.png")], code)


def ran(made: Project, order: ScriptOrder, files: set[str], against: Project | None = None):  # type: ignore[no-untyped-def]
    windows = any("\\" in one for one in files)
    return run_script(extendscript(made, order), against or made, files, windows)


@pytest.mark.parametrize("value", NASTY)
def test_every_value_survives_in_text_path_layer_and_composition(value: str) -> None:
    made = template(name=value or "x", comp_name=value or "y")
    order = ScriptOrder(value, texts={10: value, 20: value})
    source = extendscript(made, order)
    assert source.isascii()
    assert es3_problems(source) == []
    run = run_script(source, made, {"/a/photo.png", "/a/other.png"})
    assert (run.texts[10], run.texts[20]) == (carriage_returns(value), carriage_returns(value))
    assert (run.result, run.exit_code, run.dialogs) == ("2 done, 0 problems", 0, ())


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_text_survives(text: str) -> None:
    made = template()
    assert run_script(
        extendscript(made, ScriptOrder("j", texts={10: text})), made, {"/a/photo.png", "/a/other.png"}
    ).texts[10] == carriage_returns(text)


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/Volumes/farm/it's 100%25 new, #1.png", "/Volumes/farm/it%27s%20100%2525%20new%2C%20%231.png"),
        ("D:\\jobs\\ü.png", "/d/jobs/%C3%BC.png"),
        ("\\\\server\\share\\a b.png", "//server/share/a%20b.png"),
    ],
)
def test_paths_of_every_system_survive(path: str, uri: str) -> None:
    assert extendscript_uri(path) == uri
    made = template()
    run = ran(made, ScriptOrder("j", pictures={11: path}, footage={6: path}), {path, "/a/photo.png"})
    assert run.files[6] == path
    assert run.files[run.sources[11]] == path


def test_a_path_that_is_not_full_is_refused() -> None:
    for path in ("a.png", "..\\a.png", "C:a.png", ""):
        with pytest.raises(Refused, match="no full path"):
            extendscript(template(), ScriptOrder("j", footage={5: path}))


def test_a_project_is_opened_filled_reported_and_saved() -> None:
    made = template()
    order = ScriptOrder(
        "J1", {10: "Hi"}, {11: "/n/a.png"}, {6: "/n/b.png"}, "/p/in.aep", "/p/out.aep", "/p/report.txt"
    )
    run = ran(made, order, {"/n/a.png", "/n/b.png", "/p/in.aep", "/a/photo.png"})
    assert (run.opened, run.saved) == ("/p/in.aep", "/p/out.aep")
    assert run.written["/p/report.txt"].splitlines() == [
        "done 3", "present /a/photo.png", "present /n/b.png", "present /n/a.png",
    ]  # fmt: skip


def test_missing_footage_is_listed_and_stops_the_save_though_nobody_asked_for_it() -> None:
    made = template()
    source = extendscript(made, ScriptOrder("j", {10: "Hi"}, save_as="/o.aep", report="/r.txt"))
    run = run_script(source, made, {"/a/photo.png"})
    assert (run.saved, run.exit_code) == (None, 1)
    assert run.written["/r.txt"].splitlines() == [
        "done 1",
        "problem The footage other.png is missing: /a/other.png",
        "present /a/photo.png",
        "missing /a/other.png",
    ]


def test_nothing_is_changed_when_a_file_is_not_on_the_render_machine() -> None:
    made = template()
    source = extendscript(
        made, ScriptOrder("j", {10: "Hi"}, {11: "/n/a.png"}, save_as="/o.aep", report="/r.txt")
    )
    run = run_script(source, made, {"/a/photo.png", "/a/other.png"})
    assert (run.texts[10], run.saved, run.exit_code) == ("Headline", None, 1)
    assert "problem The file is not there: /n/a.png" in run.written["/r.txt"]


def test_a_layer_that_moved_is_found_by_its_unique_name_and_twins_are_refused() -> None:
    made = template()
    source = extendscript(made, ScriptOrder("j", {10: "Hi"}, report="/r.txt"))
    there = {"/a/photo.png", "/a/other.png"}
    above = comp(1, "render_a", text_layer(30, "new"), text_layer(10, "Headline"))
    assert run_script(source, project([above], made.footage), there).texts[10] == "Hi"  # type: ignore[arg-type]
    twins = comp(1, "render_a", text_layer(30, "new"), text_layer(10, "Headline"), text_layer(31, "Headline"))
    run = run_script(source, project([twins], []), there)
    assert "has 2 layers named Headline" in run.written["/r.txt"]
    gone = run_script(source, project([], []), there)
    assert "no composition with the id 1" in gone.written["/r.txt"]


def test_a_text_that_an_expression_gives_is_refused_before_the_script_is_handed_out() -> None:
    with pytest.raises(Refused, match="The text of the layer Headline comes from an expression"):
        extendscript(template(expression="time"), ScriptOrder("j", {10: "Hi"}))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(Refused, match="no layer with the id 99"):
        extendscript(template(), ScriptOrder("j", {99: "x"}))
    with pytest.raises(Refused, match="There is no footage with the id 99"):
        extendscript(template(), ScriptOrder("j", footage={99: "/x.png"}))
    with pytest.raises(Refused, match="is no text layer"):
        extendscript(template(), ScriptOrder("j", {11: "x"}))


def test_the_script_of_a_real_project_fills_it(real_file: RealFile) -> None:
    made = read_project(real_file("aepx", "edforman_test-correct.aepx"))
    order = ScriptOrder("j", {43: "A", 45: "B"}, {42: "D:\\n\\a.png"}, {28: "D:\\n\\b.psd"})
    run = run_script(
        extendscript(made, order),
        made,
        {"D:\\n\\a.png", "D:\\n\\b.psd"} | {one.file for one in made.footage if one.file},
        windows=True,
    )
    assert (run.texts[43], run.texts[45], run.texts[47]) == ("A", "B", "player1fullname")
    assert run.files[28] == "D:\\n\\b.psd"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("let a = 1;", "'let' is newer"),
        ("const a = 1;", "'const' is newer"),
        ("x = a => a;", "'=>' is newer"),
        ("x = `a`;", "is newer"),
        ("for (x of y) {}", "'of' is newer"),
        ("class A {}", "'class' is newer"),
        ("f(...a);", "'...' is newer"),
        ("a?.b;", "is newer"),
        ("a ?? b;", "'??' is newer"),
        ("a ** b;", "'**' is newer"),
        ("x = {a, b: 1};", "shorthand property identifier"),
        ("x = {a() {}};", "method definition"),
        ("x = {get a() { return 1; }};", "is newer"),
        ("x = {[a]: 1};", "computed property name"),
        ("x = {a: 1,};", "a comma before the closing bracket"),
        ("f(a,);", "a comma before the closing bracket"),
        ("function f(a = 1) {}", "assignment pattern"),
        ("var [a] = b;", "array pattern"),
        ("var {a} = b;", "is newer"),
        ("async function f() {}", "'async' is newer"),
        ("function* f() { yield 1; }", "is newer"),
        ("x = 0b1;", "the number 0b1"),
        ("x = 10n;", "the number 10n"),
        ("x = /a/u;", "the flags 'u'"),
        ("try { a(); } catch { b(); }", "catch without a name"),
        ("a.class = 1;", "'class' is reserved"),
        ("alert('x');", "'alert' shows a dialog"),
        ("f.openDlg();", "'openDlg' shows a dialog"),
        ("var a = 'é';", "beyond ASCII"),
        ("if (a {", "no JavaScript"),
        ("var class = 1;", "no JavaScript"),
        ("a = 'x\ny';", "no JavaScript"),
    ],
)
def test_what_es3_lacks_is_named_with_its_line(source: str, problem: str) -> None:
    found = es3_problems(f"var ok = {{a: [1, , 2]}};\n{source}")
    assert found
    assert all(one.startswith(("line 1", "line 2", "line 3")) for one in found)
    assert any(problem in one for one in found), found


def test_es3_itself_passes_however_deep() -> None:
    assert (
        es3_problems("var a = " + "(" * 500 + "1" + ")" * 500 + "; for (var k in a) { a[k] = /x/gi; }") == []
    )
    assert es3_problems("label: do { continue label; } while (false); with (a) { b; }") == []


@pytest.mark.parametrize(
    "newer",
    ["JSON.stringify({})", "[1].forEach(String)", "' a '.trim()", "Object.keys({})", "[1].indexOf(1)", "new Map()",
     "Date.now()", "(function () {}).bind(1)", "Array.isArray([])", "console.log(1)", "new Promise(0)"],
)  # fmt: skip
def test_a_script_that_uses_what_extendscript_lacks_fails_in_the_model(newer: str) -> None:
    with pytest.raises(Refused, match="fails in the model"):
        run_script(newer, template(), set())
    assert run_script("'a'.indexOf('a') + [1, 2].join()", template(), set()).result == "01,2"


def test_a_script_without_end_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(Refused, match="does not end within"):
        run_script("while (true) {}", template(), set())
    assert time.monotonic() - started < 30


def test_a_dialog_is_seen_when_it_is_hidden_from_the_grammar() -> None:
    source = "try { this['al' + 'ert']('x'); } catch (e) {} 1;"
    assert run_script(source, template(), set()).dialogs == ("alert",)


def test_windows_and_macos_see_their_own_form_of_a_path() -> None:
    made = replace(template(), footage=(footage(5, "D:\\a\\photo.png"),))
    run = ran(made, ScriptOrder("j", footage={5: "D:\\a\\b.png"}), {"D:\\a\\b.png"})
    assert run.files[5] == "D:\\a\\b.png"
