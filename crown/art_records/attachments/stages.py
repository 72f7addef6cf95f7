"""The flow of attachments: which pictures should be there, and the worker pool that downloads them.

Belongs here: the SELECT of wanted pictures, its recipe, limits, hosts. Does not belong here: reading exports
(`listing.py`) and requests (`download.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from crown.art_records.attachments import listing
from crown.art_records.workspace import ATTACHMENTS, DEPARTMENT
from crown.flow import make as flow_make
from crown.flow import workspace as flow_workspace
from crown.flow.make import Only, StageReport
from crown.flow.stage import Flow, Stage
from crown.flow.stage_log import Message, Messages
from crown.flow.worker_pool import Limits, Progress, WorkerPool
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe

if TYPE_CHECKING:
    from crown.art_records.workspace import Workspace

_DOWNLOAD = Recipe(ATTACHMENTS, "download", {"version": 1})
_WANTED = """
    select a.item_key as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,
           array[a.item_key] as input_hashes,
           case when not exists (select from unnest(cast(:hosts as text[])) as h
                                 where a.host = h or a.host like '%.' || h)
                then 'its host in CROWN_ART_RECORDS_ATTACHMENT_HOSTS' end as waiting_for,
           cast(null as bigint) as decision_id
    from art.attachments a
"""
_SECONDS = 300
"""How long a download and its decoding may take."""
_MAX_PIXELS = 180_000_000


@dataclass(frozen=True)
class AttachmentsWorkspace(flow_workspace.Workspace):
    """The part of art records that makes files: pictures in the store of originals."""

    department = DEPARTMENT
    assets = (ATTACHMENTS,)
    command = "crown art"

    @property
    def folders(self) -> Mapping[str, Path]:
        """None of its own: everything goes to the store."""
        return {}

    @property
    def limits(self) -> Limits:
        """As many downloads at once as the setting says: they wait for the network, not for a processor."""
        return replace(super().limits, workers=self.settings.art_records.attachment_downloads)

    @property
    def hosts(self) -> list[str]:
        """Hosts from which pictures are downloaded; their subdomains count."""
        return [
            host.strip().lower()
            for host in self.settings.art_records.attachment_hosts.split(",")
            if host.strip()
        ]


def of(workspace: Workspace) -> AttachmentsWorkspace:
    """The same database and settings as the flow needs them."""
    return AttachmentsWorkspace(workspace.engine, workspace.settings)


def stage(workspace: AttachmentsWorkspace, asset: str, supposed: Connection | None) -> Stage:
    """The stage of the asset."""
    # Lazily imported: definitions load without the libraries of a download.
    from crown.art_records.attachments.download import download

    if supposed is not None:
        addresses = listing.addresses(supposed)
    else:
        with workspace.engine.connect() as connection:
            addresses = listing.addresses(connection)
    context: dict[str, Any] = {
        **workspace.context,
        "addresses": addresses,
        "max_bytes": int(workspace.settings.art_records.attachment_megabytes * 1e6),
        "max_pixels": _MAX_PIXELS,
    }
    pool = WorkerPool(
        (asset,), download, context, workspace.place, item_timeout_seconds=_SECONDS,
        resources={listing.SOURCE: workspace.settings.art_records.attachment_downloads},
    )  # fmt: skip
    return Stage(asset, _WANTED, (_DOWNLOAD,), {"recipe": _DOWNLOAD.hash, "hosts": workspace.hosts}, pool)


def _print_of(key: str) -> str:
    return key.partition("/")[0]


FLOW: Flow[AttachmentsWorkspace] = Flow(
    stage,
    Messages(
        {ATTACHMENTS: Message("has its picture", "picture_downloaded")}, _print_of, _print_of, _print_of
    ),
    libraries=("crown", "httpx"),
)


def plan(workspace: Workspace) -> Plan:
    """List the pictures of the newest export of prints; those that are not kept yet become due.

    Raises:
        BadInput: the newest export of prints is gone or damaged.
    """
    listing.register(workspace)
    plans, _ = flow_make.plan(FLOW, of(workspace), [ATTACHMENTS])
    return plans[ATTACHMENTS]


def make(
    workspace: Workspace, *, run_id: str | None = None, on_progress: Progress | None = None,
    seconds: float | None = None, only: Only | None = None,
) -> StageReport:  # fmt: skip
    """List the pictures of the newest export of prints and download those that are due.

    Args:
        workspace: of art records.
        run_id: stamped on what is downloaded.
        on_progress: called after each commit.
        seconds: begin nothing new after so long.
        only: the part of what is due that is downloaded; None for all of it.

    Raises:
        BadInput: the newest export of prints is gone or damaged.
        SystemicFailure: the disk or the database failed; what was done is entered.
    """
    listing.register(workspace)
    return flow_make.make(
        FLOW, of(workspace), [ATTACHMENTS], run_id=run_id, on_progress=on_progress, seconds=seconds, only=only
    )
