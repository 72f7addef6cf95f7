"""Texts, targets, profiles, removals and forecasts on real small pictures: what is published, and what never is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.errors import BadInput, ConfigurationError, Refused, SystemicFailure
from crown.flow import held_removals
from crown.flow.forecast import Supposed
from crown.flow.verify import verify
from crown.ledger import plans
from crown.pictures.tags import read_tags
from crown.product_images.forecast import Forecast, forecast
from crown.product_images.publishing import products, texts
from crown.product_images.publishing.removals import RULES
from crown.product_images.renditions import judgements
from crown.product_images.share import moves, review
from crown.product_images.workspace import (
    COMPLIANCE,
    MASTERS,
    OBJECTS,
    PRODUCTION,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
    open_workspace,
    targets_of,
)
from crown.settings.model import fields, load_settings, variable
from tests.closed import closed
from tests.product_images.flow import any_number, approve, finish, hashes, look, published, run

SMALL = "64x64_72dpi_jpeg"
Opening = Callable[..., Workspace]


#: Dotted names of the settings by their last part.
_FIELD = {name.rpartition(".")[2]: name for name in fields()}


@pytest.fixture
def opening(engine: Engine, tmp_path: Path) -> Opening:
    """Opens the workspace with other settings; the home stays the same."""

    def opened(**settings: str) -> Workspace:
        given = {
            "CROWN_HOME": str(tmp_path / "home"),
            "CROWN_WORKERS": "1",
            "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "0",
        }
        own = {variable(_FIELD.get(name, name)): value for name, value in settings.items()}
        read = load_settings(given | {"CROWN_PRODUCT_IMAGES_SPECS": SMALL} | own, None)
        for target in targets_of(read).values():  # a person's work: Crown makes no root
            target.folder.mkdir(parents=True, exist_ok=True)
        return open_workspace(engine, read)

    return opened


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


def write(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


# Texts


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


# Targets


def targets(tmp_path: Path, content: str) -> str:
    return write(tmp_path / "targets.yaml", content.replace("BASE", str(tmp_path)))


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


# Profiles

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


# Removals

MANY = [f"520001{number:02}" for number in range(12)]


@pytest.fixture
def many(opening: Opening) -> Workspace:
    """Twelve products, published."""
    workspace = opening()
    finish(workspace, *MANY)
    run(workspace)
    assert len(published(workspace)) == 12
    return workspace


def withdraw(workspace: Workspace, *numbers: str) -> None:
    for number in numbers:
        review.decide(workspace, number, "withdraw", who="eva", via="cli")


def held(workspace: Workspace) -> list[held_removals.HeldRemoval]:
    with workspace.engine.connect() as connection:
        return held_removals.standing(connection, RULES)


def test_a_plan_that_would_take_more_than_a_tenth_of_the_products_is_held_and_other_work_goes_on(
    many: Workspace,
) -> None:
    withdraw(many, *MANY[:2])
    finish(many, "52000999")
    texts.say(many, MANY[5], who="eva", via="cli", description="still published")
    made = run(many)
    assert len(published(many)) == 13
    assert made[PUBLISHED] == [
        f"{MANY[5]}/thumbnail/{MANY[5]}_{SMALL}.jpg",
        f"52000999/thumbnail/52000999_{SMALL}.jpg",
    ]
    (removal,) = held(many)
    assert (removal.target, removal.subjects, removal.of_subjects) == ("production", tuple(MANY[:2]), 12)
    assert "2 of the 12 products" in removal.sentence


def test_a_confirmed_removal_is_carried_out_once_and_has_to_be_confirmed_again_another_time(
    many: Workspace,
) -> None:
    before = published(many)
    withdraw(many, *MANY[:2])
    run(many)
    held_removals.confirm(many, RULES, who="eva", via="cli")
    run(many)
    assert {path.split("/")[0] for path in published(many)} == set(MANY[2:])
    assert held(many) == []
    for number in MANY[:2]:
        approve(many, number)
    run(many)
    assert published(many) == before
    withdraw(many, *MANY[:2])
    run(many)
    assert published(many) == before
    assert [removal.subjects for removal in held(many)] == [tuple(MANY[:2])]


def test_a_confirmation_is_of_exactly_the_plan_that_was_seen(many: Workspace) -> None:
    withdraw(many, *MANY[:2])
    run(many)
    seen = held(many)[0].plan_hash
    held_removals.confirm(many, RULES, who="eva", via="cli")
    withdraw(many, MANY[2])
    run(many)
    assert len(published(many)) == 12
    assert held(many)[0].subjects == tuple(MANY[:3])
    with pytest.raises(BadInput, match="look at it again"):
        held_removals.confirm(many, RULES, who="eva", via="cli", seen=seen[:12])
    with many.engine.connect() as connection:
        (plan,) = plans.open_plans(connection, PUBLISHED)
        overtaken = plans.find(connection, PUBLISHED, seen)
        assert plans.verdict(connection, plan) is None
    assert overtaken is not None
    assert (overtaken.state, plan.subject) == ("superseded", "removal:production")


def test_what_is_held_is_neither_made_anew_nor_forgotten_when_it_is_wanted_again(many: Workspace) -> None:
    texts.say(many, MANY[0], who="eva", via="cli", description="new words")
    withdraw(many, *MANY[:2])
    assert PUBLISHED not in run(many)
    for number in MANY[:2]:
        approve(many, number)
    assert run(many)[PUBLISHED] == [f"{MANY[0]}/thumbnail/{MANY[0]}_{SMALL}.jpg"]
    assert held(many) == []


def test_one_product_alone_is_removed_without_asking(many: Workspace) -> None:
    withdraw(many, MANY[0])
    run(many)
    assert len(published(many)) == 11
    assert held(many) == []


def test_nothing_to_confirm_is_said(many: Workspace) -> None:
    with pytest.raises(BadInput, match="nothing to confirm"):
        held_removals.confirm(many, RULES, who="eva", via="cli")


def test_only_the_target_with_the_large_removal_is_held(opening: Opening, tmp_path: Path) -> None:
    given = {"production_targets": targets(tmp_path, "targets:\n  shop: {folder: BASE/shop}\n")}
    workspace = opening(**given)
    finish(workspace, *MANY[:6])
    run(workspace)
    write(tmp_path / "targets.yaml", "targets: {}\n")
    fewer = opening(**given)
    withdraw(fewer, MANY[0])
    run(fewer)
    assert [removal.target for removal in held(fewer)] == ["shop"]
    assert len(published(fewer)) == 5
    assert len(hashes(tmp_path / "shop")) == 6


def test_a_target_whose_folder_is_gone_or_empty_loses_nothing_and_is_not_written_to(
    many: Workspace, opening: Opening, tmp_path: Path
) -> None:
    folder, aside = many.roots[PRODUCTION], tmp_path / "unmounted"
    folder.rename(aside)
    folder.mkdir()
    withdraw(many, MANY[0])
    texts.say(many, MANY[1], who="eva", via="cli", description="later")
    run(opening())
    assert list(folder.iterdir()) == []
    assert "mount it" in verify(many).absent[0]
    assert verify(many).missing == []
    folder.rmdir()
    aside.rename(folder)
    assert run(opening())[PUBLISHED] == [f"{MANY[1]}/thumbnail/{MANY[1]}_{SMALL}.jpg"]
    assert len(published(many)) == 11


def test_what_a_desktop_or_a_new_file_system_leaves_does_not_make_a_folder_full(opening: Opening) -> None:
    workspace = opening()
    finish(workspace, "52000123")
    run(workspace)
    folder = workspace.roots[PRODUCTION]
    shutil.rmtree(folder)
    for name in (".DS_Store", "Thumbs.db", "lost+found"):
        (folder / name).mkdir(parents=True)
    assert list(workspace.absent_roots()) == [PRODUCTION]
    (folder / "theirs").mkdir()
    assert workspace.absent_roots() == {}


def test_a_target_that_was_emptied_on_purpose_is_filled_again_when_a_person_says_so(many: Workspace) -> None:
    before = published(many)
    shutil.rmtree(many.roots[PRODUCTION])
    with pytest.raises(BadInput, match="not a target whose folder is gone"):
        verify(many, emptied=["shop"])
    verify(many, emptied=[PRODUCTION])
    run(many)
    assert published(many) == before
    assert verify(many).sound


# Acts


def test_a_retired_product_leaves_production_and_comes_back_without_a_new_approval(many: Workspace) -> None:
    before = published(many)
    with many.engine.begin() as connection:
        products.retire(connection, MANY[3], who="eva", via="cli", reason="no longer sold")
    run(many)
    assert set(before) - set(published(many)) == {f"{MANY[3]}/thumbnail/{MANY[3]}_{SMALL}.jpg"}
    with many.engine.connect() as connection:
        originals = connection.execute(
            text("select content_hash from product_images.uploads where product_number = :number"),
            {"number": MANY[3]},
        ).scalars()
        assert all(many.objects.holds(content_hash) for content_hash in originals)
    with many.engine.begin() as connection:
        products.unretire(connection, MANY[3], who="eva", via="cli", reason=None)
    run(many)
    assert published(many) == before


def test_retiring_leaves_a_decision_that_a_run_follows(many: Workspace) -> None:
    with many.engine.begin() as connection:
        products.retire(connection, MANY[3], who="eva", via="cli", reason="no longer sold")
        row = connection.execute(
            text("select who, reason, subject from ledger.decisions order by decision_id desc limit 1")
        ).one()
    assert tuple(row) == ("eva", "no longer sold", MANY[3])


def test_retiring_without_a_reason_or_an_unknown_product_is_refused(many: Workspace) -> None:
    with many.engine.connect() as connection:
        with pytest.raises(Refused, match="needs a reason"):
            products.retire(connection, MANY[3], who="eva", via="cli", reason=" ")
        with pytest.raises(BadInput, match="ever taken in"):
            products.retire(connection, "99", who="eva", via="cli", reason="x")
        with pytest.raises(BadInput, match="is not retired"):
            products.unretire(connection, MANY[3], who="eva", via="cli", reason=None)


def test_a_forced_rebuild_makes_again_exactly_what_matches_and_gives_the_same_bytes(many: Workspace) -> None:
    before = published(many)
    with many.engine.begin() as connection:
        counted = products.rebuild(connection, f"{MANY[0][:-1]}[01]", who="eva", via="cli")
        with pytest.raises(BadInput, match="Nothing that was made"):
            products.rebuild(connection, "99*", who="eva", via="cli")
    assert counted == {RENDITIONS["thumbnail"]: 2, PUBLISHED: 2}
    made = run(many)
    assert {asset: len(keys) for asset, keys in made.items()} == counted
    assert published(many) == before


def test_a_number_with_brackets_can_be_rebuilt_by_its_name(opening: Opening) -> None:
    workspace = any_number(opening())
    finish(workspace, "AB[1]", "CD")
    run(workspace)
    with workspace.engine.begin() as connection:
        products.rebuild(connection, "ab[1]", who="eva", via="cli")
    assert run(workspace) == {
        RENDITIONS["thumbnail"]: [f"AB[1]/{SMALL}"],
        PUBLISHED: [f"AB[1]/thumbnail/AB[1]_{SMALL}.jpg"],
    }


def test_what_waits_to_be_rebuilt_is_still_taken_away_when_its_approval_goes(many: Workspace) -> None:
    with many.engine.begin() as connection:
        products.rebuild(connection, MANY[0], who="eva", via="cli")
    withdraw(many, MANY[0])
    run(many)
    assert len(published(many)) == 11


# Forecasts


def carried_out(workspace: Workspace, told: Forecast) -> None:
    """Run, and compare what happened to the published files with what was foretold."""
    before = published(workspace)
    run(workspace)
    after = published(workspace)
    happened = {(path, "new") for path in after.keys() - before.keys()}
    happened |= {(path, "removed") for path in before.keys() - after.keys()}
    happened |= {(path, "changed") for path in before.keys() & after.keys() if before[path] != after[path]}
    assert {(change.path, change.what) for change in told.published} == happened


def as_counts(told: Forecast) -> dict[str, tuple[int, int]]:
    return {row.asset: (row.to_make, row.subjects) for row in told.assets if row.to_make}


def test_a_spec_edit_is_foretold_with_its_renditions_and_the_published_files_that_follow(
    opening: Opening,
) -> None:
    workspace = opening(specs=f"{SMALL},32x32_72dpi_jpeg")
    finish(workspace, "52000123", "52000123_2", "52000124")
    run(workspace)
    edited = opening(specs=f"{SMALL},32x32_72dpi_jpeg")
    specs = dict(workspace.specs)
    specs[SMALL] = specs[SMALL].model_copy(update={"quality": 60})
    edited.__dict__["specs"] = specs
    told = forecast(edited)
    assert as_counts(told) == {RENDITIONS["thumbnail"]: (3, 2), PUBLISHED: (3, 2)}
    assert {change.what for change in told.published} == {"changed"}
    assert all(row.megabytes is not None and row.minutes is not None for row in told.assets)
    assert forecast(edited) == told
    carried_out(edited, told)


BRANDED = {"brand_icon.png": "600x390_72dpi_png_icon", "watermark.png": "watermark_64x64_72dpi_jpeg"}


@pytest.mark.parametrize("edited", BRANDED)
def test_another_icon_or_watermark_in_the_brand_folder_makes_exactly_what_carries_it(
    opening: Opening, tmp_path: Path, edited: str
) -> None:
    brand = tmp_path / "brand"
    brand.mkdir()
    for name in BRANDED:
        Image.new("RGBA", (20, 20), (255, 0, 0, 255)).save(brand / name)
    given = {"brand_dir": str(brand), "specs": f"{SMALL},{','.join(BRANDED.values())}"}
    workspace = opening(**given)
    finish(workspace, "52000123", "52000124_2")
    run(workspace)
    spec = workspace.specs[BRANDED[edited]]
    (brand / "unused.png").write_bytes(b"of no spec")
    assert forecast(opening(**given)) == Forecast()
    Image.new("RGBA", (20, 20), (0, 0, 255, 255)).save(brand / edited)
    again = opening(**given)
    told = forecast(again)
    theirs = [
        f"{photo[:8]}/{spec.category}/{photo}_{spec.name}.{spec.extension}"
        for photo in ("52000123", "52000124_2")
    ]
    assert [change.path for change in told.published] == theirs
    before = published(workspace)
    assert run(again) == {
        RENDITIONS[spec.category]: [f"52000123/{spec.name}", f"52000124_2/{spec.name}"],
        PUBLISHED: theirs,
    }
    after = published(workspace)
    assert {path for path in after if after[path] != before[path]} == set(theirs)
    with Image.open(workspace.roots[PRODUCTION] / theirs[0]) as picture:
        blue = sum(1 for r, _, b, *_ in picture.convert("RGB").getdata() if b > 200 and r < 60)
    assert blue > 200
    assert run(again) == {}


def test_a_text_edit_is_foretold_for_every_file_of_the_product_and_no_rendition(many: Workspace) -> None:
    texts.say(many, MANY[4], who="eva", via="cli", description="new words")
    told = forecast(many)
    assert as_counts(told) == {TEXTS: (1, 1), PUBLISHED: (1, 1)}
    carried_out(many, told)


def test_a_new_master_is_foretold_down_to_production_and_an_unapproved_cutout_only_up_to_the_gate(
    opening: Opening,
) -> None:
    workspace = opening()
    finish(workspace, "52000123")
    run(workspace)
    finish(workspace, "52000123", red=90)
    finish(workspace, "52000124")
    moves.collect(workspace, settle_seconds=0)
    moves.collect(workspace, settle_seconds=0)
    told = forecast(workspace)
    assert as_counts(told)[MASTERS] == (2, 2)
    assert as_counts(told)[PUBLISHED] == (2, 2)
    assert {change.what for change in told.published} == {"new", "changed"}
    carried_out(workspace, told)
    with workspace.engine.begin() as connection:
        connection.execute(text("update product_images.uploads set content_hash = repeat('0', 64)"))
        connection.execute(text("update product_images.uploads set of_hash = null, kind = 'original'"))
    assert forecast(workspace).published == []


def test_a_forecast_of_an_act_changes_nothing_and_says_what_would_be_removed_and_held(
    many: Workspace,
) -> None:
    def retire_three(connection) -> None:  # type: ignore[no-untyped-def]
        for number in MANY[:3]:
            products.retire(connection, number, who="eva", via="cli", reason="no longer sold")

    told = forecast(many, Supposed(retire_three))
    assert [removal.subjects for removal in told.held] == [tuple(MANY[:3])]
    one = forecast(
        many,
        Supposed(lambda connection: products.retire(connection, MANY[0], who="eva", via="cli", reason="x")),
    )
    assert [(change.path, change.what) for change in one.published] == [
        (f"{MANY[0]}/thumbnail/{MANY[0]}_{SMALL}.jpg", "removed")
    ]
    assert held(many) == []
    assert forecast(many) == Forecast()
    assert run(many) == {}


# The rotating check


def test_a_sweep_with_a_budget_goes_on_where_the_last_one_ended_and_finds_every_edit_in_a_round(
    many: Workspace,
) -> None:
    everything = verify(many)
    assert everything.round_ended_at is None
    edited = sorted(many.roots[PRODUCTION].rglob("*.jpg"))[7]
    data = edited.read_bytes()
    edited.write_bytes(data[:-20] + bytes(byte ^ 1 for byte in data[-20:-2]) + data[-2:])
    budget = everything.bytes_read // 3
    read, places, found = 0, [], []
    for _ in range(4):
        check = verify(many, byte_budget=budget)
        places.append((check.read_from, check.read_to))
        found += check.changed
        read += check.bytes_read
        if check.round_ended_at is not None:
            break
    assert check.round_ended_at is not None
    assert len(set(places)) == len(places) >= 3
    assert read >= everything.bytes_read
    assert found == [f"production:{edited.relative_to(many.roots[PRODUCTION])}"]
