"""What product images cost: renditions against the old command sequence and against bare libvips.

Run by `make bench-images`; ends with `NAME = VALUE (goal GOAL)` lines, CHECK=1 exits non-zero on a miss.
Each row of `ROWS` is one question; contenders run in processes of their own, in turns, on a generated picture.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.image_flow import nothing_to_do, two_workers
from benchmarks.report import Report
from crown.pictures.tags import Tags, write_tags
from crown.product_images.renditions.render import layout, render
from crown.product_images.renditions.specs import (
    Spec,
    file_name,
    load_specs,
    select_specs,
)

ROUNDS = 3
WIDTH, HEIGHT = 6000, 4000
IMAGEMAGICK = ("/usr/bin/convert-im6.q16", "/usr/bin/convert", "/usr/bin/magick")
TAGS = Tags(
    artist="A Parts Maker",
    make="A Parts Maker",
    model="52000123",
    image_description="A Parts Maker product image 52000123",
    copyright="Copyright (c) A Parts Maker",
    keywords=("A Parts Maker", "52000123", "product"),
    product_number="52000123",
    digital_source_type="algorithmicallyEnhanced",
    software="Crown",
)


# ---- the picture -----------------------------------------------------------------------------------------------


def make_master(master: Path, _folder: Path) -> dict[str, Any]:
    """A cut-out of 24 megapixels with a hole, soft edges and a surface that went through a camera's JPEG."""
    import numpy as np
    import pyvips
    from PIL import Image, ImageDraw, ImageFilter

    shape = Image.new("L", (WIDTH, HEIGHT), 0)
    draw = ImageDraw.Draw(shape)
    draw.ellipse((0, 300, 3900, HEIGHT - 1), fill=255)
    draw.ellipse((1200, 1400, 2700, 2900), fill=0)
    draw.rectangle((3000, 0, WIDTH - 1, 1800), fill=255)
    draw.polygon([(3500, 1500), (5900, 3900), (3200, 3800)], fill=255)
    alpha = np.asarray(shape.filter(ImageFilter.GaussianBlur(1.5)))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    surface = 120 + 60 * np.sin(x / 310) + 40 * np.cos(y / 170) + 20 * np.sin((x + y) / 23)
    grain = np.random.default_rng(5).normal(0, 3, (HEIGHT, WIDTH, 3)).astype(np.float32)
    colour = np.stack([surface, surface * 0.96 + 3, surface * 0.9 + 8], axis=-1) + grain
    photo = pyvips.Image.new_from_array(colour.clip(0, 255).astype(np.uint8)).copy(interpretation="srgb")
    developed = np.array(pyvips.Image.new_from_buffer(photo.jpegsave_buffer(Q=92), "").numpy())
    developed[alpha == 0] = 0
    cut_out = pyvips.Image.new_from_array(np.dstack([developed, alpha])).copy(interpretation="srgb")
    cut_out.pngsave(str(master), compression=1, filter="sub")
    return {"bytes": master.stat().st_size}


# ---- contenders: each makes the five standard renditions and says how long it took ------------------------------


def standard_specs(**changes: Any) -> dict[str, Spec]:
    specs = select_specs(load_specs())
    return {name: spec.model_copy(update=changes) for name, spec in specs.items()}


def ours(master: Path, folder: Path) -> dict[str, Any]:
    """As the rendition and tagging steps do it, hashes included."""
    import pyvips  # noqa: F401 - loading the library is not part of the work

    specs = standard_specs()
    started = time.perf_counter()
    targets = [(spec, folder / f"{name}.plain") for name, spec in specs.items()]
    render(master, targets)
    for spec, plain in targets:
        write_tags(plain, folder / file_name("52000123", spec), TAGS)
    seconds = time.perf_counter() - started
    for _, plain in targets:
        plain.unlink()
    return {"seconds": seconds}


def ours_at_old_sizes(master: Path, folder: Path) -> dict[str, Any]:
    """With the padding, enlarging and softness of the old system and without tags, to compare file sizes."""
    specs = standard_specs(padding="outside", enlarge=True, kernel="mitchell")
    made = render(master, [(spec, folder / file_name("52000123", spec)) for spec in specs.values()])
    return {"sizes": {row["spec"]: row["bytes"] for row in made}}


def bare_libvips(master: Path, folder: Path) -> dict[str, Any]:
    """The shortest script for the same five files: same sizes, encoder settings and, where libvips can, tags."""
    import pyvips

    specs = standard_specs()
    white = [255.0, 255.0, 255.0]
    started = time.perf_counter()
    image = pyvips.Image.pngload(str(master), access="sequential").copy_memory()
    left, top, width, height = image[3].find_trim(threshold=0, background=[0], line_art=True)
    image = image.crop(left, top, width, height)
    for spec in specs.values():
        place = layout(spec, width, height)
        made = image
        if spec.mode == "RGB":
            scale, down = place.picture[0] / width, place.picture[1] / height
            made = image.flatten(background=white).resize(scale, vscale=down, kernel="lanczos3")
            made = made.embed(*place.offset, *place.canvas, extend="background", background=white)
        made = made.copy(xres=spec.dpi / 25.4, yres=spec.dpi / 25.4)
        for tag, text in (
            ("Artist", TAGS.artist),
            ("Make", TAGS.make),
            ("Model", TAGS.model),
            ("ImageDescription", TAGS.image_description),
            ("Copyright", TAGS.copyright),
            ("Software", TAGS.software),
        ):
            made.set_type(pyvips.GValue.gstr_type, f"exif-ifd0-{tag}", text)
        target = str(folder / file_name("52000123", spec))
        if spec.format == "png":
            made.pngsave(target, compression=5, filter="all", profile="srgb")
        elif spec.format == "tiff":
            made.tiffsave(target, compression="lzw", predictor="horizontal", profile="srgb")
        else:
            made.jpegsave(target, Q=90, interlace=True, optimize_coding=True, profile="srgb")
    return {"seconds": time.perf_counter() - started}


