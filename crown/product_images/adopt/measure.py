"""Compares an old rendition with its master and its spec.

Runs in worker processes. What follows from the result is defined in takeover.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.errors import BadInput
from crown.pictures import decoding as pictures
from crown.pictures import tags
from crown.product_images.adopt.tree import OldFile, OldPhoto
from crown.product_images.renditions.render import Layout, layout, trimmed
from crown.product_images.renditions.specs import Spec

if TYPE_CHECKING:
    import pyvips

#: Longest side, in pixels, at which two pictures are laid over each other, and by how much both are then shrunk.
_SIDE, _SHRINK = 256, 4
#: A master is brought to this longest side first, once for all its renditions.
_NEAR = 1024
#: Two pictures are different when their mean difference (0 to 255) or the share of far-off pixels is above this.
_MEAN, _FAR, _FAR_SHARE = 2.5, 40, 0.01


@dataclass(frozen=True)
class Difference:
    """In what a file is not what its spec makes: a word to count by, and a sentence."""

    kind: str
    sentence: str


@dataclass(frozen=True)
class Measured:
    """A photo and what was found of it: facts of master and originals, None for a file that cannot be read, and
    the differences of each rendition that was compared, by spec.
    """

    photo: OldPhoto
    master_facts: Mapping[str, Any] | None
    original_facts: Sequence[Mapping[str, Any] | None]
    differences: Mapping[str, list[Difference]]

    def originals(self) -> list[tuple[OldFile, Mapping[str, Any]]]:
        """The originals that can be read, oldest first, with their facts."""
        pairs = zip(self.photo.originals, self.original_facts, strict=True)
        return [(file, facts) for file, facts in pairs if facts is not None]

    def usable(self) -> list[OldFile]:
        """Originals and master that can be read."""
        master = self.photo.master
        return [file for file, _ in self.originals()] + (
            [master] if master is not None and self.master_facts is not None else []
        )

    def newer_originals(self) -> list[OldFile]:
        """Originals that came after the master, which is a cut-out of an earlier one."""
        master = self.photo.master
        if master is None or self.master_facts is None:
            return []
        return [file for file, _ in self.originals() if file.arrived > master.arrived]


def measure(
    master: Path, name: str, outputs: Sequence[tuple[Spec, Path]], max_pixels: int
) -> tuple[dict[str, Any], list[list[Difference]]]:
    """Compare renditions with what their specs would make of the master; nothing is rendered at full size.

    Args:
        master: the approved picture.
        name: what to call it; a name without a suffix, for CrownPipe called every master .png.
        outputs: pairs of a spec and its file.
        max_pixels: a larger master is refused.

    Returns:
        The master's facts (`pictures.probe`, and `trimmed`: its width and height without transparent margins), and the
        differences of each output, none for one that is right.

    Raises:
        BadInput: the master cannot be read, or shows nothing.
    """
    facts = pictures.probe(master, max_pixels, name=name)
    picture = trimmed(pictures.open_picture(master, max_pixels, name=name), name)
    facts["trimmed"] = [picture.width, picture.height]
    near = picture.thumbnail_image(_NEAR, size="down").copy_memory()
    return facts, [_differences(picture, near, spec, path, max_pixels) for spec, path in outputs]


def _differences(
    master: pyvips.Image, near: pyvips.Image, spec: Spec, path: Path, max_pixels: int
) -> list[Difference]:
    try:
        found = pictures.probe(path, max_pixels)
        dpi = _dpi(path)
        texts = tags.read_tags(path)
        shown = pictures.open_picture(path, max_pixels)
    except BadInput as error:
        return [Difference("unreadable", str(error))]
    differences = []
    if found["format"] != spec.format:
        differences.append(Difference("format", f"{found['format']} inside, the spec makes {spec.format}"))
    if found["mode"] != spec.mode:
        differences.append(Difference("mode", f"{found['mode']}, the spec makes {spec.mode} with 8 bits"))
    if dpi != spec.dpi:
        stored = "no resolution is stored" if dpi is None else f"{dpi} DPI"
        differences.append(Difference("dpi", f"{stored}, the spec stores {spec.dpi} DPI"))
    if "srgb" not in (found["profile"] or "").casefold():
        profile = f"the profile {found['profile']}" if found["profile"] else "no profile"
        kind = "profile" if found["profile"] else "untagged"
        differences.append(Difference(kind, f"{profile} is embedded, the spec embeds sRGB"))
    for key, overlay, _ in spec.overlays():
        differences.append(Difference("overlay", f"the spec lays the {key} {overlay.file} on it"))
    differences += _geometry(master, near, spec, shown)
    if not (texts.artist or texts.copyright or texts.keywords):
        differences.append(Difference("texts", "no artist, copyright or keywords are in the file"))
    return differences


def _dpi(path: Path) -> int | None:
    """The stored resolution, dots per inch."""
    import pyvips

    try:
        per_mm = float(pyvips.Image.new_from_file(str(path)).xres)
    except pyvips.Error:  # a kind that libvips does not read; no spec makes it
        return None
    # libvips gives one pixel per millimetre to a file that stores none.
    return None if per_mm == 1.0 else round(per_mm * 25.4)


def _geometry(master: pyvips.Image, near: pyvips.Image, spec: Spec, shown: pyvips.Image) -> list[Difference]:
    """Size of the file, size of the picture in it, and whether it shows this master at all.

    A file of another size is laid beside what CrownPipe's rules (border around the named size, small pictures
    enlarged) make of the master, so that a wrong size and an outdated picture are distinguished.
    """
    size = (shown.width, shown.height)
    right = layout(spec, master.width, master.height)
    old_rules = [
        (spec.model_copy(update=changed), why)
        for changed, why in (
            ({"enlarge": True}, "the picture is enlarged"),
            ({"padding": "outside"}, "the border is outside the named size"),
            ({"padding": "outside", "enlarge": True}, "the border is outside the named size"),
        )
    ]
    by_old_rules = [(layout(old, master.width, master.height), why) for old, why in old_rules]
    if right.canvas == size and _alike(near, shown, right, spec):
        return []
    explained = [(place, why) for place, why in by_old_rules if place.canvas == size and place != right]
    same = [why for place, why in explained if _alike(near, shown, place, spec)]
    differences = []
    if right.canvas != size:
        why = f" ({explained[0][1]})" if explained else ""
        wanted = f"the spec makes {right.canvas[0]} x {right.canvas[1]} of its master"
        differences.append(Difference("size", f"{size[0]} x {size[1]}, {wanted}{why}"))
    elif same:
        differences.append(Difference("enlarged", "the picture in it is enlarged, the spec does not enlarge"))
    if not same and (explained or right.canvas == size):
        differences.append(Difference("outdated", "it shows another picture than its master"))
    return differences


def _alike(near: pyvips.Image, shown: pyvips.Image, place: Layout, spec: Spec) -> bool:
    """Whether a file shows the master at this position, compared at low resolution, and nothing else.

    Where the rest of the canvas is odd, programs differ by a pixel in what they call the centre.
    """
    ground = [float(value) for value in spec.background or (255, 255, 255)]
    whole, part = (
        (image.flatten(background=ground) if image.hasalpha() else image) for image in (shown, near)
    )
    scale = min(1.0, _SIDE / max(place.picture))
    grid = [max(_SHRINK, round(side * scale)) for side in place.picture]
    expected = _at(part, grid)
    odd = [(canvas - side) % 2 for canvas, side in zip(place.canvas, place.picture, strict=True)]
    for across, down in product(range(odd[0] + 1), range(odd[1] + 1)):
        box = (place.offset[0] + across, place.offset[1] + down, *place.picture)
        apart = [(_at(whole.crop(*box), grid) - expected).abs()]
        if place.canvas != place.picture:
            # What is beside the picture: the file with its picture painted over.
            cover = whole.crop(0, 0, *place.picture) * 0 + ground
            apart.append((whole.insert(cover, *box[:2]) - ground).abs())
        if all(one.avg() <= _MEAN and (one.bandmean() > _FAR).avg() / 255 <= _FAR_SHARE for one in apart):
            return True
    return False


def _at(image: pyvips.Image, grid: Sequence[int]) -> pyvips.Image:
    sized = image.resize(grid[0] / image.width, vscale=grid[1] / image.height)
    return sized.cast("float").shrink(_SHRINK, _SHRINK)
