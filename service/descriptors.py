"""How many files and connections this process may have open, and how many of them callers may take."""

import errno
import resource
from contextlib import suppress

KEPT = 256  # descriptors that are no caller's: database, broker, logs, libraries, and files of uploads
SPENT = (errno.EMFILE, errno.ENFILE)  # what an OSError says where there are no more


def raise_limit() -> None:
    """Allow as many as the system lets us have; many shells begin with 1,024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS takes less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections() -> int:
    """How many connections may be open at once: what is left, and of few at least half."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft - KEPT, soft // 2)
