"""`crown demo`: every department once, end to end."""
