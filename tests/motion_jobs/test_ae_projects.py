"""After Effects projects: byte-exact through our codec, read as they are, edited with proof, hostile ones refused."""

from __future__ import annotations

import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crown.errors import BadInput, Refused
from crown.motion_jobs.after_effects.ae_chunks import (
    Chunk,
    ChunkTree,
    differences,
    read_rifx,
    write_rifx,
)
from crown.motion_jobs.after_effects.ae_edit import Edits, edit_project, layer_named
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.after_effects.aepx_codec import (
    NAMESPACE,
    Aepx,
    first_difference,
    read_aepx,
    write_aepx,
)
from crown.motion_jobs.after_effects.place_map import place_map
from crown.motion_jobs.source_files import defect_of
from tests.motion_jobs.projects import made_project

RealFile = Callable[[str, str], Path]
REAL = (
    "ae-to-json_testProject.aepx",
    "boltframe_Layer-01.aep",
    "boltframe_Property-01.aep",
    "edforman_test-correct.aepx",
    "nexrender_1layer.aepx",
    "nexrender_2layers1image.aepx",
    "nexrender_assets_nm05ae15.aepx",
    "tk_simpleproject-v26.aep",
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_project(tmp_path_factory.mktemp("project"))


def as_aepx(project: Path, target: Path) -> Path:
    target.write_bytes(write_aepx(Aepx(read_rifx(project.read_bytes(), project.name), legacy=False)))
    return target


def aepx(body: str, before: str = "") -> bytes:
    return f'<?xml version="1.0"?>{before}<AfterEffectsProject xmlns="{NAMESPACE}">{body}</AfterEffectsProject>'.encode()


@pytest.mark.parametrize("name", REAL)
def test_real_projects_come_back_byte_for_byte(real_file: RealFile, name: str) -> None:
    path = real_file("aepx", name)
    assert first_difference(path.read_bytes(), name) is None
    assert defect_of(path) is None


def test_a_made_project_is_the_same_in_both_forms(made: Path, tmp_path: Path) -> None:
    raw = made.read_bytes()
    path = as_aepx(made, tmp_path / "made.aepx")
    assert first_difference(raw, "made.aep") is None
    assert first_difference(path.read_bytes(), "made.aepx") is None
    assert write_rifx(read_aepx(path.read_bytes(), "made.aepx").tree) == raw
    one, other = read_project(made), read_project(path)
    assert (one.form, other.form) == ("aep", "aepx")
    assert (one.compositions, one.footage) == (other.compositions, other.footage)


def test_what_a_file_holds_beyond_a_project_is_named_by_its_line(made: Path, tmp_path: Path) -> None:
    raw = as_aepx(made, tmp_path / "made.aepx").read_bytes().replace(b"<Fold>", b'<Fold note="x">', 1)
    line = raw[: raw.index(b"<Fold note")].count(b"\n") + 1
    assert first_difference(raw, "a.aepx") == (
        f"a.aepx is not written back byte for byte: the first difference is at line {line}."
    )


def test_compositions_have_their_true_size_rate_and_length(real_file: RealFile) -> None:
    project = read_project(real_file("aepx", "edforman_test-correct.aepx"))
    assert [(c.name, c.width, c.height, c.duration, c.frame_rate) for c in project.compositions] == [
        ("test-aep", 1200, 1500, 10.0, 30.0),
        ("test-photoshop-doc", 1200, 1500, 10.0, 30.0),
    ]
    other = read_project(real_file("aepx", "ae-to-json_testProject.aepx"))
    assert [(c.name, c.width, c.height, c.duration, c.frame_rate) for c in other.compositions][-1] == (
        "Test-DifferentFootage",
        980,
        613,
        6.166667,
        24.0,
    )


def test_text_is_the_true_text_and_not_the_layers_name(real_file: RealFile) -> None:
    comp = read_project(real_file("aepx", "edforman_test-correct.aepx")).compositions[0]
    assert [(one.name, one.text.text, one.text.fonts, one.text.size) for one in comp.layers if one.text] == [
        (name, "player1fullname", ("RUSHFLOW",), 60.0)
        for name in ("player1fullname", "player2fullname", "player3fullname")
    ]
    assert {one.text.box for one in comp.layers if one.text} == {(478.26, 60.955)}


def test_a_layer_without_a_name_has_that_of_its_source(real_file: RealFile) -> None:
    comp = read_project(real_file("aepx", "edforman_test-correct.aepx")).compositions[0]
    assert [(one.name, one.kind) for one in comp.layers[3:]] == [
        ("featuredimage1", "footage"),
        ("green_yellow_bg.png", "footage"),
        ("test-photoshop-doc", "composition"),
    ]


def test_layers_have_their_kind_from_the_file_and_not_from_words_in_their_name(real_file: RealFile) -> None:
    comp = read_project(real_file("aepx", "ae-to-json_testProject.aepx")).composition(57)
    assert [(one.name, one.kind) for one in comp.layers] == [
        ("adjustment_layer", "adjustment"),
        ("shape_layer", "shape"),
        ("null_layer", "null"),
        ("camera_layer", "camera"),
        ("text_layer", "text"),
        ("light_layer", "light"),
        ("solid_layer", "solid"),
        ("movie_layer", "footage"),
    ]
    assert comp.layers[-1].effects == ("ADBE Gaussian Blur", "ADBE LIQUIFY")


def test_expressions_that_read_files_are_flagged(real_file: RealFile) -> None:
    project = read_project(real_file("aepx", "nexrender_assets_nm05ae15.aepx"))
    assert len(project.expressions) == 7
    assert all(one.reads_files and "evalFile" in one.code for one in project.expressions)
    assert {one.property.split("/")[0] for one in project.expressions} == {
        "ADBE Text Properties",
        "ADBE Root Vectors Group",
        "ADBE Effect Parade",
    }
    assert [layer.kind for layer in project.compositions[0].layers][-1] == "audio"


def test_footage_says_whether_its_file_is_there_or_cannot_be_looked_up(
    made: Path, real_file: RealFile
) -> None:
    windows = read_project(real_file("aepx", "nexrender_2layers1image.aepx")).footage
    assert [(one.file or "")[:3] for one in windows] == ["D:\\", "D:\\"]
    assert [one.exists for one in windows] == [None, None]
    mac = {one.name: one for one in read_project(real_file("aepx", "edforman_test-correct.aepx")).footage}
    assert mac["cutout.png"].exists is False
    assert mac["cutout/test-photoshop-doc.psd"].psd_layer == "cutout"
    assert [one.exists for one in read_project(made).footage if one.kind == "file"] == [True]


def test_a_motion_graphics_template_gives_its_project_and_controllers(real_file: RealFile) -> None:
    project = read_project(real_file("aepx", "nexrender_Testo.mogrt"))
    assert (project.form, [(c.name, c.width, c.frame_rate) for c in project.compositions]) == (
        "mogrt",
        [("Comp 1", 1080, 25.0)],
    )
    assert len(project.controllers) == 12
    assert [(one.name, one.type) for one in project.controllers[:4]] == [
        ("Text", "text"),
        ("Dropdown", "dropdown"),
        ("Group Test", "group"),
        ("Image", "media"),
    ]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nexrender_nm05ae15.aepx", "not well-formed XML at line 341"),
        ("invalid_dummy.aepx", "not well-formed XML at line 1, column 1"),
    ],
)
def test_broken_xml_is_named_by_line_and_column(real_file: RealFile, name: str, sentence: str) -> None:
    assert sentence in str(defect_of(real_file("aepx", name)))


