"""Layers are paired with slots one to one, never by a piece of a name, and every pair says why."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import yaml

from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.matches.layer_names import name_of
from crown.motion_jobs.matches.matching import (
    PROPOSE_FROM,
    Candidate,
    layers_of,
    match,
    slots_of,
)
from crown.motion_jobs.photoshop.psd_file import read_psd
from tests.motion_jobs.projects import made_project

CASES = yaml.safe_load((Path(__file__).parent / "hard_pairs.yaml").read_text("utf-8"))


def side(names: list[str], texts: dict[str, str] | None = None) -> list[Candidate]:
    return [
        Candidate(
            number, name.removeprefix("~"), not name.startswith("~"), 100, 50, (texts or {}).get(name, "")
        )
        for number, name in enumerate(names, start=1)
    ]


def paired(
    layers: list[Candidate], slots: list[Candidate], **more: dict[str, str]
) -> dict[str, tuple[str, float]]:
    names = {one.id: one.name for one in layers}, {one.id: one.name for one in slots}
    result = match(layers, slots, **more)
    return {names[0][one.layer_id]: (names[1][one.slot_id], one.confidence) for one in result.matches}


def test_hard_names_are_paired_right_and_never_wrong() -> None:
    right = wrong = missed = 0
    failures = []
    for case in CASES:
        wanted = {layer.removeprefix("~"): slot.removeprefix("~") for layer, slot in case["right"].items()}
        sure = {
            layer: slot
            for layer, (slot, confidence) in paired(side(case["layers"]), side(case["slots"])).items()
            if confidence >= PROPOSE_FROM
        }
        right += sum(wanted.get(layer) == slot for layer, slot in sure.items())
        wrong += sum(wanted.get(layer) != slot for layer, slot in sure.items())
        missed += len(wanted.keys() - sure.keys())
        if sure != wanted:
            failures.append((case["layers"], sure))
    print(f"hard pairs: {right} right, {wrong} wrong, {missed} missed")
    assert (wrong, missed, failures) == (0, 0, [])
    assert right >= 60


def test_a_layer_serves_one_slot_only() -> None:
    result = match(side(["name"]), side(["name", "name copy"]))
    assert len(result.matches) == 1
    assert len(result.unmatched_slots) == 1


def test_twins_are_ambiguous_and_left_to_a_person() -> None:
    result = match(side(["title", "title"]), side(["title"]))
    assert [(one.band, one.confidence) for one in result.matches] == [("review", 0.69)]
    assert result.matches[0].reasons[0] == "ambiguous: the layer 'title' fits as well"


def test_text_never_fills_a_picture_slot() -> None:
    result = match(side(["hero"]), side(["~hero"]))
    assert (result.matches, result.unmatched_layers, result.unmatched_slots) == ((), (1,), (1,))


def test_an_equal_text_that_is_unique_pairs_unlike_names() -> None:
    layers, slots = side(["Ebene 4"], {"Ebene 4": "SUMMER Sale"}), side(["line"], {"line": "Summer sale"})
    result = match(layers, slots)
    assert (result.matches[0].band, result.matches[0].confidence) == ("propose", 0.75)
    assert "the same text, and nothing else has it" in result.matches[0].reasons


def test_one_default_text_in_three_slots_says_nothing() -> None:
    slots = side(["p1", "p2", "p3"], dict.fromkeys(("p1", "p2", "p3"), "player1fullname"))
    assert match(side(["xyz"], {"xyz": "player1fullname"}), slots).matches == ()


def test_the_size_decides_between_pictures_of_one_name() -> None:
    slots = [Candidate(1, "photo", False, 100, 50), Candidate(2, "photo", False, 50, 100)]
    layers = [Candidate(1, "photo", False, 55, 110), Candidate(2, "photo", False, 110, 55)]
    assert {(one.layer_id, one.slot_id) for one in match(layers, slots).matches} == {(1, 2), (2, 1)}


def test_what_a_person_decided_is_the_starting_point() -> None:
    layers, slots = side(["Ebene 4", "title"]), side(["headline", "title"])
    assert paired(layers, slots, remembered={"headline": "Ebene 4"}) == {
        "Ebene 4": ("headline", 1.0),
        "title": ("title", 1.0),
    }
    twins = side(["Ebene 4", "Ebene 4"])
    assert match(twins, slots, remembered={"headline": "Ebene 4"}).matches == ()


def test_names_are_read_as_designers_write_them() -> None:
    assert {
        raw: name_of(raw).tokens for raw in ("PlayerOneName", "player_01-name.psd", "BG copy 2", "txt", "👽")
    } == {
        "PlayerOneName": ("player", "1", "name"),
        "player_01-name.psd": ("player", "1", "name"),
        "BG copy 2": ("background",),
        "txt": ("txt",),
        "👽": (),
    }


def test_a_job_of_150_layers_is_matched_within_seconds() -> None:
    names = [f"player {number} {word}" for number in range(50) for word in ("name", "team", "points")]
    started = time.process_time()
    result = match(side(names), side([name.replace(" ", "_") for name in reversed(names)]))
    assert time.process_time() - started < 4
    assert [151 - one.layer_id for one in result.matches] == [one.slot_id for one in result.matches]
    assert {one.band for one in result.matches} == {"accept"}


def test_random_jobs_written_in_other_spellings_are_never_paired_wrong() -> None:
    random = Random(5)
    roles = ("headline", "venue", "kickoff", "sponsor", "coach", "stadium", "caption", "ticket", "referee")
    wrong = missed = right = 0
    for _ in range(150):
        chosen = random.sample([f"{role} {n}" for role in roles for n in range(1, 4)], 8)
        spell = random.choice(
            [str.upper, str.title, lambda x: x.replace(" ", "_0"), lambda x: x.replace(" ", "")]
        )
        layers, slots = side([spell(name) for name in chosen[:6]]), side(random.sample(chosen, 8))
        for one in match(layers, slots).matches:
            wanted = chosen[one.layer_id - 1]
            if one.confidence >= PROPOSE_FROM:
                right += slots[one.slot_id - 1].name == wanted
                wrong += slots[one.slot_id - 1].name != wanted
        missed += 6
    missed -= right
    print(f"random jobs: {right} right, {wrong} wrong, {missed} missed")
    assert (right, wrong, missed) == (900, 0, 0)


def test_slots_are_those_of_one_composition(tmp_path: Path) -> None:
    project = read_project(made_project(tmp_path))
    inner = next(comp for comp in project.compositions if comp.name == "inner")
    slots = slots_of(project, inner.id)
    assert sorted((one.name, one.is_text, one.width, one.height) for one in slots) == [
        ("Headline", True, 0, 0),
        ("photo.png", False, 30, 20),
    ]


def test_a_clipping_layer_is_no_source_of_its_own(real_file: Callable[[str, str], Path]) -> None:
    layers = layers_of(read_psd(real_file("psd", "clipping-mask.psd")))
    assert "Shape 2" not in {one.name for one in layers}


@pytest.mark.parametrize("number", [0, 1])
def test_nothing_to_match_is_no_error(number: int) -> None:
    result = match(side(["a"] * number), [])
    assert (result.matches, result.unmatched_layers) == ((), (1,) * number)
