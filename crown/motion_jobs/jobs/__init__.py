"""Batches and jobs: rows, statuses, and what people do with them. No files of Adobe."""
