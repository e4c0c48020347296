"""The receiver run: its HTTP server in this thread, and one thread beside it that checks what came."""

import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from service import connections
from service.client import Client
from service.processes import CannotStartError
from service.registries import checker, receiver
from service.registries.checker import Choice
from service.registries.checking import Plan
from service.registries.hooks import Sender
from service.registries.inbox import Inbox
from service.registries.versions import Place
from service.settings import Settings

DRAIN_SECONDS = 3  # for deliveries under way when it is told to stop


def secrets(settings: Settings) -> dict[Sender, str]:
    """The senders that are listened to, with what each shows or signs with."""
    known: dict[Sender, SecretStr | None] = {
        "mlflow": settings.mlflow_secret,
        "hugging-face": settings.hugging_face_secret,
        "signed": settings.hook_secret,
    }
    return {sender: secret.get_secret_value() for sender, secret in known.items() if secret is not None}


def run(
    place: tuple[str, int],
    file: Path,
    secrets: Mapping[Sender, str],
    places: Mapping[str, Place],
    client: Client,
    plan: Plan,
    choice: Choice,
    tell: Callable[[str], None],
) -> None:
    """Listen until SIGTERM or Ctrl-C; a check under way begins anew at the next start. Raises `CannotStartError`."""
    listening = _listener(place)
    inbox = Inbox(file)
    wake, stop = threading.Event(), threading.Event()
    app = receiver.create_app(inbox, secrets, wake.set, choice.named)
    working = threading.Thread(
        target=checker.work_off, args=(inbox, places, client, plan, wake, stop), name="checker", daemon=True
    )
    working.start()
    host, port = listening.getsockname()[:2]
    tell(f"Listening at http://{host}:{port}: " + ", ".join(f"/hooks/{sender}" for sender in secrets))
    server = uvicorn.Server(connections.config(app, log_level="warning", timeout_graceful_shutdown=DRAIN_SECONDS))
    try:
        server.run([listening])
    finally:
        stop.set()
        wake.set()
        listening.close()


def _listener(place: tuple[str, int]) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise CannotStartError(f"Cannot listen on {place[0]}:{place[1]}: {error.strerror}.") from error
