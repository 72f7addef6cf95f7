"""Devices as assets. The domain code is in crown/devices."""
