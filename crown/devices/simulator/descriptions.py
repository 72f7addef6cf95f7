"""What a simulated rack consists of, read from YAML: devices, channels, packs, faults and events by time.

How a device behaves is in device.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crown.devices.drivers.shure_fields import CHANNELS
from crown.errors import BadInput

Family = Literal["ulxd", "qlxd", "axtd", "slxd"]
Fault = Literal["cut", "glued", "slow", "silent", "refused", "blocked", "garbage"]
Act = Literal[
    "pack_off",
    "pack_on",
    "rf_drop",
    "rf_back",
    "interference",
    "clear",
    "peak",
    "mute",
    "unmute",
    "charge",
    "frequency",
    "rename",
    "firmware",
    "vanish",
    "return",
]


class _Described(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pack(_Described):
    """A transmitter. Its battery runs from full to empty in `full_minutes`."""

    model: str = "ULXD2"
    name: str = ""
    battery_type: Literal["LION", "ALKA", "LITH", "NIMH"] = "LION"
    charge_percent: float = Field(default=100, ge=0, le=100)
    full_minutes: float = Field(default=660, gt=0)
    cycles: int = 12
    health_percent: int = 98
    temperature_c: int = 31
    on: bool = True


class Channel(_Described):
    """A channel of a receiver, and the pack that it receives."""

    name: str
    frequency_mhz: float = 542.125
    rf_dbm: float = -52
    audio_dbfs: float = -22
    pack: Pack | None = None


class Event(_Described):
    """What happens to a device, so many seconds after its start."""

    at: float
    do: Act
    channel: int = 1
    value: str = ""


class Device(_Described):
    """A receiver."""

    family: Family = "ulxd"
    model: str = "ULXD4Q"
    address: str = "127.0.0.1"
    port: int = 2202
    name: str = "RACK"
    serial: str | None = None
    firmware: str = "2.7.6"
    rf_band: str = "G51"
    seed: int = 1
    channels: list[Channel]
    faults: list[Fault] = []
    events: list[Event] = []

    @model_validator(mode="after")
    def _channels_of_the_model(self) -> Device:
        most = CHANNELS.get(self.model, 24)
        if len(self.channels) > most:
            raise ValueError(f"{self.model} has {most} channels, {len(self.channels)} are described")
        return self


class Rack(_Described):
    """Devices that are simulated together."""

    devices: list[Device]


def read_rack(path: Path) -> Rack:
    """The rack of a YAML file.

    Raises:
        BadInput: not readable, or something in it does not fit.
    """
    try:
        return Rack.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path} cannot be read as YAML ({str(error).splitlines()[0]}); correct it.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadInput(
            f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}; correct it."
        ) from None


def sample_rack(devices: int = 1, port: int = 2202) -> Rack:
    """ULX-D racks on 127.0.0.11 and following, whose second pack is nearly empty and whose third pack drops out."""
    people = ("HH01 Ann", "HH02 Bob", "BP03 Cleo", "BP04 Dan")
    charges = (94.0, 24.0, 71.0, 88.0)
    return Rack(
        devices=[
            Device(
                address=f"127.0.0.{11 + number}",
                port=port,
                name=f"RACK {number + 1}",
                serial=f"SIM{number + 1:07d}",
                seed=number + 1,
                channels=[
                    Channel(
                        name=name,
                        frequency_mhz=542.125 + 1.5 * place + 8 * number,
                        pack=Pack(name=name.split()[0], charge_percent=charge),
                    )
                    for place, (name, charge) in enumerate(zip(people, charges, strict=True))
                ],
                events=[
                    Event(at=120, do="rf_drop", channel=3),
                    Event(at=135, do="rf_back", channel=3),
                    Event(at=300, do="firmware", value="2.7.14"),
                ],
            )
            for number in range(devices)
        ]
    )
