"""What waits for people reaches them once, through a real HTTP server."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.errors import ConfigurationError
from crown.journal import notices
from crown.journal.activity import record
from crown.journal.attention import failed_checks
from crown.ledger import plans
from crown.product_images import stages
from crown.product_images.share import intake, review
from crown.product_images.workspace import (
    CUTOUTS,
    INBOX,
    INBOX_PHOTOS,
    PHOTOS,
    REVIEW,
    Workspace,
)
from resources.database import DatabaseResource
from resources.workspaces import ProductImagesResource
from sensors.notices import Notice, Reported, Waiting, decide, send_notices, standing
from tests.given import given_database
from tests.pictures import draw_part
from tests.product_images.flow import look
from tests.receiver import Inbox


def test_only_more_than_was_told_is_told_again() -> None:
    news, reported = decide(Waiting({CUTOUTS: (3, 17)}, {"product_images": 2}), Reported())
    assert news == [
        Notice("review", "product_images", CUTOUTS, "3 cut-outs wait for approval."),
        Notice(
            "failure",
            "product_images",
            "items",
            "2 items need a person: crown images status --troubles.",
        ),
    ]
    assert decide(Waiting({CUTOUTS: (3, 17)}, {"product_images": 2}), reported)[0] == []
    # One was approved, another came: what is new counts, not how many.
    news, reported = decide(Waiting({CUTOUTS: (3, 18)}, {"product_images": 1}), reported)
    assert [notice.kind for notice in news] == ["review"]
    # A trouble that was settled and comes back is reported again.
    assert [n.kind for n in decide(Waiting({}, {"product_images": 2}), reported)[0]] == ["failure"]


def test_what_was_told_is_remembered_while_nothing_waits() -> None:
    _, reported = decide(Waiting({CUTOUTS: (1, 17)}), Reported())
    _, reported = decide(Waiting(), reported)
    assert decide(Waiting({CUTOUTS: (1, 17)}), reported)[0] == []


def test_stale_data_is_told_once_until_newer_data_came() -> None:
    stale = Waiting(stale={"art_records/prints": "art_records/prints: newest export of 2026-01-01."})
    news, reported = decide(stale, Reported())
    assert [(one.department, one.subject) for one in news] == [("art_records", "art_records/prints is stale")]
    assert decide(stale, reported)[0] == []
    _, reported = decide(Waiting(), reported)
    assert len(decide(stale, reported)[0]) == 1


def test_plans_conflicts_and_failing_checks_are_told_once_while_they_stand() -> None:
    plan = Waiting(standing={"plan 1a2b3c4d": ("art_records", "review", "300 of 400 rows would close.")})
    news, reported = decide(plan, Reported())
    assert news == [Notice("review", "art_records", "plan 1a2b3c4d", "300 of 400 rows would close.")]
    assert decide(plan, reported)[0] == []
    assert Notice("review", "art_records", "plan 1a2b3c4d", "") in standing(Waiting(), reported)
    _, reported = decide(Waiting(), reported)
    assert len(decide(plan, reported)[0]) == 1


def test_a_sync_is_told_when_it_ends_and_those_before_the_first_look_are_not() -> None:
    first = Waiting(finished=[(7, "art_records", "syncs/1", "Read; nothing changed.")])
    news, reported = decide(first, Reported())
    assert (news, reported.finished) == ([], 7)
    later = Waiting(finished=[(9, "art_records", "syncs/2", "Read and written: prints: 3 created.")])
    news, reported = decide(later, reported)
    assert news == [Notice("news", "art_records", "syncs/2", "Read and written: prints: 3 created.")]
    assert decide(Waiting(), reported) == ([], reported)


def test_held_plans_failing_checks_and_syncs_reach_the_webhook(
    database: DatabaseResource, instance: dg.DagsterInstance, inbox: Inbox, engine: Engine, tmp_path: Path
) -> None:
    database = with_addresses(database, tmp_path, inbox.address)
    assert tick(database, instance)[0] == "Nothing was sent: no notice is pending."
    cursor = tick(database, instance)[1]

    @dg.asset_check(asset=dg.AssetKey(["housekeeping", "restore_test"]))
    def newest_backup_restores() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes, description="The dump is damaged.")

    def checked() -> None:
        job = dg.Definitions(
            asset_checks=[newest_backup_restores],
            jobs=[dg.define_asset_job("look", dg.AssetSelection.checks(newest_backup_restores))],
        ).resolve_job_def("look")
        assert job.execute_in_process(instance=instance).success

    passes = False
    checked()
    with engine.begin() as connection:
        plans.propose(
            connection,
            stage="art_records/prints",
            subject="s",
            body={"a": 1},
            sentence="300 rows would close.",
        )
        record(
            connection, who="run", what="sync", subject="syncs/1", department="art_records", via="run",
            new={"prints": {"created": 3}},
        )  # fmt: skip
    said, cursor = tick(database, instance, cursor)
    assert said == "Notices sent: 3."
    assert inbox.messages[-1]["title"] == "Crown: 1 failed, 1 waiting for review, 1 finished"
    message = inbox.messages[-1]["message"]
    assert (
        "The check newest_backup_restores of housekeeping/restore_test fails. The dump is damaged." in message
    )
    assert "300 rows would close." in message
    assert "Read and written: prints: 3 created." in message
    assert tick(database, instance, cursor)[0] == "Nothing was sent: no notice is pending."
    passes = True
    checked()
    with engine.connect() as connection:
        assert failed_checks(connection) == []


def cut_out(workspace: Workspace, *names: str) -> None:
    for number, name in enumerate(names):
        draw_part(workspace.media(INBOX) / name, seed=number + 1)
    for _ in range(2):
        intake.take_in(workspace, settle_seconds=0)
    for asset in (INBOX_PHOTOS, PHOTOS, CUTOUTS):
        stages.make(workspace, [asset])


def shown_by_a_person(workspace: Workspace, *numbers: str) -> None:
    """Cut-outs that wait for an approval, without any cutting."""
    for number in numbers:
        Image.new("RGBA", (60, 40), (int(number) % 256, 30, 30, 255)).save(
            workspace.media(REVIEW) / f"{number}.png"
        )
    look(workspace)
    for asset in (INBOX_PHOTOS, PHOTOS, CUTOUTS):
        stages.make(workspace, [asset])


def tick(
    database: DatabaseResource, instance: dg.DagsterInstance, cursor: str | None = None
) -> tuple[str, str | None]:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"database": database})
    done = send_notices.evaluate_tick(context)
    return done.skip_message or "", done.cursor


def with_addresses(
    database: DatabaseResource, tmp_path: Path, *addresses: str, **more: str
) -> DatabaseResource:
    path = tmp_path / "notify"
    path.write_text("\n".join(addresses), encoding="utf-8")
    path.chmod(0o600)
    return given_database({**database.environment, "CROWN_NOTIFY_FILE": str(path), **more})


def test_waiting_cutouts_reach_the_webhook_once(
    database: DatabaseResource,
    images: ProductImagesResource,
    instance: dg.DagsterInstance,
    inbox: Inbox,
    tmp_path: Path,
) -> None:
    database = with_addresses(database, tmp_path, inbox.address)
    with images.workspace() as workspace:
        cut_out(workspace, "52000123.jpg", "52000124.jpg")
        said, cursor = tick(database, instance)
        assert said == "Notices sent: 1."
        (message,) = inbox.messages
        assert message["title"] == "Crown: 1 waiting for review"
        assert "2 cut-outs wait for approval." in message["message"]
        review.decide(workspace, "*", "approve", who="eva", via="cli")
        assert tick(database, instance, cursor)[0] == "Nothing was sent: no notice is pending."
        review.decide(workspace, "52000123", "withdraw", who="eva", via="cli")
        assert tick(database, instance, cursor)[0] == "Nothing was sent: no notice is pending."
        cut_out(workspace, "52000125.jpg")
        assert tick(database, instance, cursor)[0] == "Notices sent: 1."
    assert "2 cut-outs wait for approval." in inbox.messages[1]["message"]


def test_a_cursor_that_is_lost_costs_one_message(
    database: DatabaseResource,
    images: ProductImagesResource,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    inbox: Inbox,
) -> None:
    database = with_addresses(database, tmp_path, inbox.address)
    with images.workspace() as workspace:
        cut_out(workspace, "52000123.jpg")
    cursor = tick(database, instance)[1]
    assert json.loads(cursor or "")["reviews"].keys() == {CUTOUTS}
    tick(database, instance, cursor)
    assert len(inbox.messages) == 1
    tick(database, instance, None)
    assert len(inbox.messages) == 2


def test_without_addresses_notices_are_kept_and_nothing_fails(
    engine: Engine, database: DatabaseResource, images: ProductImagesResource, instance: dg.DagsterInstance
) -> None:
    with images.workspace() as workspace:
        cut_out(workspace, "52000123.jpg")
    assert tick(database, instance)[0] == "Nothing was sent: no notify_file is set."
    with engine.connect() as connection:
        assert (
            connection.execute(text("select count(*) from journal.notices where sent_at is null")).scalar()
            == 1
        )


def test_quiet_hours_of_the_settings_are_kept(
    engine: Engine, database: DatabaseResource, instance: dg.DagsterInstance, tmp_path: Path, inbox: Inbox
) -> None:
    all_day = with_addresses(database, tmp_path, inbox.address, CROWN_QUIET_HOURS="00:00-23:59")
    late = with_addresses(database, tmp_path, inbox.address, CROWN_QUIET_HOURS="23:59-00:00")
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into journal.notices (kind, department, subject, sentence)"
                " values ('failure', 'product_images', 'runs', 'No space left')"
            )
        )
    assert tick(all_day, instance)[0] == "Nothing was sent: quiet hours 00:00-23:59."
    assert inbox.messages == []
    assert tick(late, instance)[0] == "Notices sent: 1."


def test_what_was_settled_during_quiet_hours_is_not_told_in_the_morning(
    database: DatabaseResource,
    images: ProductImagesResource,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    inbox: Inbox,
) -> None:
    night = with_addresses(database, tmp_path, inbox.address, CROWN_QUIET_HOURS="00:00-23:59")
    day = with_addresses(database, tmp_path, inbox.address, CROWN_QUIET_HOURS="23:59-00:00")
    with images.workspace() as workspace:
        shown_by_a_person(workspace, "52000123", "52000124", "52000125")
        _, cursor = tick(night, instance)
        review.decide(workspace, "5200012[34]", "approve", who="eva", via="cli")
        with workspace.engine.begin() as connection:
            for pool in ("product_images", "housekeeping"):
                notices.post(
                    connection, kind="failure", department=pool, subject="runs", sentence="disk full"
                )
        for pool, status in (
            ("product_images", dg.DagsterRunStatus.SUCCESS),
            ("housekeeping", dg.DagsterRunStatus.FAILURE),
        ):
            instance.add_run(dg.DagsterRun(job_name=pool, status=status))
        assert tick(day, instance, cursor)[0] == "Notices sent: 2."
        (message,) = inbox.messages
        assert message["title"] == "Crown: 1 failed, 1 waiting for review"
        assert message["message"].splitlines()[-1].endswith(": 1 cut-outs wait for approval.")
        assert "- housekeeping, runs: disk full" in message["message"]
        shown_by_a_person(workspace, "52000126")
        _, cursor = tick(night, instance, cursor)
        review.decide(workspace, "*", "approve", who="eva", via="cli")
        assert tick(day, instance, cursor)[0] == "Nothing was sent: no notice is pending."
        shown_by_a_person(workspace, "52000127")
        assert tick(day, instance, cursor)[0] == "Notices sent: 1."


def test_settings_that_cannot_be_used_fail_the_tick(
    database: DatabaseResource, instance: dg.DagsterInstance
) -> None:
    broken = given_database({**database.environment, "CROWN_QUIET_HOURS": "at night"})
    with pytest.raises(ConfigurationError, match="CROWN_QUIET_HOURS cannot be used"):
        tick(broken, instance)
