"""Reading picture files: colour, orientation, and the sentence for each thing that is wrong with one."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from crown.pictures.decoding import open_picture, pixels, probe
from tests.unit.picture_files import FIXTURES, LIMIT, gradient, save


def profile_bytes(name: str) -> bytes:
    """A wide profile made from scratch: `name` is xyz or sRGB as Pillow's LittleCMS builds them."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()  # type: ignore[arg-type]


#: Adobe RGB (1998) and Display P3: primaries adapted to D50, gamma (P3's own curve is close to 2.2).
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))


def wide_profile(primaries: tuple[tuple[float, float, float], ...] = ADOBE) -> bytes:
    """A matrix profile with these primaries and gamma 2.19921875 (ICC.1 v2 by hand)."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.19921875 * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 11) + b"Wide color" + b"\0" + b"\0" * 78
    tags = {
        b"desc": text + b"\0" * (-len(text) % 4),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(*primaries[0]),
        b"gXYZ": xyz(*primaries[1]),
        b"bXYZ": xyz(*primaries[2]),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, body = b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    total = offset + len(body)
    head = struct.pack(">I4sI4s4s4s", total, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    head = head[:128].ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def upright(lying: Image.Image, orientation: int) -> Image.Image:
    """What a viewer shows of a picture that is stored so."""
    from PIL import ImageOps

    shown = lying.copy()
    shown.getexif()[0x0112] = orientation
    return ImageOps.exif_transpose(shown)


def turned(lying: Image.Image, path: Path, orientation: int) -> Path:
    """Store a picture with an EXIF orientation; HEIC and AVIF carry it in their container as well."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if path.suffix == ".heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    lying.save(path, exif=exif.tobytes(), quality=95)
    return path


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jpg", "jpeg"), (".png", "png"), (".tif", "tiff"), (".webp", "webp"), (".heic", "heic")],
)
def test_every_format_is_recognised_and_decoded(tmp_path: Path, suffix: str, kind: str) -> None:
    if kind == "heic":
        import pillow_heif

        path = tmp_path / "part.heic"
        pillow_heif.from_pillow(gradient()).save(path, quality=95)
    else:
        path = save(gradient(), tmp_path / f"part{suffix}", quality=95)
    facts = probe(path, LIMIT)
    assert (facts["format"], facts["width"], facts["height"], facts["mode"]) == (kind, 64, 48, "RGB")
    seen = pixels(open_picture(path, LIMIT))
    assert np.abs(seen.astype(int) - np.asarray(gradient(), dtype=int)).mean() < 4


def test_a_stored_object_without_extension_is_read_by_content(tmp_path: Path) -> None:
    path = save(gradient(), tmp_path / "0f3a", format="PNG")
    assert probe(path, LIMIT)["format"] == "png"


@pytest.mark.parametrize("rows", [100, 600, 6000])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".heic", ".avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_however_many_rows(
    tmp_path: Path, orientation: int, suffix: str, rows: int
) -> None:
    lying = gradient(72, rows)
    path = turned(lying, tmp_path / f"turned{suffix}", orientation)
    expected = np.asarray(upright(lying, orientation)).astype(int)
    facts = probe(path, LIMIT)
    assert (facts["height"], facts["width"]) == expected.shape[:2]
    assert facts["orientation"] == (1 if suffix in (".heic", ".avif") else orientation)
    image = open_picture(path, LIMIT)
    assert np.abs(pixels(image).astype(int) - expected).mean() < 4
    assert "orientation" not in image.get_fields()


def test_a_real_photo_of_a_phone_stands_upright() -> None:
    path = FIXTURES / "icloud" / "media" / "IMG_4120.JPG"
    if not path.exists():
        pytest.skip("the real photos are not here")
    from PIL import ImageOps

    with Image.open(path) as opened:
        seen = ImageOps.exif_transpose(opened).convert("RGB")
    picture = open_picture(path, LIMIT)
    assert (picture.width, picture.height) == seen.size
    small = picture.thumbnail_image(64, height=64, size="force").numpy().astype(int)
    assert np.abs(small[..., :3] - np.asarray(seen.resize((64, 64)), dtype=int)).mean() < 12


