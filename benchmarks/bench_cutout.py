"""Quality of cut-outs on generated studio photographs with known alpha, and their cost.

    make bench-cutout                       the published figure: shapes and seeds not used for tuning
    python -m benchmarks.bench_cutout --family tuning --count 2
    python -m benchmarks.bench_cutout --weights FOLDER      the same table for each model of rembg in FOLDER

The worst ten are saved with their pictures (photo, alpha, and what is wrong in colour) under `--folder`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.cutout_pictures import BACKDROPS, FAMILIES, Sample, photograph
from benchmarks.report import Report
from crown.product_images.cutout import triage
from crown.product_images.cutout.engine import Cutter, open_cutter

HERE = Path(__file__).resolve().parent
GOOD = 0.90


@dataclass(frozen=True)
class Result:
    """One picture: how it was cut and how triage judged it."""

    sample: Sample
    alpha: np.ndarray
    iou: float
    error: float
    verdict: triage.Verdict


def overlap(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of what is at least half opaque."""
    a, b = alpha >= 128, truth >= 128
    return float((a & b).sum()) / max(int((a | b).sum()), 1)


def run(cutter: Cutter, family: str, count: int, start: int) -> list[Result]:
    results = []
    started, kinds = time.monotonic(), FAMILIES[family]
    for place, kind in enumerate(kinds, 1):
        for backdrop in BACKDROPS:
            for number in range(start, start + count):
                sample = photograph(family, kind, backdrop, number)
                alpha, steadiness = cutter.cut(sample.rgb)
                verdict = triage.judge(sample.rgb, alpha, steadiness=steadiness)
                difference = np.abs(alpha.astype(np.float32) - sample.alpha).sum() / 255
                error = float(difference) / max(float((sample.alpha >= 128).sum()), 1)
                results.append(Result(sample, alpha, overlap(alpha, sample.alpha), error, verdict))
        print(
            f"  {place} of {len(kinds)} kinds, {time.monotonic() - started:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return results


def table(results: list[Result], family: str) -> None:
    """Mean overlap per kind and backdrop; in brackets, how many are under 0.90 and how many are flagged."""
    print(f"{'':16s}" + "".join(f"{name:>22s}" for name in (*BACKDROPS, "all")))

    def cell(chosen: list[Result]) -> str:
        bad = sum(r.iou < GOOD for r in chosen)
        flagged = sum(r.verdict.doubtful for r in chosen)
        return f"{np.mean([r.iou for r in chosen]):.3f} ({bad} bad, {flagged} fl.)"

    for kind in (*FAMILIES[family], "all"):
        row = [r for r in results if kind in (r.sample.kind, "all")]
        cells = [[r for r in row if r.sample.backdrop == backdrop] for backdrop in BACKDROPS]
        print(f"{kind:16s}" + "".join(f"{cell(chosen):>22s}" for chosen in (*cells, row)))


def worst(results: list[Result], folder: Path) -> None:
    """Print and save the ten worst: red is left standing, blue is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"\nworst ten (pictures in {folder})")
    for place, r in enumerate(sorted(results, key=lambda r: r.iou)[:10], 1):
        sample, flags = r.sample, ", ".join(r.verdict.flags) or "no flag"
        name = f"{place:02d}_{sample.kind}_{sample.backdrop}".replace(" ", "-")
        print(
            f"  {r.iou:.3f}  {sample.kind} on {sample.backdrop}, seed {sample.seed}: score {r.verdict.score}, {flags}"
        )
        found, truth = r.alpha >= 128, sample.alpha >= 128
        marked = (sample.rgb * 0.4 + 60).astype(np.uint8)
        marked[found & ~truth], marked[truth & ~found] = (255, 40, 40), (40, 80, 255)
        sheet = np.hstack([sample.rgb, np.repeat(r.alpha[..., None], 3, axis=2), marked])
        cv2.imwrite(str(folder / f"{name}.png"), sheet[..., ::-1])


def one_large(model: str, weights: Path | None) -> None:
    """Child process: cut one photo of 24 megapixels on one core; print CPU seconds and peak gigabytes."""
    cv2.setNumThreads(1)
    sample = photograph("figure", "gear", "grey gradient", 7, megapixels=0.8)
    height, width = 4000, 6000
    rgb = cv2.resize(sample.rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    cutter = open_cutter(model, weights)
    cutter.cut(np.ascontiguousarray(rgb[:600, :800]))
    started = time.process_time()
    cutter.cut(rgb)
    seconds = time.process_time() - started
    # ru_maxrss of a child begins with what its parent used; this begins with the program.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(seconds, int(peak[1]) * 1024 / 1e9)


def cost(model: str, weights: Path | None) -> tuple[float, float]:
    """CPU seconds (the smallest of three runs) and peak memory in GB (the largest) of 24 megapixels."""
    command = [sys.executable, "-m", "benchmarks.bench_cutout", "--one-large", model]
    command += ["--weights", str(weights)] if weights else []
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "VIPS_CONCURRENCY": "1"}
    runs = []
    for _ in range(3):
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=os.environ | one_core, cwd=HERE.parent
        )
        runs.append(tuple(float(word) for word in done.stdout.split()))
    return min(r[0] for r in runs), max(r[1] for r in runs)


def figures(report: Report, results: list[Result], seconds: float, gigabytes: float) -> None:
    """Add the figures of an engine with their goals."""
    flagged = [r.verdict.doubtful for r in results]
    unflagged_bad = sum(r.iou < GOOD and not f for r, f in zip(results, flagged, strict=True))
    error = np.mean([r.error for r in results])
    print(f"\n{len(results)} pictures; mean error of alpha {error:.4f} of the part's area")
    report.add("cutout_mean_iou", float(np.mean([r.iou for r in results])), 0.96, below=False)
    report.add("cutout_share_good", float(np.mean([r.iou >= GOOD for r in results])), 0.95, below=False)
    report.add("cutout_unflagged_bad", unflagged_bad, 0, below=True)
    report.add("cutout_flagged_share", float(np.mean(flagged)), 0.15, below=True)
    report.add("cutout_24mp_seconds", seconds, 5.0, unit="s", below=True)
    report.add("cutout_24mp_peak_gb", gigabytes, 1.5, unit="GB", below=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1, help="pictures per kind and backdrop (default 1)")
    parser.add_argument("--start", type=int, default=0, help="number of the first picture (default 0)")
    parser.add_argument("--family", choices=sorted(FAMILIES), default="figure")
    parser.add_argument("--weights", type=Path, help="folder with <model>.onnx files, each gets a table")
    parser.add_argument(
        "--folder", type=Path, default=HERE.parent / "var" / "bench-cutout", help="for the worst ten"
    )
    parser.add_argument("--one-large", metavar="MODEL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one_large:
        one_large(given.one_large, given.weights)
        return
    cv2.setNumThreads(1)
    models = (
        ["studio"] + sorted(path.stem for path in given.weights.glob("*.onnx"))
        if given.weights
        else ["studio"]
    )
    reports = []
    for model in models:
        print(f"\n{model}, {given.family} family: mean overlap (pictures under {GOOD}, pictures flagged)")
        results = run(open_cutter(model, given.weights), given.family, given.count, given.start)
        table(results, given.family)
        worst(results, given.folder / model)
        report = Report(model)
        figures(report, results, *cost(model, given.weights))
        reports.append(report)
    # The goals are set for our own engine; the figures of other models are shown beside it.
    reports[0].close()


if __name__ == "__main__":
    main()
