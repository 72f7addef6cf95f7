"""Pictures of prints that the base holds as attachments: listed, downloaded and kept by their hash."""
