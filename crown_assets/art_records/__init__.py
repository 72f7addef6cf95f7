"""Art records: exports, books and their checks."""
