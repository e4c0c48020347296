"""A TCP proxy that breaks the network on purpose: delays, cuts, half-open connections, none at all."""

import asyncio
import socket
import threading
from contextlib import suppress

PIECE = 64 * 1024


class Proxy:
    """Stands between the service and its broker, in a thread of its own.

    Set its attributes while it runs. delay: seconds before each piece of data goes on, either way. cut_every: seconds
    after which all connections are cut, again and again; 0: never. half_open: nothing goes through any more, and nobody
    is told: connections stay open, new ones are taken and never answered. refusing: connections are cut, new ones
    refused.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self.delay = 0.0
        self.cut_every = 0.0
        self.half_open = False
        self.refusing = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Cut everything, and end."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def heal(self) -> None:
        """No more faults. What was half-open stays so: data that was swallowed does not come back."""
        self.delay, self.cut_every, self.half_open, self.refusing = 0.0, 0.0, False, False

    def cut(self) -> None:
        """Cut all connections now."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._socket))
        cutter = self._loop.create_task(self._keep_cutting())
        try:
            self._loop.run_forever()
        finally:
            server.close()
            cutter.cancel()
            self._cut()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.close()

    async def _keep_cutting(self) -> None:
        last = self._loop.time()
        while True:
            await asyncio.sleep(0.05)
            if self.refusing or (self.cut_every and self._loop.time() - last >= self.cut_every):
                self._cut()
                last = self._loop.time()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.refusing:
                return
            theirs, upstream = await asyncio.open_unix_connection(self._upstream)
            self._writers.add(upstream)
            try:
                ways = {asyncio.create_task(self._pump(*way)) for way in ((reader, upstream), (theirs, writer))}
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
            finally:
                self._writers.discard(upstream)
                upstream.close()
        except (OSError, asyncio.CancelledError):
            pass  # nobody listens there, or all is over: the caller sees its connection end
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        swallowed = False
        with suppress(OSError):
            while data := await reader.read(PIECE):
                if self.delay:
                    await asyncio.sleep(self.delay)
                # A stream that lost a piece is of no use: it stays silent until somebody hangs up.
                swallowed = swallowed or self.half_open
                if not swallowed:
                    writer.write(data)
                    await writer.drain()
