"""Files that are no whole picture, or larger than allowed, are refused with a sentence; doubtful formats are read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from crown.errors import BadInput
from crown.pictures.decoding import open_picture, pixels, probe
from crown.pictures.formats import Undecodable, ending_of
from crown.settings.model import load_settings
from tests.unit.picture_files import FIXTURES, LIMIT, gradient, save


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    whole = save(Image.fromarray(noise), tmp_path / f"whole{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    for read in (probe, open_picture):
        with pytest.raises(BadInput, match=rf"cut{suffix} cannot be decoded"):
            read(path, LIMIT)


def test_a_heic_cut_short_is_refused(tmp_path: Path) -> None:
    import pillow_heif

    path = tmp_path / "cut.heic"
    pillow_heif.from_pillow(gradient(256, 256)).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(BadInput, match="cannot be decoded"):
        open_picture(path, LIMIT)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    with pytest.raises(BadInput, match=r"empty.jpg is empty \(0 bytes\)"):
        probe(path, LIMIT)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone.jpg cannot be read: No such file"):
        probe(tmp_path / "gone.jpg", LIMIT)


def test_a_one_pixel_picture_is_refused(tmp_path: Path) -> None:
    path = save(Image.new("RGB", (1, 1)), tmp_path / "dot.png")
    with pytest.raises(BadInput, match="only 1 x 1 pixels"):
        open_picture(path, LIMIT)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


def psd_header(width: int, height: int) -> bytes:
    return struct.pack(">4sHxxxxxxHIIHH", b"8BPS", 1, 3, height, width, 8, 3) + b"\0" * 64


@pytest.mark.parametrize(("name", "make"), [("bomb.png", png_header), ("bomb.psd", psd_header)])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, name: str, make: Any) -> None:
    path = tmp_path / name
    path.write_bytes(make(20_000, 10_000))
    with pytest.raises(BadInput, match=r"20000 x 10000 pixels \(200 megapixels\); the limit is 100"):
        probe(path, LIMIT)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".heic"])
def test_the_limit_holds_for_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    if suffix == ".heic":
        import pillow_heif

        pillow_heif.from_pillow(gradient()).save(path)
    else:
        save(gradient(), path)
    with pytest.raises(BadInput, match="64 x 48 pixels"):
        open_picture(path, 3000)


@pytest.mark.parametrize("stored", ["png", "webp", "avif", "bmp", "gif"])
def test_a_file_under_a_wrong_ending_is_read_by_its_content(tmp_path: Path, stored: str) -> None:
    path = save(gradient(), tmp_path / "52000123_1.jpg", format=stored)
    assert probe(path, LIMIT)["format"] == stored
    assert ending_of(path, path.name) == f".{stored}"


def test_the_name_people_know_stands_in_the_sentence(tmp_path: Path) -> None:
    path = save(gradient(), tmp_path / "a3f9", format="PNG")
    with pytest.raises(BadInput, match=r"^52000123_1 has 64 x 48 pixels"):
        open_picture(path, 3000, name="52000123_1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.7" + b"\0" * 60, "a PDF file"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 60, "a VIDEO file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
    ],
)
def test_other_files_are_refused_by_what_they_are(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=said) as refused:
        probe(path, LIMIT)
    assert not isinstance(refused.value, Undecodable)  # waiting would not help


@pytest.mark.parametrize("content", [b"", b"\0" * 4096], ids=["empty", "zeros"])
def test_a_copy_that_has_just_begun_may_still_come(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(Undecodable, match="upload it again"):
        probe(path, LIMIT)


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"\0\0\0\x18ftypcrx ",
    ],
    ids=["canon cr2", "fuji", "olympus", "panasonic", "canon cr3"],
)
def test_a_camera_raw_is_refused_with_what_to_do(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "52000123.tif"
    path.write_bytes(head + b"\0" * 100)
    with pytest.raises(
        BadInput, match=r"52000123.tif is a camera RAW file: develop it and export it as TIFF"
    ):
        probe(path, LIMIT)


def test_a_raw_in_the_form_of_a_tiff_is_refused_and_not_read_as_its_thumbnail(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "52000123.tif"
    with tifffile.TiffWriter(path) as tiff:  # as DNG and NEF are built
        tiff.write(np.asarray(gradient()), photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(np.zeros((480, 640), np.uint16), photometric="cfa")
    with pytest.raises(BadInput, match="camera RAW"):
        probe(path, LIMIT)


def test_jpeg_xl_is_read_or_refused_by_what_libvips_can(tmp_path: Path) -> None:
    import pyvips

    path = tmp_path / "52000123.jxl"
    if pyvips.type_find("VipsOperation", "jxlsave"):
        pyvips.Image.new_from_array(np.asarray(gradient())).copy(interpretation="srgb").jxlsave(str(path))
        assert probe(path, LIMIT)["format"] == "jpeg xl"
    else:
        path.write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 100)
        with pytest.raises(BadInput, match="JPEG XL picture, which the libvips of this machine cannot read"):
            probe(path, LIMIT)


@pytest.mark.parametrize("suffix", [".gif", ".bmp"])
def test_gif_and_bmp_are_read(tmp_path: Path, suffix: str) -> None:
    path = save(gradient().quantize(64) if suffix == ".gif" else gradient(), tmp_path / f"part{suffix}")
    facts = probe(path, LIMIT)
    assert (facts["format"], facts["width"], facts["height"]) == (suffix[1:], 64, 48)
    seen = pixels(open_picture(path, LIMIT))
    assert np.abs(seen.astype(int)[..., :3] - np.asarray(gradient(), dtype=int)).mean() < 8


@pytest.mark.parametrize("bits", [8, 16])
def test_a_cielab_tiff_keeps_its_colours(tmp_path: Path, bits: int) -> None:
    import tifffile

    colour = (180, 60, 40)
    lab = gradient().copy()
    lab.paste(colour, (0, 0, 64, 48))
    converted = ImageCms.profileToProfile(
        lab,
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="LAB",
    )
    assert converted is not None
    stored = np.asarray(converted)
    if bits == 16:
        signed = stored.view(np.int8).astype(np.int16) * 256
        stored = np.dstack([stored[..., 0].astype(np.uint16) * 257, signed[..., 1:].view(np.uint16)])
    path = tmp_path / "52000123.tif"
    tifffile.imwrite(path, stored, photometric="cielab")
    assert probe(path, LIMIT)["mode"] == ("LAB" if bits == 8 else "LAB16")
    seen = pixels(open_picture(path, LIMIT))
    assert np.abs(seen[5, 5].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("below", [False, True], ids=["next page", "below the first"])
def test_of_a_tiff_that_begins_with_its_thumbnail_the_picture_is_taken(tmp_path: Path, below: bool) -> None:
    import tifffile

    path = tmp_path / "52000123.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            np.full((48, 64, 3), 9, np.uint8), photometric="rgb", subfiletype=1, subifds=1 if below else None
        )
        tiff.write(np.asarray(gradient(640, 480)), photometric="rgb")
    facts = probe(path, LIMIT)
    assert (facts["width"], facts["height"], facts["page"]) == (640, 480, 0 if below else 1)
    assert np.array_equal(pixels(open_picture(path, LIMIT)), np.asarray(gradient(640, 480)))


def test_a_larger_page_of_other_proportions_is_another_picture(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "52000123.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.asarray(gradient(640, 480)), photometric="rgb")
        tiff.write(np.asarray(gradient(1000, 2000)), photometric="rgb")
    assert (probe(path, LIMIT)["width"], probe(path, LIMIT)["page"]) == (640, 0)


def test_a_saved_selection_of_a_tiff_is_no_transparency(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "52000123.tif"
    selection = np.zeros((48, 64, 1), np.uint8)
    selection[10:20, 10:20] = 255
    picture = np.concatenate([np.asarray(gradient()), selection], axis=2)
    tifffile.imwrite(path, picture, photometric="rgb", extrasamples=["unspecified"])
    assert np.array_equal(pixels(open_picture(path, LIMIT)), np.asarray(gradient()))
    tifffile.imwrite(path, picture, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(pixels(open_picture(path, LIMIT)), picture)


def test_the_usual_limit_lets_a_camera_of_151_megapixels_in() -> None:
    limit = int(
        load_settings({"CROWN_HOME": "/nowhere"}, env_file=None).product_images.max_megapixels * 1_000_000
    )
    assert 14_204 * 10_652 <= limit < 200_000_000


def test_a_picture_that_does_not_fit_into_memory_is_refused_whatever_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(900_000, 1_000_000))
    with pytest.raises(BadInput, match=r"9000\.0 GB of memory; this machine has"):
        probe(path, 10**18)


def test_a_psd_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.psd"
    path.write_bytes(psd_header(64, 64)[:60])
    with pytest.raises(BadInput, match=r"cut.psd cannot be decoded"):
        probe(path, LIMIT)


def test_a_psd_cut_short_within_its_pixels_is_refused(tmp_path: Path) -> None:
    from psd_tools import PSDImage

    path = tmp_path / "cut.psd"
    PSDImage.frompil(gradient()).save(path)
    path.write_bytes(path.read_bytes()[:-50])
    for read in (probe, open_picture):
        with pytest.raises(BadInput, match=r"cut.psd cannot be decoded"):
            read(path, LIMIT)


def test_a_psd_gives_its_composite(tmp_path: Path) -> None:
    from psd_tools import PSDImage

    path = tmp_path / "layers.psd"
    PSDImage.frompil(gradient()).save(path)
    assert probe(path, LIMIT)["mode"] == "RGB"
    assert np.array_equal(pixels(open_picture(path, LIMIT)), np.asarray(gradient()))


def test_of_a_psd_with_layers_the_composite_is_taken_and_hidden_layers_stay_hidden(tmp_path: Path) -> None:
    from psd_tools import PSDImage

    path = tmp_path / "layers.psd"
    document = PSDImage.new("RGB", (40, 30), color=255)
    for name, colour, left in (
        ("part", (10, 120, 30), 0),
        ("note", (255, 0, 0), 0),
        ("over", (0, 0, 200), 20),
    ):
        layer = document.create_pixel_layer(Image.new("RGB", (20, 30), colour), name=name, left=left)
        layer.visible = name != "note"
    document.save(path)
    seen = pixels(open_picture(path, LIMIT))
    assert seen.shape[:2] == (30, 40)
    assert seen[15, 10, :3].tolist() == [10, 120, 30]
    assert seen[15, 30, :3].tolist() == [0, 0, 200]


@pytest.mark.parametrize(
    ("name", "size", "mode"),
    [
        ("0layers.psd", (1600, 1200), "RGB"),
        ("16bit5x5.psd", (5, 5), "RGB16"),
        ("2layers.psb", (101, 55), "RGB"),
        ("colormodes_4x4_8bit_cmyk.psd", (4, 4), "CMYK"),
        ("layer-name-emoji.psd", (4, 4), "RGB"),
        ("layers_type-layer.psd", (32, 32), "RGB"),
        ("layer_effects.psd", (800, 640), "RGB"),
    ],
)
def test_real_psds_are_read(name: str, size: tuple[int, int], mode: str) -> None:
    path = FIXTURES / "psd" / name
    if not path.exists():
        pytest.skip("the sample PSD files are not here")
    facts = probe(path, LIMIT)
    assert ((facts["width"], facts["height"]), facts["mode"]) == (size, mode)
    image = open_picture(path, LIMIT)
    assert (image.width, image.height, image.format, image.interpretation) == (*size, "uchar", "srgb")


def test_a_real_phone_heic_is_read_upright() -> None:
    path = FIXTURES / "icloud" / "media" / "iphone_IMG_2682.heic"
    if not path.exists():
        pytest.skip("the sample HEIC file is not here")
    facts = probe(path, LIMIT)
    assert (facts["width"], facts["height"], facts["format"]) == (4032, 3024, "heic")
    assert facts["profile"] is not None
    assert pixels(open_picture(path, LIMIT)).std() > 10
