"""Rows of bench_images about the flow: two workers against one, and runs in which nothing or one spec is to be made."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.report import Report
from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate
from crown.product_images import forecast, stages
from crown.product_images.renditions.specs import load_specs
from crown.product_images.share import intake, review
from crown.product_images.workspace import (
    ASSETS,
    INBOX,
    PUBLISHED,
    RENDITIONS,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings

PHOTOS = 100
MANY = 10_000


@contextmanager
def _database(folder: Path, name: str) -> Iterator[str]:
    with embedded_server(folder / "data") as server:
        admin = connect(server)
        with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"create database {name}"))
        admin.dispose()
        url = our_url(server).set(database=name).render_as_string(hide_password=False)
        engine = connect(url)
        migrate(engine)
        engine.dispose()
        yield url


def _workspace(engine: Engine, home: Path, **settings: str) -> Workspace:
    return open_workspace(engine, load_settings({"CROWN_HOME": str(home), **settings}, None))


# ---- two workers against one --------------------------------------------------------------------------------------


def two_workers(report: Report, folder: Path) -> None:
    """Renditions of 100 approved photos, with one worker and with two, in turns."""
    import numpy as np
    from PIL import Image, ImageDraw

    picture = Image.new("RGBA", (1600, 1200))
    ImageDraw.Draw(picture).ellipse((200, 100, 1400, 1100), fill=(90, 95, 105, 255))
    grain = np.asarray(picture).astype(np.int16)
    grain[..., :3] += np.random.default_rng(1).integers(-6, 6, grain[..., :3].shape, dtype=np.int16)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with _database(folder, "workers") as url:
        engine = connect(url)
        inbox = _workspace(engine, folder / "home").media(INBOX)
        for number in range(PHOTOS):
            grain[0, 0, 0] = number  # every photo has bytes of its own
            Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).save(
                inbox / f"{number:08}.png", compress_level=1
            )
        workspace = _workspace(engine, folder / "home")
        for _ in range(2):
            intake.take_in(workspace, settle_seconds=0)
        _make_all(workspace, until="product_images/cutouts")
        review.decide(workspace, "*", "approve", who="bench", via="cli")
        _make_all(workspace, until="product_images/masters")
        for turn in range(4):
            workers = 1 + turn % 2
            with engine.begin() as connection:  # the renditions are made anew in every turn
                connection.execute(
                    text(
                        "update ledger.outputs set present = false where starts_with(asset, 'product_images/renditions')"
                    )
                )
                connection.execute(
                    text(
                        "update ledger.items set state = 'pending', made = null"
                        " where starts_with(asset, 'product_images/renditions')"
                    )
                )
            workspace = _workspace(engine, folder / "home", CROWN_WORKERS=str(workers))
            started = time.perf_counter()
            made = stages.make(workspace, list(RENDITIONS.values())).pool.made
            assert made == PHOTOS * 5, made
            seconds[workers].append(time.perf_counter() - started)
        engine.dispose()
    one, two = statistics.median(seconds[1]), statistics.median(seconds[2])
    print(f"{PHOTOS} photos x 5 specs: one worker {one:.1f} s, two {two:.1f} s, on {os.cpu_count()} cores")
    report.add("two_workers_to_one", one / two, 1.7, below=False)


def _make_all(workspace: Workspace, until: str) -> None:
    for asset in ASSETS:
        if not asset.startswith("product_images/renditions"):
            stages.make(workspace, [asset])
        if asset == until:
            return


# ---- nothing to do, and one spec edit -----------------------------------------------------------------------------


def nothing_to_do(report: Report, folder: Path) -> None:
    """A run of the real Dagster job over 10,000 current photos; then 39 specs planned after an edit of one."""
    with _database(folder, "many") as url:
        engine = connect(url)
        workspace = _workspace(engine, folder / "many")
        _pretend_current(workspace, ASSETS)
        full, empty = _job_seconds(folder / "many", url)
        for library, run in (
            (f"{MANY:,} current photos x 5 specs", full),
            ("the same job, empty library", empty),
        ):
            print(
                f"{library}: {run.whole:.2f} s, after start-up {run.after_start:.2f} s; of these in our steps"
                f" {run.ours:.2f} s, Dagster's {run.after_start - run.ours:.2f} s"
                f" ({100 * (1 - run.ours / run.after_start):.0f} %)"
            )
        report.add("run_10000_current_s", full.after_start, 2.0, unit="s", below=True)

        all_specs = {
            "CROWN_PRODUCT_IMAGES_SPECS": "all",
            "CROWN_PRODUCT_IMAGES_BRAND_DIR": str(_brand(folder / "brand")),
        }
        every = _workspace(engine, folder / "many", **all_specs)
        families = list(RENDITIONS.values())
        _pretend_current(every, [*families, PUBLISHED])
        edited = _workspace(engine, folder / "many", **all_specs)
        name = "600x600_72dpi_jpeg"
        edited.__dict__["specs"] = {
            **every.specs,
            name: every.specs[name].model_copy(update={"quality": 80}),
        }
        started = time.perf_counter()
        edited_forecast = forecast.forecast(edited)
        seconds = time.perf_counter() - started
        assert edited_forecast.counted("changed") == MANY, edited_forecast.assets
        print(f"{MANY:,} photos x {len(every.specs)} specs forecast up to production: {seconds:.2f} s")
        report.add("forecast_10000_photos_all_specs_after_an_edit_s", seconds, 5.0, unit="s", below=True)

        started = time.perf_counter()
        plans, _ = stages.plan(edited, families)
        seconds = time.perf_counter() - started
        assert sum(plan.pending for plan in plans.values()) == MANY, plans
        print(f"{MANY:,} photos x {len(every.specs)} specs planned after one spec edit: {seconds:.2f} s")
        report.add("plan_10000_photos_all_specs_after_an_edit_s", seconds, 5.0, unit="s", below=True)
        engine.dispose()


def _brand(folder: Path) -> Path:
    """A folder with every icon and watermark that the specs name."""
    from PIL import Image

    folder.mkdir()
    for spec in load_specs(None, folder).values():
        for _, _, path in spec.overlays():
            Image.new("RGBA", (40, 40), (10, 20, 30, 90)).save(path)
    return folder


#: Where a task would have put a result; the files themselves are not there, so a run that opened one would fail.
_PATH = """
    case when i.asset = 'product_images/masters'
         then 'products/' || regexp_replace(i.key, '_[0-9]+$', '') || '/source/' || i.key || '.png'
         when starts_with(i.asset, 'product_images/renditions/')
         then 'products/' || regexp_replace(split_part(i.key, '/', 1), '_[0-9]+$', '') || '/formats/'
              || split_part(i.asset, '/', 3) || '/' || replace(i.key, '/', '_') || '.bin'
         when i.asset = 'product_images/production' then i.key
         else encode(sha256(cast(i.asset || i.key as bytea)), 'hex') end
