"""Photoshop files: reading, exporting layers, comparing. No jobs and no ledger."""
