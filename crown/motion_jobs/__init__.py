"""After Effects batches: CSV and project reading, gated stages, validation, packages."""
