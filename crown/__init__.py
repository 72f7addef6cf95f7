"""The domain code, in plain Python. It never imports Dagster; departments do not import each other."""
