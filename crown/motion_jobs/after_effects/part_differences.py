"""What differs between two versions of a file, in words. The versions come as parts with named values.

Parts are paired by name first and by id second, so that a renamed layer is one change and not two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        place: The composition, or the group of a PSD layer; empty for the file itself.
        layer: The layer or item; empty for the composition itself.
        property: What of it.
        old: Its value before; None where it is new.
        new: Its value now; None where it is gone.
    """

    place: str
    layer: str
    property: str
    old: str | None
    new: str | None

    def sentence(self) -> str:
        """The change as a line of text."""
        where = " / ".join(part for part in (self.place, self.layer) if part) or "file"
        if self.old is None or self.new is None:
            verb = "added" if self.old is None else "removed"
            value = self.new if self.old is None else self.old
            return f"{where}: {self.property} {verb}" + (f" ({value})" if value else "")
        return f"{where}: {self.property} changed from {self.old!r} to {self.new!r}"


@dataclass(frozen=True, slots=True)
class Part:
    """A thing with values: a composition, layer, item or the file itself. `kind` keeps unlike things apart."""

    kind: str
    id: int
    place: str
    name: str
    values: Mapping[str, str]


def paired(old: Sequence[Part], new: Sequence[Part]) -> list[tuple[Part | None, Part | None]]:
    """Each part with its other version: by id and name, by a name that is unique on both sides, by id."""
    left, right = dict(enumerate(old)), dict(enumerate(new))
    pairs: list[tuple[Part | None, Part | None]] = []
    keys = (
        lambda part: (part.kind, part.id, part.place, part.name),
        lambda part: (part.kind, part.place, part.name),
        lambda part: (part.kind, part.id),
    )
    for key in keys:
        counts = Counter(map(key, left.values())), Counter(map(key, right.values()))
        others = {key(part): number for number, part in right.items()}
        for number, part in list(left.items()):
            name = key(part)
            if counts[0][name] == counts[1][name] == 1:
                pairs.append((left.pop(number), right.pop(others[name])))
    pairs += [(part, None) for part in left.values()]
    pairs += [(None, part) for part in right.values()]
    order = {id(part): number for number, part in enumerate((*new, *old))}
    return sorted(pairs, key=lambda pair: order[id(pair[1] if pair[1] is not None else pair[0])])


def changes_of(old: Part | None, new: Part | None) -> Iterator[Change]:
    """What differs between the two versions of one part."""
    part = new or old
    if part is None:
        return
    place, name = part.place, part.name
    if old is None or new is None:
        gone = ", ".join(f"{key}: {value}" for key, value in list(part.values.items())[:3])
        yield Change(place, name, part.kind, None if old is None else gone, None if new is None else gone)
        return
    if old.place != new.place:
        yield Change(place, name, "place" if name else "name", old.place, new.place)
    if old.name != new.name:
        yield Change(place, name, "name", old.name, new.name)
    for key in dict.fromkeys((*old.values, *new.values)):
        if old.values.get(key) != new.values.get(key):
            yield Change(place, name, key, old.values.get(key), new.values.get(key))


def moved(old: Sequence[Part], pairs: Sequence[tuple[Part | None, Part | None]]) -> Iterator[Change]:
    """The layers whose place in the stack changed among those that both versions have."""
    both = [(one, other) for one, other in pairs if one and other and one.kind == "layer"]
    for place in dict.fromkeys(other.place for _, other in both):
        mine = [(one, other) for one, other in both if other.place == place]
        was, now = (
            [id(one) for one in old if any(one is before for before, _ in mine)],
            [id(one) for one, _ in mine],
        )
        blocks = SequenceMatcher(None, was, now, autojunk=False).get_matching_blocks()
        kept = {one for block in blocks for one in was[block.a : block.a + block.size]}
        for number, (one, other) in enumerate(mine, start=1):
            if id(one) not in kept:
                yield Change(
                    place,
                    other.name,
                    "place among the layers that stayed",
                    str(was.index(id(one)) + 1),
                    str(number),
                )


def in_words(value: object) -> str:
    """A value as part of a sentence: numbers to six places, lists with commas, yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(in_words(one) for one in value)
    return "none" if value is None else str(value)
