"""Reaches PostgreSQL: engines, the embedded server, migrations, backup and restore. No department's tables."""
