"""The ids that rows get."""

import secrets
import time


def new(prefix: str) -> str:
    """An id that sorts by time (milliseconds first) and cannot be guessed (80 random bits)."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
