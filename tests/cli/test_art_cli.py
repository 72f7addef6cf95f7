"""`crown art` as a person calls it: every command once, on a small base with a second export."""

from __future__ import annotations

import csv
import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from crown.art_records.sample_files import Export
from crown.art_records.samples import sample_exports
from crown.journal import logs
from crown_cli.art.commands import art
from crown_cli.demo.pictures import served
from crown_cli.main import cli
from tests.given import known_people

ROOT = Path(__file__).resolve().parents[2]
Crown = Callable[..., Any]


@pytest.fixture(scope="module")
def samples() -> tuple[Export, Export]:
    return sample_exports(editions=2000)


@pytest.fixture
def crown(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crown:
    """Runs a command of `crown art` on this test's database, in this process."""
    known_people(engine, "eva")
    for name, value in {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0, **more: Any) -> Any:
        done = CliRunner().invoke(cli, ["art", *arguments], **more)
        logs.close()
        assert done.exit_code == code, f"{done.output}\n{done.exception}"
        return json.loads(done.stdout) if "--json" in arguments and code in (0, 1, 3) else done

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "media" / "art_exports"


def one(engine: Engine, sql: str) -> Any:
    with engine.connect() as connection:
        return connection.execute(text(sql)).scalars().first()


def every_command() -> list[str]:
    return sorted(art.commands)


@pytest.mark.parametrize("name", every_command())
def test_every_command_has_help_with_an_example_and_answers_in_json(name: str) -> None:
    command = art.commands[name]
    shown = CliRunner().invoke(cli, ["art", name, "--help"])
    assert shown.exit_code == 0
    assert f"  crown art {name}" in shown.output or f"crown art {name}" in (command.help or "")
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options or name == "export", "a CSV is for scripts already"


def test_help_needs_no_settings_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom crown_cli.main import cli\n"
        "try: cli(['art', '--help'])\nexcept SystemExit: pass\n"
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'sqlalchemy', 'pandas', 'numpy', 'dagster', 'matplotlib'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "CROWN_NONSENSE": "1"}, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.partition("loaded:")[2].strip() == ""


