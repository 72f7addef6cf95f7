"""One text under one rule: which value it becomes, or what is wrong with it.

Belongs here: the rules by name, the rulebook with their words and limits (`rules.yaml`) and the name
tables (`names.yaml`). Does not belong here: columns, rows and files (`cleaning.py`).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from crown.art_records.exports.column_formats import (
    USUAL,
    Written,
    day_or_month,
    point_or_comma,
)
from crown.art_records.exports.files import Layout, layouts_of
from crown.art_records.history.erased_texts import REPLACEMENT
from crown.art_records.tables import ENTITIES, RECORD_ID
from crown.errors import ConfigurationError

Outcome = Literal["withheld", "repaired", "flagged"]


@dataclass(frozen=True)
class Rulebook:
    """The rules, the name tables and the layouts of the exports; `version` changes with rules and names."""

    rules: dict[str, dict[str, Any]]
    names: dict[str, Any]
    version: str
    layouts: dict[str, Layout]


@dataclass(frozen=True)
class Rule:
    """One rule's own words and limits, the name tables, and how the cell's column is written."""

    says: dict[str, Any]
    names: dict[str, Any]
    written: Written = USUAL


@dataclass(frozen=True)
class Verdict:
    """What a rule made of one text. `values` may hold more than one field (names and addresses of pictures)."""

    value: Any = None
    outcome: Outcome | None = None
    problem: str = ""


def rulebook(names_file: Path | None = None, folder: Path | None = None) -> Rulebook:
    """The rules, names and layouts that come along, with the gallery's own laid over them.

    Args:
        names_file: The gallery's own name table.
        folder: The gallery's settings folder: `rules.yaml`, `layouts.yaml` and `names.yaml` in it, each optional, say
            only what differs (a word more, a column's other name); a list of words adds to the one that comes along.

    Raises:
        ConfigurationError: a file cannot be read, lacks a part, or names something that does not exist.
    """
    own = (
        [names_file, *(folder / name for name in ("rules.yaml", "layouts.yaml", "names.yaml"))]
        if folder
        else [names_file]
    )
    # Read once, and again when one of them was written: a daemon lives long.
    stamps = tuple(path.stat().st_mtime_ns if path and path.is_file() else 0 for path in own)
    return _read(names_file, folder, stamps)


@cache
def _read(names_file: Path | None, folder: Path | None, _stamps: tuple[int, ...]) -> Rulebook:
    here = Path(__file__).parent
    rules = yaml.safe_load((here / "rules.yaml").read_text(encoding="utf-8"))
    own_rules = _own(folder, "rules.yaml")
    path = names_file or here / "names.yaml"
    try:
        names = laid_over(yaml.safe_load(path.read_text(encoding="utf-8")), _own(folder, "names.yaml"))
        parts = {key: names[key] for key in ("owner", "version", "prints", "distributors", "upper_words")}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"The name table {path} cannot be used: {error}; compare it with names.yaml."
        ) from None
    if unknown := sorted(set(own_rules.get("rules", {})) - set(rules["rules"])):
        raise ConfigurationError(
            f"{folder}/rules.yaml: there is no rule {unknown[0]}; compare it with the shipped one."
        )
    version = f"{rules['version']}/names {parts['version']} ({parts['owner']})"
    if own_rules or _own(folder, "names.yaml"):
        own = f"{own_rules}{_own(folder, 'names.yaml')}"
        version += f"/own {hashlib.sha256(own.encode()).hexdigest()[:8]}"
    merged = laid_over(rules["rules"], own_rules.get("rules", {}))
    described = laid_over(
        yaml.safe_load((here / "layouts.yaml").read_text(encoding="utf-8")), _own(folder, "layouts.yaml")
    )
    _check_layouts(described, set(merged), folder)
    return Rulebook(merged, parts, version, layouts_of(described))


def _own(folder: Path | None, name: str) -> dict[str, Any]:
    """One of the gallery's own files; empty when there is none."""
    path = folder / name if folder else None
    if path is None or not path.is_file():
        return {}
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; correct it.") from None
    if not isinstance(said, dict):
        raise ConfigurationError(f"{path} is not a mapping; compare it with the {name} that comes along.")
    return said


def laid_over(shipped: Any, own: Any) -> Any:
    """Settings with other ones laid over them: mappings are merged, lists of words joined, all else replaced."""
    if isinstance(shipped, dict) and isinstance(own, dict):
        return {**shipped, **{k: laid_over(shipped[k], v) if k in shipped else v for k, v in own.items()}}
    if isinstance(shipped, list) and isinstance(own, list) and all(isinstance(item, str) for item in shipped):
        return [*shipped, *(item for item in own if item not in shipped)]
    return own


def _check_layouts(described: dict[str, Any], rules: set[str], folder: Path | None) -> None:
    for table, layout in described.items():
        if table not in ENTITIES:
            raise ConfigurationError(
                f"{folder}/layouts.yaml: there is no table {table}; choose {', '.join(ENTITIES)}."
            )
        for column, spec in layout["columns"].items():
            where = f"{folder}/layouts.yaml: {table}, column {column}"
            if not isinstance(spec, dict) or not ("derived" in spec or {"field", "rule"} <= set(spec)):
                raise ConfigurationError(f"{where} needs a field and a rule, or says `derived: WHY`.")
            if "field" in spec and spec["field"] not in (*ENTITIES[table].columns, "airtable_id"):
                raise ConfigurationError(f"{where}: there is no field {spec['field']}.")
            if "rule" in spec and spec["rule"] not in rules:
                raise ConfigurationError(f"{where}: there is no rule {spec['rule']}.")


def withheld(problem: str) -> Verdict:
    """The verdict that keeps a value out of the art tables."""
    return Verdict(None, "withheld", problem)


def _text(text: str, _rule: Rule) -> Verdict:
    if REPLACEMENT in text:
        return Verdict(text, "flagged", "held a text that was erased here; remove it in the base as well")
    return Verdict(text)


def _tick(text: str, rule: Rule) -> Verdict:
    word = text.casefold()
    if word in rule.says["ticked"]:
        return Verdict(True)
    return Verdict(False) if word in rule.says["unticked"] else withheld("is neither ticked nor unticked")


_WITH_POINT = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d{1,12})(?:\.\d+)?|[+-]?\.\d+")
_WITH_COMMA = re.compile(r"[+-]?(?:\d{1,3}(?:\.\d{3})+|\d{1,12})(?:,\d+)?|[+-]?,\d+")


