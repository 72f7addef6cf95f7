"""What a rendition promises: its size, its place, its colours, its bytes."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from crown.errors import BadInput, ConfigurationError
from crown.product_images.renditions.render import Layout, layout, render
from crown.product_images.renditions.specs import Spec, load_specs, select_specs

SPECS = load_specs()
STANDARD = select_specs(SPECS)


def spec(**keys: Any) -> Spec:
    return Spec.model_validate({"name": "s", "format": "png", "dpi": 72} | keys)


def cut_out(path: Path, width: int = 600, height: int = 400, margin: int = 0) -> Path:
    """A disc of changing colour with soft edges on nothing, touching all sides of its box."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x - (width - 1) / 2) / (width / 2), (y - (height - 1) / 2) / (height / 2))
    alpha = np.clip((1.02 - radius) * 40, 0, 1)
    colour = np.stack([x * 255 / width, y * 255 / height, 90 + 60 * np.sin(x / 9)], axis=-1)
    rgba = np.dstack([colour, alpha * 255]).round().astype(np.uint8)
    rgba = np.pad(rgba, ((margin, margin), (margin, margin), (0, 0)))
    pyvips.Image.new_from_array(rgba).copy(interpretation="srgb").pngsave(str(path))
    return path


def made(master: Path, target: Spec, folder: Path) -> tuple[Path, dict[str, Any]]:
    path = folder / f"out.{target.extension}"
    return path, render(master, [(target, path)])[0]


def rgba(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA")).astype(int)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("original_300dpi_png", (3000, 2000)),
        ("original_300dpi_tiff", (3000, 2000)),
        ("2500_longest_300dpi_tiff", (2500, 1677)),
        ("1000x1000_72dpi_jpeg", (1000, 1000)),
        ("128x128_72dpi_jpeg", (128, 128)),
        ("600x390_72dpi_png", (600, 390)),
        ("32x32_72dpi_jpeg", (32, 32)),
    ],
)
def test_with_padding_inside_the_named_size_is_the_size(name: str, size: tuple[int, int]) -> None:
    assert layout(SPECS[name], 3000, 2000).canvas == size


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("2500_longest_300dpi_tiff", (2530, 1697)),
        ("2500x2500_300dpi_jpeg", (2530, 2530)),
        ("1500_longest_300dpi_jpeg", (1530, 1030)),
        ("1500x1500_300dpi_tiff", (1530, 1530)),
        ("1000x1000_72dpi_jpeg", (1030, 1030)),
        ("720x720_72dpi_jpeg", (750, 750)),
        ("600x600_72dpi_jpeg", (630, 630)),
        ("600x390_72dpi_png", (620, 410)),
        ("300x200_72dpi_jpeg", (320, 220)),
        ("128x128_72dpi_jpeg", (138, 138)),
        ("64x64_72dpi_jpeg", (74, 74)),
        ("32x32_72dpi_jpeg", (34, 34)),
    ],
)
def test_with_padding_outside_the_old_sizes_come_back(name: str, size: tuple[int, int]) -> None:
    outside = SPECS[name].model_copy(update={"padding": "outside"})
    assert layout(outside, 3000, 2000).canvas == size


def test_a_small_picture_is_not_enlarged_and_stands_in_the_middle_of_its_canvas() -> None:
    assert layout(STANDARD["1000x1000_72dpi_jpeg"], 301, 201) == Layout((301, 201), (1000, 1000), (349, 399))
    assert layout(STANDARD["2500_longest_300dpi_tiff"], 301, 201) == Layout((301, 201), (331, 231), (15, 15))


def test_a_spec_that_says_so_enlarges_as_the_old_system_did() -> None:
    old = {"enlarge": True, "padding": "outside"}
    assert layout(STANDARD["2500_longest_300dpi_tiff"].model_copy(update=old), 301, 201).canvas == (
        2530,
        1699,
    )
    assert layout(STANDARD["1000x1000_72dpi_jpeg"].model_copy(update=old), 301, 201).picture == (1000, 668)


sides = st.integers(1, 12_000)


