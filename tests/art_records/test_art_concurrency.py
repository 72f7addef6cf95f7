"""Writers that wait for each other: nobody writes over what he has not seen, and the history knows every value."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from crown.art_records.acts import local
from crown.art_records.checks import run_checks
from crown.art_records.history.syncing import sync
from crown.art_records.history.writing import as_writer
from crown.art_records.tables import LOCK
from crown.database.engine import connect
from crown.errors import Refused

from .conftest import FEW, ArtTables, distributor_row, edition_row, print_row, rid

DAY = date(2025, 11, 3)
ONE = rid("E", 1)
REPLAY = ("prints_replay", "distributors_replay", "editions_replay")


@pytest.fixture
def stocked(art_records: ArtTables) -> ArtTables:
    """Edition 1, printed, for £90 in the Amber Room; the Quay is another place."""
    art_records.sync(
        prints=[print_row(1)],
        distributors=[
            distributor_row(1, "Amber Room", Commission="40%"),
            distributor_row(2, "Quay", Commission="30%"),
        ],
        editions=[row()],
    )
    return art_records


def row(**cells: str) -> dict[str, str]:
    return edition_row(1, at=1, Printed="checked", **({"Retail Price": "£90.00"} | cells))


@contextmanager
def writing(engine: Engine) -> Iterator[Any]:
    """A transaction that holds the writers' lock from its first statement on."""
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        yield connection


