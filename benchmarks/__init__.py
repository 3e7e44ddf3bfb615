"""Measurements anyone can repeat: `./run python -m benchmarks SCENARIO`."""
