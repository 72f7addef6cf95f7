"""Output specs, rendering, and compliance with partners' requirements. No targets and no share."""