@given(
    width=sides,
    height=sides,
    name=st.sampled_from(sorted(SPECS)),
    padding=st.booleans(),
    enlarge=st.booleans(),
)
def test_every_picture_lies_within_its_canvas_and_border(
    width: int, height: int, name: str, padding: bool, enlarge: bool
) -> None:
    target = SPECS[name].model_copy(
        update={"padding": "inside" if padding else "outside", "enlarge": enlarge}
    )
    place = layout(target, width, height)
    for axis in (0, 1):
        assert place.picture[axis] >= 1
        assert place.offset[axis] >= target.border[axis]
        assert place.offset[axis] + place.picture[axis] + target.border[axis] <= place.canvas[axis]
        assert enlarge or place.picture[axis] <= (width, height)[axis]


def test_the_file_on_disk_has_the_size_and_hash_that_are_reported(tmp_path: Path) -> None:
    master = cut_out(tmp_path / "m.png", 1400, 900)
    targets = [(target, tmp_path / f"{name}.bin") for name, target in STANDARD.items()]
    for (target, path), report in zip(targets, render(master, targets), strict=True):
        with Image.open(path) as image:
            assert image.format == target.format.upper()
            assert image.mode == target.mode
            assert image.size == (report["width"], report["height"]) == layout(target, 1400, 900).canvas
        assert report["bytes"] == path.stat().st_size
        assert report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert report["spec"] == target.name


@pytest.mark.parametrize("name", list(STANDARD))
def test_the_resolution_is_really_in_the_file(tmp_path: Path, name: str) -> None:
    path, _ = made(cut_out(tmp_path / "m.png"), STANDARD[name], tmp_path)
    with Image.open(path) as image:
        assert image.info["dpi"] == pytest.approx((STANDARD[name].dpi,) * 2, abs=0.05)


@pytest.mark.parametrize("name", list(STANDARD))
def test_an_srgb_profile_is_embedded_and_nothing_else(tmp_path: Path, name: str) -> None:
    path, _ = made(cut_out(tmp_path / "m.png"), STANDARD[name], tmp_path)
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert "exif" not in image.info
        assert "xmp" not in image.info


def test_tiff_is_lzw_and_jpeg_is_progressive_of_quality_90(tmp_path: Path) -> None:
    master = cut_out(tmp_path / "m.png")
    tiff, _ = made(master, STANDARD["2500_longest_300dpi_tiff"], tmp_path)
    jpeg, _ = made(master, STANDARD["1000x1000_72dpi_jpeg"], tmp_path)
    with Image.open(tiff) as image:
        assert image.info["compression"] == "tiff_lzw"
    with Image.open(jpeg) as image:
        assert image.info["progressive"] == 1
        found, encoded = image.quantization, BytesIO()  # type: ignore[attr-defined]
        image.save(encoded, "JPEG", quality=90)
    with Image.open(encoded) as reference:
        assert found == reference.quantization  # type: ignore[attr-defined]


def test_same_master_and_spec_give_same_bytes_whatever_else_is_made(tmp_path: Path) -> None:
    master = cut_out(tmp_path / "m.png", 700, 500)
    specs = select_specs(SPECS, ["standard", "catalogue"])
    specs.pop("600x390_72dpi_png_icon")
    together = render(master, [(target, tmp_path / f"a_{name}") for name, target in specs.items()])
    backwards = reversed(list(specs.items()))
    alone = [render(master, [(target, tmp_path / f"b_{name}")])[0] for name, target in backwards]
    assert {row["spec"]: row["sha256"] for row in together} == {row["spec"]: row["sha256"] for row in alone}


def test_transparent_margins_are_trimmed(tmp_path: Path) -> None:
    plain = cut_out(tmp_path / "plain.png", 200, 100)
    loose = cut_out(tmp_path / "loose.png", 200, 100, margin=37)
    first, report = made(plain, STANDARD["original_300dpi_png"], tmp_path)
    before = first.read_bytes()
    second, _ = made(loose, STANDARD["original_300dpi_png"], tmp_path)
    assert (report["width"], report["height"]) == (200, 100)
    assert second.read_bytes() == before


