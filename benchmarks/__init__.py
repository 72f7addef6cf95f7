"""Benchmarks: each prints ratios and medians measured side by side in one run. No tests."""
