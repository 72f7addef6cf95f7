"""Tells what happened: the activity trail, logs, notifications. Nothing here decides anything."""
