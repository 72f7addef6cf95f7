"""Product image assets and their checks."""