def test_a_sync_is_a_preview_until_it_is_applied_and_then_a_no_op(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    assert "holds no export; export Prints" in crown("sync", code=1).output
    samples[0].write(folder)
    preview = crown("sync", "--json")
    assert (preview["applied"], preview["tables"][2]["counts"]["records_created"]) == (False, 2000)
    assert one(engine, "select count(*) from art.syncs") == 0
    assert "Nothing was written; --apply writes it." in crown("sync").output
    # `crown art sync | tail -1` is the difference's name, as the help of `decide` promises.
    assert re.fullmatch(r"diff [0-9a-f]{64}", crown("sync").stdout.splitlines()[-1])
    applied = crown("sync", "--apply", "--who", "eva", "--json")
    assert (applied["applied"], applied["sync_number"]) == (True, 1)
    assert one(engine, "select who from art.syncs") == "eva"
    assert crown("sync", "--apply").output.startswith(
        "Nothing to do: Prints-2025-10-29 export.csv: the same bytes"
    )
    paths = samples[1].write(folder)
    shown = crown("sync", "--editions", str(paths["editions"]), "--rows", "2")
    assert "1 created, 47 updated, 1953 unchanged" in shown.output
    assert "~ and 45 more" in shown.output
    assert "(19 characters)" in crown("sync", "--rows", "100").output, "notes are masked"
    rows = crown("syncs", "--json")
    assert {row["table_name"] for row in rows} == {"prints", "distributors", "editions"}
    assert "Prints-2025-10-29 export.csv" in {row["source_file"] for row in rows}
    assert max(len(line) for line in crown("syncs").output.splitlines()) <= 100


def _without_editions(folder: Path, rows: int) -> None:
    path = folder / "Editions-2025-10-29 export.csv"
    lines = path.read_bytes().split(b"\n")
    plain = [line for line in lines[1:] if b'"' not in line and line.count(b",") == lines[0].count(b",")]
    path.write_bytes(b"\n".join(line for line in lines if line not in set(plain[:rows])))


def test_what_would_close_too_much_waits_and_only_the_exact_difference_can_be_confirmed(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    _without_editions(folder, 30)
    waiting = crown("sync", "--mode", "full", "--apply", code=3)
    assert "30 of 2000 records would be closed" in waiting.stderr
    seen = crown("sync", "--mode", "full", "--json")
    assert seen["waiting"]
    assert "The difference now is" in crown("sync", "--mode", "full", "--confirm", "0" * 12, code=3).stderr
    assert "first eight characters" in crown("sync", "--mode", "full", "--confirm", "ab", code=1).stderr
    _without_editions(folder, 1)
    crown("sync", "--mode", "full", "--confirm", seen["diff_hash"], code=3)
    now = crown("sync", "--mode", "full", "--json")
    done = crown("sync", "--mode", "full", "--confirm", now["diff_hash"][:12], "--who", "eva", "--json")
    assert done["applied"]
    assert one(engine, "select count(*) from art.editions where is_active") == 2000 - 31
    assert one(engine, "select who from ledger.decisions where verdict = 'approve'") == "eva"


def test_a_decision_lets_exactly_that_difference_through(
    crown: Crown,
    engine: Engine,
    folder: Path,
    samples: tuple[Export, Export],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    assert "holds nothing new" in crown("decide", "0" * 12, "approve", code=3).stderr
    monkeypatch.setenv("CROWN_ART_RECORDS_MODE", "full")
    _without_editions(folder, 30)
    difference = crown("sync", "--json")["diff_hash"]
    assert "The difference now is" in crown("decide", "0" * 12, "approve", code=3).stderr
    said = crown("decide", difference[:12], "approve", "--reason", "sold off", "--json")
    assert (said["content_hash"], said["reason"]) == (difference, "sold off")
    assert crown("sync", "--apply", "--json")["applied"]
    assert one(engine, "select count(*) from art.editions where is_active") == 1970


def test_a_sync_is_taken_back_and_its_rollback_too(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    samples[1].write(folder)
    crown("sync", "--apply")
    sold = "select count(*) from art.editions where is_sold"
    after = one(engine, sold)
    preview = crown("rollback", "2", "--json")
    assert (preview["applied"], set(preview["counts"])) == (False, {"clean"})
    assert one(engine, sold) == after
    changed = "the decision was on the rollback"
    assert changed in crown("rollback", "2", "--apply", "--confirm", "f" * 64, code=3).stderr.lower()
    done = crown("rollback", "2", "--apply", "--confirm", preview["diff_hash"], "--reason", "wrong", "--json")
    assert (done["sync_number"], done["status"]) == (3, "rolled_back")
    assert one(engine, sold) == after - 8
    assert "Rollback of sync 3 applied as sync 4" in crown("rollback", "3", "--apply").output
    assert one(engine, sold) == after
    assert "There is no sync 99" in crown("rollback", "99", code=3).stderr


def test_work_in_the_art_records_is_validated_remembered_and_shown(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    done = crown("add-print", "New Harbour", "--total", "3", "--price", "£120", "--json")
    assert {"field": "total_editions", "old": None, "new": 3} in done["changes"]
    assert "choose another name" in crown("add-print", "New Harbour", "--total", "3", code=3).stderr
    name = "New Harbour - 2"
    assert "not printed yet" in crown("sell", name, "--on", "2026-01-05", code=3).stderr
    crown("edit", "editions", name, "is_printed=checked", "size=Large", "--reason", "printed today")
    assert "is not FIELD=TEXT" in crown("edit", "editions", name, "size", code=1).stderr
    place = one(
        engine,
        "select name from art.distributors where kind = 'gallery' and commission_percentage > 0 order by 1",
    )
    crown("move", name, "--to", place, "--on", "2026-01-02")
    sold = crown("sell", name, "--on", "2026-01-05", "--payment", "paid by Ann Example", "--json")
    assert {"field": "payment_note", "old": None, "new": "(19 characters)"} in sold["changes"]
    assert "is not an amount" in crown("sell", "New Harbour - 1", "--price", "much", code=2).stderr
    assert "settle" in crown("settle", name).output
    story = crown("history", name).output
    assert [
        word for word in ("create", "size: unknown → Large", "is_sold: no → yes") if word not in story
    ] == []
    assert "Ann" not in story
    shown = crown("show", name, "--json")
    assert (shown["is_settled"], shown["payment_note"]) == (True, "(19 characters)")
    assert crown("show", name, "--personal", "--json")["payment_note"] == "paid by Ann Example"
    assert (
        "was not in the art tables on 2020-01-01"
        in crown("show", name, "--as-of", "2020-01-01", code=1).stderr
    )
    found = crown("erase", "--reason", "asked for it", "--json", input="Ann Example\n")
    assert (found["applied"], found["values"]["editions.payment_note"]) == (False, 2)
    crown("erase", "Ann Example", "--reason", "asked for it", "--apply")
    assert crown("show", name, "--personal", "--json")["payment_note"] == "paid by [erased]"
    what = set(_activity(engine))
    assert {"create", "sell", "settle", "move", "update", "erase", "sync"} <= what


def _activity(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                text("select what from journal.activity where department = 'art_records'")
            ).scalars()
        )


def test_conflicts_wait_and_are_resolved(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    second = samples[1].write(folder)
    preview = crown("sync", "--editions", str(second["editions"]), "--json")
    change = next(c for c in preview["tables"][0]["changes"] if c["field"] == "size" and c["new"] == "Small")
    crown("edit", "editions", change["airtable_id"], "size=Extra Large")
    assert crown("conflicts").output == "No conflict waits.\n"
    crown("sync", "--mode", "merge", "--apply")
    (conflict,) = crown("conflicts", "--json")
    assert (conflict["local_value"], conflict["source_value"]) == ("Extra Large", "Small")
    assert crown("show", change["airtable_id"], "--json")["size"] == "Extra Large"
    assert "took source" in crown("resolve", str(conflict["conflict_id"]), "source").output
    assert crown("show", change["airtable_id"], "--json")["size"] == "Small"


def test_compare_says_by_its_exit_code_whether_art_records_and_exports_agree(
    crown: Crown, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    assert "Art tables and exports agree." in crown("compare").output
    samples[1].write(folder)
    assert crown("compare", "--json", code=1)["agree"] is False


def test_checks_quarantine_and_export_tell_what_the_art_records_hold(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export], tmp_path: Path
) -> None:
    paths = samples[0].write(folder)
    before = paths["editions"].read_bytes()
    line = next(line for line in before.split(b"\n") if b",40%," in line and b'"' not in line)
    paths["editions"].write_bytes(before.replace(line, line.replace(b",40%,", b",400%,")))
    crown("sync", "--apply")
    told = crown("checks", "--json", code=1)
    by_name = {question["name"]: question for question in told["questions"]}
    assert by_name["withheld_editions"]["count"] == 1
    assert by_name["double_linked"]["count"] == 84
    wrong = {formula["column"] for formula in told["formulas"] if formula["wrong"]}
    unsigned = {"Commissions", "Retail Amount Sold"}
    assert wrong <= unsigned | {"Invoice Amount", "Net Revenue", "Distributor Revenue"}, (
        "the withheld percentage, and exceptions that nobody has signed"
    )
    (value,) = crown("quarantine", "--outcome", "withheld", "--json")
    assert (value["column_name"], value["raw_value"]) == ("Commission", "400%")
    assert "400%" in crown("quarantine", "--outcome", "withheld").output
    target = tmp_path / "art tables.csv"
    crown("export", "editions", "--output", str(target))
    with target.open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2000
    assert target.stat().st_mode & 0o077 == 0, "it holds personal texts"


def test_a_run_is_seen_by_dagster_and_says_what_it_did(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    told = crown("run", "--json")
    assert told["waiting"] == []
    assert told["assets"]["art_records/editions"]["records_created"] == 2000
    status = "select status from dagster.runs"
    assert one(engine, status) == "SUCCESS"
    again = crown("run")
    assert "the same bytes as last time" in again.stdout
    assert "art_records/editions: done" in again.stderr  # progress, apart from the answer


def test_a_run_that_applies_nothing_says_so_in_words_and_exit_code(
    crown: Crown,
    engine: Engine,
    folder: Path,
    samples: tuple[Export, Export],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    samples[1].write(folder)
    monkeypatch.setenv("CROWN_ART_RECORDS_PHASE", "postgres_only")
    run = crown("run", code=3)
    assert "compared, not applied" in run.output
    assert "crown: not applied: The art tables are in PostgreSQL only" in run.stderr
    told = crown("run", "--json", code=3)
    assert told["assets"]["art_records/editions"]["applied"] is False
    assert "records_updated" not in told["assets"]["art_records/editions"]
    assert one(engine, "select max(sync_number) from art.syncs") == 1


def test_a_rollback_that_finds_nothing_to_take_back_says_so_in_words_and_exit_code(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    edition = one(engine, "select airtable_id from art.editions where size = 'Small' limit 1")
    for size in ("Large", "Extra Large"):
        crown("edit", "editions", edition, f"size={size}")
    refused = crown("rollback", "2", "--apply", code=3)
    assert "crown: nothing of sync 2 was taken back" in refused.stderr
    assert one(engine, "select max(sync_number) from art.syncs") == 3
    assert "Nothing was written" in crown("rollback", "3").output
    assert one(engine, "select status from art.syncs where sync_number = 3") == "completed"


def test_there_is_no_base_to_fetch_without_a_setting(crown: Crown) -> None:
    assert "set CROWN_ART_RECORDS_AIRTABLE_BASE" in crown("fetch", code=2).stderr


def test_rerun_judges_the_kept_files_again(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert "No export was synced yet" in crown("rerun", code=3).stderr
    samples[0].write(folder)
    crown("sync", "--apply")
    assert crown("rerun").output.startswith("Nothing to do")
    names = tmp_path / "names.yaml"
    own = (ROOT / "crown/art_records/exports" / "names.yaml").read_text("utf-8")
    version = next(line for line in own.splitlines() if line.startswith("version:"))
    names.write_text(own.replace(version, 'version: "ours 2"'))
    monkeypatch.setenv("CROWN_ART_RECORDS_NAMES", str(names))
    done = crown("rerun", "--apply", "--json")
    assert done["applied"]
    assert "ours 2" in one(engine, "select rule_version from art.syncs order by sync_number desc")


def test_the_book_keepers_acts_show_a_plan_and_write_with_apply(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    crown("add-print", "New Harbour", "--total", "3", "--price", "£1,200", "--json")
    gallery = crown("add-gallery", "Harbour Lights", "--commission", "40", "--json")
    assert {"field": "commission_percentage", "old": None, "new": 40} in gallery["changes"]
    plan = crown("printed", "New Harbour", "--numbers", "1-2").output
    assert "New Harbour - 1" in plan
    assert "2 editions, would be written" in plan
    assert crown("printed", "New Harbour", "--numbers", "1-2", "--apply", "--json")["applied"]
    for number in ("1", "2"):
        crown("move", f"New Harbour - {number}", "--to", "Harbour Lights", "--on", "2026-01-02")
        crown("sell", f"New Harbour - {number}", "--on", "2026-01-0" + str(int(number) + 2))
    assert "may be 2026-02-03 or 2026-03-02" in crown(
        "settle", "New Harbour - 1", "--on", "03/02/2026", code=2
    ).stderr  # fmt: skip
    whole = ("settle", "--gallery", "Harbour Lights", "--month", "2026-01", "--on", "2026-02-10")
    assert "2 editions, £1,440.00 net, would be written\nNothing was written" in crown(*whole).output
    assert crown(*whole, "--apply", "--json")["total_net"] == 1440
    assert str(one(engine, "select max(date_settled) from art.editions")) == "2026-02-10"
    assert "Give an EDITION, or --gallery and --month" in crown("settle", "--month", "2026-01", code=2).stderr
    back = crown("take-back-sale", "New Harbour - 2", "--settled", "--reason", "returned").output
    assert "is_sold: yes → no" in back
    crown("close", "editions", "New Harbour - 3", "--reason", "torn")
    assert "is_active: no → yes" in crown("reopen", "editions", "New Harbour - 3").output
    assert crown("show", "New Harbour - 3", "--json")["retail_price"] == 1200
    shown = {
        line.split()[0]: line.split()[1:]
        for line in crown("show", "New Harbour - 3").output.splitlines()[3:-1]
    }
    assert shown["retail_price"] == ["£1,200.00"]
    assert shown["print_id"][:2] == ["New", "Harbour"], "a record id is shown with its name"


def test_a_document_is_shown_issued_written_and_marked_as_sent(
    crown: Crown, engine: Engine, folder: Path, samples: tuple[Export, Export], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    samples[0].write(folder)
    crown("sync", "--apply")
    crown("add-gallery", "Harbour Lights", "--commission", "40")
    crown("add-print", "New Harbour", "--total", "3", "--price", "1200")
    crown("printed", "New Harbour", "--apply")
    for number in ("1", "2"):
        crown("move", f"New Harbour - {number}", "--to", "Harbour Lights", "--on", "2026-01-02")
    crown("sell", "New Harbour - 1", "--on", "2026-01-05")
    assert (
        "set CROWN_PRODUCT_IMAGES_COMPANY_NAME"
        in crown("invoice", "Harbour Lights", "2026-01", code=2).stderr
    )
    monkeypatch.setenv("CROWN_PRODUCT_IMAGES_COMPANY_NAME", "Moore Prints")
    assert (
        "Nothing was issued; --apply issues it as INV-"
        in crown("invoice", "Harbour Lights", "2026-01").output
    )
    made = crown("invoice", "Harbour Lights", "2026-01", "--apply", "--json")
    assert made["stated"]["totals"]["total"] == "720.00"
    shown = crown("document", made["label"]).output
    assert [
        word for word in ("Total due: £720.00", "New Harbour - 1", "40 % = £480.00") if word not in shown
    ] == []
    assert max(len(line) for line in shown.splitlines()) <= 100
    for name, start in (("a.pdf", b"%PDF-"), ("a.html", b"<!doctype html>")):
        crown("document", made["label"], "--output", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(start)
    assert "was sent on" in crown("sent", made["label"], "--how", "e-mail").output
    assert "Total due: £720.00" in crown("statement", "Harbour Lights").output
    crown("certificate", "New Harbour - 1", "--apply")
    (unsent,) = crown("documents", "--unsent", "--json")
    assert (unsent["kind"], unsent["subject"]) == ("certificate", "New Harbour - 1")
    assert "£720.00" in crown("documents").output


def test_signing_and_accepting_are_decisions_and_tables_fit_100_columns(
    crown: Crown, folder: Path, samples: tuple[Export, Export]
) -> None:
    samples[0].write(folder)
    crown("sync", "--apply")
    for table in (crown("syncs"), crown("quarantine"), crown("checks", code=1)):
        assert max(len(line) for line in table.output.splitlines()) <= 100
    (commissions,) = [e for e in crown("sign", "--json") if e["column"] == "Commissions"]
    assert commissions["signed_by"] is None
    (signed,) = crown("sign", "Commissions", commissions["text_hash"][:12], "--json")
    assert signed["signed_by"] == getpass.getuser()
    found = crown("accept", "double_linked", "--json")
    assert (found["findings"], found["applied"]) == (84, False)
    crown("accept", "double_linked", "--apply", "--reason", "old diptychs")
    by_name = {q["name"]: q for q in crown("checks", "--json", code=1)["questions"]}
    linked = by_name["double_linked"]
    assert (linked["count"], linked["accepted"], linked["new"]) == (84, 84, 0)
    assert isinstance(linked["money"], float)
    assert " - " in linked["examples"][0]["name"], "the edition's name beside its record id"


def test_pictures_of_prints_are_downloaded_listed_and_tried_again(
    crown: Crown, folder: Path, samples: tuple[Export, Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROWN_ART_RECORDS_ATTACHMENT_HOSTS", "127.0.0.1")
    with served(samples[0]) as export:
        export.write(folder)
        crown("sync", "--apply")
        shown = crown("pictures", "--download", "--json")
    assert {row["state"] for row in shown} == {"current"}
    assert (len(shown), shown[0]["width"], shown[0]["height"]) == (30, 360, 480)
    assert "127.0.0.1" not in str(shown)
    assert "360 x 480" in crown("pictures", shown[0]["work"]).stdout
    refused = crown("pictures", "--retry", code=1)
    assert "None of these pictures failed" in refused.stderr
