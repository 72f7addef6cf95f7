"""What the tests of rehearsals share: a workspace with weights of another model, and what is read from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from crown.database.engine import connect
from crown.product_images.rehearsal import trial
from crown.product_images.rehearsal.records import Rehearsal, Result
from crown.product_images.rehearsal.trial import Selection
from crown.product_images.share import review
from crown.product_images.workspace import CUTOUTS, Workspace, open_workspace
from crown.settings.model import load_settings
from tests.product_images.flow import hashes, published

#: Cut out by hand: every model gives the same bytes. Drawn: the two models differ. Too small for any model.
KEPT, DRAWN, TINY = "52000200", "52000201", "52000202"
OTHER = "u2netp"
EVERYTHING = Selection(everything=True)


def open_at(url: str, home: Path, **more: str) -> Workspace:
    settings = {
        "CROWN_HOME": str(home),
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_SPECS": "64x64_72dpi_jpeg",
        "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR": str(home / "weights"),
        **more,
    }
    return open_workspace(connect(url), load_settings(settings, None))


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


def share(workspace: Workspace) -> dict[str, str]:
    return hashes(workspace.settings.media) | published(workspace)


def verdicts(workspace: Workspace, photo: str) -> list[tuple[str, str, str]]:
    with workspace.engine.connect() as connection:
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


def standing(workspace: Workspace) -> dict[str, tuple[str, str | None]]:
    """Model of each photo's current cut-out, and what is said of it."""
    with workspace.engine.connect() as connection:
        models = connection.execute(
            text(
                "select i.key, q.body ->> 'model' from ledger.items i join ledger.outputs m using (output_id)"
                " join ledger.recipes q on q.recipe = m.recipe where i.asset = :asset and i.state = 'current'"
            ),
            {"asset": CUTOUTS},
        ).all()
    said = {cutout.photo: cutout.verdict for cutout in review.cutouts(workspace)}
    return {photo: (model, said.get(photo)) for photo, model in models}


def rehearse(workspace: Workspace, selection: Selection = EVERYTHING, model: str = OTHER) -> Rehearsal:
    return trial.rehearse(workspace, model, selection, who="eva")
