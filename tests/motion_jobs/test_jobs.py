"""What jobs do when files change and people decide: statuses, gates, holds, retries, archive, memory, batches."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from crown.errors import BadInput, Refused
from crown.motion_jobs import samples, stages
from crown.motion_jobs.deliverables.packages import package_problems
from crown.motion_jobs.jobs import (
    batches,
    changing,
    checks,
    jobs,
    lifecycle,
    reviewing,
)
from crown.motion_jobs.jobs.acts import Person
from crown.motion_jobs.jobs.reviewing import Corrections
from crown.motion_jobs.jobs.statuses import (
    MOVES,
    STATUSES,
    Standing,
    moves_table,
    status_of,
    way,
)
from crown.motion_jobs.workspace import APPROVED, DEPLOYMENTS, INGESTED, PREVIEWS, VALIDATED
from tests.motion_jobs.department import Motion, made_motion

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def motion(engine: Engine, tmp_path: Path) -> Motion:
    return made_motion(engine, tmp_path)


def later(path: Path) -> None:
    """Let a file look as if it had been at rest for a while."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))


def test_a_changed_psd_reopens_only_its_job_and_its_package_follows_the_new_approval(motion: Motion) -> None:
    batch = motion.finish("a", "b")
    before = {job: (motion.package(batch, job) / "manifest.json").read_bytes() for job in ("a", "b")}
    later(motion.psd("a", "Another headline"))
    assert motion.run() == {"a": "awaiting_review", "b": "completed"}
    assert (motion.package(batch, "a") / "manifest.json").read_bytes() == before["a"]
    motion.approve("a")
    assert motion.approve("a") == {"a": "completed", "b": "completed"}
    assert motion.text_in(motion.package(batch, "a") / "a.aepx", "txt_headline") == "Another headline"
    assert (motion.package(batch, "b") / "manifest.json").read_bytes() == before["b"]
    assert package_problems(motion.package(batch, "a")) == []


def test_a_file_that_is_written_anew_with_the_same_bytes_reopens_nothing(motion: Motion) -> None:
    motion.finish("a")
    os.utime(motion.folder / "a.psd", ns=(1, 10**18))
    assert motion.run() == {"a": "completed"}
    assert stages.run(motion.workspace)[INGESTED].pool.made == 0


def test_a_change_that_nobody_was_shown_asks_nobody_again(motion: Motion) -> None:
    batch = motion.finish("a")
    (motion.folder / "img_logo.png").write_bytes((motion.folder / "img_photo.png").read_bytes())
    later(motion.folder / "img_logo.png")  # the PSD's logo replaces it
    assert motion.run() == {"a": "completed"}
    assert package_problems(motion.package(batch, "a")) == []


