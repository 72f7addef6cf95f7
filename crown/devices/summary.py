"""How the platform asks this department where it stands."""

from crown.flow.summary import Department

DEVICES = Department("devices", "Devices", "No device is polled yet.")
