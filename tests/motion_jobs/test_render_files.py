"""A package's script, farm template, mapping and report are checked, self-contained, and say what is not tested."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.deliverables.es3 import es3_problems
from crown.motion_jobs.deliverables.extendscript import run_script
from crown.motion_jobs.deliverables.report_page import report_page
from crown.motion_jobs.photoshop.psd_file import read_psd
from crown.motion_jobs.renders.render_files import (
    RenderFilesOrder,
    deliverables,
    mapping_rows,
    render_files,
)
from tests.motion_jobs.projects import (
    comp,
    footage,
    made_project,
    made_psd,
    project,
    source_layer,
    text_layer,
)

RealFile = Callable[[str, str], Path]
NASTY = 'it\'s "x" \\ <script>alert(1)</script> & \n\u2028 שלום 👽'
PROJECT = project(
    [comp(1, "render_a", text_layer(10, NASTY), source_layer(11, "photo", 5))], [footage(5, "D:\\p\\a.png")]
)


def order(pictures: dict[int, str] | None = None) -> RenderFilesOrder:
    return RenderFilesOrder(
        "job_1", PROJECT, "one.aepx", 1, lambda inside: f"D:\\p\\{inside}".replace("/", "\\"), pictures or {}
    )


def test_a_package_carries_a_script_that_runs_and_a_farm_template() -> None:
    made = render_files(order())
    assert (set(made.files), made.left_out) == ({"fill.jsx", "openjd.json"}, {})
    source = made.files["fill.jsx"].decode("ascii")
    assert es3_problems(source) == []
    run = run_script(source, PROJECT, {"D:\\p\\one.aepx", "D:\\p\\a.png"}, windows=True)
    assert (run.opened, run.saved, run.exit_code) == ("D:\\p\\one.aepx", "D:\\p\\filled_one.aep", 0)
    assert run.written["D:\\p\\fill_report.txt"] == "done 0\npresent D:\\p\\a.png\n"
    defaults = {
        one["name"]: one["default"] for one in json.loads(made.files["openjd.json"])["parameterDefinitions"]
    }
    assert defaults["ProjectFile"] == "D:\\p\\one.aepx"
    assert defaults["OutputFile"] == "D:\\p\\render\\job_1.mov"


def test_pictures_that_are_set_at_render_time_are_in_the_script_and_no_farm_renders_without_them() -> None:
    made = render_files(order({11: "(Footage)/at_render/11_new.png"}))
    run = run_script(
        made.files["fill.jsx"].decode(),
        PROJECT,
        {"D:\\p\\one.aepx", "D:\\p\\a.png", "D:\\p\\(Footage)\\at_render\\11_new.png"},
        windows=True,
    )
    assert run.files[run.sources[11]] == "D:\\p\\(Footage)\\at_render\\11_new.png"  # type: ignore[index]
    assert "1 pictures are set at render time; run fill.jsx first" in made.left_out["openjd.json"]


def test_the_mapping_lists_every_slot_filled_or_not(tmp_path: Path) -> None:
    made = read_project(made_project(tmp_path))
    inner = next(one for one in made.compositions if one.name == "inner")
    document = read_psd(made_psd(tmp_path / "a.psd", ("Photo",)))
    picture = next(one for one in inner.layers if not one.text)
    rows = mapping_rows(document, made, inner.id, {picture.id: document.layers[0].id})
    assert [
        (one["slot"], one["layer"], one["layer_box"], one["slot_size"])
        for one in rows
        if one["kind"] == "picture"
    ] == [("photo.png", "Photo", [10, 5, 30, 15], [30, 20])]
    assert [(one["slot"], one["layer"], one["before"]) for one in rows if one["kind"] == "text"] == [
        ("Headline", None, "Headline")
    ]


class Page(HTMLParser):
    """Every address that a page would load, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [
            str(value) for name, value in attrs if name in ("src", "href", "srcset", "action", "data")
        ]

    def handle_data(self, data: str) -> None:
        self.text += data


def report(**more: object) -> dict[str, object]:
    rows = [
        {
            "slot": NASTY,
            "layer": None,
            "kind": "text",
            "before": NASTY,
            "text": NASTY,
            "layer_box": [1, 2, 3, 4],
            "slot_size": [0, 0],
        }
    ]
    return {
        "job_id": "job_1",
        "batch_id": "BATCH_1",
        "output": "one.aepx",
        "verified": "structure",
        "opened_in_after_effects": "not tested",
        "validation": {
            "score": 95,
            "grade": "A",
            "findings": [{"severity": "critical", "source": "plainly", "rule": "mp3", "message": NASTY}],
        },
        "hard_card": {"texts": {"1": "x"}, "kept": [NASTY], "unknown_columns": []},
        "override": {"who": "ann", "reason": NASTY},
        "mapping": rows,
        "changes": [],
        "deliverables": deliverables(
            {"one.aepx": "the edited project", "fill.jsx": "script"}, {"openjd.json": "no frames"}
        ),
        **more,
    }


def test_the_page_needs_nothing_beside_it_and_shows_every_value_as_text() -> None:
    page = report_page(report(), b"\x89PNG...")
    found = Page(page)
    assert [one[:22] for one in found.loads] == ["data:image/png;base64,"]
    assert "script" not in found.tags
    assert not re.search(r"https?://|url\(|@import", page)
    assert found.text.count(NASTY) >= 4
    assert Page(report_page(report(override=None))).loads == []


def test_each_deliverable_says_what_is_proven_of_it() -> None:
    rows = deliverables(["one.aepx"], {"openjd.json": "no frames"})
    assert rows[0] == {
        "file": "one.aepx",
        "what": "the edited project",
        "verified": "structure",
        "opened_in_after_effects": "not tested",
    }
    assert rows[1]["what"] == "left out: no frames"
    text = Page(report_page(report())).text
    assert "Verified: structure. Opened in After Effects: not tested." in text
    assert text.count("not tested") == 3
