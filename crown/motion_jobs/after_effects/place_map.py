"""Where each composition, footage item and file of a project appears, so that an edit can say what it changes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from crown.motion_jobs.after_effects.ae_project import Project


@dataclass(frozen=True, slots=True)
class Place:
    """One layer that shows an item."""

    comp_id: int
    comp: str
    layer_id: int
    layer: str


@dataclass(slots=True)
class PlaceMap:
    """The uses of every item of a project.

    Attributes:
        uses: The layers that show an item directly, by item id.
        files: The item ids that read a file, by its path; a layered PSD has one item for each layer.
    """

    uses: dict[int, list[Place]]
    files: dict[str, list[int]]
    _reached: dict[int, frozenset[int]] = field(default_factory=dict)

    def comps_showing(self, item_id: int) -> frozenset[int]:
        """The ids of all compositions in which the item appears, at any depth of precompositions."""
        if item_id not in self._reached:
            found: set[int] = set()
            waiting = [item_id]
            while waiting:
                for place in self.uses.get(waiting.pop(), ()):
                    if place.comp_id not in found:
                        found.add(place.comp_id)
                        waiting.append(place.comp_id)
            self._reached[item_id] = frozenset(found)
        return self._reached[item_id]

    def places_of_item(self, item_id: int) -> list[Place]:
        """Every layer that changes with the item: those that show it, and those that show their compositions."""
        showing = {item_id, *self.comps_showing(item_id)}
        return [place for item in sorted(showing) for place in self.uses.get(item, ())]

    def places_of_file(self, file: str) -> list[Place]:
        """Every layer that changes with a file, over all items that read it."""
        places = [place for item in self.files.get(file, ()) for place in self.places_of_item(item)]
        return list(dict.fromkeys(places))


def place_map(project: Project) -> PlaceMap:
    """The map of a project."""
    uses: dict[int, list[Place]] = defaultdict(list)
    files: dict[str, list[int]] = defaultdict(list)
    for comp in project.compositions:
        for layer in comp.layers:
            if layer.source_id is not None:
                uses[layer.source_id].append(Place(comp.id, comp.name, layer.id, layer.name))
    for item in project.footage:
        if item.file:
            files[item.file].append(item.id)
    return PlaceMap(dict(uses), dict(files))
