"""The gates of product images: where people decide, and the verdicts that each knows."""

from __future__ import annotations

from crown.ledger.verdicts import DeclaredVerdict, Gate
from crown.product_images.workspace import CUTOUTS, DEPARTMENT, INBOX_PHOTOS

#: On the bytes of a cut-out. A rejected one waits for a retouch or another photo, which come through the inbox; the
#: reason is for whoever makes them.
CUTOUT_REVIEW = Gate(
    CUTOUTS,
    (
        DeclaredVerdict("approve"),
        DeclaredVerdict("reject", min_reason=1, return_stages=(INBOX_PHOTOS,)),
    ),
    called="cut-outs",
)
#: On the recipe of a cut-out model, for one photo or for all.
CUTOUT_MODELS = Gate(f"{DEPARTMENT}/cutout_model", (DeclaredVerdict("approve"),))
#: On a product: its rejection retires it.
RETIREMENTS = Gate(f"{DEPARTMENT}/products", (DeclaredVerdict("reject"),))
GATES = (CUTOUT_REVIEW, CUTOUT_MODELS, RETIREMENTS)
