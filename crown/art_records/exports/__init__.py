"""Exports of the Airtable base: reading, cleaning, and what was set aside. Does not write art tables."""
