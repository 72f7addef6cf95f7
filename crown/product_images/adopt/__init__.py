"""Taking over a CrownPipe tree. Nothing here runs in daily work."""
