"""SAMPLE frames of each family as one measurement of a channel: levels in dBm and dBFS, antennas, quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from crown.devices.drivers import values
from crown.devices.drivers.frames import Message
from crown.devices.drivers.shure_fields import AXIENT, QLXD, SLXD, ULXD
from crown.devices.drivers.values import Decoder

#: Bit 8 of the audio LED bitmap of Axient Digital: the red overload light.
_OVERLOAD = 0x80


@dataclass
class Measured:
    """One SAMPLE of a channel.

    Attributes:
        channel: from 1.
        rf_a_dbm: level at antenna A, or the only level (ULX-D, QLX-D and SLX-D have one), in dBm.
        rf_b_dbm: level at antenna B in dBm; C and D of quadversity are left out.
        audio_peak_dbfs: peak, or the only level, in dBFS.
        audio_rms_dbfs: root mean square in dBFS.
        antenna: as the device wrote it: `AX`, `XB`, `BR`.
        antenna_a_active: whether antenna A receives.
        antenna_b_active: whether antenna B receives.
        quality: 0 to 5.
        overload: whether the audio overload light is on.
        transmitter_present: False when the frame itself says that there is none; None: it does not say.
        reasons: why a level has no number, by field.
    """

    channel: int
    rf_a_dbm: int | None = None
    rf_b_dbm: int | None = None
    audio_peak_dbfs: int | None = None
    audio_rms_dbfs: int | None = None
    antenna: str | None = None
    antenna_a_active: bool | None = None
    antenna_b_active: bool | None = None
    quality: int | None = None
    overload: bool | None = None
    transmitter_present: bool | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, decode: Decoder, raw: str) -> None:
        """Set a level, or the reason why it has none."""
        decoded = decode(raw)
        setattr(self, name, decoded.value)
        if decoded.reason:
            self.reasons[name] = decoded.reason


_ULXD_RF = values.number(offset=-128, high=115, what="RF")
_ULXD_AUDIO = values.number(offset=-50, high=50, what="audio")
_RSSI = values.number(offset=-120, high=120, what="RSSI")
_AUDIO = values.number(offset=-120, high=120, what="audio")
_QUALITY = values.number(high=5, what="quality")


def _ulxd(measured: Measured, words: Sequence[str]) -> None:
    antenna, rf, audio = words
    measured.antenna = antenna
    measured.antenna_a_active, measured.antenna_b_active = "A" in antenna, "B" in antenna
    measured.put("rf_a_dbm", _ULXD_RF, rf)
    measured.put("audio_peak_dbfs", _ULXD_AUDIO, audio)


def _axient(measured: Measured, words: Sequence[str]) -> None:
    quality, leds, peak, rms, antenna, *levels = words
    if len(levels) < 2 * len(antenna):
        raise ValueError("fewer levels than antennas")
    measured.antenna = antenna
    # B: blue, receiving; R: red, overloaded; X: off. Letters are in the order of the antennas.
    active = [letter in "BR" for letter in antenna]
    measured.antenna_a_active, measured.antenna_b_active = (*active, None, None)[:2]
    measured.put("quality", _QUALITY, quality)
    measured.overload = bool(int(leds) & _OVERLOAD)
    measured.put("audio_peak_dbfs", _AUDIO, peak)
    measured.put("audio_rms_dbfs", _AUDIO, rms)
    measured.put("rf_a_dbm", _RSSI, levels[1])
    if len(antenna) > 1:
        measured.put("rf_b_dbm", _RSSI, levels[3])
    measured.transmitter_present = not (measured.quality is None and set(antenna) == {"X"})


def _slxd(measured: Measured, words: Sequence[str]) -> None:
    peak, rms, rssi = words
    measured.put("audio_peak_dbfs", _AUDIO, peak)
    measured.put("audio_rms_dbfs", _AUDIO, rms)
    measured.put("rf_a_dbm", _RSSI, rssi)


_OF_FAMILY: dict[str, Callable[[Measured, Sequence[str]], None]] = {
    ULXD: _ulxd,
    QLXD: _ulxd,
    AXIENT: _axient,
    SLXD: _slxd,
}


def sample(family: str, message: Message) -> Measured | None:
    """The measurement of a SAMPLE; None for another message, or one whose words do not fit the family."""
    if message.verb != "SAMPLE" or message.name != "ALL" or message.channel is None:
        return None
    measured = Measured(message.channel)
    try:
        _OF_FAMILY[family](measured, message.values)
    except ValueError:
        return None
    return measured