def test_an_original_keeps_every_visible_pixel_as_it_is(tmp_path: Path) -> None:
    master = cut_out(tmp_path / "m.png")
    for name in ("original_300dpi_png", "original_300dpi_tiff"):
        path, _ = made(master, STANDARD[name], tmp_path)
        assert np.array_equal(rgba(path), rgba(master))


def test_the_border_is_pure_background(tmp_path: Path) -> None:
    path, _ = made(
        cut_out(tmp_path / "m.png", 1200, 1200), spec(fit={"longest": 300}, border=[15, 10]), tmp_path
    )
    pixels = rgba(path)
    inner = pixels[10:-10, 15:-15].copy()
    pixels[10:-10, 15:-15] = 255
    assert (pixels == 255).all()
    assert inner.min() < 100


def test_the_edge_carries_no_dark_or_coloured_fringe(tmp_path: Path) -> None:
    """A white part on black transparent pixels: wrong premultiplication shows as a grey ring."""
    flat = np.zeros((400, 400, 4), np.uint8)
    flat[80:320, 80:320] = 255
    master = tmp_path / "m.png"
    pyvips.Image.new_from_array(flat).copy(interpretation="srgb").pngsave(str(master))
    opaque, _ = made(master, spec(fit={"longest": 77}), tmp_path)
    assert rgba(opaque).min() == 255
    clear, _ = made(
        master, spec(mode="RGBA", fit={"box": [60, 60]}, canvas=[77, 77], border=[5, 5]), tmp_path
    )
    pixels = rgba(clear)
    assert pixels[pixels[..., 3] > 16][:, :3].min() >= 250


def test_flattening_first_equals_the_premultiplied_sum(tmp_path: Path) -> None:
    master = cut_out(tmp_path / "m.png", 900, 700)
    path, _ = made(master, spec(background="#204060", fit={"longest": 200}), tmp_path)
    image = pyvips.Image.new_from_file(str(master)).premultiply()
    small = image.resize(200 / 900, vscale=rgba(path).shape[0] / 700, kernel="lanczos3").numpy()
    expected = small[..., :3] + (1 - small[..., 3:] / 255) * np.array([0x20, 0x40, 0x60])
    assert np.abs(rgba(path)[..., :3] - expected).max() <= 2


def test_a_picture_without_transparency_is_rendered_whole(tmp_path: Path) -> None:
    master = tmp_path / "m.png"
    Image.new("RGB", (300, 200), (10, 120, 30)).save(master)
    path, report = made(master, STANDARD["original_300dpi_png"], tmp_path)
    assert (report["width"], report["height"]) == (300, 200)
    assert (rgba(path) == [10, 120, 30, 255]).all()


def test_an_empty_cut_out_is_refused(tmp_path: Path) -> None:
    master = tmp_path / "empty.png"
    Image.new("RGBA", (50, 50), (0, 0, 0, 0)).save(master)
    with pytest.raises(BadInput, match=r"empty\.png is transparent everywhere"):
        render(master, [(STANDARD["original_300dpi_png"], tmp_path / "x")])


def test_a_master_above_the_limit_is_refused_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="megapixels"):
        render(cut_out(tmp_path / "m.png"), [], max_pixels=600 * 400 - 1)


def test_odd_path_names_are_taken_literally(tmp_path: Path) -> None:
    folder = tmp_path / "a[b]=1 %s"
    folder.mkdir()
    path, report = made(cut_out(folder / "m[1].png"), STANDARD["128x128_72dpi_jpeg"], folder)
    assert path.stat().st_size == report["bytes"]
    assert len(list(folder.iterdir())) == 2


def overlaid(folder: Path, **placement: Any) -> np.ndarray[Any, Any]:
    """A red 40 x 20 overlay on a flat grey part of 400 x 200; True where it shows."""
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(folder / "mark.png")
    Image.new("RGBA", (400, 200), (100, 100, 100, 255)).save(folder / "m.png")
    catalogue = folder / "s.yaml"
    keys = ", ".join(f"{key}: {value}" for key, value in {"file": "mark.png", **placement}.items())
    catalogue.write_text(f"specs:\n  s: {{format: png, dpi: 72, watermark: {{{keys}}}}}\n", encoding="utf-8")
    path, _ = made(folder / "m.png", load_specs(catalogue)["s"], folder)
    pixels = rgba(path)
    return pixels[..., 0] - pixels[..., 1]


