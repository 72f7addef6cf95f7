"""Erased texts as salted digests: a text is recognised again without being stored.

Belongs here: how a text is compared (spelling of blanks, quotes and case does not matter), remembering it, and finding
it in what arrives. Does not belong here: erasing (`erasing.py`). A text is found where a word begins; of its letters
only their number is kept. Whoever has the database can test a guess: a digest is not a secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import Refused

REPLACEMENT = "[erased]"


def pattern_of(erased: str) -> re.Pattern[str]:
    """Finds a text whatever its case and blanks, composed or decomposed, with quotes single or doubled as in CSV."""
    spelled = {_spelled(unicodedata.normalize(form, erased)) for form in ("NFC", "NFD")}
    return re.compile("|".join(sorted(spelled)), re.IGNORECASE)


def _spelled(erased: str) -> str:
    return r"\s+".join(re.escape(word).replace('"', '"{1,2}') for word in erased.split())


def _flat(content: str) -> str:
    plain = unicodedata.normalize("NFC", content).replace('""', '"').casefold()
    return " ".join(plain.split())


def _digest(salt: str, flat: str) -> str:
    return hashlib.sha256(f"{salt}:{flat}".encode()).hexdigest()


def remember(connection: Connection, erased: str) -> None:
    """Remember an erased text; all share one salt, so that a text that arrives is gone through once."""
    salt = connection.execute(
        text("select salt from art.erased_texts limit 1")
    ).scalar() or secrets.token_hex(16)
    flat = _flat(erased)
    connection.execute(
        text(
            "insert into art.erased_texts (digest, salt, length) values (:d, :s, :l) on conflict do nothing"
        ),
        {"d": _digest(salt, flat), "s": salt, "l": len(flat)},
    )


def found_in(connection: Connection, content: str) -> set[str]:
    """The erased texts that occur in a text again, in the plain spelling of the comparison."""
    remembered = connection.execute(text("select salt, length, digest from art.erased_texts")).all()
    if not remembered:
        return set()
    digests = {digest for _, _, digest in remembered}
    flat = _flat(content)
    starts = [m.start() for m in re.finditer(r"(?<!\w)\S", flat)]
    return {
        window
        for salt, length in {(salt, length) for salt, length, _ in remembered}
        for window in {flat[start : start + length] for start in starts}
        if len(window) == length and _digest(salt, window) in digests
    }


def without(connection: Connection, content: str, name: str) -> str:
    """A text in which every erased text is replaced again.

    Raises:
        Refused: one is written in a way that cannot be taken out.
    """
    for erased in found_in(connection, content):
        content = pattern_of(erased).sub(REPLACEMENT, content)
    if found_in(connection, content):
        raise Refused(
            f"{name} holds a text that was erased, written so that it cannot be taken out; "
            "remove it in the base and export again."
        )
    return content


def refuse(connection: Connection, values: dict[str, Any]) -> None:
    """Keep an erased text from being entered by hand.

    Raises:
        Refused: one of the values holds it.
    """
    for field, value in values.items():
        if isinstance(value, str) and found_in(connection, value):
            raise Refused(
                f"{field} holds a text that was erased from the art tables; write it without that text."
            )


def replaced(value: Any, pattern: re.Pattern[str]) -> Any:
    """A value with the text replaced, in lists and mappings too."""
    if isinstance(value, str):
        return pattern.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {key: replaced(item, pattern) for key, item in value.items()}
    return [replaced(item, pattern) for item in value] if isinstance(value, list) else value
