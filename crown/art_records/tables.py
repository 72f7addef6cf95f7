"""The tables of schema `art` as SQLAlchemy Core, and the three kinds of record with their fields.

Belongs here: names and types, as the migration makes them (a test compares the two). The readable relations
art.prints, art.distributors and art.editions are views over the open versions; writing to them by hand makes
a version too. Does not belong here: what a value may be (`cleaning.py`) and how it gets there (`writing.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

metadata = MetaData(schema="art")

LOCK = 7_263_210
"""Advisory lock that everyone holds who writes art.*: sync numbers follow the order of commits."""

RECORD_ID = re.compile(
    r"rec[A-Za-z0-9]{14}|WEB_[0-9A-Za-z]{12}|WEB_\S{10,60}|web_[0-9]{10,16}[0-9A-Za-z_-]{1,20}"
)
"""Airtable's own ids, then the three forms of records born elsewhere (print, edition, web page)."""

BOOKKEEPING = (
    "is_active", "close_reason", "valid_from_sync", "valid_to_sync", "op", "source", "row_hash", "sync_version",
    "created_sync", "exported_sync",
)  # fmt: skip
PERSONAL = frozenset({"notes", "payment_note", "contact_number"})
"""Fields that hold people's names and numbers: masked wherever a change is shown."""

APPLIED = ("completed", "rolling_back", "rollback_failed", "partly_rolled_back")
"""States of a sync whose changes (at least in part) are in the art tables."""


@dataclass(frozen=True)
class Entity:
    """One kind of record: its view, its version table and what of it is compared between two states."""

    name: str
    singular: str
    versions: Table
    fields: tuple[str, ...]
    shown_only: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every value column of the version table but the identity, compared or not."""
        return self.shown_only + self.fields


def _versions(name: str, *columns: Column) -> Table:
    return Table(
        name,
        metadata,
        Column("airtable_id", Text, primary_key=True),
        *columns,
        Column("is_active", Boolean, nullable=False),
        Column("close_reason", Text),
        Column("valid_from_sync", BigInteger, primary_key=True),
        Column("valid_to_sync", BigInteger),
        Column("op", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("row_hash", BigInteger),
        Column("sync_version", Integer, nullable=False),
        Column("created_sync", BigInteger, nullable=False),
        Column("exported_sync", BigInteger),
    )


PRINTS = Entity(
    name="prints",
    singular="print",
    versions=_versions(
        "print_versions",
        Column("name", Text),
        Column("short_name", Text),
        Column("description", Text),
        Column("total_editions", Integer),
        Column("web_link", Text),
        Column("notes", Text),
        Column("image_names", ARRAY(Text)),
        Column("image_urls", ARRAY(Text)),
        Column("primary_image_path", Text),
    ),
    fields=("name", "short_name", "description", "total_editions", "web_link", "notes", "image_names",
            "primary_image_path"),
    # A picture's address is signed and dies within hours: a new one is no change of the print.
    shown_only=("image_urls",),
)  # fmt: skip

DISTRIBUTORS = Entity(
    name="distributors",
    singular="distributor",
    versions=_versions(
        "distributor_versions",
        Column("name", Text),
        Column("kind", Text),
        Column("commission_percentage", Numeric(5, 2)),
        Column("notes", Text),
        Column("contact_number", Text),
        Column("web_address", Text),
        Column("last_update_date", Date),
        Column("image_names", ARRAY(Text)),
        Column("net_revenue", Numeric(12, 2)),
        Column("distributor_revenue", Numeric(12, 2)),
        Column("retail_amount_sold", Numeric(12, 2)),
        Column("net_revenue_unpaid", Numeric(12, 2)),
        Column("net_revenue_unpaid_by_invoice_month", Numeric(12, 2)),
    ),
    fields=("name", "kind", "commission_percentage", "notes", "contact_number", "web_address",
            "last_update_date", "image_names", "net_revenue", "distributor_revenue", "retail_amount_sold",
            "net_revenue_unpaid", "net_revenue_unpaid_by_invoice_month"),
    shown_only=(),
)  # fmt: skip

EDITIONS = Entity(
    name="editions",
    singular="edition",
    versions=_versions(
        "edition_versions",
        Column("exported_name", Text),
        Column("print_id", Text),
        Column("other_print_ids", ARRAY(Text)),
        Column("distributor_id", Text),
        Column("edition_number", Integer),
        Column("size", Text),
        Column("frame_type", Text),
        Column("variation", Text),
        Column("is_printed", Boolean),
        Column("is_sold", Boolean),
        Column("is_settled", Boolean),
        Column("is_stock_checked", Boolean),
        Column("to_check_in_detail", Boolean),
        Column("retail_price", Numeric(10, 2)),
        Column("date_sold", Date),
        Column("commission_percentage", Numeric(5, 2)),
        Column("date_in_gallery", Date),
        Column("notes", Text),
        Column("payment_note", Text),
        Column("date_settled", Date),
    ),
    # No export carries the day of a payment. First, it leaves the hashes of rows as they were before it came.
    fields=("date_settled", "print_id", "other_print_ids", "distributor_id", "edition_number", "size", "frame_type",
            "variation", "is_printed", "is_sold", "is_settled", "is_stock_checked", "to_check_in_detail",
            "retail_price", "date_sold", "commission_percentage", "date_in_gallery", "notes", "payment_note"),
    # The exported display name follows the print's name: a renamed print is no change of its editions.
    shown_only=("exported_name",),
)  # fmt: skip

ENTITIES = {entity.name: entity for entity in (PRINTS, DISTRIBUTORS, EDITIONS)}
"""In the order in which they are loaded: what is linked to comes first."""

raw_files = Table(
    "raw_files",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("table_name", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("byte_size", BigInteger, nullable=False),
    Column("row_count", Integer),
    Column("layout", Text),
    Column("header_fingerprint", Text),
    Column("exported_on", Date),
    Column("received_at", TIMESTAMP(timezone=True), nullable=False),
    Column("kept_as", Text, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("sync_number", BigInteger, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("airtable_id", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("field", Text),
    Column("old_value", JSONB),
    Column("new_value", JSONB),
)

conflicts = Table(
    "conflicts",
    metadata,
    Column("conflict_id", BigInteger, primary_key=True),
    Column("sync_number", BigInteger, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("airtable_id", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("base_value", JSONB, nullable=False),
    Column("local_value", JSONB, nullable=False),
    Column("source_value", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", TIMESTAMP(timezone=True)),
    Column("superseded_by", BigInteger),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", BigInteger, primary_key=True),
    Column("sync_number", BigInteger, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("airtable_id", Text),
    Column("file_row", Integer, nullable=False),
    Column("column_name", Text, nullable=False),
    Column("field", Text),
    Column("rule", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("problem", Text, nullable=False),
    Column("raw_value", Text),
    Column("loaded_value", Text),
    Column("money_at_stake", Numeric(12, 2)),
)


def entity(name: str) -> Entity:
    """The kind of record called `prints`, `distributors` or `editions`."""
    return ENTITIES[name]
