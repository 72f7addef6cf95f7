"""Art records: exports, art tables and their checks."""
