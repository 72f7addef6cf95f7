"""The version of the code that decides each asset's result, as its recipes carry it."""

from __future__ import annotations

from crown.product_images.cutout.engine import CUTOUT_VERSION
from crown.product_images.cutout.studio.version import STUDIO_VERSION
from crown.product_images.renditions.specs import RENDERER_VERSION
from crown.product_images.workspace import ASSETS, CUTOUTS, RENDITIONS

#: By asset; a test compares them with the recipes of a workspace.
CODE_VERSIONS = {
    **dict.fromkeys(ASSETS, "1"),
    **dict.fromkeys(RENDITIONS.values(), str(RENDERER_VERSION)),
    CUTOUTS: f"{CUTOUT_VERSION}, studio {STUDIO_VERSION}",
}
