"""Raw values of the Shure ASCII protocol as numbers in standard units, or as unknown with the reason.

One function for each kind of value. Which property is of which kind is in shure_fields.py. Sources: the
command-string documents of ULX-D, QLX-D, SLX-D and Axient Digital.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BYTE_UNKNOWN, WORD_UNKNOWN = 255, 65535
#: Why a run time has no number.
_MINUTES = {65535: "unknown", 65534: "calculating", 65533: "communication warning"}
_TEXT_UNKNOWN = frozenset({"UNKN", "UNKNOWN", "--,--"})
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Value:
    """A decoded value; without one, the reason says why."""

    value: int | float | str | bool | None
    reason: str | None = None


Decoder = Callable[[str], Value]


def _number(raw: str) -> int | None:
    return int(raw) if raw.isascii() and raw.lstrip("+-").isdigit() else None


def number(
    *,
    offset: int = 0,
    scale: float = 1,
    low: int = 0,
    high: int = BYTE_UNKNOWN - 1,
    unknown: int = BYTE_UNKNOWN,
    what: str = "value",
) -> Decoder:
    """A decoder of `raw * scale + offset`, for raw values from `low` to `high`."""

    def decode(raw: str) -> Value:
        given = _number(raw)
        if given == unknown or raw.upper() in _TEXT_UNKNOWN:
            return Value(None, UNKNOWN)
        if given is None:
            return Value(None, f"raw {what} {raw!r} is no number")
        if given > high:
            return Value(None, f"raw {what} {given} is above the documented maximum of {high}")
        if given < low:
            return Value(None, f"raw {what} {given} is below the documented minimum of {low}")
        return Value(given * scale + offset if scale != 1 else given + offset)

    return decode


def minutes(raw: str) -> Value:
    """A run time in minutes; `7:30` are 450."""
    hours, colon, rest = raw.partition(":")
    if colon:
        parts = (_number(hours), _number(rest))
        if parts[0] is None or parts[1] is None or parts[0] < 0 or not 0 <= parts[1] < 60:
            return Value(None, f"raw run time {raw!r} is no time")
        return Value(parts[0] * 60 + parts[1])
    given = _number(raw)
    if given in _MINUTES:
        return Value(None, _MINUTES[given])
    if given == BYTE_UNKNOWN and len(raw) <= 3:
        return Value(None, UNKNOWN)
    return number(high=65532, unknown=WORD_UNKNOWN, what="run time")(raw)


def megahertz(raw: str) -> Value:
    """A frequency in MHz from 6 or 7 digits of kHz; zeros are an unset frequency."""
    given = _number(raw)
    if given is None or raw.upper() in _TEXT_UNKNOWN:
        return Value(None, UNKNOWN if raw.upper() in _TEXT_UNKNOWN else f"raw frequency {raw!r} is no number")
    return Value(given / 1000) if given > 0 else Value(None, "not set")


def text(raw: str) -> Value:
    """A text without its padding."""
    return Value(None, UNKNOWN) if raw.upper() in _TEXT_UNKNOWN else Value(raw)


def pad(raw: str) -> Value:
    """The input pad of Axient Digital in dB: raw 0 is on (-12 dB), raw 12 off (0 dB)."""
    return number(offset=-12, high=12, what="pad")(raw)


def on_off(raw: str) -> Value:
    """ON or OFF as a truth value."""
    known = {"ON": True, "OFF": False}
    if raw.upper() in known:
        return Value(known[raw.upper()])
    return Value(None, UNKNOWN if raw.upper() in _TEXT_UNKNOWN else f"raw {raw!r} is neither ON nor OFF")


_POWER = {"LOW": 1, "NORMAL": 10, "HIGH": 20}


def power(raw: str) -> Value:
    """Transmitter power in mW; ULX-D and QLX-D say LOW, NORMAL, HIGH."""
    return Value(_POWER[raw.upper()]) if raw.upper() in _POWER else number(what="power")(raw)
