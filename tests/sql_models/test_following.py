"""What is built again: a model follows tables that have become another, not ones that were made again the same."""

from __future__ import annotations

import dagster as dg

from crown_assets.sql_models.assets import FOLLOWS


def test_the_same_bytes_build_no_model_again_and_a_change_builds_the_chain() -> None:
    version = {"art_records": "sync 1"}

    @dg.asset
    def art_records() -> dg.MaterializeResult:
        return dg.MaterializeResult(data_version=dg.DataVersion(version["art_records"]))

    @dg.asset(deps=[art_records], code_version="1", automation_condition=FOLLOWS)
    def staged() -> None: ...

    @dg.asset(deps=[staged], code_version="1", automation_condition=FOLLOWS)
    def mart() -> None: ...

    defs = dg.Definitions(assets=[art_records, staged, mart])
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = None

        def wanted() -> list[str]:
            nonlocal cursor
            found = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=cursor)
            cursor = found.cursor
            return [name for name in ("staged", "mart") if found.get_num_requested(dg.AssetKey(name))]

        dg.materialize([art_records, staged, mart], instance=instance)
        wanted()
        assert wanted() == []
        dg.materialize([art_records], instance=instance)
        assert wanted() == [], "the same bytes"
        version["art_records"] = "sync 2"
        dg.materialize([art_records], instance=instance)
        assert wanted() == ["staged", "mart"], "both in one run"
        dg.materialize([staged, mart], selection=[staged, mart], instance=instance)
        assert wanted() == []
