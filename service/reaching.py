"""The service that a command of the command line talks to: a server's, or a stack of our own for as long as needed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from service.client import Client
from service.local import embedded, private

DONE, NOT_JUDGED, TIMED_OUT, INTERRUPTED = 0, 3, 4, 130  # exit codes; 1 and 2 are the command line's own


@contextmanager
def reached(server: str | None, data: Path | None, errors: Console) -> Iterator[Client]:
    """A client of `server`; else of a stack over `data` (None: a folder for now), which ends with the block.

    Raises `CannotStartError`.
    """
    with ExitStack() as stack:
        if server is None:
            folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="lesion-")))
            with errors.status("starting"):
                server = stack.enter_context(embedded(private(folder), grace=1))
        yield stack.enter_context(Client(server))
