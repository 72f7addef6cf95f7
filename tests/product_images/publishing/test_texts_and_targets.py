"""Texts, targets, profiles, removals and forecasts on real small pictures: what is published, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import BadInput, ConfigurationError, Refused, SystemicFailure
from crown.flow.verify import verify
from crown.pictures.tags import read_tags
from crown.product_images.publishing import texts
from crown.product_images.renditions import judgements
from crown.product_images.workspace import (
    COMPLIANCE,
    OBJECTS,
    PRODUCTION,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
)
from tests.closed import closed
from tests.product_images.flow import finish, look, published, run
from tests.product_images.publishing.published import SMALL, Opening, targets, write


def encoded(path: Path) -> bytes:
    """The compressed pixels alone: JPEG without its APP segments, PNG's IDAT, TIFF's strips."""
    data = path.read_bytes()
    if path.suffix == ".png":
        kept, at = b"", 8
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            if data[at + 4 : at + 8] == b"IDAT":
                kept += data[at + 8 : at + 8 + size]
            at += 12 + size
        return kept
    if path.suffix == ".tif":
        with Image.open(path) as picture:
            strips = zip(picture.tag_v2[273], picture.tag_v2[279], strict=True)  # type: ignore[attr-defined]
            return b"".join(data[start : start + size] for start, size in strips)
    kept, at = b"", 2
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if not 0xE0 <= data[at + 1] <= 0xEF:
            kept += data[at : at + size]
        at += size
    return kept + data[at:]


def decoded(path: Path) -> bytes:
    with Image.open(path) as picture:
        return picture.tobytes()


def test_a_text_change_rewrites_tags_and_leaves_the_encoded_pixels_untouched(opening: Opening) -> None:
    workspace = opening(specs="", company_name="Example Parts Ltd", copyright_notice="(c) Example")
    finish(workspace, "52000123")
    run(workspace)
    files = {path: workspace.roots[PRODUCTION] / path for path in published(workspace)}
    before = {path: (encoded(file), decoded(file)) for path, file in files.items()}
    old = published(workspace)
    assert len(files) == 5
    texts.say(
        workspace,
        "52000123",
        who="eva",
        via="cli",
        description="Brake disc, vented",
        keywords=["brake", "disc"],
    )
    assert run(workspace) == {TEXTS: ["52000123"], PUBLISHED: sorted(files)}
    for path, file in files.items():
        tags = read_tags(file)
        assert (tags.image_description, tags.keywords) == ("Brake disc, vented", ("brake", "disc"))
        assert (tags.artist, tags.make, tags.copyright) == (
            "Example Parts Ltd",
            "Example Parts Ltd",
            "(c) Example",
        )
        assert (tags.model, tags.product_number) == ("52000123", "52000123")
        assert (encoded(file), decoded(file)) == before[path]
        assert published(workspace)[path] != old[path]


def test_a_product_without_words_of_its_own_carries_the_companys(opening: Opening) -> None:
    workspace = opening(company_name="Example Parts Ltd")
    finish(workspace, "52000123_2")
    run(workspace)
    tags = read_tags(workspace.roots[PRODUCTION] / f"52000123/thumbnail/52000123_2_{SMALL}.jpg")
    assert tags.image_description == "Example Parts Ltd 52000123"
    assert tags.keywords == ("Example Parts Ltd", "52000123", "product")
    assert tags.digital_source_type == "humanEdits"
    renamed = opening(company_name="Other Parts Ltd")
    assert set(run(renamed)) == {TEXTS, PUBLISHED}
    assert run(renamed) == {}


def test_a_text_that_says_the_same_again_writes_nothing(opening: Opening) -> None:
    workspace = opening()
    finish(workspace, "52000123")
    run(workspace)
    texts.say(workspace, "52000123", who="eva", via="cli", description="A disc")
    run(workspace)
    texts.say(workspace, "52000123", who="eva", via="cli", description="A disc")
    texts.say(workspace, "52000123", who="eva", via="cli", free={"artist": ""})
    assert run(workspace) == {}
    texts.say(workspace, "52000123", who="eva", via="cli", description="")
    assert set(run(workspace)) == {TEXTS, PUBLISHED}
    with workspace.engine.connect() as connection:
        told = connection.execute(text("select who from journal.activity where what = 'texts_changed'"))
        assert list(told.scalars()) == ["eva", "eva"]


def test_texts_that_no_file_can_hold_are_refused_before_they_are_kept(opening: Opening) -> None:
    workspace = opening()
    finish(workspace, "52000123")
    look(workspace)
    with pytest.raises(BadInput, match="No photo of 52000199 was ever taken in"):
        texts.say(workspace, "52000199", who="eva", via="cli", description="x")
    with pytest.raises(BadInput, match="separates keywords"):
        texts.say(workspace, "52000123", who="eva", via="cli", keywords=["a;b"])
    with pytest.raises(BadInput, match="photo 2 of product 52000123"):
        texts.say(workspace, "52000123_2", who="eva", via="cli", description="x")
    with pytest.raises(BadInput, match="not a text you can give"):
        texts.say(workspace, "52000123", who="eva", via="cli", free={"product_number": "1"})
    with pytest.raises(Refused, match="a picture holds 65000: shorten"):
        texts.say(workspace, "52000123", who="eva", via="cli", description="x" * 66_000)
    with pytest.raises(Refused, match="bytes of XMP; a picture holds"):
        texts.say(workspace, "52000123", who="eva", via="cli", description="<" * 20_000)
    with workspace.engine.connect() as connection:
        assert connection.execute(text("select count(*) from product_images.product_texts")).scalar_one() == 0


@pytest.mark.parametrize(
    ("recipe", "body", "facts", "said"),
    [
        ("cut-out", {"model": "studio"}, {"engine": "studio"}, "compositeWithTrainedAlgorithmicMedia"),
        ("cut-out", {"model": "studio"}, {"engine": "kept"}, "humanEdits"),
        ("cut-out", {"model": "u2net"}, {"engine": "u2net"}, "compositeWithTrainedAlgorithmicMedia"),
        ("retouch", {"version": 1}, {}, "humanEdits"),
        ("retouch", {"version": 1, "after": "trained model"}, {}, "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_how_a_picture_came_to_be_is_said_in_iptcs_words(
    recipe: str, body: dict[str, object], facts: dict[str, object], said: str
) -> None:
    assert texts.source_type(recipe, body, facts) == said


def test_each_target_gets_its_own_specs_and_all_needed_specs_are_rendered(
    opening: Opening, tmp_path: Path
) -> None:
    workspace = opening(
        production_targets=targets(
            tmp_path,
            "targets:\n  shop: {folder: BASE/shop, specs: [128x128_72dpi_jpeg]}\n"
            "  all: {folder: BASE/all, specs: [32x32_72dpi_jpeg, 64x64_72dpi_jpeg, 128x128_72dpi_jpeg]}\n",
        )
    )
    finish(workspace, "52000123")
    made = run(workspace)
    assert set(published(workspace)) == {f"52000123/thumbnail/52000123_{SMALL}.jpg"}
    assert set(published(workspace, "shop")) == {"52000123/thumbnail/52000123_128x128_72dpi_jpeg.jpg"}
    assert len(published(workspace, "all")) == len(made[RENDITIONS["thumbnail"]]) == 3
    assert f"52000123/thumbnail/52000123_{SMALL}.jpg" in made[PUBLISHED]
    assert "shop:52000123/thumbnail/52000123_128x128_72dpi_jpeg.jpg" in made[PUBLISHED]
    assert verify(workspace).sound


def test_a_foreign_file_in_any_target_is_reported(opening: Opening, tmp_path: Path) -> None:
    workspace = opening(
        production_targets=targets(tmp_path, f"targets:\n  shop: {{folder: BASE/shop, specs: [{SMALL}]}}\n")
    )
    finish(workspace, "52000123")
    run(workspace)
    (tmp_path / "shop" / "theirs.jpg").write_bytes(b"theirs")
    assert verify(workspace).foreign == ["shop:theirs.jpg"]


def test_foreign_files_whatever_their_name_and_folders_that_may_not_be_read_are_reported(
    opening: Opening,
) -> None:
    workspace = opening()
    finish(workspace, "52000123")
    run(workspace)
    folder = workspace.roots[PRODUCTION]
    (folder / "theirs").mkdir()
    for name in (b"5200\xe4.jpg", b"two\nlines.jpg", "\u00e9.jpg".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"theirs")
    verify(workspace)
    with closed(folder / "theirs"):
        found = verify(workspace)
    assert found.foreign == [
        "production:5200\\xe4.jpg",
        "production:two\nlines.jpg",
        "production:\u00e9.jpg",
        "production:theirs/ (may not be looked into)",
    ]
    assert (found.missing, found.changed) == ([], [])


def test_a_new_installation_is_sound_though_no_original_was_stored_yet(opening: Opening) -> None:
    workspace = opening()
    assert not workspace.roots[OBJECTS].exists()
    assert verify(workspace).sound


def test_published_files_and_originals_that_cannot_be_read_are_said_and_nothing_is_marked(
    opening: Opening,
) -> None:
    workspace = opening()
    finish(workspace, "52000123", "52000124")
    run(workspace)
    assert verify(workspace).sound  # and a connection stands; without root's rights none can be opened
    with closed(workspace.roots[PRODUCTION] / "52000124"):
        found = verify(workspace)
    path = f"production:52000124/thumbnail/52000124_{SMALL}.jpg"
    assert (found.missing, found.changed) == ([], [f"{path} (may not be read)"])
    workspace.roots[OBJECTS].rename(workspace.roots[OBJECTS].with_name("unmounted"))
    with pytest.raises(SystemicFailure, match="is not there"):
        verify(workspace)
    workspace.roots[OBJECTS].with_name("unmounted").rename(workspace.roots[OBJECTS])
    assert run(workspace) == {}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("targets:\n  shop: {specs: [all]}\n", r"targets.yaml:2: targets: shop: the key 'folder' is missing"),
        ("targets:\n  shop:\n    folder: BASE/s\n    profile: nobody\n", r":4: .*no profile 'nobody'"),
        ("targets:\n  shop:\n    folder: BASE/s\n    specs: [tumbnail]\n", r":4: .*did you mean 'thumbnail'"),
        ("targets:\n  production: {folder: BASE/s}\n", r":2: .*CROWN_PRODUCTION_ROOT"),
        ("targets:\n  media: {folder: BASE/s}\n", "name of another folder"),
        ("targets:\n  shop: {folder: shop}\n", r":2: .*begins with `/`"),
        ("targets:\n  shop: {folder: BASE/s, profil: autocare}\n", r":2: .*unknown key 'profil'"),
        ("targets:\n  a: {folder: BASE/s}\n  b: {folder: BASE/s/t}\n", "lie in each other"),
        ("targets:\n  a: {folder: BASE/home/media/inbox}\n", "lie in each other"),
        ("targets:\n  a: {folder: BASE/home/media/../media/inbox}\n", "lie in each other"),
        (
            "targets:\n  a: {folder: ~nobody-of-this-name/s}\n",
            "targets.yaml:2: targets: a: folder: there is no such",
        ),
    ],
)
def test_a_mistake_in_the_targets_is_named_with_its_line(
    opening: Opening, tmp_path: Path, content: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        opening(production_targets=targets(tmp_path, content))


_PROFILE = """
profiles:
  partner:
    title: A partner
    source: a test
    categories: [thumbnail]
    rules:
      source: {measure: source_longest_side, at_least: 250, severity: error, advice: photograph it again}
      format: {measure: format, one_of: [tiff], severity: warning, advice: deliver a TIFF}
