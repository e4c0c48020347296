"""An upload is never held in memory, however large."""

from benchmarks import upload


def test_large_uploads_cost_no_memory() -> None:
    """256 MiB, raw, as a form or as several files, raise the API's peak memory by less than 32 MiB."""
    for measured in upload.measure(256):
        assert measured.after - measured.before < 32, measured
