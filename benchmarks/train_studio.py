"""Train the small networks of the studio engine, in steps that can be repeated.

    python benchmarks/train_studio.py generate --folder PICTURES --first 0 --count 800
    python benchmarks/train_studio.py generate --folder PICTURES --first 1000000 --count 40
    python benchmarks/train_studio.py train --folder PICTURES --steps 800 --rate 3e-3 --into FIRST
    python benchmarks/train_studio.py train --folder PICTURES --steps 1000 --resume FIRST/studio_networks.pt --into SECOND
    python benchmarks/train_studio.py export --folder SECOND --into crown/product_images

`generate` runs with the project's own packages, `train` and `export` with torch 2.13.0, onnx, numpy, scipy and
opencv-python-headless. torch and onnx are no dependencies of the project: make a virtual environment outside of it.
A picture takes about 1 s of one core, a step about 1 s; the pictures from 1000000 on are only looked at. The second
training keeps what batch norm took for usual in the first one: with four frames at a time it is what makes the
networks steady. Fixed seeds; another processor or another number of threads may round differently, and the pictures
present when a step asks for them count, so the weights that matter are the files in the package.

Those were made so: 800 pictures and 600 steps before the frame's network was shown the second opinion (the weights of
that channel then began at zero), 200 steps with it, and then second trainings, each from the one before: 500 steps,
400 of 480, 200 of 3000 at a rate of 4e-4; 1400 of 3600 at 6e-4 while 1700 more pictures arrived (numbers from 2000 on,
some of them with outlines repeated as in made things); 6200 of 6600 at 7e-4, falling over the last 45 %. Then the
residual blocks came, which begin as nothing, and 8800 steps at 8e-4, falling over the last half, while 200 more pictures
arrived (numbers from 4000 on). About six hours of one core in all.
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

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from crown.product_images.cutout.studio import (  # noqa: E402
    backdrop as studio_backdrop,
)
from crown.product_images.cutout.studio import (  # noqa: E402
    network as studio_network,
)

SHAPES = {1.0: (384, 384), 4 / 3: (320, 448), 3 / 2: (320, 480)}
"""Rows and columns of the whole frame in training, by aspect; portraits are turned."""
CROP = 288
SEEN = 256
CROPS = 2
VALIDATION = 1_000_000
BATCH = 4


# --- pictures on disk ----------------------------------------------------------------------------------------


def generate(folder: Path, first: int, count: int) -> None:
    """Make and keep the inputs of training: whole frames small, crops at working size, the fitted backdrop."""
    from cutout_training import scene

    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for number in range(first, first + count):
        target = folder / f"{number:07d}.npz"
        if target.exists():
            continue
        picture = scene(number)
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, **prepared(picture.rgb, picture.alpha, np.random.default_rng(number)))
        unfinished.replace(target)
        if (number - first) % 100 == 99:
            print(f"{number - first + 1} pictures, {time.monotonic() - started:.0f} s", flush=True)


def prepared(rgb: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One scene as training wants it; the field is kept on its own coarse grid."""
    from crown.product_images.cutout.studio.regions import sharpness
    from crown.product_images.cutout.studio.second import opinion

    if rgb.shape[0] > rgb.shape[1]:
        rgb, alpha = np.rot90(rgb).copy(), np.rot90(alpha).copy()
    aspect = min(SHAPES, key=lambda a: abs(a - rgb.shape[1] / rgb.shape[0]))
    rows, columns = SHAPES[aspect]
    small = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
    lab = studio_backdrop.to_lab(small)
    field = studio_backdrop.fit(lab, sharpness(lab)).field
    out = {
        "small": small,
        "small_alpha": cv2.resize(alpha, (columns, rows), interpolation=cv2.INTER_AREA),
        "second": np.round(255 * opinion(small).share).astype(np.uint8),
        "field": cv2.resize(field, (columns // 4, rows // 4), interpolation=cv2.INTER_AREA).astype(
            np.float16
        ),
    }
    smallest = (CROP + 1) / min(rgb.shape[:2])
    zoom = rng.uniform(0.55, 1.0) if rng.random() < 0.6 else 1.0
    zoom = rng.uniform(1.0, 2.0) if rng.random() < 0.1 else zoom
    zoom = max(zoom, smallest)
    size = (round(rgb.shape[1] * zoom), round(rgb.shape[0] * zoom))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    if zoom != 1.0:
        rgb, alpha = cv2.resize(rgb, size, interpolation=how), cv2.resize(alpha, size, interpolation=how)
    height, width = alpha.shape
    y, x = np.nonzero((alpha > 30) & (alpha < 225))
    for k in range(CROPS):
        if y.size and rng.random() < 0.85:
            i = rng.integers(y.size)
            top, left = (np.array([y[i], x[i]]) - CROP / 2 + rng.uniform(-90, 90, 2)).astype(int)
        else:
            top, left = rng.integers(0, height - CROP), rng.integers(0, width - CROP)
        top, left = int(np.clip(top, 0, height - CROP)), int(np.clip(left, 0, width - CROP))
        out[f"crop{k}"] = rgb[top : top + CROP, left : left + CROP]
        out[f"crop{k}_alpha"] = alpha[top : top + CROP, left : left + CROP]
        out[f"crop{k}_box"] = np.array(
            [left / width, top / height, (left + CROP) / width, (top + CROP) / height], np.float32
        )
    return out


def _points(box: np.ndarray, top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a crop lie in the frame, as shares of its width and height."""
    steps = (np.arange(SEEN) + 0.5) / CROP
    x = box[0] + (left / CROP + steps) * (box[2] - box[0])
    y = box[1] + (top / CROP + steps) * (box[3] - box[1])
    gx, gy = np.meshgrid(x, y)
    return gx.astype(np.float32), gy.astype(np.float32)


def load(path: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Read one scene: arrays for the coarse network, and for each crop those for the fine one."""
    with np.load(path) as data:
        scene = {key: data[key] for key in data.files}
    rows, columns = scene["small_alpha"].shape
    field = scene["field"].astype(np.float32)
    field[..., 0] = np.clip(field[..., 0], 0, 100)
    full = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_LINEAR)
    turn = int(rng.integers(4))
    image = studio_network.inputs(studio_backdrop.to_lab(scene["small"]), full)
    # Now and then the network has to do without the second opinion, so that it keeps one of its own.
    second = scene["second"] * np.float32(2 / 255) - 1
    image = np.dstack([image, second * np.float32(rng.random() > 0.12)])
    truth = _truth(scene["small_alpha"])
    out: dict[str, Any] = {"image": image, "truth": truth, "flip": (turn & 1, turn >> 1), "crops": []}
    for k in range(CROPS):
        top, left = (int(v) for v in rng.integers(0, CROP - SEEN + 1, 2))
        window = (slice(top, top + SEEN), slice(left, left + SEEN))
        x, y = _points(scene[f"crop{k}_box"], top, left)
        at = (x * field.shape[1] - 0.5, y * field.shape[0] - 0.5)
        near = cv2.remap(field, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        lab = studio_backdrop.to_lab(np.ascontiguousarray(scene[f"crop{k}"][window]))
        out["crops"].append(
            {
                "image": studio_network.inputs(lab, near),
                "truth": _truth(np.ascontiguousarray(scene[f"crop{k}_alpha"][window])),
                "grid": np.dstack([2 * x - 1, 2 * y - 1]),
                "turn": int(rng.integers(8)),
            }
        )
    return out


# --- networks ------------------------------------------------------------------------------------------------

WIDTHS = {"coarse": (32, 48, 64, 96, 96), "fine": (32, 48, 64, 96)}
DEPTHS = {"coarse": (0, 0, 1, 3, 3), "fine": (0, 0, 2, 4)}
"""How many residual blocks follow each stage on the way down; the small stages are where shapes are completed."""


def build(name: str) -> Any:
    """A U of 3 x 3 convolutions that starts and ends at half the size of the picture."""
    import torch
    from torch import nn
    from torch.nn import functional

    def block(inside: int, outside: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(True)
        )

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first = block(width, width)
            self.second = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
            )
            # It starts as nothing, so that networks trained without it can be resumed.
            nn.init.zeros_(self.second[1].weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.relu(x + self.second(self.first(x)))

    class Net(nn.Module):
        def __init__(self, channels: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
            super().__init__()
            before = (channels * 4, *widths[:-1])
            self.down = nn.ModuleList(
                nn.Sequential(block(b, w), block(w, w)) if k else block(b, w)
                for k, (b, w) in enumerate(zip(before, widths, strict=True))
            )
            self.deep = nn.ModuleList(
                nn.Sequential(*(Residual(w) for _ in range(n))) for w, n in zip(widths, depths, strict=True)
            )
            self.lift = nn.ModuleList(nn.Conv2d(widths[k + 1], widths[k], 1) for k in range(len(widths) - 1))
            self.up = nn.ModuleList(block(w, w) for w in widths[:-1])
            self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            x = functional.pixel_unshuffle(image, 2)
            kept = []
            for k, stage in enumerate(self.down):
                x = self.deep[k](stage(functional.max_pool2d(x, 2) if k else x))
                kept.append(x)
            for k in range(len(self.up) - 1, -1, -1):
                raised = functional.interpolate(self.lift[k](x), scale_factor=2.0, mode="nearest")
                x = self.up[k](kept[k] + raised)
            return functional.pixel_shuffle(self.head(x), 2)

    return Net(7, WIDTHS[name], DEPTHS[name])


def _truth(alpha: np.ndarray) -> np.ndarray:
    """Share of the part in each pixel, and how much the pixel counts: the outline more; H x W x 2."""
    brush = np.ones((7, 7), np.uint8)
    rim = cv2.dilate(alpha, brush) - cv2.erode(alpha, brush)
    return np.dstack([alpha / np.float32(255), 1 + 3 * (rim / np.float32(255))])


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


def export(folder: Path, into: Path) -> None:
    """Write both networks as ONNX: batch norm folded into the convolutions, weights stored as float16."""
    import onnx
    import torch
    from onnx import helper, numpy_helper
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    state = torch.load(folder / "studio_networks.pt", weights_only=True)
    for name in WIDTHS:
        net = build(name)
        net.load_state_dict(state[name])
        net.eval()
        for module in list(net.modules()):
            if (
                isinstance(module, torch.nn.Sequential)
                and len(module)
                and isinstance(module[0], torch.nn.Conv2d)
            ):
                module[0], module[1] = fuse_conv_bn_eval(module[0], module[1]), torch.nn.Identity()
        path = into / f"studio_{name}.onnx"
        model = torch.nn.Sequential(net, torch.nn.Sigmoid())
        axes = {"image": {2: "height", 3: "width"}, "share": {2: "height", 3: "width"}}
        sample = torch.zeros(1, 7, 64, 64)
        torch.onnx.export(
            model, (sample,), str(path), input_names=["image"], output_names=["share"],
            dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
        graph = onnx.load(str(path))
        casts = []
        for tensor in graph.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
                half = numpy_helper.from_array(
                    numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_half"
                )
                casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
                tensor.CopyFrom(half)
        nodes = [*casts, *graph.graph.node]
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)
        graph.doc_string = "Crown studio engine; made by benchmarks/train_studio.py"
        onnx.checker.check_model(graph)
        onnx.save(graph, str(path))
        print(f"{path}: {path.stat().st_size} bytes")


def main() -> int:
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