def test_the_damage_of_one_psd_fails_its_job_alone_and_its_repair_brings_it_back(motion: Motion) -> None:
    motion.upload("a", "b")
    whole = (motion.folder / "a.psd").read_bytes()
    (motion.folder / "a.psd").write_bytes(whole[: len(whole) // 3])
    later(motion.folder / "a.psd")
    assert motion.run() == {"a": "failed", "b": "awaiting_review"}
    [row] = jobs.listed(motion.workspace.engine, status="failed")
    assert (row["job_id"], row["stage"]) == ("a", 1)
    assert "a.psd is cut off" in row["error"]
    (motion.folder / "a.psd").write_bytes(whole)
    later(motion.folder / "a.psd")
    assert motion.run() == {"a": "awaiting_review", "b": "awaiting_review"}


def test_a_psd_that_is_gone_fails_its_job_until_it_is_back(motion: Motion) -> None:
    motion.upload("a", "b")
    (motion.folder / "a.psd").rename(motion.folder / "away.psd")
    assert motion.run() == {"a": "failed", "b": "awaiting_review"}
    [row] = jobs.listed(motion.workspace.engine, status="failed")
    assert row["error"] == f"{motion.folder / 'a.psd'} is not there; bring it back."
    (motion.folder / "away.psd").rename(motion.folder / "a.psd")
    assert motion.run()["a"] == "awaiting_review"


def test_a_held_job_stays_where_it_is_and_its_release_passes_no_gate(motion: Motion) -> None:
    motion.upload("a", "b")
    motion.run()
    with pytest.raises(BadInput, match="at least 10 characters"):
        lifecycle.hold(motion.workspace, ["a"], Person("ann", reason="wait"), apply=True)
    lifecycle.hold(motion.workspace, ["a"], motion.ann, apply=True)
    assert motion.statuses() == {"a": "on_hold", "b": "awaiting_review"}
    with pytest.raises(BadInput, match="a: on_hold"):
        reviewing.approve(motion.workspace, ["a"], motion.ann, apply=True)
    later(motion.psd("a", "Changed while held"))
    assert motion.run()["a"] == "on_hold"
    lifecycle.release(motion.workspace, ["a"], motion.ann, apply=True)
    assert motion.run() == {"a": "awaiting_review", "b": "awaiting_review"}
    body = jobs.show(motion.workspace, "a")["matches"]
    assert [one["text"] for one in body["layers"] if one["name"] == "Headline"] == ["Changed while held"]


def test_an_archived_job_is_touched_no_more_until_it_is_taken_back(motion: Motion) -> None:
    batch = motion.finish("a")
    motion.upload("b")
    with pytest.raises(BadInput, match="This is for jobs that are completed"):
        lifecycle.archive(motion.workspace, ["b"], motion.ann, apply=True)
    lifecycle.archive(motion.workspace, ["a"], motion.ann, apply=True)
    later(motion.psd("a", "After the archive"))
    assert motion.run()["a"] == "archived"
    assert package_problems(motion.package(batch, "a")) == []
    lifecycle.unarchive(motion.workspace, ["a"], motion.ann, apply=True)
    assert motion.run()["a"] == "awaiting_review"


def test_an_approval_is_of_the_bytes_that_were_seen(motion: Motion) -> None:
    motion.upload("a")
    motion.run()
    seen = jobs.show(motion.workspace, "a")["matches"]["content_hash"]
    later(motion.psd("a", "Changed after the look"))
    motion.run()
    with pytest.raises(BadInput, match="look at it again"):
        reviewing.approve(motion.workspace, ["a"], motion.ann, seen=seen, apply=True)
    assert motion.statuses() == {"a": "awaiting_review"}


def test_missing_footage_waits_and_cannot_be_overridden(motion: Motion) -> None:
    motion.upload("a")
    motion.run()
    (motion.folder / "img_logo.png").unlink()
    motion.run()
    reviewing.approve(
        motion.workspace, ["a"], motion.ann, corrections=Corrections({"img_logo": None}, {}), apply=True
    )
    motion.run()
    assert motion.approve("a") == {"a": "validation_failed"}
    with pytest.raises(Refused, match=r"img_logo.png.*would render black"):
        reviewing.override(motion.workspace, ["a"], motion.ann, apply=True)
    reviewing.send_back(motion.workspace, ["a"], motion.ann, apply=True)
    assert motion.statuses() == {"a": "awaiting_review"}
    motion.approve("a")
    assert motion.approve("a") == {"a": "completed"}  # the PSD's logo replaces what is missing


def test_what_a_person_decided_is_the_start_of_the_next_job_and_approved_with_one_command(
    motion: Motion,
) -> None:
    motion.upload("a")
    motion.run()
    swap = Corrections({"txt_headline": "Price", "txt_price": "Headline"}, {})
    reviewing.approve(motion.workspace, ["a"], motion.ann, corrections=swap, apply=True)
    batch = motion.upload("b", "c")
    samples.psd(motion.folder / "c.psd", [samples.Text("Headline", "only")], [])
    later(motion.folder / "c.psd")
    motion.run()
    body = jobs.show(motion.workspace, "b")["matches"]
    by_slot = {one["name"]: one["id"] for one in body["slots"]}
    pairs = {one["slot_id"]: one for one in body["matches"]}
    layers = {one["id"]: one["name"] for one in body["layers"]}
    assert layers[pairs[by_slot["txt_headline"]]["layer_id"]] == "Price"
    assert pairs[by_slot["txt_headline"]]["method"] == "remembered"
    acted, others = reviewing.approve_remembered(motion.workspace, batch, motion.ann, apply=True)
    assert ([one.job_id for one in acted], others) == (["b"], ["c"])
    assert motion.run()["b"] == "awaiting_approval"


def test_corrections_name_one_layer_and_slot_of_one_kind(motion: Motion) -> None:
    motion.upload("a")
    motion.run()
    for corrections, sentence in (
        (Corrections({"txt_headline": "Photo"}, {}), "is a picture and the slot"),
        (Corrections({"nothing": "Photo"}, {}), "There is no slot 'nothing'"),
        (Corrections({"img_photo": "nothing"}, {}), "There is no layer 'nothing'"),
        (Corrections({"img_photo": None}, {"img_photo": "crop"}), "nothing of it can be adjusted"),
    ):
        with pytest.raises(BadInput, match=sentence):
            reviewing.approve(motion.workspace, ["a"], motion.ann, corrections=corrections)


def test_jobs_start_by_priority_then_age_and_so_many_at_once(engine: Engine, tmp_path: Path) -> None:
    motion = made_motion(engine, tmp_path, {"CROWN_MOTION_JOBS_AUTO_START": "false"})
    rows = [
        motion.row(name, priority=how)
        for name, how in (("a", "low"), ("b", "high"), ("c", "high"), ("d", "medium"))
    ]
    (motion.folder / "x.csv").write_text(samples.batch_csv(rows))
    batch = batches.upload(motion.workspace, motion.folder / "x.csv", who="ann").batch_id
    assert set(motion.run().values()) == {"pending"}
    assert sorted(batches.start(motion.workspace, batch, 3, who="ann")) == ["b", "c", "d"]
    assert motion.run() == {
        "a": "pending",
        "b": "awaiting_review",
        "c": "awaiting_review",
        "d": "awaiting_review",
    }


def test_the_same_bytes_are_the_same_batch_and_ids_never_collide(motion: Motion) -> None:
    first = motion.upload("a")
    again = batches.upload(motion.workspace, motion.folder / "a.csv", who="bob")
    assert (again.batch_id, again.known) == (first, True)
    second, third = motion.upload("b"), motion.upload("c")
    assert len({first, second, third}) == 3
    assert all(re.fullmatch(r"BATCH_\d{8}_\d{6}(_\d+)?", one) for one in (first, second, third))
    name, kept = batches.csv_of(motion.workspace, first)
    assert (name, kept.read_bytes()) == ("a.csv", (motion.folder / "a.csv").read_bytes())


def test_good_rows_go_on_and_bad_ones_are_quarantined_with_row_column_and_reason(motion: Motion) -> None:
    rows = [
        motion.row("a"),
        motion.row("b") | {"psd_path": "../../../etc/passwd"},
        motion.row("c") | {"output_name": "a.aepx"},
        motion.row("a"),
    ]
    (motion.folder / "x.csv").write_text(samples.batch_csv(rows))
    uploaded = batches.upload(motion.workspace, motion.folder / "x.csv", who="ann")
    assert (uploaded.total_jobs, uploaded.valid_jobs, uploaded.invalid_jobs) == (4, 1, 3)
    found = [
        one for one in jobs.findings(motion.workspace.engine, uploaded.batch_id) if one["level"] == "error"
    ]
    assert [(one["row"], one["column"], one["rule"]) for one in found] == [
        (3, "psd_path", "outside_roots"),
        (4, "output_name", "duplicate"),
        (5, "job_id", "duplicate"),
        (5, "output_name", "duplicate"),
    ]
    motion.run()
    [account] = checks.accounts(motion.workspace.engine)
    assert (account.rows, account.waiting, account.quarantined, account.complete) == (4, 1, 3, True)


def test_files_of_the_folder_become_batches_and_one_that_is_none_is_set_aside_with_a_note(
    motion: Motion,
) -> None:
    folder = motion.workspace.settings.motion / "batches" / "spring"
    folder.mkdir()
    samples.template(folder)
    samples.promo_psd(folder / "a.psd", "Hello", "1")
    (folder / "good.csv").write_text(
        samples.batch_csv([{**motion.row("a"), "psd_path": "a.psd", "aepx_path": "promo.aepx"}])
    )
    (folder / "bad.csv").write_text("name,price\nx,1\n")
    assert sorted(batches.take_in(motion.workspace).unfinished) == ["spring/bad.csv", "spring/good.csv"]
    with motion.workspace.engine.begin() as connection:
        connection.execute(text("update store.sightings set first_seen_at = first_seen_at - interval '10 s'"))
    found = batches.take_in(motion.workspace)
    assert [(one.file, one.valid_jobs) for one in found.uploaded] == [("good.csv", 1)]
    assert "lacks the columns job_id" in found.refused["spring/bad.csv"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.psd",
        "img_logo.png",
        "img_photo.png",
        "promo.aepx",
    ]
    [aside, note] = sorted((motion.workspace.settings.motion / "refused").iterdir())
    assert (aside.read_text(), "lacks the columns job_id" in note.read_text()) == ("name,price\nx,1\n", True)


def test_batches_follow_their_jobs_and_end(motion: Motion) -> None:
    batch = motion.upload("a", "b")
    states = [jobs.batches(motion.workspace.engine)[0]["status"]]
    motion.run()
    states.append(jobs.batches(motion.workspace.engine)[0]["status"])
    motion.approve("a", "b")
    motion.approve("a", "b")
    [row] = jobs.batches(motion.workspace.engine)
    assert [*states, row["status"]] == ["validated", "processing", "complete"]
    assert (row["batch_id"], row["done"], row["completed_at"] is not None) == (batch, 2, True)


def test_reports_of_the_old_system_find_their_columns_filled(motion: Motion) -> None:
    batch = motion.finish("a")
    with motion.workspace.engine.connect() as connection:
        job = connection.execute(text("select * from motion.jobs")).mappings().one()
        assets = connection.execute(
            text(
                "select asset_type, count(*) as n from motion.job_assets where job_id = 'a' group by asset_type"
            )
        ).tuples()
        actions = set(
            connection.execute(text("select action from motion.job_logs where job_id = 'a'")).scalars()
        )
        [one] = connection.execute(text("select * from motion.batches")).mappings().all()
    assert (job["status"], job["current_stage"], job["final_aep_path"]) == (
        "completed",
        4,
        f"packages/{batch}/a/a.aepx",
    )
    assert (job["stage2_completed_by"], job["stage3_completed_by"], job["stage4_completed_by"]) == (
        "ann",
        "ann",
        "system",
    )
    assert len(job["stage2_approved_matches"]) == 4
    assert all(job[f"stage{number}_completed_at"] for number in range(5))
    counted = dict(assets.all())
    assert (counted["psd_layer_png"], counted["mapping_sheet"]) == (4, 1)
    assert counted["package_file"] >= 7
    assert {"status_changed", "user_action:approve", "package_made"} <= actions
    assert (one["total_jobs"], one["validation_errors"]) == (1, [])


def test_a_package_that_a_person_changed_is_left_alone(motion: Motion) -> None:
    batch = motion.finish("a")
    (motion.package(batch, "a") / "report.html").write_text("mine")
    later(motion.psd("a", "Another headline"))
    motion.run()
    motion.approve("a")
    assert motion.approve("a") == {"a": "failed"}
    assert (motion.package(batch, "a") / "report.html").read_text() == "mine"
    (motion.package(batch, "a")).rename(motion.folder / "kept")
    lifecycle.retry(motion.workspace, ["a"], motion.ann, apply=True)
    assert motion.run() == {"a": "completed"}


def test_a_job_and_a_batch_can_be_changed_and_deleted_and_no_row_is_lost(motion: Motion) -> None:
    batch = motion.finish("a", "b")
    with pytest.raises(BadInput, match=r"Another job writes b\.aepx"):
        changing.edit(motion.workspace, ["a"], {"output_name": "b.aepx"}, motion.ann, apply=True)
    [changed] = changing.edit(
        motion.workspace, ["a"], {"output_name": "new.aepx", "priority": "high"}, motion.ann, apply=True
    )
    assert changed["old"] == {"output_name": "a.aepx", "priority": "medium"}
    assert motion.run()["a"] == "completed"
    assert sorted(path.name for path in motion.package(batch, "a").glob("*.aepx")) == ["new.aepx"]
    (motion.package(batch, "b") / "report.html").write_text("mine")
    planned = changing.delete(motion.workspace, ["a", "b"], motion.ann)
    assert [(one.job_id, one.package) for one in planned] == [
        ("a", "removed"),
        ("b", "kept: somebody changed it"),
    ]
    assert set(motion.statuses()) == {"a", "b"}
    changing.delete(motion.workspace, ["a"], motion.ann, apply=True)
    assert (set(motion.run()), motion.package(batch, "a").exists()) == ({"b"}, False)
    [account] = checks.accounts(motion.workspace.engine)
    assert (account.rows, account.done, account.deleted, account.complete) == (2, 1, 1, True)
    changing.delete(motion.workspace, [], motion.ann, batch=batch, apply=True)
    assert (motion.run(), motion.package(batch, "b").exists()) == ({}, True)
    again = batches.upload(motion.workspace, motion.folder / "a-b.csv", who="ann")
    assert (again.known, again.valid_jobs) == (False, 2)


def test_a_resolved_warning_keeps_its_note_and_no_longer_stands_in_the_way(motion: Motion) -> None:
    motion.upload("a")
    samples.promo_psd(motion.folder / "a.psd", "x" * 10, "1")
    samples.psd(
        motion.folder / "a.psd",
        [samples.Text("Headline", "H"), samples.Text("Price", "1")],
        [
            samples.Picture("Photo", "teal", (0, 0), (64, 64)),
            samples.Picture("Logo", "red", (0, 0), (160, 80)),
        ],
    )
    later(motion.folder / "a.psd")
    motion.run()
    motion.approve("a")
    with pytest.raises(Refused, match="critical warnings"):
        reviewing.approve(motion.workspace, ["a"], motion.ann)
    critical = [
        one["warning_id"]
        for one in jobs.show(motion.workspace, "a")["warnings"]
        if one["severity"] == "critical"
    ]
    assert changing.resolve(motion.workspace, "a", critical, motion.ann) == len(critical) > 0
    reviewing.approve(motion.workspace, ["a"], motion.ann)
    assert changing.resolve(motion.workspace, "a", critical[:1], motion.ann, resolved=False) == 1
    shown = {one["warning_id"]: one for one in jobs.show(motion.workspace, "a")["warnings"]}
    assert [shown[one]["resolved"] for one in critical[:2]] == [False, True]
    assert shown[critical[-1]]["resolution_notes"] == "looked at it closely"


def test_the_database_allows_the_moves_of_the_table_and_no_other(motion: Motion) -> None:
    motion.upload("a")
    with motion.workspace.engine.connect() as connection:
        known = connection.execute(text("select old_status, new_status from motion.moves")).tuples().all()
    assert set(known) == {(old, new) for old, news in MOVES.items() for new in news}
    with (
        pytest.raises(DBAPIError, match="cannot go from pending to completed"),
        motion.workspace.engine.begin() as one,
    ):
        one.execute(text("update motion.job_records set status = 'completed'"))
    with pytest.raises(DBAPIError, match="check constraint"), motion.workspace.engine.begin() as one:
        one.execute(
            text(
                "insert into motion.job_records (job_id, batch_id, csv_row, psd_path, aepx_path, output_name, status)"
                " select 'z', batch_id, 9, '', '', 'z.aepx', 'nonsense' from motion.batch_records"
            )
        )


def test_the_allowed_moves_stand_in_the_docs_as_in_code() -> None:
    assert moves_table() in (ROOT / "docs" / "motion-jobs.md").read_text("utf-8")


def test_every_status_is_reached_from_pending_by_allowed_moves() -> None:
    assert set(MOVES) == set(STATUSES)
    for status in STATUSES:
        if status not in ("pending", "archived"):
            assert way("pending", status)[-1] == status
    assert [old for old, news in MOVES.items() if "archived" in news] == ["completed"]


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (None, ("completed", 4)),
        (Standing(INGESTED, "waiting", "plan"), ("pending", 0)),
        (Standing(INGESTED, "waiting", "upstream"), ("failed", 1)),
        (Standing(INGESTED, "pending"), ("processing", 1)),
        (Standing(APPROVED, "waiting", "gate"), ("awaiting_review", 2)),
        (Standing(PREVIEWS, "failed"), ("processing", 3)),
        (Standing(PREVIEWS, "quarantined"), ("failed", 3)),
        (Standing(VALIDATED, "waiting", "gate"), ("awaiting_approval", 3)),
        (Standing(VALIDATED, "pending"), ("ready_for_validation", 4)),
        (Standing(DEPLOYMENTS, "waiting", "gate"), ("validation_failed", 4)),
        (Standing(DEPLOYMENTS, "pending", None, held=True), ("on_hold", 4)),
    ],
)
def test_a_status_follows_from_the_first_item_that_is_not_current(
    standing: Standing | None, expected: tuple[str, int]
) -> None:
    assert status_of(standing) == expected
