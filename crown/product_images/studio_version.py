"""The version of the studio engine, apart from it, so that recipes are computed without loading it."""

STUDIO_VERSION = 1
"""Goes into the recipe; raised on purpose whenever the same picture would give another alpha."""
