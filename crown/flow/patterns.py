"""Shell patterns of keys, compared in SQL: an act on a few items does not read a whole table.

How a department spells its keys, and so a pattern of them, is its own affair.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from crown.errors import BadInput

#: Longer ones the database refuses as too complex; no key is as long.
LONGEST_PATTERN = 500
#: A regular expression that nothing matches.
_NOTHING = "$.^"


@dataclass(frozen=True)
class Patterns:
    """Keys and shell patterns as bind parameters of `condition`."""

    exact: tuple[str, ...]
    regexes: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str], spelt: Callable[[str], str] = str) -> Patterns:
        """The patterns, each brought to the spelling of the keys; one that is a key always means that key.

        Raises:
            BadInput: a pattern is longer than any key, or holds what no key can hold.
        """
        given = [spelt(pattern) for pattern in patterns]
        for one in given:
            if len(one) > LONGEST_PATTERN:
                raise BadInput(
                    f"The pattern {one[:20]!a}... has {len(one):,} characters; give one of {LONGEST_PATTERN} at most."
                )
            if "\0" in one or (not one.isascii() and not _is_text(one)):
                raise BadInput(f"The pattern {one[:60]!a} holds a character that is no text; leave it out.")
        return cls(tuple(given), tuple(regex(one) for one in given if set(one) & set("*?[")))

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Bind parameters."""
        return {"exact_keys": list(self.exact), "key_regexes": list(self.regexes)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def condition(column: str) -> str:
    """The SQL condition that a text matches any of `Patterns`."""
    return f"({column} = any(cast(:exact_keys as text[])) or {column} ~ any(cast(:key_regexes as text[])))"


def regex(pattern: str) -> str:
    """PostgreSQL's regular expression for a shell pattern, as `fnmatch.fnmatchcase` reads it."""
    parts, place = [], 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == "*":
            parts.append(".*")
        elif character == "?":
            parts.append(".")
        elif character == "[" and (end := _end_of_set(pattern, place)) is not None:
            parts.append(_set(pattern[place:end]))
            place = end + 1
        else:
            parts.append(_literally(character))
    return f"^(?:{''.join(parts)})$"


def _end_of_set(pattern: str, begin: int) -> int | None:
    """Where `[...]` ends; None when the bracket is one of the text's own."""
    first = begin + 1 if pattern[begin : begin + 1] == "!" else begin
    end = pattern.find("]", first + 1)
    return None if end < 0 else end


def _set(inside: str) -> str:
    """A bracket expression; a range that ends before it begins holds nothing."""
    negated = inside.startswith("!")
    rest, parts = inside[negated:], []
    while rest:
        if len(rest) > 2 and rest[1] == "-":
            if rest[0] <= rest[2]:
                parts.append(f"{_literally(rest[0])}-{_literally(rest[2])}")
            rest = rest[3:]
        else:
            parts.append(_literally(rest[0]))
            rest = rest[1:]
    if not parts:
        return "." if negated else _NOTHING
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _literally(character: str) -> str:
    return f"\\{character}" if character in string.punctuation else character
