"""The summary of this department."""

from crown.flow.summary import Department

DEVICES = Department("devices", "Devices", "No device is polled yet.")
