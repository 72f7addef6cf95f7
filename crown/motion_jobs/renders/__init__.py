"""What render machines have and hand back. Nothing is rendered here."""
