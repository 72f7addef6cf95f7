"""Remembers what is wanted, what was made from what, who works on it and what people decided. No files, no Dagster."""
