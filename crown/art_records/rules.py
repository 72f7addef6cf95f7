"""One text under one rule: which value it becomes, or what is wrong with it.

Belongs here: the rules by name, the rulebook that holds their words and limits (`rules.yaml`) and the name
tables (`names.yaml`). Does not belong here: columns, rows and files (`cleaning.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from crown.art_records.tables import RECORD_ID
from crown.errors import ConfigurationError

Outcome = Literal["withheld", "repaired", "flagged"]


@dataclass(frozen=True)
class Rulebook:
    """The rules and the name tables; `version` changes with either."""

    rules: dict[str, dict[str, Any]]
    names: dict[str, Any]
    version: str


@dataclass(frozen=True)
class Rule:
    """One rule's own words and limits, and the name tables."""

    says: dict[str, Any]
    names: dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What a rule made of one text. `values` may hold more than one field (names and addresses of pictures)."""

    value: Any = None
    outcome: Outcome | None = None
    problem: str = ""


@cache
def rulebook(names_file: Path | None = None) -> Rulebook:
    """The rules with the given name table, or the one that comes along.

    Raises:
        ConfigurationError: the name table cannot be read or lacks a part.
    """
    here = Path(__file__).parent
    rules = yaml.safe_load((here / "rules.yaml").read_text(encoding="utf-8"))
    path = names_file or here / "names.yaml"
    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))
        parts = {
            key: names[key]
            for key in ("owner", "version", "prints", "distributors", "upper_words", "lower_words")
        }
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"The name table {path} cannot be used: {error}; compare it with names.yaml."
        ) from None
    return Rulebook(rules["rules"], parts, f"{rules['version']}/names {parts['version']} ({parts['owner']})")


def withheld(problem: str) -> Verdict:
    """The verdict that keeps a value out of the books."""
    return Verdict(None, "withheld", problem)


def _text(text: str, _rule: Rule) -> Verdict:
    return Verdict(text)


def _tick(text: str, rule: Rule) -> Verdict:
    word = text.casefold()
    if word in rule.says["ticked"]:
        return Verdict(True)
    return Verdict(False) if word in rule.says["unticked"] else withheld("is neither ticked nor unticked")


def _amount(text: str, rule: Rule) -> Verdict:
    plain = re.sub(r"[£$€%,\s]", "", text)
    try:
        value = Decimal(plain) if re.fullmatch(r"[+-]?\d{1,12}(\.\d+)?", plain) else None
    except InvalidOperation:
        value = None
    if value is None:
        return withheld("is not a number")
    if not rule.says["lowest"] <= value <= Decimal(str(rule.says["highest"])):
        return withheld(f"lies outside {rule.says['lowest']} to {rule.says['highest']}")
    cents = value.quantize(Decimal("0.01"))
    if cents != value:
        return withheld("has more than two decimals")
    if value == 0:
        return Verdict(cents, "flagged", "is zero") if rule.says.get("flag_zero") else Verdict(cents)
    low, high = rule.says.get("usual", (value, value))
    return (
        Verdict(cents) if low <= value <= high else Verdict(cents, "flagged", f"is unusual ({low} to {high})")
    )


def _integer(text: str, rule: Rule) -> Verdict:
    if re.fullmatch(r"[+-]?\d{1,9}(\.0+)?", text) is None:
        return withheld("is not a whole number")
    value = int(text.split(".")[0])
    if not rule.says["lowest"] <= value <= rule.says["highest"]:
        return withheld(f"lies outside {rule.says['lowest']} to {rule.says['highest']}")
    return Verdict(value)


def _date(text: str, rule: Rule) -> Verdict:
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{1,4})", text)
    if found is None:
        return withheld("is not a date in month/day/year")
    return _day(int(found[3]), int(found[1]), int(found[2]), rule)


_MONTHS = {m: i for i, m in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
                                       "dec"), start=1)}  # fmt: skip


def _long_date(text: str, rule: Rule) -> Verdict:
    found = re.fullmatch(r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})", text)
    month = _MONTHS.get(found[1][:3].lower()) if found else None
    if found is None or month is None:
        return withheld("is not a date as month name, day, year")
    return _day(int(found[3]), month, int(found[2]), rule)


def _day(year: int, month: int, day: int, rule: Rule) -> Verdict:
    meant = rule.says.get("year_repairs", {}).get(year, year)
    first, last = rule.says["years"]
    if not first <= meant <= last:
        return withheld(f"has the impossible year {year:04d}")
    try:
        value = date(meant, month, day)
    except ValueError:
        return withheld("is not a day of the calendar (month comes first)")
    return Verdict(value) if meant == year else Verdict(value, "repaired", f"year {year:04d} read as {meant}")


def _word(text: str, rule: Rule) -> Verdict:
    value = rule.says["words"].get(re.sub(r"\s+", " ", text).casefold())
    return Verdict(value) if value is not None else withheld("is not a known word")


def name_key(text: str) -> str:
    """The key of a name in the name tables."""
    return re.sub(r"[-_.\s]+", "", text).casefold()


def _titled(text: str, rule: Rule) -> str:
    upper, lower = set(rule.names["upper_words"]), set(rule.names["lower_words"])
    words = []
    for word in re.split(r"[\s_-]+", text.strip()):
        if word.upper() in upper:
            words.append(word.upper())
        elif words and word.lower() in lower:
            words.append(word.lower())
        else:
            words.append(word if word not in (word.upper(), word.lower()) else word.capitalize())
    return " ".join(words)


def _print_name(text: str, rule: Rule) -> Verdict:
    known = rule.names["prints"].get(name_key(text))
    if known:
        return Verdict((known["name"], known["short"]))
    name = _titled(text, rule)
    words = name.split()
    return Verdict((name, name if len(words) == 1 else "".join(w[0] for w in words).upper()))


def _distributor_name(text: str, rule: Rule) -> Verdict:
    known = rule.names["distributors"].get(name_key(text))
    return Verdict((known["name"], known["kind"]) if known else (_titled(text, rule), "gallery"))


def _attachments(text: str, _rule: Rule) -> Verdict:
    found = re.findall(r"([^,()]+?)\s*\((https?://[^()\s]+)\)", text)
    if not found:
        return withheld("is not a list of file names with addresses")
    return Verdict((tuple(n.strip() for n, _ in found), tuple(u for _, u in found)))


def _links(text: str, _rule: Rule) -> Verdict:
    ids = [part.strip() for part in text.split(",")]
    wrong = next((i for i in ids if RECORD_ID.fullmatch(i) is None), None)
    if wrong is not None:
        return withheld(f"holds {wrong[:20]!r}, which is no record id")
    return Verdict((ids[0], tuple(dict.fromkeys(ids[1:])) or None))


def _one_link(text: str, rule: Rule) -> Verdict:
    verdict = _links(text, rule)
    if verdict.outcome is None and verdict.value[1]:
        return withheld("links more than one distributor")
    return verdict if verdict.outcome else Verdict(verdict.value[0])


_RULES: dict[str, Callable[[str, Rule], Verdict]] = {
    "text": _text, "free_text": _text, "tick": _tick, "price": _amount, "total": _amount, "percent": _amount,
    "edition_total": _integer, "edition_number": _integer, "date": _date, "long_date": _long_date,
    "size": _word, "frame": _word, "print_name": _print_name, "distributor_name": _distributor_name,
    "attachments": _attachments, "print_links": _links, "distributor_link": _one_link,
}  # fmt: skip

SECOND_FIELD = {
    "print_name": "short_name",
    "distributor_name": "kind",
    "attachments": "image_urls",
    "print_links": "other_print_ids",
}
"""Rules that fill two fields from one column, and the second of them."""


def judge(text: str, rule_name: str, book: Rulebook) -> Verdict:
    """What one text becomes under one rule."""
    rule = Rule(book.rules[rule_name], book.names)
    text = text.strip()
    if text.casefold() in rule.says.get("nothing", ()):
        return Verdict(None)
    return _RULES[rule_name](text, rule)


_NAME_AND_NUMBER = re.compile(r"(.*?)\s*-\s*([+-]?\d{1,9})", re.DOTALL)


def split_display_name(text: str) -> tuple[str, int | None]:
    """`name - integer`, split at the last dash before a signed integer at the end; else the text, no number."""
    found = _NAME_AND_NUMBER.fullmatch(text.strip())
    return (found[1].strip(), int(found[2])) if found else (text.strip(), None)
