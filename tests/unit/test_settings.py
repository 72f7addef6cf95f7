"""Settings: read once, documented all, and refused with the right name when they are wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from dotenv import dotenv_values

from crown.errors import ConfigurationError
from crown.settings.model import (
    MOVED,
    OLD_NAMES,
    fields,
    given_fields,
    load_settings,
    refuse_missing,
    spelt,
    value_of,
    variable,
    without_successor,
)
from crown_cli.demo.commands import demo_settings
from crown_cli.main import cli
from crown_cli.platform import documented_settings as documented

ROOT = Path(__file__).resolve().parents[2]
FIELDS = list(fields())
#: Fields that are read through a property, which gives them their default.
PROPERTIES = {
    "media_root": "media",
    "production_root": "production",
    "objects_root": "objects",
    "art_exports_root": "art_exports",
    "log_dir": "logs",
    "backup_root": "backups",
    "motion_jobs.root": "motion",
    "devices.buffer": "device_buffer",
}
PACKAGES = ("crown", "resources", "crown_assets", "sensors", "console", "crown_cli")
REWRITE = "run `python -m crown_cli.platform.documented_settings` and commit what it wrote"


def _code() -> str:
    """Every package's code but the settings themselves and the doctor, whose reading changes nothing."""
    without = {ROOT / "crown" / "settings.py", ROOT / "crown" / "doctor.py"}
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return "\n".join(path.read_text("utf-8") for path in files if path not in without)


def test_every_setting_is_documented_and_every_documented_setting_is_real() -> None:
    example = (ROOT / ".env.example").read_text("utf-8")
    assert re.findall(r"^#(CROWN_\w+)=", example, re.MULTILINE) == [variable(field) for field in FIELDS]
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert re.findall(r"^\| `(CROWN_\w+)`", page, re.MULTILINE) == [variable(field) for field in FIELDS]


def test_what_is_documented_is_what_the_code_says() -> None:
    assert (ROOT / ".env.example").read_text("utf-8") == documented.env_example(), REWRITE
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == documented.settings_page(), REWRITE


def test_every_setting_is_read_by_some_code() -> None:
    code = _code()
    unread = [
        variable(field)
        for field in FIELDS
        if not re.search(rf"settings(\(\))?\.{re.escape(PROPERTIES.get(field, field))}\b", code)
    ]
    assert unread == [], "settings without effect are not settings"


def test_every_documented_name_that_code_or_deployment_mentions_is_real() -> None:
    known = {variable(field) for field in FIELDS}
    places = [*(ROOT / "deploy").rglob("*"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    for path in places:
        if path.is_file():
            named = set(re.findall(r"\bCROWN_[A-Z_]+[A-Z]\b", path.read_text("utf-8")))
            assert named <= known, f"{path.relative_to(ROOT)} names settings that do not exist"


def test_the_example_copied_as_it_is_changes_nothing(tmp_path: Path) -> None:
    copied = tmp_path / ".env"
    copied.write_text((ROOT / ".env.example").read_text("utf-8"))
    assert load_settings({}, copied) == load_settings({}, None)


def test_every_line_of_the_example_can_be_used(tmp_path: Path) -> None:
    uncommented = tmp_path / ".env"
    uncommented.write_text(re.sub(r"^#(CROWN_)", r"\1", (ROOT / ".env.example").read_text(), flags=re.M))
    assert set(dotenv_values(uncommented)) == {variable(field) for field in FIELDS}
    settings = load_settings({}, uncommented)
    for field in FIELDS:
        assert spelt(field, value_of(settings, field)) == documented.example_of(field)


def test_every_old_name_stands_in_the_moving_table_with_its_new_name() -> None:
    rows = (ROOT / "docs" / "moving-from-crownpipe.md").read_text("utf-8").splitlines()
    for old, new in OLD_NAMES.items():
        (row,) = [row for row in rows if row.startswith("|") and f"`{old}`" in row]
        assert f"`{new}`" in row if new else "none" in row


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in OLD_NAMES.items() if new])
def test_an_old_name_is_refused_with_its_new_name(old: str, new: str) -> None:
    assert new in {variable(field) for field in FIELDS}
    with pytest.raises(ConfigurationError, match=f"{old} is CrownPipe's name; the setting is {new} now"):
        load_settings({old: "1"}, None)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_name_from_before_the_departments_is_refused_with_its_new_name(old: str, new: str) -> None:
    assert new in {variable(field) for field in FIELDS}
    with pytest.raises(ConfigurationError, match=f"{old} has moved to its department; the setting is {new}"):
        load_settings({old: "1"}, None)


