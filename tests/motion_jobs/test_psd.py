"""Photoshop files: every layer once, with its visible box; hostile files are refused within limits."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

from crown.errors import BadInput
from crown.motion_jobs.photoshop.psd_export import (
    approximate_composite,
    embedded_preview,
    export_layers,
    extract_smart_object,
    file_stem,
)
from crown.motion_jobs.photoshop.psd_file import (
    PsdLimits,
    PsdText,
    TextRun,
    paragraphs_of,
    read_psd,
)

RealFile = Callable[[str, str], Path]


def sample(path: Path, names: tuple[str, ...] = ("Title", "Photo")) -> Path:
    """A document of 60 x 40 with one 20 x 10 layer for each name, inside a group."""
    psd = PSDImage.new("RGBA", (60, 40))
    group = psd.create_group(name="All")
    for number, name in enumerate(names):
        picture = Image.new("RGBA", (20, 10), (number, 100, 200, 255))
        group.append(psd.create_pixel_layer(picture, name=name, top=5, left=10 + number))
    psd.save(path)
    return path


def header(width: int, height: int, version: int = 1, depth: int = 8, channels: int = 3) -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", version, channels, height, width, depth, 3)


def test_layers_in_groups_are_found_with_path_and_box(tmp_path: Path) -> None:
    document = read_psd(sample(tmp_path / "a.psd"))
    assert [(layer.name, layer.path, layer.box) for layer in document.layers] == [
        ("All", ("All",), (10, 5, 31, 15)),
        ("Title", ("All", "Title"), (10, 5, 30, 15)),
        ("Photo", ("All", "Photo"), (11, 5, 31, 15)),
    ]
    assert (document.width, document.height, document.mode, document.is_psb) == (60, 40, "RGB", False)


def test_layers_with_one_name_keep_an_id_and_a_picture_each(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.psd", ("Same", "same", "Same", "Änderung"))
    document = read_psd(path)
    export = export_layers(path, tmp_path / "out")
    assert len({layer.id for layer in document.layers}) == len(document.layers) == 5
    assert len({image.image.name.lower() for image in export.images}) == 4
    assert {image.layer_id for image in export.images} == {layer.id for layer in document.layers[1:]}
    with Image.open(export.images[0].image) as picture, Image.open(export.images[0].thumbnail) as thumbnail:
        assert (picture.size, picture.getpixel((3, 3)), thumbnail.size) == (
            (20, 10),
            (0, 100, 200, 255),
            (200, 200),
        )


def test_a_clipping_layer_is_listed_once_and_does_not_swell_its_group(real_file: RealFile) -> None:
    document = read_psd(real_file("psd", "clipping-mask.psd"))
    clipped = [layer for layer in document.layers if layer.clips_to is not None]
    assert [(layer.name, layer.clips_to, layer.box) for layer in clipped] == [
        ("Shape 2", 2, (141, 44, 174, 92))
    ]
    group = document.layer(8)
    assert (group.name, group.full_box, group.box) == ("Group 2", (50, -73, 288, 146), (50, 0, 288, 146))
    assert len({layer.id for layer in document.layers}) == len(document.layers) == 7


def test_a_hidden_group_keeps_the_box_of_its_children(real_file: RealFile) -> None:
    document = read_psd(real_file("psd", "hidden-groups.psd"))
    boxes = {layer.name: (layer.visible, layer.box) for layer in document.layers}
    assert boxes["Group 1"] == (False, (25, 34, 80, 88))
    assert boxes["Shape 1"] == (False, (25, 34, 80, 88))


def test_an_artboard_cuts_what_lies_over_its_edge(real_file: RealFile) -> None:
    document = read_psd(real_file("psd", "artboard.psd"))
    assert [(layer.kind, layer.box) for layer in document.layers] == [
        ("artboard", (238, 77, 1154, 1061)),
        ("pixel", (238, 77, 1154, 1061)),
        ("type", (321, 321, 1154, 847)),
        ("pixel", (238, 77, 1154, 1061)),
    ]


def test_text_has_postscript_fonts_of_its_runs_and_sizes_scaled_by_the_layer(real_file: RealFile) -> None:
    document = read_psd(real_file("psd", "masks.psd"))
    text = next(layer.text for layer in document.layers if layer.text)
    assert text == PsdText(("replaced",), text.runs, is_box=True)
    assert [(run.font, run.size) for run in text.runs] == [("ProximaNova-Regular", 24.0)]
    assert document.fonts == ("ProximaNova-Regular",)


def test_declared_fonts_that_no_character_uses_are_not_fonts_in_use() -> None:
    runs = (
        TextRun("Headline", "ArialMT", 12, None, 0, 1.0),
        TextRun("\r", "AdobeInvisFont", 12, None, 0, 1.0),
        TextRun("", "MyriadPro-Regular", 12, None, 0, 1.0),
    )
    assert PsdText(("Headline",), runs, is_box=False).fonts == ("ArialMT",)


def test_paragraphs_stay_apart_from_soft_returns(real_file: RealFile) -> None:
    assert paragraphs_of("one\x03still one\rtwo\r") == ("one\x03still one", "two")
    layer = read_psd(real_file("psd", "text.psd")).layer(2)
    assert layer.text is not None
    assert layer.text.paragraphs == ("Line 1", "Line 2", "Line 3 and text")
    assert layer.text.text == "Line 1\nLine 2\nLine 3 and text"


def test_smart_objects_are_listed_and_embedded_ones_extracted(real_file: RealFile, tmp_path: Path) -> None:
    path = real_file("psd", "placedLayer.psd")
    placed = {layer.id: layer.smart_object for layer in read_psd(path).layers if layer.smart_object}
    assert {key: (one.kind, one.filename) for key, one in placed.items()} == {
        2: ("external", "linked-layer.png"),
        3: ("external", "1layer.psd"),
        4: ("embedded", "linked-layer.png"),
    }
    extracted = extract_smart_object(path, 4, tmp_path)
    assert (extracted.name, extracted.stat().st_size) == ("4_linked-layer.png", placed[4].size)
    with Image.open(extracted) as picture:
        assert picture.size == (64, 64)
    with pytest.raises(BadInput, match=r"is linked to '1layer\.psd', outside the file"):
        extract_smart_object(path, 3, tmp_path)
    with pytest.raises(BadInput, match="no smart object with the layer id 1"):
        extract_smart_object(path, 1, tmp_path)


@pytest.mark.parametrize(
    ("name", "mode", "depth", "psb", "layers", "pictures"),
    [
        ("2layers.psb", "RGB", 8, True, 2, 2),
        ("16bit5x5.psd", "RGB", 16, False, 3, 3),
        ("colormodes_4x4_8bit_cmyk.psd", "CMYK", 8, False, 2, 1),
        ("0layers.psd", "RGB", 8, False, 0, 0),
        ("smart-object-slice.psd", "RGB", 8, False, 3, 3),
        ("layer-name-emoji.psd", "RGB", 8, False, 1, 1),
        ("group.psd", "RGB", 8, False, 3, 2),
    ],
)
def test_kinds_of_documents_give_layers_and_rgb_pictures(
    real_file: RealFile,
    tmp_path: Path,
    name: str,
    mode: str,
    depth: int,
    psb: bool,
    layers: int,
    pictures: int,
) -> None:
    path = real_file("psd", name)
    document = read_psd(path)
    assert (document.mode, document.depth, document.is_psb, len(document.layers)) == (
        mode,
        depth,
        psb,
        layers,
    )
    export = export_layers(path, tmp_path)
    assert len(export.images) == pictures
    for image in export.images:
        with Image.open(image.image) as picture:
            assert (picture.mode, picture.size) == ("RGBA", (image.width, image.height))


def test_every_layer_is_exported_or_skipped_with_a_reason(real_file: RealFile, tmp_path: Path) -> None:
    export = export_layers(real_file("psd", "colormodes_4x4_8bit_cmyk.psd"), tmp_path)
    assert [(one.name, one.reason) for one in export.skipped] == [
        ("Layer 1", "a layer of kind pixel holds no pixels")
    ]


def test_the_embedded_preview_is_exact_and_a_composite_is_called_approximate(
    real_file: RealFile, tmp_path: Path
) -> None:
    path = real_file("psd", "group.psd")
    exact = embedded_preview(path, tmp_path / "exact.png")
    worked_out = approximate_composite(path, tmp_path / "composite.png")
    assert (exact.approximate, worked_out.approximate) == (False, True)
    assert (exact.width, exact.height) == (worked_out.width, worked_out.height) == (100, 200)
    with Image.open(exact.image) as one, Image.open(worked_out.image) as other:
        pictures = [np.asarray(picture.convert("RGB"), dtype=int) for picture in (one, other)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 3
    with pytest.raises(BadInput, match="holds no flat picture"):
        embedded_preview(real_file("psd", "layer-name-emoji.psd"), tmp_path / "none.png")


def test_a_composite_without_enough_memory_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = sample(tmp_path / "a.psd")
    with pytest.raises(BadInput, match=r"could not be composed within 0\.1 GB"):
        approximate_composite(path, tmp_path / "c.png", memory_bytes=100_000_000)
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize("version", [1, 2])
def test_a_claim_of_300000_pixels_a_side_is_refused_unopened(tmp_path: Path, version: int) -> None:
    path = tmp_path / "huge.psd"
    path.write_bytes(header(300_000, 300_000, version) + bytes(200))
    started = time.process_time()
    with pytest.raises(BadInput, match="claims 300,000 x 300,000 pixels"):
        read_psd(path)
    assert time.process_time() - started < 0.5


def test_a_file_cut_anywhere_is_refused_and_never_half_read(tmp_path: Path) -> None:
    whole = sample(tmp_path / "a.psd").read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        path = tmp_path / "cut.psd"
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"no Photoshop file|cut off"):
            read_psd(path)


def test_a_picture_cut_by_one_byte_is_refused(tmp_path: Path, real_file: RealFile) -> None:
    path = tmp_path / "cut.psd"
    path.write_bytes(real_file("psd", "text.psd").read_bytes()[:-1])
    with pytest.raises(BadInput, match="is cut off: its picture needs"):
        read_psd(path)


@pytest.mark.parametrize("section", [0, 1, 2])
def test_a_section_that_lies_about_its_size_is_refused(tmp_path: Path, section: int) -> None:
    path = tmp_path / "lies.psd"
    path.write_bytes(header(10, 10) + bytes(4) * section + struct.pack(">I", 2**31) + bytes(400))
    with pytest.raises(BadInput, match="section claims 2,147,483,648 bytes"):
        read_psd(path)


@pytest.mark.parametrize("start", [b"", b"8BPS", b"GIF89a" + bytes(40), header(0, 5), header(5, 5, depth=7)])
def test_what_is_no_photoshop_file_is_refused_in_a_sentence(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.psd"
    path.write_bytes(start)
    with pytest.raises(BadInput, match=r"^a\.psd (is no|has a damaged|claims)"):
        read_psd(path)


def test_random_damage_inside_the_layers_is_refused_or_read_and_never_raises_else(tmp_path: Path) -> None:
    whole = sample(tmp_path / "a.psd").read_bytes()
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for at in random.integers(30, len(whole), 4):
            damaged[at] = int(random.integers(0, 256))
        path = tmp_path / "b.psd"
        path.write_bytes(damaged)
        try:
            read_psd(path)
            export_layers(path, tmp_path / "out")
        except BadInput:
            refused += 1
    assert 0 < refused < 150


def test_a_layer_that_claims_more_pixels_than_memory_is_skipped_and_its_neighbour_written(
    tmp_path: Path,
) -> None:
    path = sample(tmp_path / "a.psd")
    whole = path.read_bytes()
    box = struct.pack(">4i", 5, 10, 15, 30)
    assert whole.count(box) == 1
    path.write_bytes(whole.replace(box, struct.pack(">4i", 5, 10, 200_005, 200_010)))
    export = export_layers(path, tmp_path / "out")
    assert [image.name for image in export.images] == ["Photo"]
    assert [(one.name, one.reason[:23]) for one in export.skipped] == [("Title", "its pixels are damaged ")]


def test_a_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="at most 0 MB are read"):
        read_psd(sample(tmp_path / "a.psd"), PsdLimits(max_file_bytes=100))


def test_file_stems_are_safe_and_short() -> None:
    assert [file_stem(name) for name in ("../../etc/x", "Äpfel & Co", "你好", "a" * 90)] == [
        "etc_x",
        "Apfel_Co",
        "layer",
        "a" * 60,
    ]
