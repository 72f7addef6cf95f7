"""What the tests of rehearsals share: a room with weights of another model, and what is read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from crown.database.engine import connect
from crown.product_images import review
from crown.product_images.rehearsal_records import Rehearsal, Result
from crown.product_images.room import CUTOUTS, Room, open_room
from crown.settings import load_settings
from tests.product_images.flow import hashes, published

#: Cut out by hand: every model gives the same bytes. Drawn: the two models differ. Too small for any model.
KEPT, DRAWN, TINY = "52000200", "52000201", "52000202"
OTHER = "u2netp"


def open_at(url: str, home: Path, **more: str) -> Room:
    settings = {
        "CROWN_HOME": str(home),
        "CROWN_WORKERS": "1",
        "CROWN_SPECS": "64x64_72dpi_jpeg",
        "CROWN_WEIGHTS_DIR": str(home / "weights"),
        **more,
    }
    return open_room(connect(url), load_settings(settings, None))


def by_photo(found: Rehearsal) -> dict[str, Result]:
    return {result.photo: result for result in found.results}


def contents(engine: Engine) -> dict[str, Any]:
    """Every row of the ledger and of the department, but for what rehearsals remember."""
    with engine.connect() as connection:
        tables = connection.execute(
            text(
                "select schemaname || '.' || tablename from pg_tables where schemaname in ('ledger', 'product_images')"
                " and tablename not like 'rehearsal%'"
            )
        ).scalars()
        return {
            table: sorted(connection.execute(text(f"select t::text from {table} t")).scalars())
            for table in list(tables)
        }


def share(room: Room) -> dict[str, str]:
    return hashes(room.settings.media) | published(room)


def verdicts(room: Room, photo: str) -> list[tuple[str, str, str]]:
    with room.engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                text(
                    "select verdict, who, coalesce(reason, '') from ledger.decisions"
                    " where stage = :stage and subject = :photo order by decision_id"
                ),
                {"stage": CUTOUTS, "photo": photo},
            )
        ]


def standing(room: Room) -> dict[str, tuple[str, str | None]]:
    """Model of each photo's current cut-out, and what is said of it."""
    with room.engine.connect() as connection:
        models = connection.execute(
            text(
                "select i.key, q.body ->> 'model' from ledger.items i join ledger.makings m using (making_id)"
                " join ledger.recipes q on q.recipe = m.recipe where i.asset = :asset and i.state = 'current'"
            ),
            {"asset": CUTOUTS},
        ).all()
    said = {cutout.photo: cutout.verdict for cutout in review.cutouts(room)}
    return {photo: (model, said.get(photo)) for photo, model in models}
