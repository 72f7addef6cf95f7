"""Settings of art records: `CROWN_ART_RECORDS_*`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crown.settings.kinds import AbsolutePath, Group


class ArtRecords(Group):
    """One attribute for each setting."""

    phase: Literal["parallel", "postgres_primary", "postgres_only"] = Field(
        default="parallel",
        description="Which side is the original: both, the art tables (exports merge), the art tables alone (none applied).",
    )
    mode: Literal["incremental", "merge", "full"] = Field(
        default="merge", description="How a new export is compared; postgres_primary always merges."
    )
    apply: Literal["auto", "ask"] = Field(
        default="auto",
        description="`auto` applies a new export unless something speaks against it, `ask` waits for a decision.",
    )
    close_rows: int = Field(
        default=20, ge=0, description="A full sync that closes more records of a table waits for a decision."
    )
    close_share: float = Field(
        default=0.05, ge=0, le=1, description="The same as a share of a table's records; the less counts."
    )
    new_share: float = Field(
        default=0.5, ge=0, le=1, description="A larger share of unknown records waits for a decision."
    )
    column_cells: int = Field(
        default=20,
        ge=1,
        description="Fewer changed, emptied or failing cells of a column never wait for a decision.",
    )
    changed_share: float = Field(
        default=0.25, ge=0, le=1, description="A larger share of a field's known values that change waits."
    )
    emptied_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A larger share of a field's known values that become unknown waits.",
    )
    withheld_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A larger share of a column's cells that newly fail their rule waits.",
    )
    settings: AbsolutePath | None = Field(
        default=None,
        description="Folder of your own layouts.yaml, rules.yaml and names.yaml, laid over Crown's.",
    )
    names: AbsolutePath | None = Field(
        default=None, description="Your own names.yaml of prints and galleries."
    )
    address: str = Field(default="", description="Your address on documents, its lines separated by `;`.")
    addresses: AbsolutePath | None = Field(
        default=None,
        description="YAML file with the galleries' addresses: name or record id, then lines with `;`.",
    )
    vat_percent: float = Field(
        default=0, ge=0, lt=100, description="VAT on invoices in percent; 0 when you are not registered."
    )
    vat: Literal["included", "added"] = Field(
        default="included", description="Whether net contains the VAT, or the VAT comes on top of it."
    )
    vat_number: str = Field(default="", description="Your VAT number; needed when there is VAT.")
    payment_days: int = Field(default=30, ge=0, le=365, description="Days until an invoice is due.")
    payment_details: str = Field(default="", description="How invoices are paid, such as the bank account.")
    airtable_base: str = Field(
        default="", description="Id of a base that the daily run reads through the API; empty reads none."
    )
    airtable_token_file: AbsolutePath | None = Field(
        default=None, description="File that holds the API's token and nothing else."
    )
    airtable_url: str = Field(
        default="https://api.airtable.com", description="Address of the API, for a proxy in between."
    )
    attachment_hosts: str = Field(
        default="airtableusercontent.com,dl.airtable.com",
        description="Hosts from which pictures of prints are downloaded, with their subdomains; pictures of others wait.",
    )
    attachment_megabytes: float = Field(
        default=100, gt=0, description="Larger pictures of prints are refused."
    )
    attachment_downloads: int = Field(
        default=4,
        ge=1,
        le=16,
        description="Pictures of prints that are downloaded at once, over all machines.",
    )
