"""The journal serves every department and knows no word of one."""

from __future__ import annotations

import re
from pathlib import Path

JOURNAL = Path(__file__).resolve().parents[2] / "crown" / "journal"
#: Read and write the tables of CrownPipe under their own names.
_OLD = {"old_audit.py", "old_database.py"}
#: The names of CrownPipe's view, and of a field in records that an earlier version left in the outbox.
_KNOWN = re.compile(
    r"audit\.product_audit|`product_number`|coalesce\(subject, product_number\)|product_number text,"
)
_WORDS = re.compile(r"product|photo|cut.?out|rendition|artwork|airtable|motion|icloud", re.IGNORECASE)


def test_the_journal_knows_no_word_of_a_department() -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(JOURNAL.glob("*.py"))
        if path.name not in _OLD
        for line in path.read_text(encoding="utf-8").splitlines()
        if _WORDS.search(_KNOWN.sub("", line))
    ]
    assert found == []
