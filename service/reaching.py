"""The service that a command of the command line talks to: a server's, or a stack of our own for as long as needed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from service import usage
from service.client import Client, Refused
from service.local import embedded, private

# Exit codes; 1 means as well that something cannot start, and 2 is the command line's own.
DONE, FAILED, USAGE, NOT_JUDGED, TIMED_OUT, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

KEY_WANTED = "Set LESION_KEY to a key of that service."
KEY_REFUSED = "It is the one in LESION_KEY."


@contextmanager
def reached(server: str | None, data: Path | None, errors: Console) -> Iterator[Client]:
    """A client of `server`, with the key of LESION_KEY; else of a stack over `data`, which ends with the block.

    `data` of None is a folder for now. A stack of our own needs no key, and is shown none.

    Raises `CannotStartError`.
    """
    with ExitStack() as stack:
        key = None
        if server is not None:
            secret = usage.settings().key
            key = None if secret is None else secret.get_secret_value().strip()
        else:
            folder = data or Path(stack.enter_context(TemporaryDirectory(prefix="lesion-")))
            with errors.status("starting"):
                server = stack.enter_context(embedded(private(folder), grace=1))
        client = stack.enter_context(Client(server, key=key))
        try:
            yield client
        except Refused as refusal:
            if refusal.problem.get("status") != 401:
                raise
            detail = f"{refusal.problem.get('detail')} {KEY_WANTED if key is None else KEY_REFUSED}"
            raise Refused(refusal.problem | {"detail": detail}) from refusal
