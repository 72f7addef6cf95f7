"""Housekeeping assets: what keeps the platform itself in order."""
