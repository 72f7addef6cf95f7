"""Checks of product images that look at the world and not at a run. The standing ones are in assets.py."""

import dagster as dg

from crown.product_images.room import PUBLISHED
from crown.product_images.verify import verify
from crown_assets.reporting import sentences_as_failures
from resources.product_images import ProductImagesResource

#: Bytes that one sweep reads; what is beyond is compared by size until the next.
SWEEP_BYTES = 20 * 1024**3


@dg.asset_check(
    asset=dg.AssetKey(PUBLISHED.split("/")),
    name="files_are_as_we_wrote_them",
    description="Published pictures are there, unchanged, and no foreign file lies among them.",
)
def files_are_as_we_wrote_them(images: ProductImagesResource) -> dg.AssetCheckResult:
    """Missing files become pending and the next run mends them; changed and foreign ones are a person's."""
    with sentences_as_failures(), images.room() as room:
        found = verify(room, byte_budget=SWEEP_BYTES)
    return dg.AssetCheckResult(
        passed=found.sound,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "checked": found.checked,
            "missing": dg.MetadataValue.json(found.missing[:100]),
            "changed": dg.MetadataValue.json(found.changed[:100]),
            "foreign": dg.MetadataValue.json(found.foreign[:100]),
        },
    )
