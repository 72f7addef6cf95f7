"""A code location that does not load."""

import dagster as dg

defs = dg.Definitions(assets=[dg.AssetKey("not an asset")])  # type: ignore[list-item]
