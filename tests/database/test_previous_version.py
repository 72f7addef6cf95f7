"""A ledger of the version before the restructuring: migrated, everything in it is current and nothing is made again."""

from __future__ import annotations

import json

from sqlalchemy import text

from crown.database.migrations import migrate
from crown.ledger import lineage, planning
from crown.ledger.locks import lock_assets
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe
from tests.conftest import database_at

PHOTO, CUTOUT = "product_images/photos", "product_images/cutouts"
RECIPES = (
    Recipe(PHOTO, "photo", {"version": 1}),
    Recipe(CUTOUT, "cut_out", {"version": 2, "model": "studio"}),
)
#: 500 photos and a cut-out of each, in the words of that version.
_MADE = """
insert into ledger.makings (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, run_id)
select :photo, 'p' || n, ledger.fingerprint(:by_photo, array['bytes ' || n]), 'bytes ' || n, 'objects', 'bytes ' || n, n,
       :by_photo, 'run' from generate_series(1, 500) n;
insert into ledger.makings (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, run_id)
select :cutout, key, ledger.fingerprint(:by_cutout, array[content_hash]), 'cut ' || key, 'objects', 'cut ' || key, 9,
       :by_cutout, 'run' from ledger.makings where asset = :photo;
insert into ledger.making_inputs (making_id, input_id, position, role)
select c.making_id, p.making_id, 1, 'photo' from ledger.makings c join ledger.makings p using (key)
where c.asset = :cutout and p.asset = :photo;
insert into ledger.items (asset, key, state, wanted, recipe, inputs, making_id, made)
select m.asset, m.key, 'current', m.fingerprint, m.recipe,
       coalesce((select array_agg(i.input_id) from ledger.making_inputs i where i.making_id = m.making_id), '{}'),
       m.making_id, m.fingerprint from ledger.makings m;
"""
#: What today's stages would say of the same photos.
_WANTED = {
    PHOTO: "select 'p' || n as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,"
    " array['bytes ' || n] as input_hashes, cast(null as text) as waiting_for, cast(null as bigint) as decision_id"
    " from generate_series(1, 500) n",
    CUTOUT: "select key, cast(:recipe as text) as recipe, array[output_id] as inputs, array[content_hash] as input_hashes,"
    " cast(null as text) as waiting_for, cast(null as bigint) as decision_id"
    f" from ledger.outputs where asset = '{PHOTO}'",
}


def test_what_the_previous_version_made_is_current_and_is_not_made_again(server_url: str) -> None:
    photo, cutout = RECIPES
    values = {"photo": PHOTO, "cutout": CUTOUT, "by_photo": photo.hash, "by_cutout": cutout.hash}
    with database_at(server_url, "0020_flow") as engine:
        with engine.begin() as connection:
            for one in RECIPES:
                connection.execute(
                    text(
                        "insert into ledger.recipes (recipe, asset, name, body) values (:r, :a, :n, cast(:b as jsonb))"
                    ),
                    {"r": one.hash, "a": one.asset, "n": one.name, "b": json.dumps(one.body)},
                )
            for statement in _MADE.strip().removesuffix(";").split(";\n"):
                connection.execute(text(statement), values)
        migrate(engine)
        with engine.begin() as connection:
            lock_assets(connection, [PHOTO, CUTOUT])
            for one in RECIPES:
                planned = planning.plan(
                    connection, one.asset, _WANTED[one.asset], {"recipe": one.hash}, inputs_decide=True
                )
                assert planned == Plan(), f"{one.asset} would be made again"
            states = connection.execute(
                text("select state, count(*) from ledger.items group by state")
            ).tuples()
            assert dict(states.all()) == {"current": 1000}
            last = text("select output_id from ledger.outputs where asset = :asset and key = 'p500'")
            newest = connection.execute(last, {"asset": CUTOUT}).scalar_one()
            _, made_of = lineage.back(connection, newest)
            assert (made_of["asset"], made_of["key"]) == (PHOTO, "p500")
