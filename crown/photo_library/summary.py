"""How the platform asks this department where it stands."""

from crown.flow.summary import Department

PHOTO_LIBRARY = Department("photo_library", "Photo library", "No source is connected yet.")
