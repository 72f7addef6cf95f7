"""SQL models as assets. No wiring here."""
