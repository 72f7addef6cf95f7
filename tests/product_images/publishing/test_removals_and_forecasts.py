"""Removals that are held, products that are retired, rebuilds, and forecasts of edits and acts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import text

from crown.errors import BadInput, Refused
from crown.flow import held_removals
from crown.flow.forecast import Supposed
from crown.flow.verify import verify
from crown.ledger import plans
from crown.product_images.forecast import Forecast, forecast
from crown.product_images.publishing import products, texts
from crown.product_images.publishing.removals import RULES
from crown.product_images.share import moves, review
from crown.product_images.workspace import (
    MASTERS,
    PRODUCTION,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
)
from tests.product_images.flow import any_number, approve, finish, hashes, published, run
from tests.product_images.publishing.published import SMALL, Opening, targets, write

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
