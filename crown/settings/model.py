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
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

from crown.errors import ConfigurationError
from crown.settings.art_records import ArtRecords
from crown.settings.devices import Devices
from crown.settings.kinds import AbsolutePath, Group
from crown.settings.motion_jobs import MotionJobs
from crown.settings.product_images import ProductImages

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
#: What a setting was called before it was named after its department.
MOVED: dict[str, str] = {
    "CROWN_PRODUCT_NUMBER_PATTERN": "CROWN_PRODUCT_IMAGES_PRODUCT_NUMBER_PATTERN",
    "CROWN_CUTOUT_MODEL": "CROWN_PRODUCT_IMAGES_CUTOUT_MODEL",
    "CROWN_WEIGHTS_DIR": "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR",
    "CROWN_OUTPUT_SPECS": "CROWN_PRODUCT_IMAGES_OUTPUT_SPECS",
    "CROWN_BRAND_DIR": "CROWN_PRODUCT_IMAGES_BRAND_DIR",
    "CROWN_SPECS": "CROWN_PRODUCT_IMAGES_SPECS",
    "CROWN_COMPANY_NAME": "CROWN_PRODUCT_IMAGES_COMPANY_NAME",
    "CROWN_COPYRIGHT_NOTICE": "CROWN_PRODUCT_IMAGES_COPYRIGHT_NOTICE",
    "CROWN_PRODUCTION_TARGETS": "CROWN_PRODUCT_IMAGES_PRODUCTION_TARGETS",
    "CROWN_COMPLIANCE_PROFILES": "CROWN_PRODUCT_IMAGES_COMPLIANCE_PROFILES",
    "CROWN_ROTATING_CHECK_GB": "CROWN_PRODUCT_IMAGES_ROTATING_CHECK_GB",
    "CROWN_REHEARSAL_RETENTION_DAYS": "CROWN_PRODUCT_IMAGES_REHEARSAL_RETENTION_DAYS",
    "CROWN_MAX_MEGAPIXELS": "CROWN_PRODUCT_IMAGES_MAX_MEGAPIXELS",
    "CROWN_STALLED_MINUTES": "CROWN_PRODUCT_IMAGES_STALLED_MINUTES",
    "CROWN_INBOX_INTERVAL_SECONDS": "CROWN_PRODUCT_IMAGES_INBOX_INTERVAL_SECONDS",
    "CROWN_ART_PHASE": "CROWN_ART_RECORDS_PHASE",
    "CROWN_ART_MODE": "CROWN_ART_RECORDS_MODE",
    "CROWN_ART_APPLY": "CROWN_ART_RECORDS_APPLY",
    "CROWN_ART_CLOSE_ROWS": "CROWN_ART_RECORDS_CLOSE_ROWS",
    "CROWN_ART_CLOSE_SHARE": "CROWN_ART_RECORDS_CLOSE_SHARE",
    "CROWN_ART_NEW_SHARE": "CROWN_ART_RECORDS_NEW_SHARE",
    "CROWN_ART_COLUMN_CELLS": "CROWN_ART_RECORDS_COLUMN_CELLS",
    "CROWN_ART_CHANGED_SHARE": "CROWN_ART_RECORDS_CHANGED_SHARE",
    "CROWN_ART_EMPTIED_SHARE": "CROWN_ART_RECORDS_EMPTIED_SHARE",
    "CROWN_ART_WITHHELD_SHARE": "CROWN_ART_RECORDS_WITHHELD_SHARE",
    "CROWN_ART_SETTINGS": "CROWN_ART_RECORDS_SETTINGS",
    "CROWN_ART_NAMES": "CROWN_ART_RECORDS_NAMES",
    "CROWN_ART_ADDRESS": "CROWN_ART_RECORDS_ADDRESS",
    "CROWN_ART_ADDRESSES": "CROWN_ART_RECORDS_ADDRESSES",
    "CROWN_ART_VAT_PERCENT": "CROWN_ART_RECORDS_VAT_PERCENT",
    "CROWN_ART_VAT": "CROWN_ART_RECORDS_VAT",
    "CROWN_ART_VAT_NUMBER": "CROWN_ART_RECORDS_VAT_NUMBER",
    "CROWN_ART_PAYMENT_DAYS": "CROWN_ART_RECORDS_PAYMENT_DAYS",
    "CROWN_ART_PAYMENT_DETAILS": "CROWN_ART_RECORDS_PAYMENT_DETAILS",
    "CROWN_AIRTABLE_BASE": "CROWN_ART_RECORDS_AIRTABLE_BASE",
    "CROWN_AIRTABLE_TOKEN_FILE": "CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE",
    "CROWN_AIRTABLE_URL": "CROWN_ART_RECORDS_AIRTABLE_URL",
    "CROWN_SWEEP_GB": "CROWN_PRODUCT_IMAGES_ROTATING_CHECK_GB",
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
    "product_images.output_specs",
    "product_images.production_targets",
    "product_images.compliance_profiles",
    "art_records.names",
    "art_records.airtable_token_file",
    "motion_jobs.warnings",
    "motion_jobs.plainly_api_key_file",
    "notify_file",
)
_NAMED_FOLDERS = ("product_images.brand_dir", "product_images.weights_dir", "motion_jobs.fonts")


