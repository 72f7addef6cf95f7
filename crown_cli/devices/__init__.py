"""`crown devices`. The domain code is in crown/devices."""
