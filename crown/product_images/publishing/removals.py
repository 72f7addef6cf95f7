"""When the removal of published files waits for a person: what is counted, and the command that confirms."""

from __future__ import annotations

from crown.flow.held_removals import RemovalRules
from crown.product_images.workspace import PUBLISHED

#: The key of a file of another target than production begins with the target's name and a colon.
RULES = RemovalRules(
    PUBLISHED,
    confirm="crown images confirm {target} --apply",
    target="case when key like '%:%' then split_part(key, ':', 1) else 'production' end",
    subject="split_part(regexp_replace(key, '^[^:]*:', ''), '/', 1)",
    called="products",
)
