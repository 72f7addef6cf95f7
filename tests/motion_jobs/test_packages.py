"""A package is complete and unchanged or named wrong; a nexrender job fits its project or is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_chunks import Chunk
from crown.motion_jobs.after_effects.ae_project import load_tree, read_project
from crown.motion_jobs.deliverables.nexrender import (
    TEXT_PATH,
    RenderOrder,
    file_uri,
    job_problems,
    nexrender_job,
)
from crown.motion_jobs.deliverables.packages import (
    PackageOrder,
    make_package,
    names_inside,
    package_problems,
)
from tests.motion_jobs.projects import comp, footage, made_project, project, source_layer, text_layer


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_project(tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize(
    ("root", "path", "platform"),
    [
        ("D:\\jobs\\B1", "D:\\jobs\\B1\\(Footage)\\photo.png", 1),
        ("\\\\farm\\jobs\\B1", "\\\\farm\\jobs\\B1\\(Footage)\\photo.png", 1),
        ("/Volumes/farm/B1", "/Volumes/farm/B1/(Footage)/photo.png", 2),
    ],
)
def test_every_reference_resolves_inside_the_package(
    made: Path, tmp_path: Path, root: str, path: str, platform: int
) -> None:
    package = make_package(PackageOrder(made, root), tmp_path / "out")
    assert sorted(one.path for one in package.files) == ["(Footage)/photo.png", "made.aep"]
    assert [one.file for one in read_project(package.folder / "made.aep").footage] == [path]
    reference = json.loads(
        (package.folder / "made.aep").read_bytes().split(b"alas", 1)[1][4:].split(b"}")[0] + b"}"
    )
    assert [reference[key] for key in ("platform", "ascendcount_base", "ascendcount_target")] == [
        platform,
        1,
        2,
    ]
    assert package_problems(package.folder) == []
    manifest = json.loads((package.folder / "manifest.json").read_text())
    assert (manifest["verified"], manifest["opened_in_after_effects"]) == ("structure", "not tested")


def references(chunks: list[Chunk]) -> Iterator[dict[str, object]]:
    for chunk in chunks:
        if chunk.id == "alas":
            yield json.loads(chunk.data)
        elif chunk.kind != "LRdr":
            yield from references(chunk.children)


@pytest.mark.parametrize(
    ("root", "platform"), [("D:\\jobs\\B1", 1), ("\\\\farm\\x\\B1", 1), ("/Volumes/farm/B1", 2)]
)
@pytest.mark.parametrize(
    "name", ["edforman_test-correct.aepx", "nexrender_2layers1image.aepx", "tk_simpleproject-v26.aep"]
)
def test_a_real_project_for_either_system_is_found_by_full_and_by_relative_path(
    real_file: Callable[[str, str], Path], tmp_path: Path, name: str, root: str, platform: int
) -> None:
    source = real_file("aepx", name)
    named = {str(one["fullpath"]) for one in references(load_tree(source)[0].chunks)}
    (tmp_path / "any.bin").write_bytes(b"x")
    package = make_package(
        PackageOrder(source, root, dict.fromkeys(named, tmp_path / "any.bin")), tmp_path / "out"
    )
    assert package_problems(package.folder) == []
    found = list(references(load_tree(package.folder / name)[0].chunks))
    assert len(found) >= len(named) > 0
    pure = PureWindowsPath if platform == 1 else PurePosixPath
    for one in found:
        path = pure(str(one["fullpath"]))
        assert path.is_relative_to(pure(root))
        assert one["platform"] == platform
        assert not one.get("server_name")
        assert not one.get("server_volume_name")
        # After Effects goes up from the project and takes the last names of the path below that folder.
        assert one["ascendcount_base"] == 1
        below = path.parts[-int(str(one["ascendcount_target"])) :]
        assert package.folder.joinpath(*below).read_bytes() == b"x"


def test_missing_footage_stops_the_package_and_is_listed(
    real_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    source = real_file("aepx", "edforman_test-correct.aepx")
    with pytest.raises(Refused, match=r"refers to 3 files not found here: .*cutout\.png"):
        make_package(PackageOrder(source, "D:\\x"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_real_project_is_packed_from_files_found_elsewhere(
    real_file: Callable[[str, str], Path], tmp_path: Path
) -> None:
    source = real_file("aepx", "edforman_test-correct.aepx")
    files = {}
    for number, item in enumerate(one for one in read_project(source).footage if one.file):
        files[item.file or ""] = tmp_path / f"{number}.bin"
        files[item.file or ""].write_bytes(bytes([number]))
    font = tmp_path / "Rush.otf"
    font.write_bytes(b"font")
    package = make_package(PackageOrder(source, "D:\\x", files, (font,)), tmp_path / "out")
    assert sorted(one.path for one in package.files) == [
        "(Fonts)/Rush.otf",
        "(Footage)/cutout.png",
        "(Footage)/green_yellow_bg.png",
        "(Footage)/test-photoshop-doc.psd",
        "edforman_test-correct.aepx",
    ]
    assert package_problems(package.folder) == []
    before, after = (path.read_bytes().splitlines() for path in (source, package.folder / source.name))
    changed = [one for one, other in zip(before, after, strict=True) if one != other]
    assert all(b"<fileReference" in line for line in changed)
    assert len(changed) == 8


def test_files_of_one_name_keep_one_each() -> None:
    assert names_inside(["/a/Photo.png", "D:\\b\\photo.PNG", "/c/photo.png"], "F") == {
        "/a/Photo.png": "F/Photo.png",
        "D:\\b\\photo.PNG": "F/photo_2.PNG",
        "/c/photo.png": "F/photo_3.png",
    }


def test_a_changed_missing_or_foreign_file_is_found(made: Path, tmp_path: Path) -> None:
    folder = make_package(PackageOrder(made, "/x"), tmp_path / "out").folder
    photo = folder / "(Footage)" / "photo.png"
    photo.write_bytes(photo.read_bytes() + b"x")
    (folder / "note.txt").write_text("x")
    assert package_problems(folder) == [
        "(Footage)/photo.png is not the file that was packed.",
        "note.txt is not in the manifest.",
    ]
    photo.unlink()
    assert package_problems(folder)[0] == "(Footage)/photo.png is missing."
    (folder / "manifest.json").write_text("{")
    assert package_problems(folder) == [
        "out has no manifest that can be read (JSONDecodeError). Make it again."
    ]


def test_an_existing_folder_is_never_written_over(made: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Refused, match="exists already"):
        make_package(PackageOrder(made, "/x"), tmp_path / "out")


MAIN = comp(
    1,
    "main",
    text_layer(10, "title"),
    source_layer(11, "photo", 5),
    text_layer(12, "twin"),
    text_layer(13, "twin"),
)
PROJECT = project([MAIN], [footage(5, "/a/b.png")])


def order(**more: object) -> RenderOrder:
    return RenderOrder(**{"uid": "j1", "project_file": "D:\\jobs\\my job\\a.aepx", "comp_id": 1, **more})  # type: ignore[arg-type]


def test_a_job_addresses_layers_by_name_and_twins_by_index() -> None:
    job = nexrender_job(
        PROJECT, order(texts={10: "it's \"\\ \n", 13: "x"}, files={11: "/Volumes/farm/a b.mov"})
    )
    assert job["template"] == {
        "src": "file:///D:/jobs/my%20job/a.aepx",
        "composition": "main",
        "frameStart": 0,
        "frameEnd": 299,
        "outputExt": "mov",
        "continueOnMissing": False,
    }
    assert job["assets"] == [
        {"type": "data", "layerName": "title", "composition": "main", "property": TEXT_PATH, "value": "it's \"\\ \n"},
        {"type": "data", "layerIndex": 13, "composition": "main", "property": TEXT_PATH, "value": "x"},
        {"type": "video", "src": "file:///Volumes/farm/a%20b.mov", "layerName": "photo", "composition": "main"},
    ]  # fmt: skip
    assert job_problems(json.loads(json.dumps(job)), PROJECT) == []


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"texts": {99: "x"}}, "has no layer with the id 99"),
        ({"texts": {11: "x"}}, "is no text layer"),
        ({"files": {10: "/a.png"}}, "shows no footage"),
        ({"files": {11: "a.png"}}, "is no full path"),
    ],
)
def test_what_does_not_fit_the_project_is_refused(wanted: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        nexrender_job(PROJECT, order(**wanted))


def test_compositions_of_one_name_are_refused_with_their_ids() -> None:
    with pytest.raises(Refused, match=r"2 compositions are named 'main' \(ids 1, 2\)"):
        nexrender_job(project([MAIN, comp(2, "main")], []), order())


def test_a_job_from_elsewhere_is_held_against_the_project() -> None:
    job = {
        "template": {"src": "x", "composition": "main"},
        "assets": [
            {"type": "data", "layerName": "twin", "property": "Source Text", "value": "x"},
            {"type": "image", "layerName": "nothing", "src": "file:///a.png"},
            {"type": "data", "layerName": "photo", "property": TEXT_PATH, "value": "x"},
            {"type": "image", "layerName": "photo"},
            {"type": "script", "src": "x"},
        ],
    }
    assert job_problems(job, PROJECT) == [
        "Asset 1 addresses the layer 'twin', of which the project has 2.",
        "Asset 2 addresses the layer 'nothing', of which the project has 0.",
        "Asset 3 sets the text of 'photo', which is no text layer.",
        "Asset 4 names no file.",
    ]
    assert job_problems({"template": {"composition": "other"}}, PROJECT) == [
        "The project has 0 compositions named 'other'; a job needs exactly one."
    ]


@pytest.mark.parametrize(
    ("path", "problems"),
    [
        ("ADBE Text Properties->ADBE Text Document", []),
        ("Source Text", ["'Source Text' as After Effects does in English; write 'ADBE Text Prop"]),
        ("Quelltext", ["'Quelltext' as After Effects does in German; write 'ADBE Text Prop"]),
        ("Effekte.My Slider.Schieberegler", ["'Effekte' as After Effects does in German", "'Schieberegler' as"]),
        ("ADBE Effect Parade->My Slider->ADBE Slider Control-0001", []),
    ],
)  # fmt: skip
def test_a_path_with_names_of_one_language_is_flagged_and_resolved(path: str, problems: list[str]) -> None:
    asset = {"type": "data", "layerName": "title", "property": path, "value": "x"}
    found = job_problems({"template": {"composition": "main"}, "assets": [asset]}, PROJECT)
    assert len(found) == len(problems)
    assert all(said in one for said, one in zip(problems, found, strict=True))


def test_addresses_of_files_are_those_of_the_render_machine() -> None:
    assert file_uri("\\\\farm\\jobs\\a.aep") == "file://farm/jobs/a.aep"
