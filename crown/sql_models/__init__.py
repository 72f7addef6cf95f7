"""Reads and runs the SQL models of dbt_like_sql. No business meaning."""