_ENTITIES = (f'<!ENTITY l{i} "{"&l" + str(i - 1) + ";"}{"ha" * 10}">' for i in range(1, 10))
LAUGHS = f"<!DOCTYPE x [{''.join(_ENTITIES)}]>"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (aepx("<string>&l9;</string>", LAUGHS), "declares a document type"),
        (aepx("<x/>", '<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "declares a document type"),
        (aepx('<svap bdata="' + "00" * 32_000_000 + '"/>'), "not well-formed"),
        (aepx("<a>" * 1_000_000), "exceeds a limit"),
        (aepx("<a/>" * 500_000), "exceeds a limit"),
        (aepx("<a " + " ".join(f'b{i}=""' for i in range(20)) + "/>"), "exceeds a limit"),
        (aepx('<svap bdata="0g"/>'), "is damaged: the element 'svap'"),
        (aepx('<svap bdata="0"/>'), "is damaged: the element 'svap'"),
        (aepx("<numS/>"), "is damaged: the element 'numS'"),
        (aepx("<numS><string>99999999999</string></numS>"), "is damaged: the element 'numS'"),
        (aepx("<Foldermost/>"), "is damaged: the element 'Foldermost'"),
        (b"<html/>", "its root element is 'html'"),
        (b"<AfterEffectsProject/>", "its root element is 'AfterEffectsProject'"),
        (b"", "not well-formed"),
        (aepx("")[:-5], "not well-formed"),
        (b"\x00" * 100, "not well-formed"),
    ],
)
def test_hostile_xml_is_refused_within_seconds(raw: bytes, sentence: str) -> None:
    started = time.process_time()
    with pytest.raises(BadInput, match=sentence):
        read_aepx(raw, "a.aepx")
    assert time.process_time() - started < 8


