"""Dagster resources: small classes that hand out plain objects from crown."""
