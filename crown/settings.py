"""Every setting of the platform, read once from `CROWN_*` variables and an optional `.env` file.

A setting that nothing reads does not belong here, nor does any constant that no one would change.
Old names (`CROWNPIPE_*`) and unknown names are refused with the name to use instead.
"""

from __future__ import annotations

import difflib
import os
import re
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from crown.errors import ConfigurationError

PREFIX = "CROWN_"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_SPAN = rf"{_TIME}\s*-\s*{_TIME}"

#: What each setting of CrownPipe is called here; empty: see _NO_SUCCESSOR.
OLD_NAMES: dict[str, str] = {
    "CROWNPIPE_ENVIRONMENT": "CROWN_ENVIRONMENT",
    "CROWNPIPE_MEDIA_BASE": "CROWN_MEDIA_ROOT",
    "CROWNPIPE_MEDIA_MAX_CONCURRENT_BGREMOVE": "CROWN_WORKERS",
    "CROWNPIPE_MEDIA_BGREMOVE_TIMEOUT_SECONDS": "CROWN_ITEM_TIMEOUT_SECONDS",
    "CROWNPIPE_MEDIA_IMAGEMAGICK_CONVERT_BIN": "",
    "CROWNPIPE_MEDIA_DEFAULT_DPI": "",
    "CROWNPIPE_MEDIA_JPEG_QUALITY": "",
    "CROWNPIPE_MEDIA_PNG_COMPRESSION": "",
    "CROWNPIPE_DATA_BASE": "",
    "CROWNPIPE_LOG_DIR": "CROWN_LOG_DIR",
    "CROWNPIPE_LOG_LEVEL": "CROWN_LOG_LEVEL",
    "CROWNPIPE_LOG_TO_DATABASE": "CROWN_LOG_TO_DATABASE",
    "CROWNPIPE_LOG_TO_FILE": "CROWN_LOG_TO_FILE",
    "CROWNPIPE_LOG_MAX_LOG_SIZE_MB": "CROWN_LOG_MAX_SIZE_MB",
    "CROWNPIPE_LOG_RETENTION_DAYS": "CROWN_LOG_RETENTION_DAYS",
}
_NO_SUCCESSOR = {
    "CROWNPIPE_MEDIA_IMAGEMAGICK_CONVERT_BIN": "pictures are rendered by libvips, no program is called",
    "CROWNPIPE_MEDIA_DEFAULT_DPI": "each output spec names its own dpi (output_specs.yaml)",
    "CROWNPIPE_MEDIA_JPEG_QUALITY": "each output spec names its own quality (output_specs.yaml)",
    "CROWNPIPE_MEDIA_PNG_COMPRESSION": "each output spec names its own compression (output_specs.yaml)",
    "CROWNPIPE_DATA_BASE": "the FileMaker dumps are not taken over yet",
}

#: Settings that name something a person has made.
_NAMED_FILES = (
    "output_specs", "production_targets", "compliance_profiles", "art_names", "airtable_token_file", "notify_file",
)  # fmt: skip
_NAMED_FOLDERS = ("brand_dir", "weights_dir")


