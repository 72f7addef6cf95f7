"""Payloads for Plainly and farms fit what they are for; Plainly's errors are sentences; nothing is sent twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from openjd.model import create_job, decode_job_template

from crown.errors import BadInput, ConfigurationError, CrownError, Refused, SourceOutage, TemporaryFailure
from crown.motion_jobs.deliverables.openjd_template import FarmOrder, openjd_template
from crown.motion_jobs.deliverables.plainly_batch import (
    PlainlyOrder,
    PlainlyRow,
    payload_hash,
    plainly_payload,
    send_batch,
)
from crown.motion_jobs.matches.template_contract import contract_of
from tests.motion_jobs.plainly_server import Plainly, serving
from tests.motion_jobs.projects import comp, footage, project, source_layer, text_layer

CONTRACT = contract_of(
    project(
        [
            comp(
                1,
                "render_a",
                text_layer(10, "txt_title"),
                source_layer(11, "img_photo", 5),
                source_layer(12, "inner", 2, "composition"),
            ),
            comp(2, "inner"),
        ],
        [footage(5, "/a/photo.png")],
    ),
    1,
)
NASTY = 'it\'s "x" \\ \n\u2028 שלום 👽'
GOOD = {"txt_title": NASTY, "img_photo": "https://pictures.example/a%20b.png"}


def order(*rows: PlainlyRow, **more: object) -> PlainlyOrder:
    return PlainlyOrder("p1", "t1", rows or (PlainlyRow("job_1", GOOD),), **more)  # type: ignore[arg-type]


def test_a_batch_has_one_entry_for_each_job_with_its_values_as_they_are() -> None:
    payload = plainly_payload(CONTRACT, order(PlainlyRow("job_1", GOOD), PlainlyRow("job_2", GOOD)))
    assert (payload["projectId"], payload["templateIds"]) == ("p1", ["t1"])
    assert [one["webhookPassthrough"] for one in payload["batchData"]] == ["job_1", "job_2"]
    assert payload["batchData"][0]["parameters"] == GOOD
    assert payload["batchData"][0]["attributes"] == {"job_id": "job_1", "contract_version": CONTRACT.version}
    assert json.loads(json.dumps(payload)) == payload
    named = plainly_payload(CONTRACT, order(parameters={"txt_title": "#title"}))
    assert set(named["batchData"][0]["parameters"]) == {"#title", "img_photo"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (order(PlainlyRow("j", {"txt_title": "x"})), "j: the image slot 'img_photo' is required."),
        (order(PlainlyRow("j", {**GOOD, "txt_title": ""})), "j: the text slot 'txt_title' is required."),
        (order(PlainlyRow("j", {**GOOD, "other": "x"})), "j: there is no slot 'other'."),
        (order(PlainlyRow("j", {**GOOD, "img_photo": "/a/b.png"})), "that Plainly can load, not '/a/b.png'"),
        (order(PlainlyRow("j", GOOD), PlainlyRow("j", GOOD)), "The job j is in it twice."),
        (order(*[PlainlyRow(f"j{n}", GOOD) for n in range(1001)]), "A batch has 1 to 1,000 jobs, not 1,001."),
        (PlainlyOrder("p", "t", ()), "A batch has 1 to 1,000 jobs, not 0."),
        (PlainlyOrder("", "t", (PlainlyRow("j", GOOD),)), "ids of project and template are needed"),
        (order(parameters={"txt_title": "img_photo"}), "The parameter 'img_photo' is that of several slots."),
        (order(*[PlainlyRow(f"j{n}", {}) for n in range(10)]), "And 15 more."),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_the_contract_are_refused_before_anything_is_sent(
    asked: PlainlyOrder, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        plainly_payload(CONTRACT, asked)
    assert sentence in str(refused.value)


def test_a_slot_that_an_expression_fills_and_a_shared_name_are_refused() -> None:
    twins = contract_of(project([comp(1, "a", text_layer(10, "x"), text_layer(11, "x"))], []), 1)
    with pytest.raises(Refused, match="the name 'x' is that of several layers"):
        plainly_payload(twins, PlainlyOrder("p", "t", (PlainlyRow("j", {"x": "1"}),)))


@pytest.fixture
def plainly() -> Iterator[Plainly]:
    with serving() as service:
        yield service


@dataclass
class Record:
    """Sent batches, kept in memory."""

    known: dict[str, str | None] = field(default_factory=dict)

    def begin(self, payload_hash: str) -> str | None:
        if payload_hash in self.known and self.known[payload_hash] is None:
            raise Refused("It was being sent.")
        return self.known.setdefault(payload_hash, None)

    def finish(self, payload_hash: str, batch_id: str) -> None:
        self.known[payload_hash] = batch_id

    def forget(self, payload_hash: str) -> None:
        del self.known[payload_hash]


PAYLOAD = plainly_payload(CONTRACT, order())


def test_a_batch_is_sent_with_the_key_and_only_once(plainly: Plainly) -> None:
    record = Record()
    first = send_batch(PAYLOAD, plainly.url, "key-1", record)
    second = send_batch(PAYLOAD, plainly.url, "key-1", record)
    assert plainly.received == [("/api/v2/batch", "key-1:", PAYLOAD)]
    assert (first.batch_id, first.again, first.renders) == ("b1", False, 1)
    assert (second.batch_id, second.again) == ("b1", True)


@pytest.mark.parametrize(
    ("status", "answer", "error", "sentence", "may_have_it"),
    [
        (401, {}, ConfigurationError, "Plainly refuses the key (401).", False),
        (403, {}, ConfigurationError, "Plainly refuses the key (403).", False),
        (404, {"message": "no such template"}, BadInput, "(404): no such template. Check both ids.", False),
        (400, {"message": "parameter\n x is missing"}, BadInput, "(400): parameter x is missing.", False),
        (422, "?", BadInput, "Plainly refuses the batch (422). Correct it", False),
        (302, {}, BadInput, "Plainly refuses the batch (302).", False),
        (429, {}, SourceOutage, "Plainly is busy (429); try again in 7 s.", False),
        (500, {}, TemporaryFailure, "Plainly fails (500); it may have the batch.", True),
        (503, {}, TemporaryFailure, "Plainly fails (503); it may have the batch.", True),
    ],
)
def test_an_error_of_plainly_is_a_sentence_and_decides_whether_it_is_sent_again(
    plainly: Plainly, status: int, answer: object, error: type[CrownError], sentence: str, may_have_it: bool
) -> None:
    plainly.status, plainly.answer, plainly.headers = status, answer, {"Retry-After": "7"}
    record = Record()
    with pytest.raises(error) as raised:
        send_batch(PAYLOAD, plainly.url, "hunter-two", record)
    assert sentence in str(raised.value)
    assert "hunter-two" not in str(raised.value)
    assert bool(record.known) is may_have_it
    if may_have_it:
        with pytest.raises(Refused, match="was being sent"):
            send_batch(PAYLOAD, plainly.url, "k", record)
        assert len(plainly.received) == 1
    if isinstance(raised.value, SourceOutage):
        assert (raised.value.source, raised.value.retry_after) == ("plainly", 7.0)


def test_a_lost_answer_is_not_sent_again_by_itself(plainly: Plainly) -> None:
    plainly.cut = True
    record = Record()
    with pytest.raises(TemporaryFailure, match="answer got lost"):
        send_batch(PAYLOAD, plainly.url, "k", record)
    assert record.known == {payload_hash(PAYLOAD): None}


def test_an_unreachable_plainly_took_nothing() -> None:
    record = Record()
    with pytest.raises(SourceOutage, match=r"cannot be reached .* nothing was sent"):
        send_batch(PAYLOAD, "http://127.0.0.1:9", "k", record)
    assert record.known == {}
    with pytest.raises(ConfigurationError, match="address of Plainly's API is none"):
        send_batch(PAYLOAD, "ftp://x", "k", record)
    assert record.known == {}


def test_an_answer_without_a_batch_is_said(plainly: Plainly) -> None:
    plainly.answer = []
    with pytest.raises(CrownError, match="its answer names none"):
        send_batch(PAYLOAD, plainly.url, "k", Record())


def farm(**more: object) -> FarmOrder:
    values = {
        "job_id": "job_1",
        "project_file": "D:\\a b\\x.aep",
        "comp": NASTY,
        "frames": 300,
        "output_file": "D:\\o\\x.mov",
    }
    return FarmOrder(**{**values, **more})  # type: ignore[arg-type]


def test_a_farm_template_is_valid_and_renders_every_frame_once() -> None:
    template = decode_job_template(template=openjd_template(farm()))
    job = create_job(job_template=template, job_parameter_values={})
    assert [(job.parameters[name].value) for name in ("ProjectFile", "Composition")] == [
        "D:\\a b\\x.aep",
        NASTY,
    ]
    step = job.steps[0]
    ranges = {name: list(one.range) for name, one in step.parameterSpace.taskParameterDefinitions.items()}  # type: ignore[union-attr]
    assert {name: [int(n) for n in values] for name, values in ranges.items()} == {"Start": [0], "End": [299]}


def test_pictures_are_rendered_in_pieces_without_gap_or_overlap() -> None:
    space = openjd_template(farm(output_file="D:\\o\\x_[#####].png", chunk=70))["steps"][0]["parameterSpace"]
    starts, ends = (one["range"] for one in space["taskParameterDefinitions"])
    assert [n for one, other in zip(starts, ends, strict=True) for n in range(one, other + 1)] == list(
        range(300)
    )
    assert space["combination"] == "(Start, End)"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"chunk": 10}, "is one film, which cannot be rendered in pieces"),
        ({"frames": 0}, "has no frame to render"),
        ({"comp": "x" * 2000}, "at most 1024 characters"),
        ({"job_id": "{{x"}, "Braces mismatch"),
    ],
)
def test_a_farm_template_that_cannot_be_rendered_is_refused(more: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        openjd_template(farm(**more))
