"""Where people decide and look: previews, pages, and the stock Dagster webserver on one origin."""