"""


def _pretend_current(workspace: Workspace, assets: tuple[str, ...] | list[str]) -> None:
    """Enter results for everything the assets want, as if they had been made; only rows, no pictures."""
    engine = workspace.engine
    for target in workspace.targets.values():  # an empty one would count as not mounted
        target.folder.mkdir(parents=True, exist_ok=True)
        (target.folder / "placeholder").touch()
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into product_images.uploads (kind, photo, product_number, file_name, content_hash,"
                " size_bytes, uploader) select 'original', cast(n as text), cast(n as text), n || '.jpg',"
                " encode(sha256(cast(cast(n as text) as bytea)), 'hex'), 1, 'bench'"
                " from generate_series(10000000, 10000000 + :n - 1) n"
                " where not exists (select from product_images.uploads)"
            ),
            {"n": MANY},
        )
    for asset in assets:
        _vacuum(engine)  # without statistics, the statements below join half a million new rows in loops
        stages.plan(workspace, [asset])
        _vacuum(engine)
        if asset == "product_images/masters":
            _approve(engine)
            stages.plan(workspace, [asset])
        with engine.begin() as connection:
            # Foreign keys are checked by triggers, row by row: most of the time of a million rows.
            connection.execute(text("set local session_replication_role = replica"))
            connection.execute(
                text(
                    "with m as (insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe, decision_id,"
                    "   root, path) select asset, key, wanted, coalesce(("
                    # A master is the very bytes of its cut-out, which carry the approval.
                    "     select k.content_hash from ledger.outputs k where k.output_id = i.inputs[1]"
                    "     and i.asset = 'product_images/masters'), encode(sha256(cast(wanted as bytea)), 'hex')), recipe,"
                    "   decision_id, case when asset = 'product_images/production' then 'production' else 'media' end,"
                    f"  {_PATH} from ledger.items i where asset = :asset and state = 'pending'"
                    "   returning output_id, key, fingerprint, content_hash, root, path), e as ("
                    " insert into ledger.output_inputs select distinct on (m.output_id, input) m.output_id, input from m"
                    "   join ledger.items i on i.asset = :asset and i.key = m.key, unnest(i.inputs) as input), f as ("
                    " insert into ledger.files (root, path, content_hash, output_id, written_at)"
                    "   select root, path, content_hash, output_id, clock_timestamp() from m"
                    "   on conflict (root, path) do update set content_hash = excluded.content_hash,"
                    "   output_id = excluded.output_id, written_at = excluded.written_at)"
                    " update ledger.items i set state = 'current', output_id = m.output_id, made = m.fingerprint"
                    " from m where i.asset = :asset and i.key = m.key"
                ),
                {"asset": asset},
            )
    _vacuum(engine)


def _vacuum(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))


def _approve(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into ledger.decisions (stage, subject, content_hash, verdict, who, via)"
                " select i.asset, i.key, m.content_hash, 'approve', 'bench', 'cli' from ledger.items i"
                " join ledger.outputs m using (output_id) where i.asset = 'product_images/cutouts'"
            )
        )


@dataclass(frozen=True)
class RunSeconds:
    """A run: from the call to its end, from the start of its first step, and the part spent in our assets.

    Before its first step Dagster enters the run and all that it is going to do; that, with the imports of a new
    process, is start-up. Ours is the time between the start of each step and its first result.
    """

    whole: float
    after_start: float
    ours: float


def _job_seconds(home: Path, url: str) -> tuple[RunSeconds, RunSeconds]:
    """The job over the library and over an empty one, in turns, in a process that has started up; medians."""
    import dagster as dg

    from crown_cli.common.runs import dagster_instance, run_job
    from crown_cli.common.world import World

    empty = our_url(url).set(database="empty").render_as_string(hide_password=False)
    admin = connect(url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database empty"))
    admin.dispose()
    engine = connect(empty)
    migrate(engine)
    engine.dispose()
    seconds: dict[str, list[RunSeconds]] = {url: [], empty: []}
    for turn in range(8):
        which = (url, empty)[turn % 2]
        settings = load_settings({"CROWN_HOME": str(home), "CROWN_DATABASE_URL": which}, None)
        engine = connect(which)
        with dagster_instance(World(settings, which, engine)) as instance:
            called = time.time()
            run_id = run_job(instance, "product_images")["run_id"]
            ended = time.time()
            began: dict[str | None, float] = {}
            first_result: dict[str | None, float] = {}
            for log in instance.all_logs(run_id):
                if log.dagster_event_type == dg.DagsterEventType.STEP_START:
                    began.setdefault(log.step_key, log.timestamp)
                elif log.dagster_event_type == dg.DagsterEventType.STEP_OUTPUT:
                    first_result.setdefault(log.step_key, log.timestamp)
            ours = sum(first_result[step] - start for step, start in began.items())
            if turn > 1:  # imports and Dagster's tables are start-up
                seconds[which].append(RunSeconds(ended - called, ended - min(began.values()), ours))
        engine.dispose()
    shutil.rmtree(home / "previews", ignore_errors=True)
    return _medians(seconds[url]), _medians(seconds[empty])


def _medians(runs: list[RunSeconds]) -> RunSeconds:
    return RunSeconds(*(statistics.median(figures) for figures in zip(*map(astuple, runs), strict=True)))
