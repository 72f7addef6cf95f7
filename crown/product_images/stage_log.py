"""What is logged of pictures that were made: the department's table of messages, and what the key of an item is about.

Uploads and decisions are logged by intake.py and review.py, where they happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from crown.flow.stage_log import Message, Messages
from crown.journal import activity
from crown.journal.old_audit import FORMATTING_COMPLETE
from crown.ledger.claims import Made
from crown.product_images.names import photo_name
from crown.product_images.workspace import CUTOUTS, FAMILIES, MASTERS, PRODUCTS, PUBLISHED, RENDITIONS

#: An action of the trail that CrownPipe did not record.
CUTOUT_MADE = "cutout_made"


def product_number(key: str) -> str:
    """The product number in the key of any item of this department, or in a photo's key."""
    parts = key.rpartition(":")[2].split("/")  # the target of a published file precedes a colon
    if len(parts) == 3 and parts[1] not in FAMILIES:
        return photo_name(parts[1]).number  # a judgement: profile, photo, spec
    return photo_name(parts[0].split("@")[0]).number


def _photo(key: str) -> str:
    return key.rpartition(":")[2].split("/")[0]


def _product_of_path(path: str) -> str:
    parts = PurePosixPath(path).parts
    return parts[1] if parts[0] == PRODUCTS and len(parts) > 1 else parts[0]


def _cutout(group: Sequence[Made]) -> Mapping[str, object]:
    return {"content_hash": group[-1].content_hash, "recipe": group[-1].job.recipe_name}


def _file_names(group: Sequence[Made]) -> Mapping[str, object]:
    return {"files": sorted(PurePosixPath(one.path or one.job.key).name for one in group)}


MESSAGES = Messages(
    {
        CUTOUTS: Message("cut out", CUTOUT_MADE, _cutout),
        MASTERS: Message("approved bytes put to the sources"),
        **{
            asset: Message(f"rendered for {family}", FORMATTING_COMPLETE, _file_names)
            for family, asset in RENDITIONS.items()
        },
        PUBLISHED: Message("published", activity.PUBLISHED, _file_names),
    },
    subject_of=_photo,
    number_of=product_number,
    number_of_path=_product_of_path,
)
