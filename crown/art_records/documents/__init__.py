"""Invoices, statements and certificates: facts, pages, numbers. Does not change art records."""
