"""Settings of devices: `CROWN_DEVICES_*`."""

from __future__ import annotations

from pydantic import Field

from crown.settings.kinds import AbsolutePath, Group


class Devices(Group):
    """One attribute for each setting."""

    buffer: AbsolutePath | None = Field(
        default=None, description="Folder that keeps samples while the database is away."
    )
    buffer_mb: float = Field(
        default=500, gt=0, description="Size of that folder; beyond it new samples are lost, and counted."
    )
    metering_seconds: int = Field(
        default=1,
        ge=1,
        le=60,
        description="Seconds between two samples of a channel; QLX-D is never metered.",
    )
    offline_seconds: int = Field(
        default=60, ge=15, description="A device that says nothing for so long is offline."
    )
    samples_days: int = Field(
        default=90, ge=1, description="Age at which samples are removed; their roll-ups stay."
    )
    battery_low_percent: int = Field(
        default=20, ge=1, le=99, description="Charge at which a battery alert is opened; a bar is 20 percent."
    )
    battery_critical_percent: int = Field(
        default=10, ge=0, le=98, description="Charge at which a battery is critical."
    )
    interval_seconds: int = Field(
        default=120,
        ge=30,
        description="How often Dagster observes the samples; seen when the services start.",
    )
