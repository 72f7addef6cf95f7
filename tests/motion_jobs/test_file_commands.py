"""`crown motion inspect, roundtrip, edit, diff`: true facts, byte-exact, one edit proven, differences in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import py_aep
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from psd_tools import PSDImage

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_diff import project_diff
from crown.motion_jobs.after_effects.ae_edit import Edits
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.after_effects.edit_requests import (
    changed_places,
    comp_named,
    requested_edits,
)
from crown.motion_jobs.after_effects.part_differences import Change
from crown.motion_jobs.photoshop.psd_diff import psd_diff
from crown_cli.main import cli
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
#: The layers of the PSD that edforman_test-correct.aepx shows.
SHOWN = ("Background", "green_yellow_bg", "cutout", "BEN FORMAN", "ELOISE GRACE", "EMMA LOUISE")


def motion(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["motion", *map(str, arguments)])


@pytest.mark.parametrize(
    ("folder", "name", "wanted"),
    [
        ("aepx", "edforman_test-correct.aepx", {"form": "aepx", "fonts": ["RUSHFLOW"]}),
        ("aepx", "boltframe_Layer-01.aep", {"form": "aep"}),
        ("aepx", "nexrender_Testo.mogrt", {"form": "mogrt", "fonts": ["TV2SansDisplay-Bold"]}),
        ("psd", "masks.psd", {"width": 640, "height": 1394, "mode": "RGB", "is_psb": False}),
        ("psd", "2layers.psb", {"is_psb": True}),
    ],
)
def test_inspect_reads_every_kind_of_file(
    real_file: RealFile, folder: str, name: str, wanted: dict[str, object]
) -> None:
    shown = motion("inspect", real_file(folder, name), "--json")
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.output)
    assert {key: facts[key] for key in wanted} == wanted
    assert motion("inspect", real_file(folder, name)).exit_code == 0


def test_inspect_shows_where_a_composition_appears_and_what_is_missing(real_file: RealFile) -> None:
    shown = motion("inspect", real_file("aepx", "edforman_test-correct.aepx")).output
    assert "'test-photoshop-doc' (id:16) 1200x1500, 10 s, 30 frames/s, shown in 'test-aep'" in shown
    assert sum("missing" in line for line in shown.splitlines()) == 8
    windows = motion("inspect", real_file("aepx", "nexrender_2layers1image.aepx")).output
    assert sum("unknown" in line for line in windows.splitlines()) == 2


def test_inspect_lists_what_each_expression_reads(real_file: RealFile) -> None:
    path = real_file("aepx", "nexrender_assets_nm05ae15.aepx")
    facts = json.loads(motion("inspect", path, "--json").output)
    assert [one["reads"] for one in facts["expressions"]] == [
        ["file '/Users/Inlife/NXRendering/nm05/data.js'"]
    ] * 7
    assert (
        motion("inspect", path).output.count("(reads files or runs programs): reads file '/Users/Inlife/")
        == 7
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nexrender_nm05ae15.aepx", "at line 341"), ("invalid_dummy.aepx", "at line 1, column 1")],
)
def test_a_broken_project_ends_every_command_with_one_sentence(
    real_file: RealFile, tmp_path: Path, name: str, sentence: str
) -> None:
    path = real_file("aepx", name)
    for arguments in (
        ("inspect", path),
        ("roundtrip", path),
        ("edit", path, "--text", "a=b", "-o", tmp_path / "o.aepx"),
        ("diff", path, path),
    ):
        result = motion(*arguments)
        assert result.exit_code == 1
        assert result.output.count("\n") == 1
        assert sentence in result.output


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    assert "a.txt is none of .aepx, .aep, .mogrt, .psd, .psb" in motion("inspect", path).output


@pytest.mark.parametrize(
    "name", ["edforman_test-correct.aepx", "tk_simpleproject-v26.aep", "nexrender_Testo.mogrt"]
)
def test_roundtrip_proves_that_the_bytes_come_back(real_file: RealFile, name: str) -> None:
    shown = json.loads(motion("roundtrip", real_file("aepx", name), "--json").output)
    assert (shown["identical"], shown["difference"]) == (True, None)
    assert shown["bytes"] > 50_000


def test_roundtrip_names_the_line_that_differs_and_ends_with_1(real_file: RealFile, tmp_path: Path) -> None:
    path = tmp_path / "a.aepx"
    raw = real_file("aepx", "nexrender_1layer.aepx").read_bytes()
    path.write_bytes(raw.replace(b"<Fold>", b'<Fold note="x">', 1))
    result = motion("roundtrip", path)
    assert result.exit_code == 1
    assert "the first difference is at line" in result.output


def test_an_edit_is_proven_and_named_in_words_by_diff(real_file: RealFile, tmp_path: Path) -> None:
    source, output = real_file("aepx", "edforman_test-correct.aepx"), tmp_path / "out.aepx"
    result = motion("edit", source, "--text", 'player2fullname=O\'Neil = "ŁUKASZ"', "-o", output, "--json")
    assert result.exit_code == 0, result.output
    proof = json.loads(result.output)
    assert [one["path"].rsplit("/", 1)[-1] for one in proof["chunks"]] == ["btdk[1]"]
    assert [(one["comp"], one["layer"]) for one in proof["places"]] == [("test-aep", "player2fullname")]
    assert (proof["verified"], proof["opened_in_after_effects"]) == ("structure", "not tested")
    found = motion("diff", source, output)
    assert (found.exit_code, found.output) == (
        1,
        "test-aep / player2fullname: Text > Source Text changed from 'player1fullname' to 'O\\'Neil = \"ŁUKASZ\"'\n",
    )
    same = motion("diff", source, source)
    assert (same.exit_code, "Nothing differs" in same.output) == (0, True)


def test_an_edit_says_in_how_many_places_a_precomposition_changes(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    result = motion("edit", source, "--text", "Headline=New", "-o", tmp_path / "out.aep")
    assert "3 places will look different:" in result.output
    assert result.output.count("'render_main' / 'inner'") == 2


def test_a_name_that_stands_for_several_is_refused_with_the_candidates(tmp_path: Path) -> None:
    source, output = made_project(tmp_path), tmp_path / "out.aep"
    result = motion("edit", source, "--text", "inner=x", "-o", output)
    assert result.exit_code == 3
    assert "has 2 layers named 'inner'" in result.output
    assert not output.exists()


def test_an_edit_never_replaces_a_file(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    before = source.read_bytes()
    result = motion("edit", source, "--text", "Headline=x", "-o", source)
    assert (result.exit_code, source.read_bytes() == before) == (3, True)
    assert "exists already" in result.output


def test_footage_is_named_by_its_item_or_its_file(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    picture = tmp_path / "it's new.png"
    Image.new("RGB", (10, 10)).save(picture)
    result = motion("edit", source, "--footage", f"photo.png={picture}", "-o", tmp_path / "out.aep", "--json")
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.output)["places"]) == 3
    words = {(one.layer, one.property): one.new for one in project_diff(source, tmp_path / "out.aep").changes}
    assert words["it's new.png", "file"] == str(picture)
    assert (words["it's new.png", "width"], words["it's new.png", "height"]) == ("10", "10")


def test_footage_that_is_not_here_is_refused(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    result = motion("edit", source, "--footage", "photo.png=D:\\a\\b.png", "-o", tmp_path / "o.aep")
    assert result.exit_code == 3
    assert "D:\\a\\b.png is not here" in result.output


def test_a_layered_file_is_relinked_as_a_whole_and_each_item_keeps_its_layer(
    real_file: RealFile, tmp_path: Path
) -> None:
    source = real_file("aepx", "edforman_test-correct.aepx")
    psd = made_psd(tmp_path / "new.psd", SHOWN)
    result = motion("edit", source, "--footage", f"test-photoshop-doc.psd={psd}", "-o", tmp_path / "out.aepx")
    assert result.exit_code == 0, result.output
    assert "7 places" in result.output
    items = [one for one in read_project(tmp_path / "out.aepx").footage if one.psd_layer]
    assert {(one.psd_layer, one.file) for one in items} == {(name, str(psd)) for name in SHOWN}
    for asked, sentence in (
        (f"cutout/test-photoshop-doc.psd={psd}", "used by 6 items, one for each layer"),
        (f"test-photoshop-doc.psd={tmp_path / 'flat.png'}", "is one layer of a layered file"),
        (
            f"test-photoshop-doc.psd={made_psd(tmp_path / 'less.psd', SHOWN[1:])}",
            "no layers named 'Background'",
        ),
    ):
        refused = motion("edit", source, "--footage", asked, "-o", tmp_path / "other.aepx")
        assert (refused.exit_code, sentence in refused.output) == (3, True), refused.output
    assert not (tmp_path / "other.aepx").exists()


TWINS = project(
    [
        comp(1, "a=b", text_layer(10, "x=y"), text_layer(11, "x"), source_layer(12, "pic", 5)),
        comp(2, "twin", source_layer(13, "inside", 1, "composition")),
        comp(3, "twin"),
    ],
    [footage(5, "/a/pic.png"), footage(6, "/b/pic.png"), footage(7, "C:\\c\\other.png")],
)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"texts": ["x=y=z"]}, "can be read in 2 ways"),
        ({"texts": ["nothing"]}, "has no '='"),
        ({"texts": ["none=1"]}, "no layer named 'none'"),
        ({"texts": ["id:11=1", "id:11=2"]}, "was named before"),
        ({"texts": ["x=1"], "comp": "twin"}, r"2 compositions named 'twin'. Name one of id:2, id:3"),
        ({"texts": ["x=1"], "comp": "id:3"}, "no layer named 'x'"),
        ({"footage": ["pic.png=/n.png"]}, r"2 items named 'pic.png'. Name one of id:5 \(/a/pic.png\), id:6"),
        ({"footage": ["none.png=/n.png"]}, "no footage 'none.png'"),
    ],
)
def test_what_is_asked_for_is_found_or_refused(asked: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        requested_edits(TWINS, **asked)  # type: ignore[arg-type]


def test_ids_paths_and_values_with_an_equals_sign_are_understood() -> None:
    edits = requested_edits(
        TWINS, ["id:10=a=b"], ["/b/pic.png=/n.png", "id:7=D:\\n=1.png"], platform="windows"
    )
    assert edits == Edits({10: "a=b"}, {6: "/n.png", 7: "D:\\n=1.png"}, platform="windows")
    assert comp_named(TWINS, "a=b") == 1
    assert [one.layer_id for one in changed_places(TWINS, edits)] == [10, 13]


def saved(folder: Path, name: str, change: Callable[[object], None]) -> Path:
    """A made project after a change through py-aep."""
    app = py_aep.parse(made_project(folder, f"before {name}"), platform="macos")
    change(app.project)
    app.project.save(folder / name)
    return folder / name


def test_transforms_keyframes_expressions_and_order_are_named_by_property(tmp_path: Path) -> None:
    def change(made: object) -> None:
        inner = next(one for one in made.compositions if one.name == "inner")  # type: ignore[attr-defined]
        layer = next(one for one in inner.layers if one.name == "Headline")
        layer.transform.opacity.value = 40.0
        layer.transform.rotation.expression = "time * 90"
        layer.transform.scale.set_value_at_time(0.0, [100.0, 100.0, 100.0])
        layer.transform.scale.set_value_at_time(1.0, [50.0, 50.0, 100.0])
        layer.enabled = False
        layer.name = "Title"
        layer.move_to_end()
        inner.name = "core"

    old = made_project(tmp_path, "old.aep")
    found = project_diff(old, saved(tmp_path, "new.aep", change)).changes
    words = {(one.place, one.layer, one.property): (one.old, one.new) for one in found}
    assert words["core", "Title", "Transform > Opacity"] == ("100", "40")
    assert words["core", "Title", "Transform > Rotation expression"] == (None, "time * 90")
    assert words["core", "Title", "Transform > Scale keyframes"][1] == (
        "0.000 s: 100, 100, 100; 1.000 s: 50, 50, 100"
    )
    assert words["core", "Title", "enabled"] == ("yes", "no")
    assert words["core", "Title", "name"] == ("Headline", "Title")
    assert words["core", "", "name"] == ("inner", "core")
    assert {key for key in words if key[2] == "place among the layers that stayed"}


def test_bytes_without_a_name_are_not_passed_over(real_file: RealFile, tmp_path: Path) -> None:
    source = real_file("aepx", "nexrender_1layer.aepx")
    raw = source.read_bytes()
    at = raw.index(b"<Layr>")
    start = raw.index(b'<ldta bdata="', at)
    spoiled = bytearray(raw)
    end = raw.index(b'"/>', start)
    spoiled[end - 1] = ord("1") if raw[end - 1] != ord("1") else ord("2")
    path = tmp_path / "a.aepx"
    path.write_bytes(spoiled)
    diff = project_diff(source, path)
    assert diff.chunks == 1
    assert [one.property for one in diff.changes] == ["1 chunks without a name here, first ldta[1]"]


def test_two_versions_of_a_psd_differ_in_words(tmp_path: Path) -> None:
    old = made_psd(tmp_path / "old.psd", ("Title", "Photo", "Logo"))
    new = made_psd(tmp_path / "new.psd", ("Logo", "Photo", "Extra"), shift=3)
    found = psd_diff(old, new)
    assert Change("", "Photo", "box", "11, 5, 31, 15", "11, 8, 31, 18") in found
    assert {(one.layer, one.new is None) for one in found if one.property == "layer"} == {
        ("Title", True),
        ("Extra", False),
    }
    assert {one.layer for one in found if one.property == "pixels"} == {"Logo"}
    assert [one for one in found if one.property == "place among the layers that stayed"] == [
        Change("", "Logo", "place among the layers that stayed", "2", "1")
    ]
    assert psd_diff(old, old) == []


def test_a_text_and_a_mask_of_real_psds_are_named(real_file: RealFile) -> None:
    found = psd_diff(real_file("psd", "group.psd"), real_file("psd", "hidden-groups.psd"))
    assert Change("", "Group 1", "visible", "yes", "no") in found
    assert {
        one.property
        for one in psd_diff(real_file("psd", "text.psd"), real_file("psd", "layers_type-layer.psd"))
    } >= {
        "width",
        "layer",
    }


def test_a_changed_file_inside_a_smart_object_is_seen(real_file: RealFile, tmp_path: Path) -> None:
    source = real_file("psd", "placedLayer.psd")
    layer = next(one for one in PSDImage.open(source).descendants() if one.name == "embedded-png")
    inside = layer.smart_object.data  # type: ignore[attr-defined]
    (tmp_path / "new.psd").write_bytes(source.read_bytes().replace(inside, inside[:-1] + b"\0"))
    assert [one.property for one in psd_diff(source, tmp_path / "new.psd")] == ["bytes of the placed file"]


def test_a_project_is_not_compared_with_a_psd(real_file: RealFile) -> None:
    result = motion("diff", real_file("psd", "group.psd"), real_file("aepx", "nexrender_1layer.aepx"))
    assert (result.exit_code, "are not of one kind" in result.output) == (1, True)


def test_template_shows_its_contract_a_csv_to_start_from_and_what_a_new_version_changes(
    real_file: RealFile, tmp_path: Path
) -> None:
    source, kept, new = (
        real_file("aepx", "edforman_test-correct.aepx"),
        tmp_path / "old.json",
        tmp_path / "new.aepx",
    )
    kept.write_text(motion("template", source, "--json").output)
    assert json.loads(kept.read_text())["comp"] == "test-aep"
    assert "player1fullname" in motion("template", source).output
    assert motion("template", source, "--sample-csv").output.startswith(
        "job_id,psd_path,aepx_path,output_name,"
    )
    motion("edit", source, "--text", "player1fullname=Other", "-o", new)
    changed = "The slot 'player1fullname': default changes from 'player1fullname' to 'Other'.\n"
    assert motion("template", new, "--against", kept).output.endswith(f"\n{changed}")
    assert motion("template", new, "--against", source).output.endswith(f"\n{changed}")
    assert "Nothing changed." in motion("template", source, "--against", source).output


def test_the_contract_is_that_of_the_composition_which_a_job_fills_or_of_the_named_one(
    real_file: RealFile,
) -> None:
    source = real_file("aepx", "ae-to-json_testProject.aepx")
    assert json.loads(motion("template", source, "--json").output)["comp"] == "Test-Comp-Animated"
    named = json.loads(motion("template", source, "--comp", "Test-DifferentFootage", "--json").output)
    assert [one["name"] for one in named["slots"]] == ["text_layer", "solid_layer", "movie_layer"]


def test_help_has_examples_and_fits_80_columns() -> None:
    for command in ("inspect", "roundtrip", "edit", "diff", "template", "card"):
        shown = motion(command, "--help").output
        assert f"crown motion {command}" in shown
        assert max(map(len, shown.splitlines())) <= 80


def test_the_places_of_footage_include_what_shows_its_composition() -> None:
    assert [one.layer for one in changed_places(TWINS, Edits(footage={5: "/n.png"}))] == ["inside", "pic"]