class Settings(Group):
    """The settings, one attribute each; the variable is the attribute in capitals after `CROWN_`."""

    # Where things are
    home: AbsolutePath = Field(
        default_factory=lambda: Path(platformdirs.user_data_path("crown")),
        description="Folder for the embedded database, originals, previews and Dagster's own files.",
    )
    environment: Literal["development", "staging", "production"] = Field(
        default="production", description="Commands that destroy data refuse outside development."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL 15 or later, postgresql://user:password@host/database.",
    )
    media_root: AbsolutePath | None = Field(
        default=None, description="The share with inbox/, review/, products/ ..."
    )
    production_root: AbsolutePath | None = Field(default=None, description="Where published pictures go.")
    objects_root: AbsolutePath | None = Field(
        default=None, description="Originals and masters by hash, never overwritten."
    )

    art_exports_root: AbsolutePath | None = Field(
        default=None, description="Where exports of the art base are put."
    )

    # Backups
    backup_root: AbsolutePath | None = Field(
        default=None,
        description="Where the nightly backups go; empty: backups/ in CROWN_HOME. Another disk is better.",
    )
    backup_files: bool = Field(default=False, description="Nightly backups copy the originals, too.")
    backup_keep_days: int = Field(
        default=14,
        ge=1,
        description="Age at which nightly backups are removed; the newest three always stay.",
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

    # Departments
    product_images: ProductImages = Field(default_factory=ProductImages)
    art_records: ArtRecords = Field(default_factory=ArtRecords)
    motion_jobs: MotionJobs = Field(default_factory=MotionJobs)
    devices: Devices = Field(default_factory=Devices)

    # Clock
    time_zone: str = Field(
        default="",
        description="Zone of the schedules, such as Europe/London; empty: that of this machine. Seen at the next start.",
    )

    # Journal
    log_dir: AbsolutePath | None = Field(default=None, description="Folder of the rotating log.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is logged."
    )
    log_to_file: bool = Field(default=True, description="Write the rotating log file.")
    log_to_database: bool = Field(default=True, description="Write the table logs.records.")
    log_max_size_mb: float = Field(default=50, gt=0, description="Size at which the log file rotates.")
    log_retention_days: int = Field(default=90, ge=1, description="Age at which logs are removed.")
    events_retention_days: int = Field(
        default=30, ge=1, description="Age at which Dagster's non-asset events are removed."
    )
    notify_file: AbsolutePath | None = Field(
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
    def motion(self) -> Path:
        """The folder of motion jobs: batches, refused files and packages, absolute."""
        return self.motion_jobs.root or self.media / "motion"

    @property
    def device_buffer(self) -> Path:
        """The folder that keeps samples of devices while the database is away, absolute."""
        return self.devices.buffer or self.home / "device_buffer"

    @property
    def backups(self) -> Path:
        """The folder of backups, absolute."""
        return self.backup_root or self.home / "backups"

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


def fields() -> dict[str, FieldInfo]:
    """Every setting by its dotted name, in order: `media_root`, `product_images.cutout_model`, ..."""
    found: dict[str, FieldInfo] = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Group):
            found.update({f"{name}.{inner}": one for inner, one in kind.model_fields.items()})
        else:
            found[name] = field
    return found


def value_of(settings: Settings, field: str) -> Any:
    """The value of a setting by its dotted name."""
    return attrgetter(field)(settings)


def given_fields(settings: Settings) -> set[str]:
    """Dotted names of the settings that were given and are not left at their defaults."""
    return {
        field
        for field in fields()
        if field.rpartition(".")[2]
        in (value_of(settings, field.rpartition(".")[0]) if "." in field else settings).model_fields_set
    }


def variable(field: str) -> str:
    """The environment variable of a field: `product_images.specs` -> `CROWN_PRODUCT_IMAGES_SPECS`."""
    return PREFIX + field.replace(".", "_").upper()


def spelt(field: str, value: object) -> str:
    """A field's value as it is written in its variable; empty for none. Secrets are spelt out."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value)
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
        path: Path | None = value_of(settings, field)
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
    given: dict[str, Any] = {}
    for field in fields():
        value = ours.get(variable(field), "")
        if value != "":
            group, _, name = field.rpartition(".")
            (given.setdefault(group, {}) if group else given)[name] = value
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = variable(".".join(str(part) for part in first["loc"] if isinstance(part, str)))
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} cannot be used: {reason}. Correct or unset it.") from None


def _refuse_unknown(names: Mapping[str, str]) -> None:
    known = {variable(field) for field in fields()}
    for name in sorted(names):
        if name in known:
            continue
        if name in _NO_SUCCESSOR:
            raise ConfigurationError(
                f"{name} is an old setting without effect: {_NO_SUCCESSOR[name]}. Unset it."
            )
        if name in MOVED:
            raise ConfigurationError(f"{name} has moved to its department; the setting is {MOVED[name]} now.")
        if name in OLD_NAMES:
            raise ConfigurationError(f"{name} is CrownPipe's name; the setting is {OLD_NAMES[name]} now.")
        near = difflib.get_close_matches(name.replace("CROWNPIPE_", PREFIX), known, n=1, cutoff=0)
        raise ConfigurationError(f"{name} is not a setting; the nearest is {near[0]}. Rename or unset it.")
