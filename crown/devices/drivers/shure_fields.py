"""Which property of which family of Shure devices is which of our fields, as tables; and how many channels models have.

A field that is not in the table of a family does not apply to it, which is not the same as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from crown.devices.drivers import values
from crown.devices.drivers.frames import Message
from crown.devices.drivers.values import WORD_UNKNOWN, Decoder, Value

ULXD, QLXD, AXIENT, SLXD = "ulxd", "qlxd", "axtd", "slxd"
FAMILIES = (ULXD, QLXD, AXIENT, SLXD)
#: Receivers' channels where the model says so; an ANX4 has as many as are licensed (1 to 24): the device says.
CHANNELS = {
    "ULXD4": 1, "ULXD4D": 2, "ULXD4Q": 4, "QLXD4": 1, "SLXD4": 1, "SLXD4D": 2, "AD4D": 2, "AD4Q": 4,
}  # fmt: skip
#: QLX-D firmware from 2.2.11 on may need a power cycle when a metering client vanishes.
NEVER_METERED = frozenset({QLXD})

_DEVICE: dict[str, tuple[str, Decoder]] = {
    "DEVICE_ID": ("device_name", values.text),
    "MODEL": ("model", values.text),
    "FW_VER": ("firmware", values.text),
    "RF_BAND": ("rf_band", values.text),
    "SERIAL_NUM": ("serial", values.text),
    "ENCRYPTION": ("encryption", values.text),
    "ENCRYPTION_MODE": ("encryption", values.text),
    "QUADVERSITY_MODE": ("quadversity_mode", values.text),
    "TRANSMISSION_MODE": ("transmission_mode", values.text),
}
_CHANNEL: dict[str, tuple[str, Decoder]] = {
    "CHAN_NAME": ("name", values.text),
    "FREQUENCY": ("frequency_mhz", values.megahertz),
    "GROUP_CHAN": ("group_channel", values.text),
    "GROUP_CHANNEL": ("group_channel", values.text),
    "AUDIO_GAIN": ("gain_db", values.number(offset=-18, high=60, what="gain")),
    "AUDIO_MUTE": ("muted", values.on_off),
}
_ULXD = _CHANNEL | {
    "BATT_BARS": ("battery_bars", values.number(high=5, what="bars")),
    "BATT_CHARGE": ("battery_charge_percent", values.number(high=100, what="charge")),
    "BATT_RUN_TIME": ("battery_minutes", values.minutes),
    "BATT_CYCLE": ("battery_cycles", values.number(high=65534, unknown=WORD_UNKNOWN, what="cycles")),
    "BATT_HEALTH": ("battery_health_percent", values.number(high=100, what="health")),
    "BATT_TEMP_C": ("battery_temperature_c", values.number(offset=-40, what="temperature")),
    "BATT_TYPE": ("battery_type", values.text),
    "TX_TYPE": ("pack_type", values.text),
    "TX_DEVICE_ID": ("pack_name", values.text),
    "TX_OFFSET": ("pack_offset_db", values.number(high=21, what="offset")),
    "TX_RF_PWR": ("pack_power_mw", values.power),
    "TX_MUTE_STATUS": ("pack_muted", values.on_off),
    "RF_INT_DET": ("interference", values.text),
}
_AXIENT = _CHANNEL | {
    "TX_BATT_BARS": ("battery_bars", values.number(high=5, what="bars")),
    "TX_BATT_CHARGE_PERCENT": ("battery_charge_percent", values.number(high=100, what="charge")),
    "TX_BATT_MINS": ("battery_minutes", values.minutes),
    "TX_BATT_CYCLE_COUNT": ("battery_cycles", values.number(high=65534, unknown=WORD_UNKNOWN, what="cycles")),
    "TX_BATT_HEALTH_PERCENT": ("battery_health_percent", values.number(high=100, what="health")),
    "TX_BATT_TEMP_C": ("battery_temperature_c", values.number(offset=-40, what="temperature")),
    "TX_BATT_TYPE": ("battery_type", values.text),
    "TX_MODEL": ("pack_type", values.text),
    "TX_DEVICE_ID": ("pack_name", values.text),
    "TX_OFFSET": ("pack_offset_db", values.number(offset=-12, what="offset")),
    "TX_INPUT_PAD": ("pack_pad_db", values.pad),
    "TX_POWER_LEVEL": ("pack_power_mw", values.power),
    "TX_MUTE_STATUS": ("pack_muted", values.on_off),
    "TX_LOCK": ("pack_lock", values.text),
    "INTERFERENCE_STATUS": ("interference", values.text),
}
#: Properties of a slot: `SLOT_STATUS 8 EMPTY` has the slot before the value.
_SLOT: dict[str, tuple[str, Decoder]] = {
    "SLOT_STATUS": ("slot_status", values.text),
    "SLOT_BATT_BAR": ("battery_bars", values.number(high=5, what="bars")),
    "SLOT_BATT_BARS": ("battery_bars", values.number(high=5, what="bars")),
}
_SLXD = _CHANNEL | {
    "TX_MODEL": ("pack_type", values.text),
    "TX_BATT_BARS": ("battery_bars", values.number(high=5, what="bars")),
    "TX_BATT_MINS": ("battery_minutes", values.minutes),
}
del _SLXD["AUDIO_MUTE"]  # SLX-D has no mute command
_OF_FAMILY = {ULXD: _ULXD, QLXD: _ULXD, AXIENT: _AXIENT, SLXD: _SLXD}
#: Fields of a pack that samples carry as numbers; all others are states with an interval history.
MEASURED = (
    "battery_bars",
    "battery_charge_percent",
    "battery_minutes",
    "battery_temperature_c",
)


@dataclass(frozen=True)
class Report:
    """One field of a device, channel or slot, as the device reported it."""

    channel: int | None
    slot: int | None
    field: str
    value: Value


def applies(family: str, field: str) -> bool:
    """Whether devices of a family have a field at all."""
    tables = [_OF_FAMILY[family], _DEVICE, *([_SLOT] if family == AXIENT else [])]
    return any(field == name for table in tables for name, _ in table.values())


def report(family: str, message: Message) -> Report | None:
    """What a REP says, in our fields; None for an error, a property that we do not keep, or one without its value."""
    if message.verb != "REP" or not message.values:
        return None
    if message.name in _SLOT and family == AXIENT:
        if len(message.values) != 2 or not message.values[0].isdigit():
            return None
        field, decode = _SLOT[message.name]
        return Report(message.channel, int(message.values[0]), field, decode(message.value))
    table = _DEVICE if message.channel is None else _OF_FAMILY[family]
    if message.name not in table:
        return None
    field, decode = table[message.name]
    return Report(message.channel, None, field, decode(message.value))


def property_of(family: str, field: str) -> str:
    """The protocol's name of a field of a device or channel; the simulator speaks with it.

    Raises:
        KeyError: the field does not apply to the family.
    """
    names = {name: prop for table in (_DEVICE, _OF_FAMILY[family]) for prop, (name, _) in table.items()}
    return names[field]
