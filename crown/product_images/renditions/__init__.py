"""Output specs, rendering, and what partners demand of a picture. No targets and no share."""
