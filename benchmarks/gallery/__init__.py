"""The gallery: real models on real data, scored over HTTP, for docs/models.md. See `python -m benchmarks.gallery`."""