def _number(text: str, written: Written) -> Decimal | str:
    """The number that a text without currency and percent sign is, or what is wrong with it."""
    comma = written.decimal_comma
    if written.mixed:
        certain = point_or_comma(text)
        if certain is None and re.search(r"[.,]", text):
            return "may have a decimal comma or a decimal point: the column mixes both"
        comma = bool(certain)
    if (_WITH_COMMA if comma else _WITH_POINT).fullmatch(text) is None:
        mark = "comma" if comma else "point"
        other = point_or_comma(text) is (not comma) and re.search(r"\d", text)
        return f"is not a number with a decimal {mark}" if other else "is not a number"
    plain = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
    return Decimal(plain)


def _currencies(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) == "Sc"} | {
        code.upper() for code in re.findall(r"(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z])", text)
    }


def _amount(text: str, rule: Rule) -> Verdict:
    named = _currencies(text)
    own = set(rule.says.get("currency", ()))
    foreign = sorted(named - own)
    if foreign and (own or not foreign[0].isalpha()):
        return withheld(
            f"is in {foreign[0]}, the base keeps {rule.says['currency'][0]}" if own else "is not a number"
        )
    for word in named:
        text = re.sub(re.escape(word), "", text, flags=re.IGNORECASE)
    value = _number(re.sub(r"\s", "", text), rule.written)
    return withheld(value) if isinstance(value, str) else _checked(value, rule)


def _percent(text: str, rule: Rule) -> Verdict:
    value = _number(re.sub(r"[%\s]", "", text), rule.written)
    if isinstance(value, str):
        return withheld(value)
    if "%" not in text and rule.written.fractions:
        value *= 100
    elif "%" not in text and 0 < value < 1:
        return withheld(
            f"may be {value.normalize():f}% or {(value * 100).normalize():f}%; it needs its percent sign"
        )
    return _checked(value, rule)