class Settings(BaseModel):
    """The settings, one attribute each; the variable is the attribute in capitals after `CROWN_`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Where things are
    home: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_path("crown")),
        description="Folder for the embedded database, originals, previews and Dagster's own files.",
    )
    environment: Literal["development", "staging", "production"] = Field(
        default="production", description="Commands that destroy data refuse outside development."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL 18 or later, postgresql://user:password@host/database.",
    )
    media_root: Path | None = Field(default=None, description="The share with inbox/, review/, products/ ...")
    production_root: Path | None = Field(default=None, description="Where published pictures go.")
    objects_root: Path | None = Field(
        default=None, description="Originals and masters by hash, never overwritten."
    )

    # Files on the share
    file_mode: int = Field(default=0o664, description="Mode of the files we write on the share, octal.")
    folder_mode: int = Field(default=0o2775, description="Mode of the folders we make on the share, octal.")
    file_group: str | None = Field(default=None, description="Group of what we write on the share.")

    # Work
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=256, description="Processes per run."
    )
    item_timeout_seconds: float = Field(default=300, gt=0, description="Time limit for one item.")
    lease_seconds: float = Field(default=120, ge=1, description="How long a silent worker keeps its claim.")
    max_attempts: int = Field(default=4, ge=1, description="Tries before an item is quarantined.")
    failure_rate_limit: float = Field(
        default=0.5, gt=0, le=1, description="A run fails when more than this share of its items failed."
    )
    run_seconds: float = Field(
        default=60,
        gt=0,
        description="A stage of a scheduled run begins nothing new after so long (cut-outs: ten times); the next run goes"
        " on. Runs of commands make everything.",
    )
    max_concurrent_runs: int = Field(default=4, ge=1, description="Dagster runs at once.")

    # Product images
    product_number_pattern: str = Field(
        default=r"[A-Z]{0,2}[0-9]{4,}[A-Z]{0,3}(\.[0-9]+)?",
        description="Regular expression of product numbers in capitals; other names go to name_conflicts.",
    )
    cutout_model: str = Field(default="studio", description="`studio`, or a rembg model with its weights.")
    weights_dir: Path | None = Field(
        default=None, description="Folder with rembg's .onnx weights; nothing is ever downloaded."
    )
    output_specs: Path | None = Field(default=None, description="Your own output_specs.yaml.")
    brand_dir: Path | None = Field(
        default=None, description="Folder of the icons and watermarks that specs name."
    )
    specs: tuple[str, ...] = Field(default=(), description="Names of the specs to make, comma separated.")
    company_name: str = Field(default="", description="Written into pictures as artist, make and keyword.")
    copyright_notice: str = Field(default="", description="Written into pictures as their copyright.")
    production_targets: Path | None = Field(
        default=None, description="Your targets.yaml: folders published to besides PRODUCTION_ROOT."
    )
    compliance_profiles: Path | None = Field(
        default=None, description="Your own compliance_profiles.yaml: what partners demand of a picture."
    )
    sweep_gb: float = Field(
        default=20, gt=0, description="Gigabytes that the daily sweep reads; the next goes on where it ended."
    )
    rehearsal_retention_days: int = Field(
        default=90, ge=1, description="Age at which a rehearsal's bytes and its sheet are removed."
    )
    max_megapixels: float = Field(default=180, gt=0, description="Larger pictures are refused unopened.")
    stalled_minutes: float = Field(
        default=5, ge=0, description="An undecodable upload waits this long (a copy may be stalled)."
    )
    inbox_interval_seconds: int = Field(
        default=15, ge=5, description="How often folders are looked at; seen when the services start."
    )

    # Art records
    art_exports_root: Path | None = Field(default=None, description="Where exports of the art base are put.")
    art_phase: Literal["parallel", "postgres_primary", "postgres_only"] = Field(
        default="parallel",
        description="Which side is the original: both, the books (exports merge), the books alone (none applied).",
    )
    art_mode: Literal["incremental", "merge", "full"] = Field(
        default="merge", description="How a new export is compared; postgres_primary always merges."
    )
    art_apply: Literal["auto", "ask"] = Field(
        default="auto",
        description="`auto` applies a new export unless something speaks against it, `ask` waits for a decision.",
    )
    art_close_rows: int = Field(
        default=20, ge=0, description="A full sync that closes more records of a table waits for a decision."
    )
    art_close_share: float = Field(
        default=0.05, ge=0, le=1, description="The same as a share of a table's records; the less counts."
    )
    art_new_share: float = Field(
        default=0.5, ge=0, le=1, description="A larger share of unknown records waits for a decision."
    )
    art_column_cells: int = Field(
        default=20,
        ge=1,
        description="Fewer changed, emptied or failing cells of a column never wait for a decision.",
    )
    art_changed_share: float = Field(
        default=0.25, ge=0, le=1, description="A larger share of a field's known values that change waits."
    )
    art_emptied_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A larger share of a field's known values that become unknown waits.",
    )
    art_withheld_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A larger share of a column's cells that newly fail their rule waits.",
    )
    art_settings: Path | None = Field(
        default=None,
        description="Folder of your own layouts.yaml, rules.yaml and names.yaml, laid over Crown's.",
    )
    art_names: Path | None = Field(default=None, description="Your own names.yaml of prints and galleries.")
    art_address: str = Field(default="", description="Your address on documents, its lines separated by `;`.")
    art_addresses: Path | None = Field(
        default=None,
        description="YAML file with the galleries' addresses: name or record id, then lines with `;`.",
    )
    art_vat_percent: float = Field(
        default=0, ge=0, lt=100, description="VAT on invoices in percent; 0 when you are not registered."
    )
    art_vat: Literal["included", "added"] = Field(
        default="included", description="Whether net contains the VAT, or the VAT comes on top of it."
    )
    art_vat_number: str = Field(default="", description="Your VAT number; needed when there is VAT.")
    art_payment_days: int = Field(default=30, ge=0, le=365, description="Days until an invoice is due.")
    art_payment_details: str = Field(
        default="", description="How invoices are paid, such as the bank account."
    )
    airtable_base: str = Field(
        default="", description="Id of a base that the daily run reads through the API; empty reads none."
    )
    airtable_token_file: Path | None = Field(
        default=None, description="File that holds the API's token and nothing else."
    )
    airtable_url: str = Field(
        default="https://api.airtable.com", description="Address of the API, for a proxy in between."
    )

    # Clock
    time_zone: str = Field(
        default="",
        description="Zone of the schedules, such as Europe/London; empty: that of this machine. Seen at the next start.",
    )

    # Journal
    log_dir: Path | None = Field(default=None, description="Folder of the rotating log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is logged."
    )
    log_to_file: bool = Field(default=True, description="Write the rotating log file.")
    log_to_database: bool = Field(default=True, description="Write logs.pipeline_logs.")
    log_max_size_mb: float = Field(default=50, gt=0, description="Size at which the log file rotates.")
    log_retention_days: int = Field(default=90, ge=1, description="Age at which logs are removed.")
    events_retention_days: int = Field(
        default=30, ge=1, description="Age at which Dagster's non-asset events are removed."
    )
    notify_file: Path | None = Field(
        default=None,
        description="File with the addresses that notices go to, one a line; see docs/journal.md.",
    )
    quiet_hours: str = Field(
        default="", description="No notice is sent between these local times, such as 22:00-07:00."
    )
    min_free_gb: float = Field(default=2, ge=0, description="Less free space than this is a failed check.")

    # Web
    web_host: str = Field(default="127.0.0.1", description="Address of the console and the Dagster UI.")
    web_port: int = Field(default=3000, ge=1, le=65535, description="Port of the console.")
    web_token: SecretStr | None = Field(
        default=None, description="Sign-in token; required for any address but this machine's own."
    )

    @field_validator("file_mode", "folder_mode", mode="before")
    @classmethod
    def _octal(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not re.fullmatch(r"(0o?)?[0-7]{3,4}", value):
            raise ValueError("a mode is three or four octal digits, such as 664 or 2775")
        return int(value, 8)

    @field_validator(
        "home",
        "media_root",
        "production_root",
        "objects_root",
        "weights_dir",
        "output_specs",
        "brand_dir",
        "production_targets",
        "compliance_profiles",
        "art_exports_root",
        "art_names",
        "art_settings",
        "art_addresses",
        "airtable_token_file",
        "log_dir",
        "notify_file",
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # A service and a terminal stand in different folders: both must mean the same place.
        return value and expanded(value).absolute()

    @field_validator("product_number_pattern")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"it is not a regular expression ({error})") from None
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value and not is_zone(value):
            raise ValueError("write a zone such as Europe/London, or nothing for this machine's")
        return value

    @field_validator("quiet_hours")
    @classmethod
    def _span_of_a_day(cls, value: str) -> str:
        if value.strip() and not re.fullmatch(_SPAN, value.strip()):
            raise ValueError("write two times of the day such as 22:00-07:00, or nothing")
        return value.strip()

    @field_validator("specs", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @property
    def media(self) -> Path:
        """The share's folder, absolute."""
        return self.media_root or self.home / "media"

    @property
    def production(self) -> Path:
        """The folder of published pictures, absolute."""
        return self.production_root or self.media / "production"

    @property
    def objects(self) -> Path:
        """The content-addressed store, absolute."""
        return self.objects_root or self.home / "objects"

    @property
    def art_exports(self) -> Path:
        """The folder into which exports of the art base are put, absolute."""
        return self.art_exports_root or self.media / "art_exports"

    @property
    def logs(self) -> Path:
        """The folder of the log file, absolute."""
        return self.log_dir or self.home / "logs"


