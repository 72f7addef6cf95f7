"""Prints, distributors and editions: cleaning, history, sync modes, rollback."""
