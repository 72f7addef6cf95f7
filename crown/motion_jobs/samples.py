"""Templates and PSDs made from nothing, for the demo, the benchmark and tests. None was made by Adobe's programs.

A template is a real project as far as its structure goes; a PSD has pixel layers and text layers that read back as
Photoshop's do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from psd_tools import PSDImage
from psd_tools.constants import Tag
from psd_tools.psd.descriptor import DescriptorBlock, Enumerated, Integer, RawData, String
from psd_tools.psd.engine_data import EngineData
from psd_tools.psd.tagged_blocks import TypeToolObjectSetting

from crown.motion_jobs.after_effects.ae_chunks import read_rifx
from crown.motion_jobs.after_effects.aepx_codec import Aepx, write_aepx
from crown.motion_jobs.jobs.csv_batches import OPTIONAL, REQUIRED

COMP = "render_promo"
TEXTS = ("txt_headline", "txt_price")
PICTURES = ("img_photo", "img_logo")
SIZES = {"img_photo": (640, 400), "img_logo": (160, 80)}
FONT = "ArialMT"


@dataclass(frozen=True)
class Text:
    """A text layer of a PSD: its name, words, place and size in pixels."""

    name: str
    words: str
    place: tuple[int, int] = (40, 40)
    size: float = 32.0


@dataclass(frozen=True)
class Picture:
    """A pixel layer of a PSD: its name, colour, place and size."""

    name: str
    colour: str
    place: tuple[int, int]
    size: tuple[int, int]


def template(folder: Path, name: str = "promo.aepx", *, comp: str = COMP) -> Path:
    """A project with two texts and two pictures, and the pictures beside it."""
    import py_aep

    folder.mkdir(parents=True, exist_ok=True)
    made = py_aep.new(platform="macos").project
    main = made.root_folder.add_comp(comp, 1280, 720, 1.0, 6.0, 25.0)
    for picture, size in SIZES.items():
        file = folder / f"{picture}.png"
        if not file.exists():
            _drawn(size, "grey").save(file)
        main.add(made.import_file(py_aep.ImportOptions(file))).name = picture
    for number, text in enumerate(TEXTS):
        layer: Any = main.add_box_text([600.0, 80.0])
        layer.name = text
        layer.text.source_text.value.text = text
        layer.transform.position.value = [640.0, 120.0 + 480.0 * number, 0.0]
    work = folder / f".{Path(name).stem}.aep"
    made.save(work)
    raw = work.read_bytes()
    work.unlink()
    target = folder / name
    target.write_bytes(
        write_aepx(Aepx(read_rifx(raw, name), legacy=False)) if target.suffix == ".aepx" else raw
    )
    return target


def psd(
    path: Path, texts: Sequence[Text], pictures: Sequence[Picture], size: tuple[int, int] = (1280, 720)
) -> Path:
    """A PSD with these layers, pictures first, and a flat picture of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document: Any = PSDImage.new("RGBA", size, color=(255, 255, 255, 255))
    flat = Image.new("RGBA", size, "white")
    for one in pictures:
        drawn = _drawn(one.size, one.colour)
        document.append(document.create_pixel_layer(drawn, one.name, top=one.place[1], left=one.place[0]))
        flat.alpha_composite(drawn, one.place)
    pen = ImageDraw.Draw(flat)
    for text in texts:
        drawn = Image.new("RGBA", (max(8, round(len(text.words) * text.size * 0.55)), round(text.size * 1.3)))
        ImageDraw.Draw(drawn).text((0, 0), text.words, "black", font_size=text.size)
        layer = document.create_pixel_layer(drawn, text.name, top=text.place[1], left=text.place[0])
        layer.tagged_blocks.set_data(Tag.TYPE_TOOL_OBJECT_SETTING, **_type_tool(text))
        document.append(layer)
        pen.text(text.place, text.words, "black", font_size=text.size)
    for number, layer in enumerate(document, start=1):
        layer.tagged_blocks.set_data(Tag.LAYER_ID, number)
    document.save(path)
    return path


