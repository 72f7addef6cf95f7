"""The deployment's files: complete, of the right form, and consistent with each other. They run in integration."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from crown.settings.model import load_settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = sorted((DEPLOY / "systemd").glob("*.service"))
LASTING = ("crown-code-server", "crown-console", "crown-daemon")
#: Started only where there are devices: `systemctl enable --now crown-devices`.
OPTIONAL = ("crown-devices",)


def unit(path: Path) -> configparser.ConfigParser:
    """A unit file's sections; systemd's form is an INI file, with continued lines."""
    parser = configparser.ConfigParser(interpolation=None, strict=True, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text("utf-8").replace("\\\n", " "))
    return parser


def test_console_daemon_and_code_server_are_services_apart() -> None:
    assert {path.stem for path in SERVICES} == {*LASTING, *OPTIONAL, "crown-backup", "crown-failed@"}
    wanted = unit(DEPLOY / "systemd" / "crown.target")["Unit"]["Wants"].split()
    assert sorted(wanted) == [f"{name}.service" for name in LASTING]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_every_service_starts_the_installations_own_python_as_its_own_user(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["ExecStart"].startswith("/opt/crown/.venv/bin/crown ")
    for program in re.findall(r"\S*python\S*", service["ExecStart"].replace("--use-python-environment", "")):
        assert program.startswith("/opt/crown/.venv/bin/") or program.startswith("-entry-point")
    assert (service["User"], service["Group"]) == ("crown", "marketing")
    assert service["EnvironmentFile"] == "/etc/crown/crown.env"
    assert not re.search(r"password|token", service["ExecStart"], re.IGNORECASE)


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_every_service_is_shut_in_but_may_write_where_it_must(path: Path) -> None:
    service = unit(path)["Service"]
    for wall in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelTunables", "LockPersonality"):
        assert service[wall] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["StateDirectory"] == "crown"
    assert "ReadWritePaths" in service
    # Folders on the share carry the setgid bit; numeric libraries compile at run time.
    assert "RestrictSUIDSGID" not in service
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("name", [*LASTING, *OPTIONAL])
def test_lasting_services_come_back_and_are_stopped_with_patience(name: str) -> None:
    service = unit(DEPLOY / "systemd" / f"{name}.service")["Service"]
    assert (service["Restart"], service["KillMode"]) == ("always", "mixed")
    assert int(service["TimeoutStopSec"]) >= 20


def test_a_run_that_takes_too_much_memory_does_not_take_the_code_server_with_it() -> None:
    service = unit(DEPLOY / "systemd" / "crown-code-server.service")["Service"]
    assert service["OOMPolicy"] == "continue"


def test_a_backup_that_fails_is_reported() -> None:
    backup = unit(DEPLOY / "systemd" / "crown-backup.service")["Unit"]
    assert backup["OnFailure"] == "crown-failed@%n.service"
    told = unit(DEPLOY / "systemd" / "crown-failed@.service")["Service"]["ExecStart"]
    assert shlex.split(told)[1:3] == ["notify", "%i"]


@pytest.mark.parametrize("path", [*SERVICES, DEPLOY / "compose.yaml"], ids=lambda path: path.stem)
def test_every_process_names_its_connections(path: Path) -> None:
    if path.suffix == ".yaml":
        services = yaml.safe_load(path.read_text())["services"]
        named = [services[name.removeprefix("crown-")]["environment"]["PGAPPNAME"] for name in LASTING]
        assert sorted(named) == ["crown code server", "crown console", "crown daemon"]
    else:
        assert "PGAPPNAME=crown " in unit(path)["Service"]["Environment"]


def test_secrets_are_neither_tracked_nor_baked_into_an_image() -> None:
    secrets = ["deploy/crown.env", "deploy/database_password", ".env"]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *secrets],
        cwd=DEPLOY.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == secrets
    left_out = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    for pattern in ("**/.env", "deploy/crown.env", "deploy/database_password", ".git", ".venv", "var"):
        assert pattern in left_out


def test_what_a_container_writes_to_belongs_to_the_images_user() -> None:
    built = (DEPLOY / "Dockerfile").read_text()
    mounted = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["daemon"]["volumes"]
    places = [mount.rsplit(":", 1)[1] for mount in mounted]
    assert sorted(places) == ["/run/crown", "/srv/backups", "/srv/media", "/var/lib/crown"]
    (made,) = [line for line in built.splitlines() if "install -d -o crown -g crown" in line]
    for place in places:
        assert place in made.split()


def test_console_and_daemon_find_the_code_server_where_it_listens() -> None:
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
    server = workspace["load_from"][0]["grpc_server"]
    start = unit(DEPLOY / "systemd" / "crown-code-server.service")["Service"]["ExecStart"]
    assert f"-s {server['socket']}" in start
    assert f"--location-name {server['location_name']}" in start
    for name in ("crown-daemon", "crown-console"):
        start = unit(DEPLOY / "systemd" / f"{name}.service")["Service"]["ExecStart"]
        assert "/opt/crown/deploy/workspace.yaml" in start


def test_the_example_environment_can_be_used() -> None:
    settings = load_settings({}, DEPLOY / "crown.env.example")
    assert settings.environment == "production"
    assert settings.database_url is not None
    assert str(settings.media) == "/srv/media"
    assert settings.web_token is not None, "people see that there is one"


def test_the_containers_start_what_the_units_start_on_postgresql_18() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert services["database"]["image"] == "postgres:18"
    assert services["database"]["volumes"] == ["database:/var/lib/postgresql"]
    for name in LASTING:
        start = unit(DEPLOY / "systemd" / f"{name}.service")["Service"]["ExecStart"]
        plain = " ".join(start.replace("/opt/crown/.venv/bin/", "").split())
        command = " ".join(services[name.removeprefix("crown-")]["command"])
        assert plain in command


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").iterdir():
        shutil.copy(path, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(str(path) for path in tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    # The only thing it may miss is the installation itself.
    missed = [line for line in done.stderr.splitlines() if "is not executable: No such file" not in line]
    assert missed == []