def _checked(value: Decimal, rule: Rule) -> Verdict:
    """An amount against the limits of its rule."""
    if not rule.says["lowest"] <= value <= Decimal(str(rule.says["highest"])):
        return withheld(f"is outside {rule.says['lowest']} to {rule.says['highest']}")
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
        return withheld(f"is outside {rule.says['lowest']} to {rule.says['highest']}")
    return Verdict(value)


def _date(text: str, rule: Rule) -> Verdict:
    iso = re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", text)
    if iso is not None:
        return _day(int(iso[1]), int(iso[2]), int(iso[3]), rule)
    found = re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{1,4})", text)
    if found is None:
        return withheld("is not a date in month/day/year or year-month-day")
    first, second, year = int(found[1]), int(found[2]), int(found[3])
    day_first = rule.written.day_first
    if rule.written.mixed:
        certain = day_or_month(text)
        if certain is None and first != second:
            return withheld("may have its day or its month first: the column mixes both")
        day_first = bool(certain)
    return _day(year, second, first, rule) if day_first else _day(year, first, second, rule)


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
        return withheld(
            f"is not a day of the calendar ({'day' if rule.written.day_first else 'month'} comes first)"
        )
    return Verdict(value) if meant == year else Verdict(value, "repaired", f"year {year:04d} read as {meant}")


def _word(text: str, rule: Rule) -> Verdict:
    value = rule.says["words"].get(re.sub(r"\s+", " ", text).casefold())
    return Verdict(value) if value is not None else withheld("is not a known word")


def name_key(text: str) -> str:
    """The key of a name in the name tables."""
    return re.sub(r"[-_.\s]+", "", text).casefold()


def _titled(text: str, rule: Rule) -> str:
    """A title as it was typed, blanks tidied; only the acronyms that the name table lists are capitals."""
    acronyms = set(rule.names["upper_words"])
    return re.sub(
        r"[^\W_]+", lambda w: w[0].upper() if w[0].upper() in acronyms else w[0], " ".join(text.split())
    )


def _print_name(text: str, rule: Rule) -> Verdict:
    known = rule.names["prints"].get(name_key(text))
    if known:
        return Verdict((known["name"], known["short"]))
    name = _titled(text, rule)
    words = re.findall(r"[^\W_][^\s_-]*", name)
    return Verdict((name, name if len(words) < 2 else "".join(w[0] for w in words).upper()))


def _distributor_name(text: str, rule: Rule) -> Verdict:
    known = rule.names["distributors"].get(name_key(text))
    return Verdict((known["name"], known["kind"]) if known else (_titled(text, rule), "gallery"))


_ATTACHMENT = re.compile(r"(\S.*?) ?\((https?://\S+?)\)(?:,\s*|\s*$)", re.DOTALL)


def _attachments(text: str, _rule: Rule) -> Verdict:
    """Airtable's own form is `name (url),name (url)`: an address in brackets, then a comma or the end, ends an item.

    Names may hold commas and brackets themselves.
    """
    names: list[str] = []
    addresses: list[str] = []
    at = 0
    while at < len(text):
        found = _ATTACHMENT.match(text, at)
        if found is None:
            return withheld("is not a list of file names with addresses")
        if not _is_address(found[2]):
            return withheld(f"names no host or port that exists in the address of picture {len(names) + 1}")
        names.append(found[1].strip())
        addresses.append(found[2])
        at = found.end()
    return Verdict((tuple(names), tuple(addresses)))


def _is_address(url: str) -> bool:
    """Whether a web address names a host, and a port that exists."""
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


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
    "text": _text, "free_text": _text, "tick": _tick, "price": _amount, "total": _amount, "percent": _percent,
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


def judge(text: str, rule_name: str, book: Rulebook, written: Written = USUAL) -> Verdict:
    """What one text becomes under one rule, in a column that is written so."""
    rule = Rule(book.rules[rule_name], book.names, written)
    text = text.strip()
    if text.casefold() in rule.says.get("nothing", ()):
        return Verdict(None)
    return _RULES[rule_name](text, rule)


_NAME_AND_NUMBER = re.compile(r"(.*?)\s*-\s*([+-]?\d{1,9})", re.DOTALL)


def split_display_name(text: str) -> tuple[str, int | None]:
    """`name - integer`, split at the last dash before a signed integer at the end; else the text, no number."""
    found = _NAME_AND_NUMBER.fullmatch(text.strip())
    return (found[1].strip(), int(found[2])) if found else (text.strip(), None)