def promo_psd(path: Path, headline: str, price: str, colour: str = "teal") -> Path:
    """A PSD whose layers fit the template by their names."""
    return psd(
        path,
        [Text("Headline", headline), Text("Price", price, (40, 620))],
        [
            Picture("Photo", colour, (320, 160), SIZES["img_photo"]),
            Picture("Logo", "orange", (1100, 20), SIZES["img_logo"]),
        ],
    )


def batch_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """A batch file with these rows."""
    text = io.StringIO()
    columns = [*REQUIRED, *OPTIONAL]
    columns += sorted({name for row in rows for name in row} - set(columns))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _drawn(size: tuple[int, int], colour: str) -> Image.Image:
    """A picture that is not one flat colour, so that it compresses as pictures do."""
    picture = Image.new("RGBA", size, colour)
    pen = ImageDraw.Draw(picture)
    for step in range(0, size[0], 16):
        pen.line((step, 0, size[0] - step, size[1]), fill=(255, 255, 255, 90))
    return picture


def _type_tool(text: Text) -> dict[str, Any]:
    """Photoshop's record of a text layer, as its file format has it."""
    words = text.words.replace("\n", "\r")
    content = DescriptorBlock(classID=b"TxLr", version=16)
    content[b"Txt "] = String(words + "\0")
    content[b"textGridding"] = Enumerated(b"textGridding", b"None")
    content[b"Ornt"] = Enumerated(b"Ornt", b"Hrzn")
    content[b"AntA"] = Enumerated(b"Annt", b"antiAliasSharp")
    content[b"TextIndex"] = Integer(0)
    content[b"EngineData"] = RawData(EngineData.frombytes(_engine(words, text.size)).tobytes())
    warp = DescriptorBlock(classID=b"warp", version=16)
    warp[b"warpStyle"] = Enumerated(b"warpStyle", b"warpNone")
    fields = TypeToolObjectSetting(
        version=1,
        transform=(1.0, 0.0, 0.0, 1.0, float(text.place[0]), float(text.place[1] + text.size)),
        text_version=50,
        text_data=content,
        warp_version=1,
        warp=warp,
        left=0,
        top=0,
        right=0,
        bottom=0,
    )
    return {name: getattr(fields, name) for name in _FIELDS}


_FIELDS = (
    "version",
    "transform",
    "text_version",
    "text_data",
    "warp_version",
    "warp",
    "left",
    "top",
    "right",
    "bottom",
)
_ENGINE = """

<<
/EngineDict
<<
/Editor << /Text ({text}) >>
/ParagraphRun
<<
/RunArray [ << /ParagraphSheet << /DefaultStyleSheet 0 /Properties << >> >> >> ]
/RunLengthArray [ {length} ]
/IsJoinable 1
>>
/StyleRun
<<
/RunArray [ << /StyleSheet << /StyleSheetData <<
/Font 0 /FontSize {size} /Tracking 0 /HorizontalScale 1.0 /FillColor << /Type 1 /Values [ 1.0 0.0 0.0 0.0 ] >>
>> >> >> ]
/RunLengthArray [ {length} ]
/IsJoinable 2
>>
/Rendered << /Version 1 /Shapes << /WritingDirection 0 /Children [ <<
/ShapeType 0 /Procession 0 /Lines << /WritingDirection 0 /Children [ ] >>
/Cookie << /Photoshop << /ShapeType 0 /PointBase [ 0.0 0.0 ] >> >>
>> ] >> >>
>>
/ResourceDict
<<
/FontSet [ << /Name ({font}) /Script 0 /FontType 0 /Synthetic 0 >> ]
>>
/DocumentResources
<<
/FontSet [ << /Name ({font}) /Script 0 /FontType 0 /Synthetic 0 >> ]
>>
>>
"""


def _engine(words: str, size: float) -> bytes:
    text = f"{words}\r"
    filled = _ENGINE.format(text="\0TEXT\0", font="\0FONT\0", length=len(text), size=size).encode("ascii")
    return filled.replace(b"\0TEXT\0", _string(text)).replace(b"\0FONT\0", _string(FONT))


def _string(text: str) -> bytes:
    raw = b"\xfe\xff" + text.encode("utf-16-be")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
