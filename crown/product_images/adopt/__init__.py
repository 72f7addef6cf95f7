"""Import of a CrownPipe tree. Not used by scheduled runs."""