def old_sequence(master: Path, folder: Path) -> dict[str, Any]:
    """The old system's programs in its order: trim to a PNG on a pipe, then one `convert` per format."""
    program = imagemagick()
    assert program is not None
    started = time.perf_counter()
    load = ["-alpha", "on", "-colorspace", "sRGB", "-strip", "-trim", "+repage", "PNG32:-"]
    trimmed = subprocess.run([program, str(master), *load], capture_output=True, check=True).stdout
    for spec in standard_specs().values():
        command = [program, "PNG:-", "-colorspace", "sRGB", "-strip"]
        command += ["-units", "PixelsPerInch", "-density", str(spec.dpi), "-alpha", "on"]
        background = "white" if spec.mode == "RGB" else "none"
        if spec.fit is not None:
            side = spec.fit.box or (spec.fit.longest, spec.fit.longest)
            command += ["-resize", f"{side[0]}x{side[1]}"]
        if spec.canvas is not None:
            canvas = f"{spec.canvas[0]}x{spec.canvas[1]}"
            command += ["-background", background, "-gravity", "center", "-extent", canvas]
        if any(spec.border):
            command += ["-bordercolor", background, "-border", f"{spec.border[0]}x{spec.border[1]}"]
        if spec.mode == "RGB":
            command += ["-background", background, "-alpha", "remove", "-alpha", "off"]
        command += ["-set", "exif:Artist", TAGS.artist, "-set", "exif:Model", TAGS.model]
        command += {
            "jpeg": ["-quality", "90", "-interlace", "JPEG"],
            "tiff": ["-compress", "LZW"],
            "png": [],
        }[spec.format]
        command.append(str(folder / file_name("52000123", spec)))
        subprocess.run(command, input=trimmed, check=True)
    seconds = time.perf_counter() - started
    sizes = {
        name: (folder / file_name("52000123", spec)).stat().st_size for name, spec in standard_specs().items()
    }
    return {"seconds": seconds, "sizes": sizes}


def imagemagick() -> str | None:
    """The program itself: other things answer to the name `convert` on a PATH."""
    for candidate in IMAGEMAGICK:
        if Path(candidate).exists():
            answer = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False)
            if "ImageMagick" in answer.stdout:
                return candidate
    return None


CONTENDERS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    contender.__name__: contender
    for contender in (make_master, ours, ours_at_old_sizes, bare_libvips, old_sequence)
}


def run_alone(contender: str, master: Path, folder: Path) -> dict[str, Any]:
    """Runs a contender in a fresh process and adds its peak memory in megabytes (with that of its children)."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.bench_images", contender, str(master), str(folder)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(answer.stdout)
    return result


# ---- rows ------------------------------------------------------------------------------------------------------


def renditions(report: Report, folder: Path) -> None:
    """Five standard renditions of a 24-megapixel cut-out, tags and hashes included."""
    master = folder / "master.png"
    size = run_alone("make_master", master, folder)["bytes"]
    contenders = ["ours", "bare_libvips"]
    if imagemagick() is None:
        print("  ImageMagick is not installed: the comparison with the old command sequence is left out.")
    else:
        contenders.append("old_sequence")
    print(
        f"five renditions of {WIDTH} x {HEIGHT} pixels ({size / 1e6:.1f} MB as PNG), {ROUNDS} rounds in turns"
    )
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name in contenders:
            results[name].append(run_alone(name, master, folder / name))
    seconds = {name: statistics.median(row["seconds"] for row in rows) for name, rows in results.items()}
    for name, rows in results.items():
        print(f"  {name}: {seconds[name]:.2f} s, {max(row['peak_mb'] for row in rows):.0f} MB")
    if "old_sequence" in results:
        report.add(
            "renditions_old_sequence_to_ours", seconds["old_sequence"] / seconds["ours"], 5, below=False
        )
        old = results["old_sequence"][0]["sizes"]
        new = run_alone("ours_at_old_sizes", master, folder / "old_sizes")["sizes"]
        for name, bytes_now in new.items():
            print(f"    {name}: {bytes_now:,} bytes, formerly {old[name]:,} ({bytes_now / old[name]:.3f})")
        report.add("renditions_file_size_ours_to_old", sum(new.values()) / sum(old.values()), 1.1, below=True)
        worst = max(bytes_now / old[name] for name, bytes_now in new.items())
        report.add("renditions_worst_file_size_ours_to_old", worst, 1.1, below=True)
    report.add("renditions_ours_to_bare_libvips", seconds["ours"] / seconds["bare_libvips"], 1.25, below=True)
    peak = max(row["peak_mb"] for row in results["ours"])
    report.add("renditions_peak_memory_mb", peak, 600, unit="MB", below=True)


ROWS: tuple[Callable[[Report, Path], None], ...] = (renditions, two_workers, nothing_to_do)


def main() -> None:
    report = Report("images")
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            row(report, Path(folder))
    report.close()


def contend(name: str, master: Path, folder: Path) -> None:
    result = CONTENDERS[name](master, folder)
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps(result | {"peak_mb": max(usage) / 1024}))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        contend(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