def rifx(body: bytes) -> bytes:
    return b"RIFX" + struct.pack(">I", len(body) + 4) + b"Egg!" + body


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = b"LIST" + struct.pack(">I", len(body) + 4) + b"Fold" + body
    return body


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"RIFX", "does not start with RIFX"),
        (b"RIFF\0\0\0\4Egg!", "does not start with RIFX"),
        (rifx(b"") + b"", None),
        (rifx(b"abcd\0\0\0\0")[:-1], "is cut off"),
        (rifx(b"abcd\x7f\0\0\0"), "the chunk 'abcd' claims 2,130,706,432 bytes where 0 are left"),
        (rifx(b"abc"), "a chunk is cut off"),
        (rifx(b"LIST\0\0\0\2ab"), "a list without a type"),
        (rifx(nested(200)), "nested deeper than 64"),
        (rifx(b"abcd\0\0\0\0" * 500_000), "more than 400,000 chunks"),
        (rifx(b"abcd\0\0\0\1x"), "bytes between its chunks"),
    ],
)
def test_chunks_that_lie_are_refused_with_the_place(raw: bytes, sentence: str | None) -> None:
    if sentence is None:
        assert read_rifx(raw, "a.aep") == ChunkTree([], b"")
        return
    with pytest.raises(BadInput, match=sentence):
        read_rifx(raw, "a.aep")


def test_random_damage_is_refused_or_read_and_never_raises_else(made: Path, tmp_path: Path) -> None:
    whole = made.read_bytes()
    random = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for at in random.integers(12, len(whole), 6):
            damaged[at] = int(random.integers(0, 256))
        path = tmp_path / "b.aep"
        path.write_bytes(damaged)
        refused += defect_of(path) is not None
    assert 0 < refused <= 60


def test_a_template_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.mogrt"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("project.aegraphic", "w") as file,
    ):
        for _ in range(260):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(BadInput, match="unpacks to more than 268 MB"):
        read_project(path)
    path.write_bytes(b"PK\x03\x04" + bytes(50))
    with pytest.raises(BadInput, match="damaged motion graphics template"):
        read_project(path)


@pytest.mark.parametrize(
    "text",
    ["ŁUKASZ O’Neil", "'\"\\ \n </string> & ]]>", "soft\x03return", "שלום 👽 مرحبا", "", "x" * 5000],
)
@pytest.mark.parametrize("form", ["aep", "aepx"])
def test_every_text_survives_and_nothing_else_changes(
    made: Path, tmp_path: Path, text: str, form: str
) -> None:
    source = made if form == "aep" else as_aepx(made, tmp_path / "made.aepx")
    project = read_project(source)
    _, layer = layer_named(project, "Headline")
    proof = edit_project(source, Edits(texts={layer.id: text}), tmp_path / f"out.{form}")
    assert [one.path.rsplit("/", 1)[-1] for one in proof.changed] == ["btdk[1]"]
    again = read_project(proof.output)
    texts = [
        one.text.text for comp in again.compositions for one in comp.layers if one.id == layer.id and one.text
    ]
    assert texts == [text]
    assert (proof.verified, proof.opened_in_after_effects) == ("structure", "not tested")


