"""Engines, their recipes, and the PNG that a cut-out becomes."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from crown.errors import BadInput, ConfigurationError, PermanentFailure
from crown.product_images.cutout.engine import (
    StudioSession,
    cutout_recipe,
    make_cutout,
    open_cutter,
)
from crown.product_images.cutout.studio.version import STUDIO_VERSION

LIMIT = 100_000_000


def disc_photo(
    width: int = 300, height: int = 240, colour: tuple[int, int, int] = (150, 30, 30)
) -> Image.Image:
    """A red disc with a hole on light grey."""
    picture = Image.new("RGB", (width * 4, height * 4), (205, 205, 208))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((360, 200, 920, 760), fill=colour)
    draw.ellipse((560, 400, 720, 560), fill=(205, 205, 208))
    return picture.resize((width, height), Image.Resampling.BOX)


def cut(source: Path, target: Path, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"model": "studio", "weights_dir": None, "max_pixels": LIMIT}
    return make_cutout(source, target, **(given | options))


# --- ONNX by hand: the protobuf wire format, just enough for two operators ------------------------------------------


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes | int | str) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, size)) for size in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, dims)))


def dark_is_part_model(side: int) -> bytes:
    """An ONNX model: mean over the colours, negated; what is dark comes out as part."""
    axes = field(1, "axes") + field(8, 1) + field(20, 7)
    keep = field(1, "keepdims") + field(3, 1) + field(20, 2)
    mean = field(1, "x") + field(2, "m") + field(4, "ReduceMean") + field(5, axes) + field(5, keep)
    negate = field(1, "m") + field(2, "y") + field(4, "Neg")
    graph = (
        field(1, mean)
        + field(1, negate)
        + field(2, "g")
        + field(11, value_info("x", (1, 3, side, side)))
        + field(12, value_info("y", (1, 1, side, side)))
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "u2netp.onnx").write_bytes(dark_is_part_model(320))
    return folder


# --- engines ---------------------------------------------------------------------------------------------------------


def test_the_studio_recipe_is_plain_data_with_its_versions() -> None:
    recipe = cutout_recipe("studio", None)
    assert recipe["model"] == "studio"
    assert recipe["studio"] == STUDIO_VERSION
    assert json.loads(json.dumps(recipe)) == recipe
    assert open_cutter("studio", None).recipe() == recipe


def test_a_model_without_weights_is_refused_by_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"isnet-general-use\.onnx is not in {tmp_path}"):
        open_cutter("isnet-general-use", tmp_path)
    with pytest.raises(ConfigurationError, match="no weights folder is set"):
        cutout_recipe("u2net", None)


@pytest.mark.parametrize("name", ["../u2net", "", "a/b"])
def test_a_model_name_cannot_leave_the_weights_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a cut-out model"):
        open_cutter(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("withoutbg", "remote service"),
        ("sam", "points to be clicked"),
        ("nonsense", "knows no model nonsense"),
    ],
)
def test_models_that_cannot_serve_are_refused_even_with_a_file(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / f"{name}.onnx").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match=said):
        open_cutter(name, tmp_path)


def test_a_local_model_runs_and_its_weights_are_in_the_recipe(weights: Path) -> None:
    cutter = open_cutter("u2netp", weights)
    alpha, steadiness = cutter.cut(np.asarray(disc_photo(colour=(20, 20, 20))))
    assert alpha.shape == (240, 300)
    assert alpha[120, 110] > 200
    assert alpha[20, 20] < 30
    assert steadiness is None
    content = (weights / "u2netp.onnx").read_bytes()
    assert cutter.recipe()["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert cutter.recipe() == cutout_recipe("u2netp", weights)


def test_a_session_is_opened_once_per_process(weights: Path) -> None:
    assert open_cutter("u2netp", weights) is open_cutter("u2netp", weights)


def test_replaced_weights_change_the_recipe(weights: Path) -> None:
    before = cutout_recipe("u2netp", weights)
    file = weights / "u2netp.onnx"
    file.write_bytes(file.read_bytes() + field(6, "another build"))
    assert cutout_recipe("u2netp", weights) != before


def test_the_layout_of_rembg_is_found_too(weights: Path) -> None:
    folder = weights / "models" / "silueta"
    folder.mkdir(parents=True)
    (folder / "silueta.onnx").write_bytes(dark_is_part_model(320))
    assert open_cutter("silueta", weights).name == "silueta"


def test_weights_that_differ_from_their_promised_hash_are_refused(weights: Path) -> None:
    (weights / "u2netp.onnx.sha256").write_text("0" * 64 + "  u2netp.onnx\n")
    with pytest.raises(ConfigurationError, match="do not have the sha256"):
        open_cutter("u2netp", weights)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "u2netp.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigurationError, match=r"u2netp\.onnx cannot be opened"):
        open_cutter("u2netp", tmp_path)


def test_rembg_takes_the_studio_engine_as_a_session() -> None:
    from rembg import remove

    photo = disc_photo()
    result: Any = remove(photo, session=StudioSession())  # type: ignore[arg-type]
    assert result.mode == "RGBA"
    alpha = np.asarray(result)[..., 3]
    assert alpha[120, 110] == 255
    assert alpha[10, 10] == 0
    assert alpha[120, 160] == 0


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_cutout_is_trimmed_srgb_rgba_with_its_profile(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "a.png")
    facts = cut(tmp_path / "a.png", tmp_path / "cut.png")
    with Image.open(tmp_path / "cut.png") as image:
        assert (image.mode, image.size) == ("RGBA", (facts["width"], facts["height"]))
        assert image.info["icc_profile"][36:40] == b"acsp"
        alpha = np.asarray(image)[..., 3]
    assert abs(facts["width"] - 140) <= 2
    assert abs(facts["offset"][0] - 90) <= 1
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.max() > 10
    assert alpha[alpha.shape[0] // 2, alpha.shape[1] // 2] == 0


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "a.jpg", quality=90)
    cut(tmp_path / "a.jpg", tmp_path / "one.png")
    cut(tmp_path / "a.jpg", tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_no_chunk_of_the_png_carries_a_time(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "a.png")
    cut(tmp_path / "a.png", tmp_path / "cut.png")
    data, position, chunks = (tmp_path / "cut.png").read_bytes(), 8, []
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        chunks.append(kind)
        position += 12 + length
    assert set(chunks) <= {b"IHDR", b"iCCP", b"pHYs", b"IDAT", b"IEND", b"bKGD"}


def test_no_colour_of_the_backdrop_stays_at_the_rim(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "a.png")
    cut(tmp_path / "a.png", tmp_path / "cut.png")
    with Image.open(tmp_path / "cut.png") as image:
        data = np.asarray(image).astype(int)
    rim = (data[..., 3] > 20) & (data[..., 3] < 235)
    assert rim.sum() > 100
    # The part is (150, 30, 30), the backdrop (205, 205, 208): green tells them apart.
    assert np.quantile(data[rim][:, 1], 0.9) < 75


def test_a_picture_cut_by_hand_keeps_its_alpha(tmp_path: Path) -> None:
    picture = disc_photo().convert("RGBA")
    hand = Image.new("L", picture.size, 0)
    ImageDraw.Draw(hand).rectangle((50, 60, 99, 119), fill=200)
    picture.putalpha(hand)
    picture.save(tmp_path / "hand.png")
    facts = cut(tmp_path / "hand.png", tmp_path / "cut.png")
    assert (facts["engine"], facts["triage"]["flags"]) == ("kept", ["own_alpha"])
    assert (facts["width"], facts["height"], facts["offset"]) == (50, 60, [50, 60])
    with Image.open(tmp_path / "cut.png") as image:
        assert np.asarray(image)[..., 3].min() == 200


@pytest.mark.parametrize(
    "clear",
    [
        [(0, 0, 10, 10)],  # 0.14 % in a corner
        [(0, 0, 30, 20), (270, 220, 300, 240)],  # two corners
        [(140, 100, 200, 160)],  # a window in the middle
        [(0, 0, 140, 240)],  # a third of the frame, on one side
    ],
)
def test_transparency_that_is_no_cut_out_is_left_to_the_engine(
    tmp_path: Path, clear: list[tuple[int, int, int, int]]
) -> None:
    picture = disc_photo().convert("RGBA")
    for box in clear:
        picture.paste((0, 0, 0, 0), box)  # as editors clear: the colour below goes as well
    picture.save(tmp_path / "a.png")
    facts = cut(tmp_path / "a.png", tmp_path / "cut.png")
    assert facts["engine"] == "studio"
    assert "own_alpha" not in facts["triage"]["flags"]


@pytest.mark.slow
def test_a_stray_transparent_corner_changes_no_cut_out(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "opaque.png")
    stray = disc_photo().convert("RGBA")
    stray.paste((0, 0, 0, 0), (0, 0, 10, 10))
    stray.save(tmp_path / "stray.png")
    seen = []
    for name in ("opaque", "stray"):
        facts = cut(tmp_path / f"{name}.png", tmp_path / f"{name}_cut.png")
        with Image.open(tmp_path / f"{name}_cut.png") as image:
            seen.append((facts["offset"], np.asarray(image)[..., 3] > 128))
    assert seen[0][0] == seen[1][0]
    assert (seen[0][1] != seen[1][1]).mean() < 0.001


def test_a_saved_selection_of_a_tiff_is_not_cropped_to(tmp_path: Path) -> None:
    import tifffile

    selection = np.zeros((240, 300, 1), np.uint8)
    selection[60:120, 50:100] = 255
    picture = np.concatenate([np.asarray(disc_photo()), selection], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", extrasamples=["unspecified"])
    facts = cut(tmp_path / "a.tif", tmp_path / "cut.png")
    assert facts["engine"] == "studio"
    assert abs(facts["width"] - 140) <= 4


def test_an_opaque_alpha_channel_is_no_cutout(tmp_path: Path) -> None:
    disc_photo().convert("RGBA").save(tmp_path / "a.png")
    assert cut(tmp_path / "a.png", tmp_path / "cut.png")["engine"] == "studio"


def test_an_empty_backdrop_fails_with_a_sentence_and_no_file(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (230, 230, 230)).save(tmp_path / "empty.png")
    with pytest.raises(PermanentFailure, match="52000123_1: nothing differs"):
        cut(tmp_path / "empty.png", tmp_path / "cut.png", name="52000123_1")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.png"]


def test_a_mask_that_removes_nothing_fails_with_a_sentence(tmp_path: Path, weights: Path) -> None:
    picture = Image.new("RGB", (320, 320), (0, 0, 0))
    picture.paste((255, 255, 255), (4, 4, 10, 10))  # the model takes what is dark for the part
    picture.save(tmp_path / "full.png")
    with pytest.raises(PermanentFailure, match="no backdrop was found"):
        cut(tmp_path / "full.png", tmp_path / "cut.png", model="u2netp", weights_dir=weights)


def test_a_picture_too_small_to_cut_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (200, 0, 0)).save(tmp_path / "dot.png")
    with pytest.raises(PermanentFailure, match="only 20 x 20 pixels"):
        cut(tmp_path / "dot.png", tmp_path / "cut.png")


def test_a_broken_source_leaves_no_target(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    with pytest.raises(BadInput):
        cut(tmp_path / "a.png", tmp_path / "cut.png")
    assert not (tmp_path / "cut.png").exists()


def test_a_local_model_makes_a_whole_cutout(tmp_path: Path, weights: Path) -> None:
    disc_photo(colour=(20, 20, 20)).save(tmp_path / "a.png")
    facts = cut(tmp_path / "a.png", tmp_path / "cut.png", model="u2netp", weights_dir=weights)
    assert facts["engine"] == "u2netp"
    with Image.open(tmp_path / "cut.png") as image:
        alpha = np.asarray(image)[..., 3]
    left, top = facts["offset"]
    assert alpha[120 - top, 110 - left] > 200
    assert abs(int((alpha > 128).any(axis=0).sum()) - 140) <= 4


def test_the_work_and_its_facts_cross_a_process_border(tmp_path: Path) -> None:
    disc_photo().save(tmp_path / "a.png")
    assert pickle.loads(pickle.dumps(make_cutout)) is make_cutout  # noqa: S301
    facts = cut(tmp_path / "a.png", tmp_path / "cut.png")
    assert json.loads(json.dumps(facts)) == facts
    assert set(facts["triage"]) == {"score", "flags", "features"}
    assert facts["triage"]["score"] > 60
