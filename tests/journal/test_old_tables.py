"""CrownPipe's audit tables as views: the old names and columns, filled from the activity trail and the ledger."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

# Facts of CrownPipe's schema.sql: column names and types in order.
OLD_COLUMNS = {
    "audit.product_audit": [
        ("id", "bigint"),
        ("product_number", "character varying"),
        ("timestamp", "timestamp with time zone"),
        ("user_id", "character varying"),
        ("action", "character varying"),
        ("details", "text"),
        ("source_file", "character varying"),
        ("execution_time_ms", "integer"),
        ("context", "jsonb"),
    ],
    "audit.format_history": [
        ("id", "bigint"),
        ("product_number", "character varying"),
        ("format_name", "character varying"),
        ("generated_at", "timestamp with time zone"),
        ("file_path", "text"),
        ("file_size_bytes", "bigint"),
    ],
    "audit.production_sync": [
        ("id", "bigint"),
        ("product_number", "character varying"),
        ("synced_at", "timestamp with time zone"),
        ("files_synced", "integer"),
        ("total_bytes", "bigint"),
    ],
    "logs.pipeline_logs": [
        ("id", "bigint"),
        ("timestamp", "timestamp with time zone"),
        ("level", "character varying"),
        ("pipeline", "character varying"),
        ("module", "character varying"),
        ("message", "text"),
        ("context", "jsonb"),
        ("exception", "text"),
        ("user_id", "character varying"),
        ("execution_time_ms", "integer"),
    ],
}


def make(connection: Connection, asset: str, key: str, path: str, size: int, **more: str | None) -> None:
    """Enter an output as the ledger does, with the recipe it needs."""
    connection.execute(
        text(
            "insert into ledger.recipes (recipe, asset, name, body) values ('r', 'a', 'n', '{}') on conflict do nothing"
        )
    )
    connection.execute(
        text(
            "insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, run_id)"
            " values (:asset, :key, gen_random_uuid()::text, 'h', 'media', :path, :size, 'r', :run_id)"
        ),
        {"asset": asset, "key": key, "path": path, "size": size, "run_id": more.get("run_id")},
    )


@pytest.mark.parametrize("name", OLD_COLUMNS)
def test_an_old_table_keeps_its_name_columns_and_types(engine: Engine, name: str) -> None:
    schema, table = name.split(".")
    with engine.connect() as connection:
        found = connection.execute(
            text(
                "select column_name, data_type from information_schema.columns"
                " where table_schema = :schema and table_name = :table order by ordinal_position"
            ),
            {"schema": schema, "table": table},
        ).all()
    assert [tuple(row) for row in found][: len(OLD_COLUMNS[name])] == OLD_COLUMNS[name]


def test_every_rendition_is_a_row_of_format_history(engine: Engine) -> None:
    with engine.begin() as connection:
        make(
            connection,
            "product_images/renditions/web",
            "AB_12_3/1000x1000_72dpi_jpeg",
            "products/AB_12/formats/web/AB_12_3_1000x1000_72dpi_jpeg.jpg",
            100,
        )
        make(
            connection,
            "product_images/renditions/print",
            "52000123/2500_longest_300dpi_tiff",
            "products/52000123/formats/print/52000123_2500_longest_300dpi_tiff.tif",
            200,
        )
        make(connection, "product_images/cutouts", "52000123", "review/bg_removed/52000123.png", 300)
        rows = connection.execute(
            text(
                "select product_number, format_name, file_path, file_size_bytes"
                " from audit.format_history order by file_size_bytes"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        (
            "AB_12",
            "web/1000x1000_72dpi_jpeg",
            "products/AB_12/formats/web/AB_12_3_1000x1000_72dpi_jpeg.jpg",
            100,
        ),
        (
            "52000123",
            "print/2500_longest_300dpi_tiff",
            "products/52000123/formats/print/52000123_2500_longest_300dpi_tiff.tif",
            200,
        ),
    ]


def test_production_sync_has_one_row_per_product_and_run_that_published(engine: Engine) -> None:
    with engine.begin() as connection:
        for key, path, run_id in (
            ("1/a", "1/web/1_a.jpg", "run-1"),
            ("1_2/a", "1/web/1_2_a.jpg", "run-1"),
            ("2/a", "2/web/2_a.jpg", "run-1"),
            ("1/b", "1/web/1_b.jpg", "run-2"),
        ):
            make(connection, "product_images/production", key, path, 10, run_id=run_id)
        rows = connection.execute(
            text(
                "select product_number, files_synced, total_bytes from audit.production_sync order by 1, 2 desc"
            )
        ).all()
    assert [tuple(row) for row in rows] == [("1", 2, 20), ("1", 1, 10), ("2", 1, 10)]


def test_a_query_for_the_media_pipeline_finds_the_records_of_product_images(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into logs.records (level, department, module, message) values"
                " ('INFO', 'product_images', 'crown', 'a picture'), ('INFO', 'product_data', 'crown', 'a number'),"
                " ('INFO', 'art_records', 'crown', 'a work'), ('INFO', null, 'crown', 'nobody')"
            )
        )
        rows = connection.execute(
            text("select pipeline, message from logs.pipeline_logs order by message desc")
        ).all()
        query = "select message from logs.pipeline_logs where pipeline = 'media'"
        assert connection.execute(text(query)).scalars().all() == ["a picture"]
        connection.execute(text("set local enable_seqscan = off"))
        plan = "\n".join(connection.execute(text(f"explain {query}")).scalars())
    assert [tuple(row) for row in rows] == [
        (None, "nobody"),
        ("art_records", "a work"),
        ("media", "a picture"),
        ("data", "a number"),
    ]
    assert "pipeline_logs_old_pipeline" in plan


@pytest.mark.parametrize(
    "statement", ["update journal.activity set who = 'x'", "delete from journal.activity"]
)
def test_the_activity_trail_cannot_be_rewritten(engine: Engine, statement: str) -> None:
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="append-only"):
        connection.execute(text(statement))
