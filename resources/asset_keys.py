"""How Dagster's graph names the assets of the ledger; without Dagster, so that pages and commands use it too."""


def path(asset: str) -> list[str]:
    """The path of an asset's key: the department and one name, because the graph labels a node by the last part.

    `product_images/cutouts` -> product_images, cutouts; `product_images/renditions/web` -> product_images, web_renditions.
    """
    department, *rest = asset.split("/")
    return [department, "_".join(reversed(rest))]
