"""Targets, texts and removals of published files. No rendering."""
