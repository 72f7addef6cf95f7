"""Taking over the old system's database. Nothing here runs in daily work."""