@pytest.mark.parametrize(
    ("name", "layer_id"),
    [
        ("edforman_test-correct.aepx", 45),
        ("nexrender_assets_nm05ae15.aepx", 28),
        ("boltframe_Property-01.aep", 15),
    ],
)
def test_a_text_of_a_real_project_changes_one_chunk(
    real_file: RealFile, tmp_path: Path, name: str, layer_id: int
) -> None:
    path = real_file("aepx", name)
    proof = edit_project(path, Edits(texts={layer_id: "ŁUKASZ"}), tmp_path / f"out{path.suffix}")
    assert len(proof.changed) == 1
    if path.suffix == ".aepx":
        lines = [one.splitlines() for one in (path.read_bytes(), proof.output.read_bytes())]
        assert sum(one != other for one, other in zip(*lines, strict=True)) == 1


def test_footage_is_replaced_in_its_item_only(made: Path, tmp_path: Path) -> None:
    picture = tmp_path / "new's picture.png"
    Image.new("RGB", (10, 10)).save(picture)
    item = next(one for one in read_project(made).footage if one.kind == "file")
    proof = edit_project(made, Edits(footage={item.id: str(picture)}), tmp_path / "out.aep")
    assert len({one.path.split("/Pin")[0].split("/idta")[0] for one in proof.changed}) == 1
    assert [one.file for one in proof.project.footage if one.id == item.id] == [str(picture)]


def test_a_layered_file_is_never_relinked_flat_or_in_part(real_file: RealFile, tmp_path: Path) -> None:
    path = real_file("aepx", "edforman_test-correct.aepx")
    with pytest.raises(Refused, match="is one layer of a layered file"):
        edit_project(path, Edits(footage={28: "/x/new.png"}), tmp_path / "o.aepx")
    with pytest.raises(Refused, match=r"used by 6 items, one for each layer\. Relink all of them: 28, 30"):
        edit_project(path, Edits(footage={28: "/x/new.psd"}), tmp_path / "o.aepx")
    assert not (tmp_path / "o.aepx").exists()


def test_what_does_not_exist_is_refused_and_nothing_written(made: Path, tmp_path: Path) -> None:
    for edits in (Edits(texts={9999: "x"}), Edits(footage={9999: "/x.png"})):
        with pytest.raises(Refused, match="with the i"):
            edit_project(made, edits, tmp_path / "o.aep")
    with pytest.raises(Refused, match=r"written as \.aep or \.aepx"):
        edit_project(made, Edits(), tmp_path / "o.mov")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_unique_is_refused_with_the_candidates(made: Path) -> None:
    project = read_project(made)
    ids = [layer.id for comp in project.compositions for layer in comp.layers if layer.name == "inner"]
    assert len(ids) == 2
    with pytest.raises(
        Refused, match=f"2 layers named 'inner' .*id {ids[0]} in 'render_main', id {ids[1]} in"
    ):
        layer_named(project, "inner")
    with pytest.raises(Refused, match="no layer named 'nothing'"):
        layer_named(project, "nothing")


def test_text_differences_are_seen(made: Path) -> None:
    one, other = (read_rifx(made.read_bytes(), "a") for _ in range(2))
    assert differences(one, other) == []
    other.chunks.append(Chunk("abcd", b"12"))
    assert [(d.path, d.old_size, d.new_size) for d in differences(one, other)] == [("abcd[1]", None, 2)]


def test_an_edit_knows_every_place_that_it_changes(made: Path, real_file: RealFile) -> None:
    project = read_project(made)
    places = place_map(project)
    comps = {comp.name: comp.id for comp in project.compositions}
    photo = next(one for one in project.footage if one.kind == "file")
    assert places.comps_showing(photo.id) == frozenset(comps.values())
    assert [place.comp for place in places.places_of_item(photo.id)].count("render_main") == 2
    assert len(places.places_of_item(photo.id)) == 3
    real = place_map(read_project(real_file("aepx", "edforman_test-correct.aepx")))
    psd = "/Users/edf/aftereffects-automation/sample_files/test-photoshop-doc.psd"
    assert real.files[psd] == [28, 34, 32, 36, 38, 30]
    assert len(real.places_of_file(psd)) == 7
