"""DAGSTER_HOME and the variables of a Dagster process: one spelling for `crown up`, `crown env` and the units.

It writes two small files and imports no Dagster. Starting processes is the supervisor's work.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from crown.database.engine import dagster_url
from crown.errors import ConfigurationError
from crown.settings.model import Settings, given_fields, spelt, value_of, variable
from crown.store.files import Ownership, write_text

ROOT = Path(__file__).resolve().parents[1]
#: The name of the code location everywhere: Dagster keeps the state of sensors under it.
LOCATION = "crown"
#: How long a code server that is asked to end waits for calls it still answers; Dagster's own default is 60.
STOP_SECONDS = 5


def dagster_home(settings: Settings) -> Path:
    """The folder DAGSTER_HOME, absolute."""
    return settings.home.expanduser().absolute() / "dagster"


def write_dagster_home(settings: Settings) -> Path:
    """Write `dagster.yaml` into DAGSTER_HOME, made if needed; returns the folder.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    configuration = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    configuration["concurrency"]["runs"]["max_concurrent_runs"] = settings.max_concurrent_runs
    head = f"# Written by Crown from {ROOT / 'dagster.yaml'} at every start: edit it there.\n"
    folder = dagster_home(settings)
    _write(folder / "dagster.yaml", head + yaml.safe_dump(configuration, sort_keys=False))
    return folder


def write_workspace(settings: Settings, socket: Path) -> Path:
    """Write the workspace that leads to the code server on `socket`; returns the file.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    path = dagster_home(settings) / "workspace.yaml"
    server = {"socket": str(socket), "location_name": LOCATION}
    _write(path, yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    return path


def dagster_environment(settings: Settings, database_url: str) -> dict[str, str]:
    """The environment of a Dagster process that uses our database; holds a secret."""
    return {
        "DAGSTER_HOME": str(dagster_home(settings)),
        "DAGSTER_POSTGRES_URL": dagster_url(database_url).render_as_string(hide_password=False),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": str(STOP_SECONDS),
    }


def settings_environment(settings: Settings) -> dict[str, str]:
    """The settings that were given, as `CROWN_*` variables for another process; holds secrets."""
    return {variable(field): spelt(field, value_of(settings, field)) for field in given_fields(settings)}


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text, Ownership(file_mode=0o644))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); set CROWN_HOME to a folder that can."
        ) from None
