"""Syncs, versions, rollback and erasing of art records. Does not read export files."""
