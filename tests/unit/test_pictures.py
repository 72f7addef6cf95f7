"""Reading picture files: colour, orientation, and the sentence for each thing that is wrong with one."""

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

LIMIT = 100_000_000
FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose four corners differ, so that a wrong turn shows."""
    y, x = np.mgrid[0:height, 0:width]
    data = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1)
    return Image.fromarray(data.astype(np.uint8))


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


def save(picture: Image.Image, path: Path, **options: Any) -> Path:
    picture.save(path, **options)
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