class Waiters:
    """Acts in threads and connections of their own; `start` returns when the act is about to wait for the lock."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = ThreadPoolExecutor(8)
        self._engines: list[Engine] = []

    def start(self, act: Callable[[Engine], Any]) -> Future[Any]:
        engine = connect(self._url)
        self._engines.append(engine)
        at_the_lock = threading.Event()

        @event.listens_for(engine, "before_cursor_execute")
        def _(_c: Any, _cursor: Any, statement: str, *_more: Any) -> None:
            if "advisory" in statement or statement.startswith("update art.editions"):
                at_the_lock.set()

        done = self._pool.submit(act, engine)
        done.add_done_callback(lambda _: at_the_lock.set())
        assert at_the_lock.wait(60)
        return done

    def statement(self, sql: str) -> Future[Any]:
        """An SQL statement of a person in psql; returns when it has read the row that it changes.

        The statement calls `pg_temp.reading(value)`: the server's notice tells that the row is in its hands.
        """
        engine = connect(self._url)
        self._engines.append(engine)
        has_read = threading.Event()

        def act() -> list[Any]:
            with engine.begin() as connection:
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.add_notice_handler(lambda _: has_read.set())
                connection.execute(
                    text("""
                        create function pg_temp.reading(value anyelement) returns anyelement language plpgsql as
                        $$ begin raise notice 'read'; return value; end $$
                    """)
                )
                found = connection.execute(text(sql))
                return [tuple(r) for r in found] if found.returns_rows else []

        done = self._pool.submit(act)
        done.add_done_callback(lambda _: has_read.set())
        assert has_read.wait(60)
        return done

    def close(self) -> None:
        self._pool.shutdown()
        for engine in self._engines:
            engine.dispose()


@pytest.fixture
def waiters(database_url: str) -> Iterator[Waiters]:
    found = Waiters(database_url)
    yield found
    found.close()


def history_explains_the_art_records(art_records: ArtTables) -> bool:
    return all(result.passed for result in run_checks(art_records.engine, REPLAY))


# ---- lost update ------------------------------------------------------------------------------------------


def test_a_statement_that_waits_writes_only_the_fields_that_it_names(
    stocked: ArtTables, waiters: Waiters
) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.statement(
            "update art.editions set size = pg_temp.reading('Large'::text) returning size, retail_price"
        )
        connection.execute(text("update art.editions set retail_price = 95, is_sold = true"))
    assert waiting.result(60) == [("Large", Decimal("95.00"))]
    assert stocked.rows("select size, retail_price, is_sold from art.editions") == [
        ("Large", Decimal("95.00"), True)
    ]
    assert history_explains_the_art_records(stocked)


def test_a_statement_on_a_field_that_another_wrote_meanwhile_is_refused_with_his_name(
    stocked: ArtTables, waiters: Waiters
) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.statement("update art.editions set retail_price = pg_temp.reading(100.0)")
        connection.execute(text("select set_config('crown.who', 'ann', true)"))
        connection.execute(text("update art.editions set retail_price = 95"))
    with pytest.raises(
        DBAPIError, match=rf"retail_price of {ONE} was changed by ann in sync 2 while this waited"
    ):
        waiting.result(60)
    assert stocked.value(1, "retail_price") == Decimal("95.00")
    assert history_explains_the_art_records(stocked)


def test_a_deletion_that_waits_keeps_what_the_other_wrote(stocked: ArtTables, waiters: Waiters) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.statement("delete from art.editions where pg_temp.reading(true)")
        connection.execute(text("update art.editions set retail_price = 95"))
    waiting.result(60)
    assert stocked.rows("select is_active, retail_price from art.editions") == [(False, Decimal("95.00"))]
    assert history_explains_the_art_records(stocked)


@pytest.mark.parametrize(
    ("act", "kept"),
    [
        (lambda e: local.sell(e, ONE, who="ann", sold_on=DAY), {"is_sold": True, "date_sold": DAY}),
        (lambda e: local.move(e, ONE, "Quay", who="ann", on=DAY), {"distributor_id": rid("D", 2)}),
        (lambda e: local.edit(e, "editions", ONE, {"frame_type": "Framed"}, who="ann"), {"frame_type": "Framed"}),
    ],
)  # fmt: skip
def test_an_act_that_waits_for_another_writer_keeps_both(
    stocked: ArtTables, waiters: Waiters, act: Callable[[Engine], Any], kept: dict[str, Any]
) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.start(act)
        connection.execute(text("update art.editions set retail_price = 95, size = 'Small'"))
    waiting.result(60)
    expected = kept | {"retail_price": Decimal("95.00"), "size": "Small"}
    assert {name: stocked.value(1, name) for name in expected} == expected
    assert history_explains_the_art_records(stocked)


def test_a_sale_at_the_price_of_the_art_records_takes_the_price_that_stands_when_its_turn_comes(
    stocked: ArtTables, waiters: Waiters
) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.start(lambda e: local.sell(e, ONE, who="ann", sold_on=DAY))
        connection.execute(text("update art.editions set retail_price = 95, commission_percentage = 10"))
    waiting.result(60)
    assert stocked.rows("select retail_price, commission_percentage, invoice_amount from art.editions") == [
        (Decimal("95.00"), Decimal("10.00"), Decimal("85.50"))
    ]


def test_a_sync_and_a_statement_that_wait_for_each_other_lose_nothing(
    stocked: ArtTables, waiters: Waiters
) -> None:
    files = {"editions": stocked.file("editions", [row(**{"Retail Price": "£95.00", "Notes": "seen"})])}

    def act(engine: Engine) -> Any:
        return sync(engine, files, "merge", objects=stocked.objects, who="job", apply=True, limits=FEW)

    with writing(stocked.engine) as connection:
        export = waiters.start(act)
        connection.execute(text("update art.editions set size = 'Large'"))
        by_hand = waiters.statement("update art.editions set frame_type = pg_temp.reading('Framed'::text)")
    assert export.result(60).applied
    by_hand.result(60)
    fields = "size, frame_type, retail_price, notes"
    assert stocked.rows(f"select {fields} from art.editions") == [
        ("Large", "Framed", Decimal("95.00"), "seen")
    ]
    assert history_explains_the_art_records(stocked)


# ---- sold twice -------------------------------------------------------------------------------------------


def test_of_two_sales_that_wait_exactly_one_wins_and_the_other_is_told_by_whom_and_when(
    stocked: ArtTables, waiters: Waiters
) -> None:
    with writing(stocked.engine):
        sales = {
            who: waiters.start(lambda e, who=who: local.sell(e, ONE, who=who, sold_on=DAY))
            for who in ("ann", "bob", "cid")
        }
    refused = {who: sale.exception(60) for who, sale in sales.items()}
    [winner] = [who for who, error in refused.items() if error is None]
    when = stocked.one("select completed_at from art.syncs where sync_type = 'manual'").astimezone()
    said = f"sold already: on 2025-11-03, entered by {winner} at {when:%Y-%m-%d %H:%M} (sync 2)"
    for who in refused.keys() - {winner}:
        assert isinstance(refused[who], Refused)
        assert said in str(refused[who])
    assert stocked.one("select count(*) from art.changes where field = 'is_sold'") == 1
    assert stocked.rows("select who from journal.activity where what = 'sell'") == [(winner,)]


def test_of_two_settlements_that_wait_exactly_one_wins(stocked: ArtTables, waiters: Waiters) -> None:
    local.sell(stocked.engine, ONE, who="ann", sold_on=DAY)
    with writing(stocked.engine):
        acts = [
            waiters.start(lambda e, w=who: local.settle(e, ONE, who=w, paid_on=DAY)) for who in ("bob", "cid")
        ]
    errors = [act.exception(60) for act in acts]
    assert sorted(type(e).__name__ for e in errors) == ["NoneType", "Refused"]
    winner = stocked.one("select who from journal.activity where what = 'settle'")
    assert f"settled already, entered by {winner} at" in str(next(e for e in errors if e))


def test_a_sale_by_statement_that_waits_for_another_sale_is_refused(
    stocked: ArtTables, waiters: Waiters
) -> None:
    with writing(stocked.engine) as connection:
        waiting = waiters.statement(
            "update art.editions set is_sold = pg_temp.reading(true), date_sold = '2025-11-04' where not is_sold"
        )
        connection.execute(text("update art.editions set is_sold = true, date_sold = '2025-11-03'"))
    with pytest.raises(DBAPIError, match=r"was changed by .* in sync 2"):
        waiting.result(60)
    assert stocked.value(1, "date_sold") == DAY


# ---- the check --------------------------------------------------------------------------------------------


def test_the_replay_check_names_a_row_that_its_history_does_not_explain(stocked: ArtTables) -> None:
    local.edit(stocked.engine, "editions", ONE, {"retail_price": "95"}, who="ann")
    assert history_explains_the_art_records(stocked)
    with stocked.engine.begin() as connection, as_writer(connection):
        connection.execute(
            text("update art.edition_versions set retail_price = 90 where valid_to_sync is null")
        )
    [fault] = [result for result in run_checks(stocked.engine, REPLAY) if not result.passed]
    assert (fault.check.name, fault.examples) == (
        "editions_replay", [(ONE, "retail_price: the row does not hold what the history says last")])  # fmt: skip


def test_the_replay_check_names_an_act_that_wrote_over_an_unknown_value(stocked: ArtTables) -> None:
    local.edit(stocked.engine, "editions", ONE, {"retail_price": "95"}, who="ann")
    local.edit(stocked.engine, "editions", ONE, {"retail_price": "99"}, who="bob")
    with stocked.engine.begin() as connection, as_writer(connection):
        connection.execute(text("update art.changes set old_value = '90' where sync_number = 3"))
    [fault] = [result for result in run_checks(stocked.engine, REPLAY) if not result.passed]
    assert fault.examples == [(ONE, "retail_price: sync 3 wrote over a value that the history does not know")]