@pytest.mark.parametrize("primaries", [ADOBE, P3], ids=["adobe rgb", "display p3"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_a_wide_profile_is_converted_and_not_dropped(
    tmp_path: Path, primaries: tuple[tuple[float, float, float], ...], suffix: str
) -> None:
    flat = Image.new("RGB", (16, 16), (180, 60, 60))
    profile = wide_profile(primaries)
    lossless = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    path = save(flat, tmp_path / f"wide{suffix}", icc_profile=profile, **lossless)
    assert probe(path, LIMIT)["profile"] == "Wide color"
    from io import BytesIO

    expected = ImageCms.profileToProfile(
        flat,
        ImageCms.ImageCmsProfile(BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert expected is not None
    seen = pixels(open_picture(path, LIMIT))[8, 8].astype(int)
    assert np.abs(seen - np.array(expected.getpixel((8, 8)))).max() <= 2
    assert np.abs(seen - np.array((180, 60, 60))).max() > 10


def test_srgb_under_any_name_keeps_its_pixels_exactly(tmp_path: Path) -> None:
    path = save(gradient(), tmp_path / "srgb.png", icc_profile=profile_bytes("sRGB"))
    assert np.array_equal(pixels(open_picture(path, LIMIT)), np.asarray(gradient()))


def test_a_grey_picture_with_a_colour_profile_is_read_as_grey(tmp_path: Path) -> None:
    grey = gradient().convert("L")
    path = save(grey, tmp_path / "grey.png", icc_profile=wide_profile())
    seen = pixels(open_picture(path, LIMIT))
    assert seen.shape == (48, 64, 3)
    assert np.abs(seen.astype(int) - np.asarray(grey, dtype=int)[..., None]).max() <= 1


def test_cmyk_without_profile_becomes_plausible_srgb(tmp_path: Path) -> None:
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "ink.tif")
    assert probe(path, LIMIT)["mode"] == "CMYK"
    red, green, blue = pixels(open_picture(path, LIMIT))[8, 8]
    assert red > 180
    assert green < 80
    assert blue < 80


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_with_a_profile_is_converted_by_it(tmp_path: Path, suffix: str) -> None:
    import pyvips

    colour = [150, 60, 70]
    flat = (pyvips.Image.black(16, 16, bands=3) + colour).cast("uchar").copy(interpretation="srgb")
    ink = flat.icc_export(output_profile="cmyk", intent="relative", black_point_compensation=True)
    path = tmp_path / f"ink{suffix}"
    ink.write_to_file(str(path), **({"Q": 100} if suffix == ".jpg" else {}))
    facts = probe(path, LIMIT)
    assert (facts["mode"], facts["profile"] is not None) == ("CMYK", True)
    seen = pixels(open_picture(path, LIMIT))[8, 8].astype(int)
    assert np.abs(seen - colour).max() <= 4


def test_cmyk_jpeg_white_stays_white(tmp_path: Path) -> None:
    path = save(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), tmp_path / "ink.jpg", quality=95)
    assert pixels(open_picture(path, LIMIT)).min() >= 250


def test_sixteen_bit_keeps_its_brightness(tmp_path: Path) -> None:
    data = (np.asarray(gradient().convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    path = save(Image.fromarray(data), tmp_path / "deep.png")
    assert probe(path, LIMIT)["mode"] == "L16"
    seen = pixels(open_picture(path, LIMIT))[..., 0]
    assert np.abs(seen.astype(int) - np.asarray(gradient().convert("L"), dtype=int)).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_keeps_its_brightness(tmp_path: Path, suffix: str) -> None:
    import pyvips

    deep = np.asarray(gradient()).astype(np.uint16) * 257
    path = tmp_path / f"deep{suffix}"
    pyvips.Image.new_from_array(deep).copy(interpretation="rgb16").write_to_file(str(path))
    assert probe(path, LIMIT)["mode"] == "RGB16"
    seen = pixels(open_picture(path, LIMIT))
    assert np.abs(seen.astype(int) - np.asarray(gradient(), dtype=int)).max() <= 1


def test_a_palette_picture_with_a_clear_colour_has_alpha(tmp_path: Path) -> None:
    picture = Image.new("P", (16, 16), 0)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(1, (0, 0, 8, 16))
    path = save(picture, tmp_path / "few.png", transparency=1)
    assert probe(path, LIMIT)["mode"] == "P"
    seen = pixels(open_picture(path, LIMIT))
    assert seen[4, 12].tolist() == [255, 0, 0, 255]
    assert seen[4, 2, 3] == 0


def test_of_a_tiff_with_pages_the_first_is_taken_and_the_count_told(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20, 20), (255, 0, 0)), Image.new("RGB", (20, 20), (0, 255, 0))]
    path = save(pages[0], tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert probe(path, LIMIT)["pages"] == 2
    image = open_picture(path, LIMIT)
    assert (image.width, image.height) == (20, 20)
    assert pixels(image)[0, 0].tolist() == [255, 0, 0]


def test_channels_behind_the_alpha_of_a_tiff_are_left_out(tmp_path: Path) -> None:
    import pyvips

    path = tmp_path / "selections.tif"
    colour = pyvips.Image.new_from_array(np.asarray(gradient())).copy(interpretation="srgb")
    colour.bandjoin([128, 255]).write_to_file(str(path))
    seen = pixels(open_picture(path, LIMIT))
    assert np.array_equal(seen[..., :3], np.asarray(gradient()))
    assert seen.shape[2] == 4
    assert (seen[..., 3] == 128).all()
