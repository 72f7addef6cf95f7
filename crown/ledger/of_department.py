"""The ledger's rows of one department: counted, removed. Only development removes them; production keeps all for ever."""

from __future__ import annotations

from sqlalchemy import Connection, text

_OUTPUTS = "(select output_id from ledger.outputs where starts_with(asset, :prefix))"
#: By table, in an order in which they can be removed.
ROWS = {
    "ledger.output_inputs": f"output_id in {_OUTPUTS} or input_id in {_OUTPUTS}",
    "ledger.files": f"output_id in {_OUTPUTS}",
    "ledger.items": "starts_with(asset, :prefix)",
    "ledger.outputs": "starts_with(asset, :prefix)",
    "ledger.recipes": "starts_with(asset, :prefix)",
    "ledger.plans": "starts_with(stage, :prefix)",
    "ledger.decisions": "starts_with(stage, :prefix)",
    "ledger.cursors": "starts_with(source, :prefix)",
}


def count(connection: Connection, department: str) -> dict[str, int]:
    """Rows of a department by table of the ledger."""
    return {
        table: connection.execute(
            text(f"select count(*) from {table} where {condition}"), {"prefix": f"{department}/"}
        ).scalar_one()
        for table, condition in ROWS.items()
    }


def remove(connection: Connection, department: str) -> dict[str, int]:
    """Remove a department's rows in the caller's transaction; returns how many by table."""
    return {
        table: connection.execute(
            text(f"delete from {table} where {condition}"), {"prefix": f"{department}/"}
        ).rowcount
        for table, condition in ROWS.items()
    }
