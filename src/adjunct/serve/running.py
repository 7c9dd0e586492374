"""A server from the first socket to the last answer: bind, say that it is ready, stop gracefully."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adjunct.base import BadInput
from adjunct.fhir.repository import Unavailable, timestamp
from adjunct.serve import logs
from adjunct.serve.app import BASE, create_app
from adjunct.serve.metrics import Metrics
from adjunct.serve.service import open_service, with_exports
from adjunct.serve.settings import Settings

BACKLOG = 2048
KEEP_ALIVE_S = 30
START_S = 30
HEAD_S = 30  # for the head of a request to come
HEAD_BYTES = 256 * 1024  # of it; a search by a thousand codes has a tenth
M_ARENA_MAX = -8  # glibc's number for it
ARENAS = 2
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def run(settings: Settings, *, clock: Callable[[], int], stream: BinaryIO, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is in flight and close the record.

    `clock` gives ms since 1970, `stream` takes the log, `ready` is told the address once requests are answered. Raises
    `BadInput` where the port or the record cannot be opened; nothing is served then.
    """
    _share_memory()
    with _prepared(settings, clock, stream) as (server, listener, address):
        server.ready = lambda: ready(address)
        kept = {sig: signal.signal(sig, lambda *_: None) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            server.run([listener])  # it raises the signal once more when it is done: by then that means nothing
        finally:
            for sig, handler in kept.items():
                signal.signal(sig, handler)


def _share_memory() -> None:
    """All threads take memory from the same few pools: with one for each, glibc keeps what others could use."""
    with suppress(OSError, AttributeError, TypeError):  # another system or C library has no such pools
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


@contextmanager
def serving(settings: Settings, *, clock: Callable[[], int], stream: BinaryIO) -> Iterator[str]:
    """A server in a thread of this process for as long as the block lasts; gives its address."""
    started = threading.Event()
    with _prepared(settings, clock, stream) as (server, listener, address):
        server.ready = started.set
        thread = threading.Thread(target=server.run, args=([listener],), name="server", daemon=True)
        thread.start()
        try:
            if not started.wait(START_S):
                raise Unavailable("the server did not start: look at its log")
            yield address
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """Says when it answers."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()


class _Together:
    """A transport that sends the head and the body of an answer in one packet: half the work for both ends."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._transport.write(b"".join(waiting))


class _Protocol(HttpToolsProtocol):
    """HTTP/1.1, with an end to how long the head of a request may be, and how long it may take to come."""

    _size = 0
    _within = True  # the head of a request
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Together(transport, self.loop))  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._within:
            self._head_came()
            return
        self._size += len(data)
        if self._size > HEAD_BYTES:
            self.transport.write(_TOO_LONG)
            self.transport.close()
        elif self._timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._within = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._within, self._size = False, 0
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _head_came(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@contextmanager
def _prepared(
    settings: Settings, clock: Callable[[], int], stream: BinaryIO
) -> Iterator[tuple[_Server, socket.socket, str]]:
    log, counted = logs.logger(settings.log_level, stream, lambda: timestamp(clock())), Metrics()
    with _bound(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        opened = open_service(
            settings.database,
            address + BASE,
            clock=clock,
            grouped=counted.committed,
            seconds=settings.request_seconds,
        )
        with with_exports(opened) as service, logs.forwarding(log):
            yield _Server(_config(create_app(service, settings, log, counted), settings)), listener, address
        log.info("closed")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(f"port {port} is in use: stop what uses it, or name another", "--port") from None
        raise BadInput(f"cannot listen here ({error.strerror}): name another host or port", "--host") from None


def _config(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="auto",
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.stop_seconds,
    )
