"""What a finished job consists of, and its validation. No stages and no renders."""
