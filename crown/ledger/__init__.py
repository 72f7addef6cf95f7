"""Items, recipes, outputs, claims, decisions and lineage. Only this package writes their tables. No files, no Dagster."""
