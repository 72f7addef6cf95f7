"""What the name of a layer says: its words in one spelling, and how far two names mean the same.

Never substrings: "name" is not "team_name", and a layer called "a" is not everything with an a in it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rapidfuzz.distance import OSA

from crown.settings.yaml_files import load_model

_WORD = re.compile(r"\d+|[^\W\d_]+")
_COPY = re.compile(r"[\s_-]+(copy|kopie|copie)([\s_-]*\d+)?$", re.IGNORECASE)
_PLAIN = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE"})

JOINED_EQUAL = 0.97
DIFFERENT = 0.30
ONE_SIDED = 0.65
_TYPO_LENGTH = 5
_TYPO = 0.9


class Words(BaseModel):
    """The vocabulary of `layer_words.yaml`."""

    model_config = ConfigDict(extra="forbid")

    synonyms: dict[str, list[str]]
    noise: list[str]
    opposites: list[tuple[str, str]]
    numbers: list[str]
    extensions: list[str]


@lru_cache(maxsize=1)
def words() -> Words:
    """The vocabulary, read once."""
    return load_model(Path(__file__).with_name("layer_words.yaml"), Words)


@dataclass(frozen=True, slots=True)
class Name:
    """A name by its words: noise left out, numbers without leading zeros, synonyms in one spelling."""

    tokens: tuple[str, ...]

    @property
    def joined(self) -> str:
        """All words in one."""
        return "".join(self.tokens)

    @property
    def marks(self) -> frozenset[str]:
        """Numbers and single letters, by which those of a series differ."""
        return frozenset(token for token in self.tokens if token.isdigit() or len(token) == 1)


@lru_cache(maxsize=20_000)
def name_of(raw: str) -> Name:
    """The words of a layer's name."""
    known = words()
    stem, dot, extension = raw.strip().rpartition(".")
    text = stem if dot and extension.lower() in known.extensions else raw.strip()
    text = _COPY.sub("", text) or text
    text = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    found = [_one_spelling(word.casefold()) for word in _WORD.findall(text)]
    meaning = tuple(word for word in found if word not in known.noise)
    return Name(meaning if any(not word.isdigit() for word in meaning) else tuple(found))


@lru_cache(maxsize=20_000)
def _one_spelling(word: str) -> str:
    if word.isdigit():
        return str(int(word))
    known = words()
    if word in known.numbers:
        return str(known.numbers.index(word))
    return next((meaning for meaning, spellings in known.synonyms.items() if word in spellings), word)


def rarity(names: Iterable[Name]) -> Mapping[str, float]:
    """How much each word says: one that is in every name says little."""
    counted = [set(name.tokens) for name in names]
    in_names = Counter(token for tokens in counted for token in tokens)
    return {token: 1 + math.log(len(counted) / count) for token, count in in_names.items()}


def similarity(one: Name, other: Name, weights: Mapping[str, float]) -> tuple[float, str]:
    """How far two names mean the same, from 0 to 1, and why."""
    if not one.tokens or not other.tokens:
        return 0.0, "a name has no words"
    if one.tokens == other.tokens:
        return 1.0, "same name"
    if min(len(one.joined), len(other.joined)) <= 2:
        return 0.0, "a name of one or two characters matches only itself"
    if one.joined == other.joined:
        return JOINED_EQUAL, "same name, written apart"
    score, shared = _dice(one, other, weights)
    limit, reason = _limit(one, other)
    if score > limit:
        return limit, reason
    return score, f"shared words: {', '.join(shared)}" if shared else "no word in common"


def _dice(one: Name, other: Name, weights: Mapping[str, float]) -> tuple[float, list[str]]:
    left = list(other.tokens)
    gained, shared = 0.0, []
    for token in one.tokens:
        best = max(left, key=lambda word: _alike(token, word), default="")
        alike = _alike(token, best)
        if alike:
            left.remove(best)
            gained += alike * (weights.get(token, 1.0) + weights.get(best, 1.0))
            shared.append(token)
    total = sum(weights.get(token, 1.0) for token in (*one.tokens, *other.tokens))
    return gained / total, shared


@lru_cache(maxsize=100_000)
def _alike(token: str, word: str) -> float:
    if token == word:
        return 1.0
    shortest = min(len(token), len(word))
    if shortest < _TYPO_LENGTH or token.isdigit() or word.isdigit():
        return 0.0
    allowed = 1 if shortest < 8 else 2
    return _TYPO if OSA.distance(token, word, score_cutoff=allowed) <= allowed else 0.0


def _limit(one: Name, other: Name) -> tuple[float, str]:
    limit, reason = 1.0, ""
    if one.marks != other.marks:
        both = one.marks and other.marks
        limit = DIFFERENT if both else ONE_SIDED
        reason = "different numbers or letters" if both else "a number or letter on one side only"
    for number, a, b in _opposites(one, other):
        if a and b and not a & b:
            return DIFFERENT, f"{' and '.join(words().opposites[number])} are opposites"
        if a != b and limit > ONE_SIDED:
            limit, reason = ONE_SIDED, f"{' or '.join(sorted(a ^ b))} on one side only"
    return limit, reason


def _opposites(one: Name, other: Name) -> list[tuple[int, frozenset[str], frozenset[str]]]:
    """The pairs of opposites of which a name has a word, with the words of each name."""
    first, second = _sides(one), _sides(other)
    nothing: frozenset[str] = frozenset()
    return [(key, first.get(key, nothing), second.get(key, nothing)) for key in sorted({*first, *second})]


@lru_cache(maxsize=20_000)
def _sides(name: Name) -> dict[int, frozenset[str]]:
    """The words of a name that have an opposite, by the number of the pair; typing errors count as the word."""
    found: dict[int, frozenset[str]] = {}
    for number, pair in enumerate(words().opposites):
        has = frozenset(word for word in pair if any(_alike(word, token) for token in name.tokens))
        if has:
            found[number] = has
    return found
