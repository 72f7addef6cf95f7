"""`crown art`. The domain code is in crown/art_records."""
