"""The studio engine: a part in front of a smooth, empty backdrop. No files and no ledger."""