@pytest.mark.parametrize("old", [old for old, new in OLD_NAMES.items() if not new])
def test_an_old_name_without_successor_is_refused_with_the_reason(old: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({old: "1"}, None)
    assert without_successor(old) in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("CROWN_MEDIA_ROT", "CROWN_MEDIA_ROOT"),
        ("CROWN_DATABASEURL", "CROWN_DATABASE_URL"),
        ("CROWN_LOG_RETENTION", "CROWN_LOG_RETENTION_DAYS"),
        ("CROWNPIPE_WORKER", "CROWN_WORKERS"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(wrong: str, nearest: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{wrong} is not a setting; the nearest is {nearest}"):
        load_settings({wrong: "1"}, None)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CROWN_WORKERS", "0", "greater than or equal to 1"),
        ("CROWN_WORKERS", "many", "valid integer"),
        ("CROWN_FILE_MODE", "rw-rw-r--", "octal digits"),
        ("CROWN_FILE_MODE", "689", "octal digits"),
        ("CROWN_ENVIRONMENT", "prod", "'development', 'staging' or 'production'"),
        ("CROWN_WEB_PORT", "70000", "less than or equal to 65535"),
        ("CROWN_LOG_TO_FILE", "maybe", "boolean"),
        ("CROWN_QUIET_HOURS", "at night", "22:00-07:00"),
        ("CROWN_QUIET_HOURS", "22:00-25:00", "22:00-07:00"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_sentence_with_the_variables_name(
    name: str, value: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} cannot be used: .*{words}") as caught:
        load_settings({name: value}, None)
    assert "\n" not in str(caught.value)


def test_the_environment_counts_more_than_the_file_and_empty_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("CROWN_WORKERS=3\nCROWN_WEB_PORT=4000\nCROWN_LOG_LEVEL=DEBUG\nOTHER=x\n")
    settings = load_settings({"CROWN_WORKERS": "5", "CROWN_LOG_LEVEL": "", "PATH": "/bin"}, file)
    assert (settings.workers, settings.web_port, settings.log_level) == (5, 4000, "INFO")
    assert given_fields(settings) == {"workers", "web_port"}


def test_a_wrong_name_in_the_file_is_refused_as_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("CROWNPIPE_MEDIA_BASE=/srv/media\n")
    with pytest.raises(ConfigurationError, match="CROWN_MEDIA_ROOT"):
        load_settings({}, file)


def test_no_file_and_no_variables_give_the_defaults(tmp_path: Path) -> None:
    settings = load_settings({}, tmp_path / ".env")
    assert given_fields(settings) == set()
    assert settings.database_url is None
    assert settings.web_host == "127.0.0.1"


def test_folders_are_absolute_wherever_the_program_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    settings = load_settings({"CROWN_HOME": "var/here", "CROWN_MEDIA_ROOT": "~/media"}, None)
    assert settings.home == tmp_path / "var/here"
    assert settings.objects == tmp_path / "var/here/objects"
    assert settings.media == Path("/home/ann/media")
    assert settings.production == Path("/home/ann/media/production")


def test_a_home_of_a_user_who_is_not_there_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(ConfigurationError, match="CROWN_HOME cannot be used: there is no such user"):
        load_settings({"CROWN_HOME": "~nobody-of-this-name/crown"}, None)


def test_secrets_are_not_shown_when_settings_are() -> None:
    settings = load_settings(
        {"CROWN_DATABASE_URL": "postgresql://a:hush@h/d", "CROWN_WEB_TOKEN": "murmured"}, None
    )
    assert "hush" not in repr(settings)
    assert "murmured" not in str(settings)


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("CROWN_PRODUCT_IMAGES_OUTPUT_SPECS", "file"),
        ("CROWN_PRODUCT_IMAGES_PRODUCTION_TARGETS", "file"),
        ("CROWN_PRODUCT_IMAGES_COMPLIANCE_PROFILES", "file"),
        ("CROWN_ART_RECORDS_NAMES", "file"),
        ("CROWN_ART_RECORDS_AIRTABLE_TOKEN_FILE", "file"),
        ("CROWN_NOTIFY_FILE", "file"),
        ("CROWN_PRODUCT_IMAGES_BRAND_DIR", "folder"),
        ("CROWN_PRODUCT_IMAGES_WEIGHTS_DIR", "folder"),
    ],
)
def test_nothing_starts_with_a_named_file_or_folder_that_is_not_there(
    tmp_path: Path, variable: str, kind: str
) -> None:
    named = tmp_path / "named"
    settings = load_settings({variable: str(named)}, None)
    with pytest.raises(ConfigurationError, match=f"{variable}: {named} is not there"):
        refuse_missing(settings)
    other = named.mkdir if kind == "file" else named.touch
    other()
    with pytest.raises(ConfigurationError, match=f"{variable}: {named} is no {kind}"):
        refuse_missing(settings)
    if kind == "file":
        named.rmdir()
        named.touch()
    else:
        named.unlink()
        named.mkdir()
    refuse_missing(settings)


def test_up_refuses_to_start_with_specs_that_are_not_there(tmp_path: Path) -> None:
    environment = {"CROWN_HOME": str(tmp_path / "home"), "CROWN_PRODUCT_IMAGES_OUTPUT_SPECS": "/nonexist"}
    refused = CliRunner().invoke(cli, ["up"], env=environment)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "crown: CROWN_PRODUCT_IMAGES_OUTPUT_SPECS: /nonexist is not there; it names a file. Correct or unset it.\n"
    )
    assert not (tmp_path / "home").exists()


def test_a_copy_of_the_demo_has_settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, copy = tmp_path / "demo", tmp_path / "copy"
    made = demo_settings(original)
    assert (made.home, made.product_images.output_specs) == (original, original / "output_specs.yaml")
    shutil.copytree(original, copy)
    monkeypatch.chdir(copy)
    copied = load_settings()
    assert (copied.home, copied.product_images.output_specs) == (copy, copy / "output_specs.yaml")
    assert copied.product_images.output_specs.is_file()
    assert [value for value in copied.model_dump().values() if str(original) in str(value)] == []
