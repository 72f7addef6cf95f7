"""Alembic migrations of our schemas; never of the schema dagster."""
