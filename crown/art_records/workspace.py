"""The workspace in which the art tables are kept: database, settings, raw files and limits together.

The names of the department's assets belong here too; the processing of exports does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, text

from crown.art_records.history.comparing import Limits, Mode
from crown.art_records.tables import ENTITIES
from crown.errors import BadInput, ConfigurationError, SystemicFailure
from crown.settings.model import Settings
from crown.store import files, mounts
from crown.store.files import Ownership
from crown.store.objects import Objects

if TYPE_CHECKING:
    from crown.art_records.exports.rules import Rulebook

DEPARTMENT = "art_records"
EXPORTS = f"{DEPARTMENT}/airtable_exports"
AIRTABLE, FOLDER, DOCUMENTS = (
    f"{DEPARTMENT}/{name}" for name in ("airtable_base", "exports_folder", "documents")
)
"""Assets that Crown does not make: the base, the folder in which its exports arrive, and what people issue."""
ATTACHMENTS = f"{DEPARTMENT}/attachments"
"""The pictures of prints, kept by their hash."""
CLEAN = {table: f"{DEPARTMENT}/clean_{table}" for table in ENTITIES}
TABLES = {table: f"{DEPARTMENT}/{table}" for table in ENTITIES}
SYNCS = f"{DEPARTMENT}/syncs"
"""What the ledger calls acts that wrote to the art tables."""


@dataclass(frozen=True)
class Workspace:
    """What reading exports and writing the art tables need; opened by `open_workspace`."""

    engine: Engine
    settings: Settings

    @property
    def exports(self) -> Path:
        """The folder into which people put exports."""
        return self.settings.art_exports

    @property
    def objects(self) -> Objects:
        """Where raw files are kept under their hash."""
        return Objects(self.settings.objects)

    @property
    def mode(self) -> Mode:
        """How a new export is compared: once the art tables are primary, exports only merge."""
        return (
            "merge"
            if self.settings.art_records.phase == "postgres_primary"
            else self.settings.art_records.mode
        )

    @property
    def limits(self) -> Limits:
        """When a difference waits for a decision."""
        settings = self.settings
        return Limits(
            close_rows=settings.art_records.close_rows,
            close_share=settings.art_records.close_share,
            new_share=settings.art_records.new_share,
            column_cells=settings.art_records.column_cells,
            changed_share=settings.art_records.changed_share,
            emptied_share=settings.art_records.emptied_share,
            withheld_share=settings.art_records.withheld_share,
        )

    @cached_property
    def book(self) -> Rulebook:
        """The rules, names and layouts, with the gallery's own laid over them."""
        from crown.art_records.exports.rules import rulebook

        return rulebook(self.settings.art_records.names, self.settings.art_records.settings)

    def files(self) -> dict[str, Path]:
        """The newest export of each table in the folder.

        Raises:
            BadInput: there is none.
        """
        from crown.art_records.exports.files import discover

        found = discover(self.exports, self.book.layouts)
        if not found:
            raise BadInput(
                f"{self.exports} holds no export; export Prints, Distributors and Editions as CSV into it."
            )
        return found

    def fetch(self, on_answer: Callable[[str], None] | None = None) -> dict[str, Path]:
        """Fetch the base through the API and write its tables into the exports folder; none without a base.

        `on_answer` receives the server's time of every answer.

        Raises:
            ConfigurationError: there is no token, or others may read it.
            SystemicFailure: the API refuses the token or does not know the base.
            SourceOutage: the API cannot be reached.
        """
        if not self.settings.art_records.airtable_base:
            return {}
        from crown.art_records.exports.live import fetch_exports

        return fetch_exports(
            self.token(), self.settings.art_records.airtable_base, self.exports,
            endpoint_url=self.settings.art_records.airtable_url,
            known=self.book.layouts, on_answer=on_answer,
        )  # fmt: skip

    def token(self) -> str:
        """The token of the API.

        Raises:
            ConfigurationError: there is no token, or others may read it.
        """
        from crown.journal.secret_files import read_secret

        path = self.settings.art_records.airtable_token_file
        if path is None:
            raise ConfigurationError(
                "CROWN_ART_RECORDS_AIRTABLE_BASE is set but CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE is not;"
                " name the file with the token."
            )
        return read_secret(path, "token", "CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE")


def open_workspace(engine: Engine, settings: Settings) -> Workspace:
    """The workspace, with its exports folder made when its share is mounted.

    Raises:
        SystemicFailure: the share is not mounted, or the folder cannot be made.
    """
    workspace = Workspace(engine, settings)
    exports_root = "art_exports_root" if settings.art_exports_root else "media_root"
    mounts.require(settings, (exports_root, "objects_root"))
    try:
        files.make_folder(
            workspace.exports, Ownership(settings.file_mode, settings.folder_mode, settings.file_group)
        )
    except PermissionError as error:
        raise SystemicFailure(f"{error.filename} cannot be written; correct its owner or mode.") from None
    return workspace


def kept_objects(engine: Engine) -> list[str]:
    """The content hashes under which exports, issued documents and pictures are kept in the store of originals."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("select kept_as from art.raw_files union select html_sha256 from art.documents "
                 "union select pdf_sha256 from art.documents "
                 "union select content_hash from ledger.outputs where asset = :attachments and present"),
            {"attachments": ATTACHMENTS},
        )  # fmt: skip
        return list(rows.scalars())
