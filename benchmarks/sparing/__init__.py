"""What each way of drawing trials, or of reading them, would save: `python -m benchmarks.sparing`."""
