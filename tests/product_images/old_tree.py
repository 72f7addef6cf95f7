"""A small media folder of CrownPipe, and the takeover of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image, ImageCms, ImageDraw
from sqlalchemy import text

from crown.product_images import stages
from crown.product_images.adopt.takeover import Adoption, adopt
from crown.product_images.share import intake, moves
from crown.product_images.workspace import (
    GROUPS,
    Workspace,
)
from crown.store import files
from tests.pictures import draw_part
from tests.product_images.flow import noting

PRODUCTION = "production"


WEB = "1000x1000_72dpi_jpeg"


NOVEMBER = 1_730_000_000.0


FORMATS = {
    "transparent": ("original_300dpi_png.png", "original_300dpi_tiff.tif"),
    "print": ("2500_longest_300dpi_tiff.tif",),
    "web": (f"{WEB}.jpg",),
    "thumbnail": ("128x128_72dpi_jpeg.jpg",),
}


def draw_master(path: Path, shade: int = 70, size: tuple[int, int] = (300, 220)) -> Path:
    """A trimmed cut-out: a ring with a notch on transparent ground."""
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((0, 0, size[0] - 1, size[1] - 1), fill=(shade, shade, shade + 20, 255))
    draw.ellipse((90, 60, 170, 140), fill=(0, 0, 0, 0))
    draw.rectangle((200, 90, 260, 120), fill=(220, 60, 40, 255))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def old_outputs(master: Path, formats: Path, key: str) -> None:
    """The five files as CrownPipe's ImageMagick calls left them, at their real sizes."""
    with Image.open(master) as opened:
        cut_out = opened.convert("RGBA")
    for category, names in FORMATS.items():
        (formats / category).mkdir(parents=True, exist_ok=True)
        for name in names:
            target = formats / category / f"{key}_{name}"
            if category == "transparent":
                dpi = {} if name.endswith("png") else {"dpi": (300, 300), "compression": "tiff_lzw"}
                cut_out.save(target, **dpi)  # type: ignore[arg-type]
                continue
            side, border = {"print": (2500, 15), "web": (1000, 15), "thumbnail": (128, 5)}[category]
            scale = side / max(cut_out.size)
            fitted = cut_out.resize((round(cut_out.width * scale), round(cut_out.height * scale)))
            inner = fitted.size if category == "print" else (side, side)
            canvas = Image.new("RGB", (inner[0] + 2 * border, inner[1] + 2 * border), "white")
            canvas.paste(
                fitted, ((canvas.width - fitted.width) // 2, (canvas.height - fitted.height) // 2), fitted
            )
            if name.endswith("jpg"):
                canvas.save(target, quality=90, progressive=True, dpi=(72, 72))
            else:
                canvas.save(target, compression="tiff_lzw", dpi=(300, 300))


def at(path: Path, moment: float) -> Path:
    os.utime(path, (moment, moment))
    return path


def old_photo(media: Path, key: str, *, shade: int = 70, deployed: bool = True) -> Path:
    """An upload that went all the way: archived, approved, rendered, deployed; returns its master."""
    number = key.split("_")[0]
    original = media / "archive" / "2024-10" / number / f"{key}.jpg"
    original.parent.mkdir(parents=True, exist_ok=True)
    at(draw_part(original, shade=shade), NOVEMBER)
    master = at(draw_master(media / "products" / number / "source" / f"{key}.png", shade), NOVEMBER + 3600)
    old_outputs(master, media / "products" / number / "formats", key)
    if deployed:
        shutil.copytree(
            media / "products" / number / "formats", media / "production" / number, dirs_exist_ok=True
        )
    return master


def right_file(workspace: Workspace, master: Path, key: str, spec: str = WEB) -> Path:
    """Replace a rendition, here and in production, by one that is as its spec wants it, but not by our renderer."""
    number = key.split("_")[0]
    with Image.open(master) as opened:
        cut_out = opened.convert("RGBA")
    canvas = Image.new("RGB", (1000, 1000), "white")
    canvas.paste(cut_out, ((1000 - cut_out.width) // 2, (1000 - cut_out.height) // 2), cut_out)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = workspace.media("products") / number / "formats" / "web" / f"{key}_{spec}.jpg"
    canvas.save(path, quality=95, dpi=(72, 72), icc_profile=profile)
    shutil.copy2(path, workspace.media(PRODUCTION) / number / "web")
    return path


def take_over(workspace: Workspace, **options: object) -> Adoption:
    return adopt(workspace, workspace.settings.media, who="eva", **options)  # type: ignore[arg-type]


def run(workspace: Workspace) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for _ in range(2):
        intake.take_in(workspace, settle_seconds=0)
        moves.collect(workspace, settle_seconds=0)
    for assets in GROUPS:
        stages.make(workspace, assets, on_progress=noting(made))
    return made


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def reasons(done: Adoption, path: str) -> set[str]:
    return {d.kind for change in done.changes for d in change.differences if change.path.endswith(path)}


def database_rows(workspace: Workspace) -> dict[str, int]:
    tables = ("ledger.outputs", "ledger.decisions", "ledger.files", "ledger.items", "product_images.uploads")
    with workspace.engine.connect() as connection:
        return {
            name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in tables
        }
