"""Train the networks of the studio engine, in repeatable steps.

    python -m training.studio generate --folder PICTURES --first 0 --count 800
    python -m training.studio generate --folder PICTURES --first 1000000 --count 40
    python -m training.studio train --folder PICTURES --steps 800 --rate 3e-3 --into FIRST
    python -m training.studio train --folder PICTURES --steps 1000 --resume FIRST/studio_networks.pt --into SECOND
    python -m training.studio export --folder SECOND --into crown/product_images/cutout/studio

Run from the checkout. `generate` needs the project's own environment; `train` and `export` need torch 2.13.0, onnx,
numpy, scipy and opencv-python-headless. torch and onnx are not dependencies of the project: install them into a
virtual environment outside of it. A picture takes about 1 s of one core, a step about 1 s. Pictures from 1000000 on
are used for validation only. A resumed training freezes the batch norm statistics of the first one: a batch of four
frames is too small to estimate them. Seeds are fixed, but another processor or another number of threads may round
differently, and the pictures present when a step reads them matter. The reference weights are the files in the
package.

How those were trained: 800 pictures and 600 steps before the coarse network received the second opinion (the weights
of that channel began at zero), 200 steps with it, then resumed trainings, each from the one before: 500 steps, 400 of
480, 200 of 3000 at a rate of 4e-4; 1400 of 3600 at 6e-4 while 1700 more pictures were added (numbers from 2000 on,
some with repeated outlines); 6200 of 6600 at 7e-4, with cooling over the last 45 %. Then residual blocks, initialised
to zero, were added and trained for 8800 steps at 8e-4, with cooling over the last half, while 200 more pictures were
added (numbers from 4000 on). About six hours of one core in all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.inputs import CROPS, SEEN, VALIDATION, generate, load
from training.networks import WIDTHS, build, export

BATCH = 4


def _loss(logit: Any, truth: Any) -> Any:
    """Cross entropy, the outline counted more, and one minus the soft overlap of each picture."""
    import torch
    from torch.nn import functional

    logit, weight, truth = logit.float(), truth[:, 1:], truth[:, :1]
    entropy = functional.binary_cross_entropy_with_logits(logit, truth, weight=weight)
    share = torch.sigmoid(logit)
    both = (share * truth).sum((1, 2, 3))
    either = (share + truth - share * truth).sum((1, 2, 3))
    return entropy + (1 - (both + 30) / (either + 30)).mean()


def _batch(paths: list[Path], rng: np.random.Generator) -> dict[str, Any]:
    import torch

    scenes = [load(path, rng) for path in paths]

    def tensor(arrays: list[np.ndarray]) -> Any:
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

    crops = [crop for scene in scenes for crop in scene["crops"]]
    return {
        "image": tensor([s["image"] for s in scenes]),
        "truth": tensor([s["truth"] for s in scenes]),
        "flips": [s["flip"] for s in scenes],
        "crop": tensor([c["image"] for c in crops]),
        "crop_truth": tensor([c["truth"] for c in crops]),
        "grid": torch.from_numpy(np.stack([c["grid"] for c in crops])),
        "turns": [c["turn"] for c in crops],
    }


def _flipped(x: Any, flips: list[tuple[int, int]]) -> Any:
    import torch

    rows = []
    for picture, (across, down) in zip(x, flips, strict=True):
        sides = [side for side, on in ((2, across), (1, down)) if on]
        rows.append(picture.flip(sides) if sides else picture)
    return torch.stack(rows)


def _turned(x: Any, turns: list[int]) -> Any:
    import torch

    rows = [
        p.rot90(t & 3, (1, 2)).flip(2) if t & 4 else p.rot90(t & 3, (1, 2))
        for p, t in zip(x, turns, strict=True)
    ]
    return torch.stack(rows)


def _both(
    nets: dict[str, Any], batch: dict[str, Any], rng: np.random.Generator | None
) -> tuple[Any, Any, Any, Any]:
    """Logits and truths of both networks; `rng` turns pictures and blurs or hides what the first one said."""
    import torch
    from torch.nn import functional

    image, truth = batch["image"], batch["truth"]
    if rng is not None:
        image, truth = _flipped(image, batch["flips"]), _flipped(truth, batch["flips"])
    far = nets["coarse"](image.contiguous(memory_format=torch.channels_last))
    share = torch.sigmoid(far.detach().float())
    if rng is not None:
        share = _flipped(share, batch["flips"])
    before = functional.grid_sample(
        share.repeat_interleave(CROPS, 0), batch["grid"], padding_mode="border", align_corners=False
    )
    if rng is not None:
        for k in range(before.shape[0]):
            chance = rng.random()
            if chance < 0.05:
                before[k] = 0.5
            elif chance < 0.15:
                top, left = (int(v) for v in rng.integers(0, SEEN - 80, 2))
                before[k, :, top : top + 80, left : left + 80] = float(rng.uniform(0, 1))
    crop = torch.cat([batch["crop"], 2 * before - 1], 1)
    crop_truth = batch["crop_truth"]
    if rng is not None:
        crop, crop_truth = _turned(crop, batch["turns"]), _turned(crop_truth, batch["turns"])
    near = nets["fine"](crop.contiguous(memory_format=torch.channels_last))
    return far, truth, near, crop_truth


def _overlaps(logit: Any, truth: Any) -> list[float]:
    a, b = logit > 0, truth[:, :1] >= 0.5
    both, either = (a & b).sum((1, 2, 3)), (a | b).sum((1, 2, 3))
    return [float(x) / float(y) for x, y in zip(both, either, strict=True) if y > 50]


def _batches(folder: Path, steps: int) -> Iterator[dict[str, Any]]:
    """Random batches; the next one is read while the networks work on this one."""
    rng = np.random.default_rng(1)
    shelves: list[list[Path]] = []

    def drawn(step: int) -> dict[str, Any]:
        nonlocal shelves
        if step % 200 == 0:
            shelves = _shelves(folder)
        sizes = np.array([len(shelf) for shelf in shelves], float)
        shelf = shelves[int(rng.choice(len(shelves), p=sizes / sizes.sum()))]
        return _batch([shelf[int(i)] for i in rng.integers(0, len(shelf), BATCH)], rng)

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(drawn, 0)
        for step in range(steps):
            batch = ahead.result()
            ahead = reader.submit(drawn, step + 1)
            yield batch


def train(
    folder: Path, into: Path, steps: int, rate: float, cooling: float, resume: Path | None, threads: int
) -> None:
    """Train both networks together on what `generate` left (also on pictures that arrive meanwhile)."""
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    nets = {name: build(name).to(memory_format=torch.channels_last) for name in WIDTHS}
    mean = {name: build(name) for name in WIDTHS}
    state = torch.load(resume, weights_only=True) if resume else {}
    for name in WIDTHS:
        nets[name].load_state_dict({**nets[name].state_dict(), **state.get(name, {})})
        mean[name].load_state_dict(nets[name].state_dict())
        # Four frames are too few for batch norm to know what is usual: from the second stage on it is kept.
        nets[name].train(resume is None)
    print({name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}, flush=True)
    weights = [p for net in nets.values() for p in net.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=1e-4)
    warm, cool = min(50, steps), max(1, round(steps * cooling))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: min(1.0, (k + 1) / warm, max(0.0, (steps - k) / cool))
    )
    started, lately = time.monotonic(), []
    for step, batch in enumerate(_batches(folder, steps)):
        with torch.autocast("cpu", torch.bfloat16):
            far, truth, near, crop_truth = _both(nets, batch, rng)
        loss = _loss(far, truth) + _loss(near, crop_truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 0.5, error_if_nonfinite=True)
        optimiser.step()
        schedule.step()
        lately.append(float(loss.detach()))
        keep = min(0.995, 1 - 10 / (step + 20))
        with torch.no_grad():
            for name, net in mean.items():
                for m, p in zip(net.state_dict().values(), nets[name].state_dict().values(), strict=True):
                    m.copy_(m * keep + p * (1 - keep) if m.is_floating_point() else p)
        if step % 50 == 49:
            print(
                f"step {step + 1}: loss {np.mean(lately):.4f}, {time.monotonic() - started:.0f} s", flush=True
            )
            lately.clear()
        if step % 200 == 199 or step == steps - 1:
            if resume is None:
                _calibrate(mean, _shelves(folder))
            _validate(folder, mean)
            torch.save({name: net.state_dict() for name, net in mean.items()}, into / "studio_networks.pt")


def _shelves(folder: Path) -> list[list[Path]]:
    """Training pictures on disk by the shape of their frame."""
    shelves: dict[tuple[int, ...], list[Path]] = {}
    for path in sorted(folder.glob("*.npz")):
        if int(path.stem) < VALIDATION:
            with np.load(path) as data:
                shelves.setdefault(data["small_alpha"].shape, []).append(path)
    print(f"{sum(map(len, shelves.values()))} training pictures", flush=True)
    return list(shelves.values())


def _calibrate(nets: dict[str, Any], shelves: list[list[Path]]) -> None:
    """Measure anew what batch norm takes for usual: averaged weights have other averages than the weights had."""
    import torch

    rng = np.random.default_rng(2)
    for net in nets.values():
        net.train()
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
    for k in range(24):
        shelf = shelves[k % len(shelves)]
        batch = _batch([shelf[int(i)] for i in rng.integers(0, len(shelf), BATCH)], rng)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            _both(nets, batch, rng)


def _validate(folder: Path, nets: dict[str, Any]) -> None:
    import torch

    rng = np.random.default_rng(0)
    far_all, near_all = [], []
    for net in nets.values():
        net.eval()
    for path in sorted(folder.glob("*.npz")):
        if int(path.stem) >= VALIDATION:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                far, truth, near, crop_truth = _both(nets, _batch([path], rng), None)
            far_all += _overlaps(far, truth)
            near_all += _overlaps(near, crop_truth)
    for name, values in (("coarse", far_all), ("fine crops", near_all)):
        good = np.mean(np.array(values) >= 0.9)
        print(
            f"  validation, {name}: mean overlap {np.mean(values):.4f}, {good:.3f} at 0.90 or better",
            flush=True,
        )


def main() -> int:
    """Read the arguments and run one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("generate", "train", "export"))
    parser.add_argument(
        "--folder", type=Path, required=True, help="pictures, or for export the trained networks"
    )
    parser.add_argument("--into", type=Path, default=Path(), help="where results go")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument(
        "--cooling", type=float, default=0.3, help="share of the steps in which the rate falls to 0"
    )
    parser.add_argument("--threads", type=int, default=1, help="cores that train (default 1)")
    parser.add_argument("--resume", type=Path, help="networks to start from")
    given = parser.parse_args()
    if given.what == "generate":
        generate(given.folder, given.first, given.count)
    elif given.what == "train":
        train(given.folder, given.into, given.steps, given.rate, given.cooling, given.resume, given.threads)
    else:
        export(given.folder, given.into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