def is_zone(name: str) -> bool:
    """Whether a name is a time zone of this machine, such as Europe/London."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def expanded(path: Path) -> Path:
    """A path with a leading `~` or `~user` written out.

    Raises:
        ValueError: there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such user on this machine; write the folder from `/` on") from None


def variable(field: str) -> str:
    """The environment variable of a field: `media_root` -> `CROWN_MEDIA_ROOT`."""
    return PREFIX + field.upper()


def spelt(field: str, value: object) -> str:
    """A field's value as it is written in its variable; empty for none. Secrets are spelt out."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, int) and field in ("file_mode", "folder_mode"):
        return f"{value:o}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def refuse_missing(settings: Settings) -> None:
    """Refuse to start with files and folders that a person named and that are not there.

    What we make ourselves (home, roots, logs) is not looked at, nor what a run may find later.

    Raises:
        ConfigurationError: one is missing, or is the other kind.
    """
    for field in _NAMED_FILES + _NAMED_FOLDERS:
        path: Path | None = getattr(settings, field)
        kind = "file" if field in _NAMED_FILES else "folder"
        if path is not None and not (path.is_file() if kind == "file" else path.is_dir()):
            there = "is no" if path.exists() else "is not there; it names a"
            raise ConfigurationError(f"{variable(field)}: {path} {there} {kind}. Correct or unset it.")


def without_successor(old: str) -> str:
    """Why an old name has no new one."""
    return _NO_SUCCESSOR[old]


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read the settings from `environ` (default: the process's) over `env_file` when it exists.

    Raises:
        ConfigurationError: an old or unknown name, or a value that cannot be used; all in one sentence each.
    """
    from dotenv import dotenv_values

    environ = os.environ if environ is None else environ
    values: dict[str, str] = {}
    if env_file is not None and env_file.is_file():
        values.update({name: value for name, value in dotenv_values(env_file).items() if value is not None})
    values.update(environ)
    ours = {name: value for name, value in values.items() if name.startswith((PREFIX, "CROWNPIPE_"))}
    _refuse_unknown(ours)
    given = {name[len(PREFIX) :].lower(): value for name, value in ours.items() if value != ""}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = variable(str(first["loc"][0]))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} cannot be used: {reason}. Correct or unset it.") from None


def _refuse_unknown(names: Mapping[str, str]) -> None:
    known = {variable(field) for field in Settings.model_fields}
    for name in sorted(names):
        if name in known:
            continue
        if name in _NO_SUCCESSOR:
            raise ConfigurationError(
                f"{name} is an old setting without effect: {_NO_SUCCESSOR[name]}. Unset it."
            )
        if name in OLD_NAMES:
            raise ConfigurationError(f"{name} is CrownPipe's name; the setting is {OLD_NAMES[name]} now.")
        near = difflib.get_close_matches(name.replace("CROWNPIPE_", PREFIX), known, n=1, cutoff=0)
        raise ConfigurationError(f"{name} is not a setting; the nearest is {near[0]}. Rename or unset it.")