"""


@pytest.fixture
def with_partner(opening: Opening, tmp_path: Path) -> Workspace:
    return opening(
        compliance_profiles=write(tmp_path / "profiles.yaml", _PROFILE),
        production_targets=targets(tmp_path, "targets:\n  shop: {folder: BASE/shop, profile: partner}\n"),
    )


def test_an_error_keeps_a_picture_out_of_that_profiles_target_only(with_partner: Workspace) -> None:
    workspace = with_partner
    finish(workspace, "52000123")
    finish(workspace, "52000124", size=(200, 150))
    run(workspace)
    assert {path.split("/")[0] for path in published(workspace)} == {"52000123", "52000124"}
    assert {path.split("/")[0] for path in published(workspace, "shop")} == {"52000123"}
    with workspace.engine.connect() as connection:
        row = connection.execute(
            text("select key, waiting_for from ledger.items where asset = :asset and state = 'waiting'"),
            {"asset": PUBLISHED},
        ).one()
        found = judgements.offences(connection, "partner")
        assert judgements.judged(connection, "partner") == 2
    assert row.key == f"shop:52000124/thumbnail/52000124_{SMALL}.jpg"
    assert row.waiting_for == "compliance: source 200 px instead of at least 250 px"
    assert [(o.photo, o.severity, o.measured) for o in found] == [
        ("52000124", "error", "200 px"),
        ("52000123", "warning", "jpeg"),
        ("52000124", "warning", "jpeg"),
    ]


def test_a_better_picture_is_published_where_the_poor_one_was_not(with_partner: Workspace) -> None:
    workspace = with_partner
    finish(workspace, "52000124", size=(200, 150))
    run(workspace)
    assert published(workspace, "shop") == {}
    finish(workspace, "52000124", size=(400, 300))
    run(workspace)
    assert len(published(workspace, "shop")) == 1


def test_an_edited_profile_judges_anew_and_renders_nothing(opening: Opening, tmp_path: Path) -> None:
    given = {
        "compliance_profiles": write(tmp_path / "profiles.yaml", _PROFILE),
        "production_targets": targets(tmp_path, "targets:\n  shop: {folder: BASE/shop, profile: partner}\n"),
    }
    workspace = opening(**given)
    finish(workspace, "52000124", size=(200, 150))
    run(workspace)
    write(tmp_path / "profiles.yaml", _PROFILE.replace("250", "150"))
    made = run(opening(**given))
    assert set(made) == {COMPLIANCE, PUBLISHED}
    assert made[PUBLISHED] == [f"shop:52000124/thumbnail/52000124_{SMALL}.jpg"]
