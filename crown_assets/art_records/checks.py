"""Standing checks on the art tables: questions, formulas and quarantine of the domain code, each as an asset check.

They look at the art tables as they are, so they may be asked again at any time, also after work on the command line.
Whether the newest export was applied is checked in assets.py.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from crown.art_records.checks import CHECKS, CheckResult, run_checks, withheld
from crown.art_records.exports.oracles import Oracle, formula_oracles
from crown.art_records.exports.quarantine import quarantined
from crown.art_records.summary import ART_RECORDS
from crown.art_records.tables import ENTITIES
from crown.art_records.wording import named
from crown.art_records.workspace import CLEAN, TABLES
from crown.flow.summary import Freshness
from crown_assets.factories import data_is_fresh, freshness_check, key, sentences_as_failures
from resources.workspaces import ArtRecordsResource

VALUES = "values_pass_their_rules"
#: Questions that are not about editions, by the table that they are about.
_ABOUT = {
    "same_print_name": "prints",
    "oversold": "prints",
    **{f"{table}_replay": table for table in ENTITIES},
}
#: Asked of each table by its own check, VALUES.
_ASKED_ELSEWHERE = {withheld(table) for table in ENTITIES}
#: The export's own formulas, by the table whose export carries them; see oracles.py of the domain code.
FORMULAS = {
    "editions": ("Invoice Amount", "Commissions", "Month Sold", "Year Sold", "Weeks in Gallery"),
    "distributors": ("Net Revenue", "Retail Amount Sold", "Distributor Revenue"),
}
_SEVERITY = {"error": dg.AssetCheckSeverity.ERROR, "warning": dg.AssetCheckSeverity.WARN}


def _formula(column: str) -> str:
    return f"formula_{column.lower().replace(' ', '_')}"


def _questions(table: str) -> dict[str, str]:
    """Name and sentence of each question on a table."""
    return {
        check.name: check.says
        for check in CHECKS
        if _ABOUT.get(check.name, "editions") == table and check.name not in _ASKED_ELSEWHERE
    }


def _build(table: str) -> dg.AssetChecksDefinition:
    questions, formulas = _questions(table), FORMULAS.get(table, ())
    asset = key(TABLES[table])

    @dg.multi_asset_check(
        name=f"{TABLES[table].replace('/', '__')}_checks",
        specs=[
            *(dg.AssetCheckSpec(name, asset=asset, description=says) for name, says in questions.items()),
            *(
                dg.AssetCheckSpec(
                    _formula(column),
                    asset=asset,
                    description=f"Our figures are those of the export's column {column}, row by row.",
                )
                for column in formulas
            ),
        ],
        can_subset=True,
    )
    def checks(
        context: dg.AssetCheckExecutionContext, art: ArtRecordsResource
    ) -> Iterator[dg.AssetCheckResult]:
        chosen = {check.name for check in context.selected_asset_check_keys}
        with sentences_as_failures(), art.workspace() as workspace:
            names = tuple(name for name in questions if name in chosen)
            for result in run_checks(workspace.engine, names) if names else ():
                yield _answered(asset, result)
            wanted = [column for column in formulas if _formula(column) in chosen]
            results = formula_oracles(workspace.engine, workspace.objects, [table]) if wanted else []
            by_column = {oracle.column: oracle for oracle in results}
            for column in wanted:
                yield _compared(asset, column, by_column.get(column))

    return checks


def _answered(
    asset: dg.AssetKey, result: CheckResult, name: str | None = None, **more: Any
) -> dg.AssetCheckResult:
    rows = "\n".join(f"| {named(record, result.names)} | {detail} |" for record, detail in result.examples)
    return dg.AssetCheckResult(
        passed=result.passed,
        check_name=name or result.check.name,
        asset_key=asset,
        severity=_SEVERITY[result.check.severity],
        description=_said(result),
        metadata={
            "records": result.count,
            "new": result.new,
            "known": result.known or "nothing accepted",
            "money": float(result.money),
            "some_of_them": dg.MetadataValue.md(f"| record | what |\n| --- | --- |\n{rows}"),
            **more,
        },
    )


def _said(result: CheckResult) -> str | None:
    known = f"{result.known}." if result.known else ""
    if result.passed:
        return known or None
    return f"{result.new:,} records need a look. {known}".strip()


def _compared(asset: dg.AssetKey, column: str, oracle: Oracle | None) -> dg.AssetCheckResult:
    if oracle is None:
        said = "No export in the art tables carries this column; there is nothing to compare."
        return dg.AssetCheckResult(
            passed=True, check_name=_formula(column), asset_key=asset, description=said
        )
    return dg.AssetCheckResult(
        passed=oracle.passed,
        check_name=_formula(column),
        asset_key=asset,
        description=oracle.sentence() or oracle.known,
        metadata={
            "rows": oracle.rows,
            "equal": oracle.equal,
            "excused": oracle.excused,
            "differ": len(oracle.wrong),
            "record_ours_export": dg.MetadataValue.json(oracle.as_dict()["examples"]),
            **(
                {"exception": oracle.exception, "signed": oracle.exemption.signed or "nobody yet"}
                if oracle.exemption
                else {}
            ),
        },
    )


def _values(table: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key(CLEAN[table]),
        name=VALUES,
        description=f"No value of the newest {table} in the art tables waits in quarantine, unless a person accepted it.",
    )
    def values_pass_their_rules(art: ArtRecordsResource) -> dg.AssetCheckResult:
        with sentences_as_failures(), art.workspace() as workspace:
            (result,) = run_checks(workspace.engine, (withheld(table),))
            rows = quarantined(workspace.engine, table=table, outcome="withheld")
        by_rule = Counter(row["rule"] for row in rows)
        return _answered(key(CLEAN[table]), result, VALUES, by_rule=dg.MetadataValue.json(dict(by_rule)))

    return values_pass_their_rules


def _freshness(table: str) -> dg.AssetChecksDefinition:
    asset = TABLES[table]

    @dg.multi_asset_check(
        name=f"{asset.replace('/', '__')}_freshness", specs=[freshness_check(asset, "newest export")]
    )
    def data_is_recent(art: ArtRecordsResource) -> Iterator[dg.AssetCheckResult]:
        with sentences_as_failures(), art.workspace() as workspace, workspace.engine.connect() as connection:
            dates = {one.asset: one for one in ART_RECORDS.freshness(connection)}
        yield data_is_fresh(dates.get(asset, Freshness(asset, "newest export", None)))

    return data_is_recent


BOOK_CHECKS = [_build(table) for table in ENTITIES if _questions(table) or FORMULAS.get(table)]
VALUE_CHECKS = [_values(table) for table in ENTITIES]
FRESHNESS_CHECKS = [_freshness(table) for table in ENTITIES]
