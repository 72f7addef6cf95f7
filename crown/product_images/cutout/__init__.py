"""Cut-outs: engines, models and quality scores. Not the review."""