def box_of(redness: np.ndarray[Any, Any]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(redness > 20)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("centre", (180, 90, 220, 110)),
        ("top_left", (15, 12, 55, 32)),
        ("top_right", (345, 12, 385, 32)),
        ("bottom_right", (345, 168, 385, 188)),
        ("left", (15, 90, 55, 110)),
        ("bottom", (180, 168, 220, 188)),
    ],
)
def test_an_overlay_lies_where_its_position_and_offset_say(
    tmp_path: Path, position: str, box: tuple[int, int, int, int]
) -> None:
    assert box_of(overlaid(tmp_path, position=position, offset=[15, 12])) == box


def test_a_scaled_watermark_takes_its_share_of_the_picture(tmp_path: Path) -> None:
    left, top, right, bottom = box_of(overlaid(tmp_path, scale=0.8))
    assert (right - left, bottom - top) == (320, 160)


def test_opacity_lets_the_picture_through(tmp_path: Path) -> None:
    solid = overlaid(tmp_path).max()
    assert overlaid(tmp_path, opacity=0.5).max() == pytest.approx(solid / 2, abs=2)


def test_watermark_and_icon_change_only_the_pixels_they_cover(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 60), (200, 0, 0, 120)).save(tmp_path / "watermark.png")
    Image.new("RGBA", (80, 40), (0, 0, 200, 255)).save(tmp_path / "brand_icon.png")
    specs = load_specs(brand_dir=tmp_path)
    master = cut_out(tmp_path / "m.png", 900, 600)
    pictures = {
        name: rgba(made(master, specs[name], tmp_path)[0])
        for name in ("600x390_72dpi_png", "600x390_72dpi_png_icon", "watermark_600x390_72dpi_png")
    }
    plain = pictures["600x390_72dpi_png"]
    icon = (pictures["600x390_72dpi_png_icon"] != plain).any(axis=-1)
    rows, columns = np.nonzero(icon)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (505, 15, 584, 54)
    mark = (pictures["watermark_600x390_72dpi_png"] != plain).any(axis=-1)
    rows, columns = np.nonzero(mark)
    assert (columns.min(), columns.max()) == (60, 539)
    assert not mark[:140].any()


def test_an_unreadable_watermark_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "watermark.png").write_bytes(b"no picture")
    target = load_specs(brand_dir=tmp_path)["watermark_128x128_72dpi_jpeg"]
    with pytest.raises(ConfigurationError, match="not a picture"):
        made(cut_out(tmp_path / "m.png"), target, tmp_path)


def test_a_watermark_cut_short_is_refused_and_not_laid_on_in_part(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (60, 60, 4), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "watermark.png")
    whole = (tmp_path / "watermark.png").read_bytes()
    (tmp_path / "watermark.png").write_bytes(whole[: len(whole) // 2])
    target = load_specs(brand_dir=tmp_path)["watermark_128x128_72dpi_jpeg"]
    with pytest.raises(ConfigurationError, match="not a picture libvips can read whole"):
        made(cut_out(tmp_path / "m.png"), target, tmp_path)


LIMITED = """
import resource, signal, sys
from pathlib import Path
from crown.errors import SystemicFailure
from crown.product_images.renditions.render import render
from crown.product_images.renditions.specs import load_specs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
out = Path(sys.argv[3])
try:
    render(Path(sys.argv[1]), [(load_specs()[sys.argv[2]], out)])
except SystemicFailure as error:
    print("systemic", out.exists())
"""


@pytest.mark.parametrize("name", list(STANDARD))
def test_a_full_disk_stops_the_run_and_leaves_no_half_file(tmp_path: Path, name: str) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    master = cut_out(tmp_path / "m.png", 1500, 1000)
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, str(master), name, str(tmp_path / "out"), "2000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "systemic False\n", result.stderr
