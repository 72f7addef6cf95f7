"""What motion jobs cost: ingestion of 100 jobs on 5 templates and 20 PSDs, against bare psd-tools.

Run by `make bench-motion`; ends with `NAME = VALUE (goal GOAL)` lines, CHECK=1 exits non-zero on a miss.
Bare is psd-tools alone: the same 20 PSDs opened and each layer written as PNG, in one process. Contenders take turns;
ratios are of medians. The goal of two cores is judged only where two are there.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.report import Report
from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate
from crown.motion_jobs import samples, sources, stages
from crown.motion_jobs.jobs import batches
from crown.motion_jobs.workspace import BATCHES, INGESTED, MATCHES, SOURCES, Workspace, open_workspace
from crown.settings.model import load_settings

JOBS, TEMPLATES, PSDS, PLANNED = 100, 5, 20, 1_000
SIZE = (1920, 1080)
ROUNDS = 3
LARGE, LAYERS = (6000, 4000), 6


def given(folder: Path) -> list[Path]:
    """Templates, PSDs with five picture layers and two texts, and the batch file."""
    for number in range(TEMPLATES):
        samples.template(folder, f"t{number}.aepx")
    psds = [large_psd(folder / f"p{number}.psd", SIZE, 5) for number in range(PSDS)]
    (folder / "batch.csv").write_text(samples.batch_csv([row(number, "") for number in range(JOBS)]))
    return psds


def row(number: int, prefix: str) -> dict[str, str]:
    """The row of a job."""
    return {
        "job_id": f"{prefix}j{number}",
        "psd_path": f"p{number % PSDS}.psd",
        "aepx_path": f"t{number % TEMPLATES}.aepx",
        "output_name": f"{prefix}j{number}.aepx",
        "priority": "medium",
    }


def large_psd(path: Path, size: tuple[int, int], layers: int) -> Path:
    """A PSD whose picture layers are as large as the document."""
    pictures = [
        samples.Picture(f"Picture {n}", colour, (0, 0), size)
        for n, colour in zip(range(layers), _COLOURS, strict=False)
    ]
    return samples.psd(
        path, [samples.Text("Headline", path.stem), samples.Text("Price", "9.90")], pictures, size
    )


_COLOURS = ("teal", "orange", "purple", "navy", "olive", "maroon")


def bare(psds: list[Path], folder: Path) -> float:
    """Seconds of psd-tools alone."""
    from psd_tools import PSDImage

    folder.mkdir()
    started = time.perf_counter()
    for path in psds:
        for number, layer in enumerate(PSDImage.open(path).descendants()):
            if layer.has_pixels():
                picture = layer.topil()
                if picture is not None:
                    picture.save(folder / f"{path.stem}_{number}.png")
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return seconds


def opened(url: str, home: Path, workers: int) -> Workspace:
    """A workspace with a database of its own."""
    settings = {
        "CROWN_HOME": str(home),
        "CROWN_WORKERS": str(workers),
        "CROWN_MOTION_JOBS_ALLOWED_ROOTS": str(home.parent),
        "CROWN_MOTION_JOBS_MAX_JOBS": "10000",
    }
    return open_workspace(connect(url), load_settings(settings, None))


def ingested(workspace: Workspace, csv: Path) -> float:
    """Seconds from the upload of a batch to its ingested jobs."""
    started = time.perf_counter()
    batches.upload(workspace, csv, who="bench")
    for asset in (BATCHES, SOURCES, INGESTED):
        stages.make(workspace, asset)
    return time.perf_counter() - started


def warm_up(workspace: Workspace, folder: Path) -> None:
    """Let the worker processes load what they need: a service has done so long ago."""
    tiny = [
        samples.psd(folder / f"{n}.psd", [], [samples.Picture(str(n), "teal", (0, 0), (9, 9))], (9, 9))
        for n in range(4)
    ]
    sources.read(workspace, sources.seen_now(tiny))
    for left in workspace.cache.iterdir():
        shutil.rmtree(left)


def fresh(server: str, name: str) -> str:
    """The address of an empty, migrated database."""
    admin = connect(server)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
    admin.dispose()
    url = our_url(server).set(database=name).render_as_string(hide_password=False)
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    return url


def planned(engine: Engine, workspace: Workspace, folder: Path) -> float:
    """Seconds of planning all assets of 1,000 jobs when nothing is due."""
    (folder / "more.csv").write_text(
        samples.batch_csv([row(number, "m") for number in range(PLANNED - JOBS)])
    )
    batches.upload(workspace, folder / "more.csv", who="bench")
    stages.plan(workspace)
    with engine.connect() as connection:
        count = connection.execute(text("select count(*) from motion.job_records")).scalar_one()
    assert count == PLANNED
    started = time.perf_counter()
    stages.plan(workspace)
    return time.perf_counter() - started


def peak_megabytes(folder: Path) -> float:
    """Peak memory of a process that reads a PSD of 6000 x 4000 pixels with six such layers."""
    path = large_psd(folder / "large.psd", LARGE, LAYERS)
    (folder / "cache").mkdir()
    program = (
        "import sys, resource; from pathlib import Path;"
        "from crown.motion_jobs import sources; from crown.store import files;"
        "sources.read_file('psd', sys.argv[1], files.sha256(Path(sys.argv[1])), sys.argv[2]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), str(folder / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) / 1024


def main() -> None:
    """Measure, print, judge."""
    report = Report("motion")
    with tempfile.TemporaryDirectory(prefix="crown-bench-") as name:
        base = Path(name)
        folder = base / "work"
        folder.mkdir()
        psds = given(folder)
        with embedded_server(base / "postgres", throwaway=True) as server:
            measure(report, server, base, folder, psds)
        print(
            f"  peak memory of a PSD of {LARGE[0]} x {LARGE[1]} and {LAYERS} layers: {peak_megabytes(base):,.0f} MB"
        )
    report.close()


def measure(report: Report, server: str, base: Path, folder: Path, psds: list[Path]) -> None:
    """Rounds of bare, one worker and two; then repetition and planning on the last database."""
    times: dict[str, list[float]] = {"bare": [], "one": [], "two": []}
    for number in range(ROUNDS):
        times["bare"].append(bare(psds, base / "bare"))
        for name, workers in (("one", 1), ("two", 2)):
            workspace = opened(fresh(server, f"{name}{number}"), base / f"{name}{number}", workers)
            warm_up(workspace, base / "warm")
            times[name].append(ingested(workspace, folder / "batch.csv"))
            reads = len(list(workspace.cache.glob("*-*-*")))
            assert reads == TEMPLATES + PSDS, f"{reads} files were read"
            if (number, name) != (ROUNDS - 1, "two"):
                workspace.engine.dispose()
                shutil.rmtree(workspace.settings.home)
    middle = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in middle.items():
        print(f"  {name}: {seconds:.2f} s")
    report.add("ingestion / bare psd-tools", middle["one"] / middle["bare"], 1.3, below=True)
    if (os.cpu_count() or 1) >= 2:
        report.add("one worker / two", middle["one"] / middle["two"], 1.6, below=False)
    started = time.perf_counter()
    again = [stages.make(workspace, asset).pool.made for asset in (BATCHES, SOURCES, INGESTED)]
    report.add("second run", time.perf_counter() - started, 1.0, unit="s", below=True)
    assert sum(again) == 0
    stages.make(workspace, MATCHES)
    seconds = planned(workspace.engine, workspace, folder)
    report.add("1,000 jobs planned", seconds, 1.0, unit="s", below=True)
    workspace.engine.dispose()


if __name__ == "__main__":
    main()
