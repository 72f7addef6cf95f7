"""Sensors and schedules: one file per trigger. Each sensor has a pure decide() tested alone."""
