"""The table of docs/share.md and the tests name the same cells."""

from __future__ import annotations

import re
from pathlib import Path

from tests.product_images.share import test_share_inbox, test_share_ready_and_outputs, test_share_review
from tests.product_images.share.cells import (
    COVERED,
    EDITED,
    GONE,
    PUT,
    RENAMED,
)

#: Importing them enters the cells that they cover.
COVERING = (test_share_inbox, test_share_review, test_share_ready_and_outputs)
ROOT = Path(__file__).resolve().parents[3]


def test_every_cell_of_the_page_is_tested_and_every_tested_cell_is_on_the_page() -> None:
    page = (ROOT / "docs" / "share.md").read_text("utf-8")
    table = [line for line in page.splitlines() if line.startswith("| `")]
    on_page = set()
    for line in table:
        folder, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        assert all(cells)
        assert len(cells) == 4
        on_page |= {(re.sub(r"[`/]+$", "", folder.strip("`")), act) for act in (PUT, EDITED, RENAMED, GONE)}
    assert on_page == COVERED
