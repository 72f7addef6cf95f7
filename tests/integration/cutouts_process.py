"""A real run of the queue of cut-outs as a process of its own; it stops after its first results until it is told to go on.

Usage: python -m tests.integration.cutouts_process DATABASE_URL HOME. Prints a line for each photo that is entered, and
after the first one waits for a line on its standard input.
"""

from __future__ import annotations

import logging
import sys

import dagster as dg

from crown_assets.definitions import build_defs
from resources import queues
from resources.workspaces import ProductImagesResource
from tests.given import given_database


class _Pause(logging.Handler):
    """Prints what the stage log says of a photo, and waits after the first."""

    waited = False

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), flush=True)
        if not self.waited:
            self.waited = True
            sys.stdin.readline()


def main() -> None:
    url, home = sys.argv[1:]
    environment = {
        "CROWN_DATABASE_URL": url,
        "CROWN_HOME": home,
        "CROWN_WORKERS": "1",
        "CROWN_LEASE_SECONDS": "900",
    }
    images = ProductImagesResource(database=given_database(environment))
    log = logging.getLogger("crown.flow.stage_log")
    log.setLevel(logging.INFO)
    log.addHandler(_Pause())
    defs = build_defs(resources={"database": images.database, "images": images})
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(queues.CUTOUTS).execute_in_process(instance=instance)
    print("done" if result.success else "failed", flush=True)


if __name__ == "__main__":
    main()
