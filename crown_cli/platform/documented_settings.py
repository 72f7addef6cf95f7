"""Writes `.env.example` and docs/settings.md from the settings themselves.

`python -m crown_cli.platform.documented_settings`

Nothing is said of a setting that its field does not say; a test compares both files with this.
"""

from __future__ import annotations

from pathlib import Path

from crown.settings.model import (
    OLD_NAMES,
    fields,
    spelt,
    variable,
    without_successor,
)

ROOT = Path(__file__).resolve().parents[2]
#: Title of each group, and the field it begins with; the order is that of the fields.
GROUPS = {
    "home": "Where things are",
    "backup_root": "Backups",
    "file_mode": "Files on the share",
    "workers": "Work",
    "product_images.product_number_pattern": "Product images",
    "art_records.phase": "Art records",
    "motion_jobs.root": "Motion jobs",
    "devices.buffer": "Devices",
    "time_zone": "Clock",
    "log_dir": "Journal",
    "web_host": "Web",
}
#: Defaults that are not a value but a rule.
_DEFAULTS = {
    "home": "the user's data folder",
    "database_url": "the embedded server in HOME/postgres",
    "media_root": "HOME/media",
    "production_root": "MEDIA_ROOT/production",
    "objects_root": "HOME/objects",
    "backup_root": "HOME/backups",
    "file_group": "the writer's own",
    "workers": "the number of processors",
    "product_images.output_specs": "the catalogue that comes with Crown",
    "product_images.brand_dir": "the folder of the output specs",
    "product_images.specs": "those that the catalogue enables",
    "product_images.production_targets": "PRODUCTION_ROOT alone",
    "product_images.compliance_profiles": "those that come with Crown",
    "art_exports_root": "MEDIA_ROOT/art_exports",
    "art_records.settings": "those that come with Crown alone",
    "art_records.addresses": "no addresses",
    "art_records.names": "the table that comes with Crown",
    "motion_jobs.root": "MEDIA_ROOT/motion",
    "motion_jobs.allowed_roots": "MOTION_JOBS_ROOT alone",
    "motion_jobs.warnings": "those that come with Crown",
    "devices.buffer": "HOME/device_buffer",
    "time_zone": "that of this machine",
    "log_dir": "HOME/logs",
}
_EXAMPLES = {
    "devices.buffer": "/srv/crown/device_buffer",
    "home": "/srv/crown",
    "database_url": "postgresql://crown:PASSWORD@127.0.0.1/crown",
    "media_root": "/srv/media",
    "production_root": "/srv/media/production",
    "objects_root": "/srv/crown/objects",
    "backup_root": "/srv/backups",
    "file_group": "marketing",
    "workers": "4",
    "product_images.weights_dir": "/srv/crown/weights",
    "product_images.output_specs": "/etc/crown/output_specs.yaml",
    "product_images.brand_dir": "/etc/crown/brand",
    "product_images.specs": "1000x1000_72dpi_jpeg,128x128_72dpi_jpeg",
    "product_images.company_name": "Example Parts Ltd",
    "product_images.copyright_notice": "(c) Example Parts Ltd",
    "product_images.production_targets": "/etc/crown/targets.yaml",
    "product_images.compliance_profiles": "/etc/crown/compliance_profiles.yaml",
    "art_exports_root": "/srv/media/art_exports",
    "art_records.settings": "/etc/crown/art",
    "art_records.names": "/etc/crown/names.yaml",
    "art_records.address": "1 Quay Street; Harbour Town HT1 2AB",
    "art_records.addresses": "/etc/crown/addresses.yaml",
    "art_records.vat_number": "GB123456789",
    "art_records.payment_details": "Example Bank, sort code 00-00-00, account 12345678",
    "art_records.airtable_base": "appExampleBase0001",
    "art_records.airtable_token_file": "/etc/crown/airtable-token",
    "motion_jobs.root": "/srv/motion",
    "motion_jobs.allowed_roots": "/srv/motion,/srv/templates",
    "motion_jobs.render_root": "D:/motion",
    "motion_jobs.fonts": "/srv/motion/fonts",
    "motion_jobs.warnings": "/etc/crown/warnings.yaml",
    "motion_jobs.plainly_api_key_file": "/etc/crown/plainly.key",
    "time_zone": "Europe/London",
    "log_dir": "/var/log/crown",
    "notify_file": "/etc/crown/notify",
    "quiet_hours": "22:00-07:00",
    "web_token": "a long random word",
}


def default_of(field: str) -> str:
    """A field's default as it would be written after `CROWN_X=`; empty when there is none."""
    if field in _DEFAULTS:
        return ""
    return spelt(field, fields()[field].get_default())


def example_of(field: str) -> str:
    """A value to show: the default, or an example where there is none."""
    return default_of(field) or _EXAMPLES[field]


def env_example() -> str:
    """The text of `.env.example`: every setting, commented out, with its default or an example."""
    lines = [
        "# Every setting of Crown. Copy this file to .env and take away the # before what you change;",
        "# variables of the environment count more than this file. Old CROWNPIPE_* names are refused.",
    ]
    for field, about in fields().items():
        if field in GROUPS:
            lines += ["", f"# {GROUPS[field]}"]
        lines += ["", f"# {about.description}"]
        if not default_of(field):
            lines.append(f"# Default: {_DEFAULTS.get(field, 'none')}. For example:")
        lines.append(f"#{variable(field)}={example_of(field)}")
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """The text of docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "For whoever runs Crown. Every setting is a variable of the environment or a line of `.env` in the",
        "folder where `crown` is started; the environment counts more, and an empty value counts as none.",
        "A name that is not in this list is refused with the nearest one that is. `crown doctor` says whether",
        "the values can be used. This page and `.env.example` are written by",
        "`python -m crown_cli.platform.documented_settings` from `crown/settings/model.py`; a test compares them.",
    ]
    for field, about in fields().items():
        if field in GROUPS:
            lines += [
                "",
                f"## {GROUPS[field]}",
                "",
                "| Variable | Default | What it does |",
                "| --- | --- | --- |",
            ]
        default = default_of(field)
        shown = f"`{default}`" if default else _DEFAULTS.get(field, "none")
        lines.append(f"| `{variable(field)}` | {shown} | {about.description} |")
    lines += [
        "",
        "## Assumptions",
        "",
        "- Folders may be written with `~`; a relative folder is taken from where `crown` is started.",
        "- `CROWN_DATABASE_URL` empty: the embedded PostgreSQL in `CROWN_HOME/postgres`, which needs a local disk.",
        "- Numbers of processes, leases and limits fit a small office server; measure before you raise them.",
        "",
        "## CrownPipe's names",
        "",
        "| Old variable | Now |",
        "| --- | --- |",
    ]
    for old, new in OLD_NAMES.items():
        lines.append(f"| `{old}` | {f'`{new}`' if new else f'none: {without_successor(old)}'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write both files."""
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
    (ROOT / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
