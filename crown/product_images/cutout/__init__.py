"""Cutting parts out of their photos: engines, models, and how good a cut-out looks. Not the review."""
