"""The Shure ASCII protocol: frames however the stream is cut, and values in standard units or unknown with a reason."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crown.devices.drivers import values
from crown.devices.drivers.frames import MAX_FRAME, FrameReader, Message, read, write
from crown.devices.drivers.metering import sample
from crown.devices.drivers.shure_fields import CHANNELS, applies, report

STREAM = (
    b"< REP 1 CHAN_NAME {Vox 1                          } >\r\n< SAMPLE 1 ALL AX 095 030 >"
    b"< REP 2 BATT_BARS 255 >garbage< REP FW_VER {1.1.43.0} >< REP ERR >< REP 1 CHAN_NAME {a > b < c} >"
)
FRAMES = [
    "REP 1 CHAN_NAME {Vox 1                          }",
    "SAMPLE 1 ALL AX 095 030",
    "REP 2 BATT_BARS 255",
    "REP FW_VER {1.1.43.0}",
    "REP ERR",
    "REP 1 CHAN_NAME {a > b < c}",
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_frames_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    reader = FrameReader()
    at = [0, *sorted(cuts), len(STREAM)]
    frames = [frame for a, b in itertools.pairwise(at) for frame in reader.feed(STREAM[a:b])]
    assert frames == FRAMES


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_is_read_alike_whole_and_in_pieces_and_is_never_kept_beyond_a_frame(
    pieces: list[bytes],
) -> None:
    whole, cut = FrameReader(), FrameReader()
    expected = whole.feed(b"".join(pieces))
    assert [frame for piece in pieces for frame in cut.feed(piece)] == expected
    assert len(cut._left) <= MAX_FRAME + 1
    for frame in expected:
        read(frame)


def test_a_frame_that_lost_its_end_costs_no_other_frame() -> None:
    reader = FrameReader()
    assert reader.feed(b"< REP 1 BATT_BARS < REP 2 BATT_BARS 003 >") == ["REP 2 BATT_BARS 003"]
    lost = b"< REP 1 CHAN_NAME {Vox" + b" " * 60 + b"< REP 2 BATT_BARS 004 >"
    assert reader.feed(lost) == ["REP 2 BATT_BARS 004"]
    assert reader.dropped == 2


def test_words_in_braces_lose_their_padding_and_channel_zero_is_the_device() -> None:
    assert read("REP 1 CHAN_NAME {Vox 1   }") == Message("REP", 1, "CHAN_NAME", ("Vox 1",))
    assert read("REP 0 DEVICE_ID {RACK A }") == Message("REP", None, "DEVICE_ID", ("RACK A",))
    assert read("REP 1 CHAN_NAME {}") == Message("REP", 1, "CHAN_NAME", ("",))
    assert read("REP ERR") == Message("REP", None, "ERR")
    assert read("12") is None
    assert write("GET", 0, "ALL") == b"< GET 0 ALL >"


def test_recorded_samples_decode_to_dbm_and_dbfs(shared_fixtures: Path) -> None:
    examples = json.loads((shared_fixtures / "devices/shure_wire_examples.json").read_text("utf-8"))
    names = {"rf_dbm": "rf_a_dbm", "rssi_a_dbm": "rf_a_dbm", "rssi_b_dbm": "rf_b_dbm", "rssi_dbm": "rf_a_dbm",
             "audio_dbfs": "audio_peak_dbfs"}  # fmt: skip
    compared = 0
    for example in examples["sample"]:
        (frame,) = FrameReader().feed(example["wire"].encode())
        message = read(frame)
        assert message is not None
        measured = sample(example["family"], message)
        for name, expected in example["expected"].items():
            if name.endswith("_raw") or name in ("audio_led_bitmap", "reason"):
                continue
            assert getattr(measured, names.get(name, name)) == expected, (example["wire"], name)
            compared += 1
        if "reason" in example["expected"]:
            assert measured is not None
            assert measured.reasons == {"audio_peak_dbfs": example["expected"]["reason"]}
    assert compared > 25


def test_recorded_reports_decode_to_our_fields(shared_fixtures: Path) -> None:
    examples = json.loads((shared_fixtures / "devices/shure_wire_examples.json").read_text("utf-8"))
    names = {"status": "slot_status"}
    compared = 0
    for example in examples["report"]:
        (frame,) = FrameReader().feed(example["wire"].encode())
        message = read(frame)
        assert message is not None
        expected = dict(example["expected"])
        if expected.pop("error", False):
            assert message.is_error
            continue
        if "antenna_index" in expected:
            continue  # RSSI of one antenna: SAMPLE carries it
        found = report(example["family"], message)
        assert found is not None, example["wire"]
        assert found.channel == expected.pop("channel", None)
        assert found.slot == expected.pop("slot", None)
        reason = expected.pop("reason", None)
        ((name, value),) = expected.items()
        if name == "frequency_khz":
            name, value = "frequency_mhz", value / 1000
        assert (found.field, found.value.value) == (names.get(name, name), value)
        assert reason is None or found.value.reason == reason
        compared += 1
    assert compared > 8


def test_a_micboard_snapshot_of_absent_packs_has_no_battery_and_no_frequency(shared_fixtures: Path) -> None:
    snapshot = json.loads(
        (shared_fixtures / "devices/micboard_data_json_qlxd_snapshot.json").read_text("utf-8")
    )
    packs = [tx for receiver in snapshot["receivers"] for tx in receiver["tx"]]
    assert len(packs) == 8
    for tx in packs:
        bars = report("qlxd", Message("REP", 1, "BATT_BARS", (str(tx["battery"]),)))
        frequency = report("qlxd", Message("REP", 1, "FREQUENCY", (tx["frequency"],)))
        assert bars is not None
        assert frequency is not None
        assert (bars.value.value, bars.value.reason) == (None, "unknown")
        assert (frequency.value.value, frequency.value.reason) == (None, "not set")


@pytest.mark.parametrize(
    ("raw", "value", "reason"),
    [
        ("7:30", 450, None),
        ("00450", 450, None),
        ("255", None, "unknown"),
        ("00255", 255, None),
        ("65535", None, "unknown"),
        ("65534", None, "calculating"),
        ("65533", None, "communication warning"),
        ("7:75", None, "raw run time '7:75' is no time"),
    ],
)
def test_run_time_is_minutes_or_unknown_with_its_reason(
    raw: str, value: int | None, reason: str | None
) -> None:
    assert values.minutes(raw) == values.Value(value, reason)


def test_four_bars_are_four_bars_and_not_one_percent() -> None:
    found = report("ulxd", Message("REP", 1, "BATT_BARS", ("004",)))
    assert found is not None
    assert (found.field, found.value.value) == ("battery_bars", 4)
    beyond = report("ulxd", Message("REP", 1, "BATT_BARS", ("006",)))
    assert beyond is not None
    assert beyond.value == values.Value(None, "raw bars 6 is above the documented maximum of 5")


def test_forty_is_subtracted_from_a_temperature_and_unknown_is_no_number() -> None:
    warm = report("axtd", Message("REP", 1, "TX_BATT_TEMP_C", ("065",)))
    unknown = report("axtd", Message("REP", 1, "TX_BATT_TEMP_C", ("255",)))
    assert warm is not None
    assert unknown is not None
    assert warm.value.value == 25
    assert unknown.value == values.Value(None, "unknown")


def test_what_does_not_apply_to_a_family_is_not_unknown() -> None:
    assert applies("axtd", "slot_status")
    assert not applies("ulxd", "slot_status")
    assert not applies("slxd", "muted")
    assert report("slxd", Message("REP", 1, "AUDIO_MUTE", ("ON",))) is None


def test_a_sample_that_does_not_fit_its_family_is_left_out() -> None:
    for text in ("SAMPLE 1 ALL AX 095", "SAMPLE 1 ALL", "SAMPLE ALL AX 095 030"):
        message = read(text)
        assert message is None or sample("ulxd", message) is None
    cut = read("SAMPLE 1 ALL 005 031 102 102 BB 31 086 31")
    assert cut is not None
    assert sample("axtd", cut) is None


def test_models_have_the_channels_that_they_have() -> None:
    assert (CHANNELS["QLXD4"], CHANNELS["SLXD4"], CHANNELS["ULXD4Q"], CHANNELS["AD4D"]) == (1, 1, 4, 2)
    assert "ANX4" not in CHANNELS
