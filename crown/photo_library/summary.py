"""The summary of this department."""

from crown.flow.summary import Department

PHOTO_LIBRARY = Department("photo_library", "Photo library", "No source is connected yet.")
