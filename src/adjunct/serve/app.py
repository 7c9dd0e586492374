"""The server: one route that hands FHIR requests to their handlers and writes bytes, and a few questions about itself.

A handler works in a thread, because the database waits there. A request that takes too long is answered all the same;
what cannot be begun soon is sent away at once, so that neither memory nor patience is used up.
"""

from __future__ import annotations

import asyncio
import gzip
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from itertools import count
from threading import BoundedSemaphore
from typing import Any

import orjson
from fastapi import FastAPI, Response
from structlog.typing import FilteringBoundLogger

from adjunct.fhir.outcome import Issue, Refusal, outcome
from adjunct.fhir.repository import Unavailable
from adjunct.fhir.rest import Reply, Request, Service, handle, offered, submit
from adjunct.serve import door, logs, metrics, openapi
from adjunct.serve.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]

BASE = "/fhir"
ID_BYTES = 4  # of a request's own name in the log; the others count
LARGE = 1024 * 1024  # bytes of a body that takes ten times as much memory once it is read: no more than
LARGE_AT_ONCE = 4  # of them are taken in and worked on together, the others wait on the wire
SMALL = 16_384  # bytes of a body that is read and checked without a thread of its own
GZIP_LEVEL = 3  # beyond it a FHIR Bundle takes twice the time for a tenth less
DIGITS = 6  # of a second
CLIENT_GONE = 499  # in the log only: nobody was left to answer

_PLAIN = (b"content-type", b"application/fhir+json; charset=utf-8")
_ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_GZIPPED = [(b"content-encoding", b"gzip")]
_LATER = (b"retry-after", b"1")
_ALLOW = (b"allow", ", ".join(door.METHODS).encode())
_EMPTY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class _ClientGone(Exception):
    """The client closed the connection before its request was whole."""


def create_app(service: Service, settings: Settings, log: FilteringBoundLogger, counted: metrics.Metrics) -> ASGIApp:
    """The whole server as an ASGI application. It does not close `service`: who opened it does."""
    fhir = Fhir(service, settings, log, counted)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(fhir.close)

    app = FastAPI(title="Adjunct", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is up."""
        return {"status": "up"}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, str]:
        """The store answers."""
        try:
            with service.repository.reading() as reader:
                reader.newest_key()
            if not getattr(service.repository, "writing", True):
                raise Unavailable("the writer stands still: start the server again")
        except Unavailable as error:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
            return {"status": "not ready", "why": str(error)}
        return {"status": "ready"}

    @app.get("/metrics")
    def metrics_text() -> Response:
        return Response(counted.text(), headers={"content-type": metrics.CONTENT_TYPE})

    @cache
    def described() -> bytes:
        capabilities = handle(Request("GET", "metadata"), service)
        return orjson.dumps(
            openapi.describe(orjson.loads(capabilities.body), offered(service.rules), BASE, version("adjunct"))
        )

    @app.get("/openapi.json")
    def openapi_json() -> Response:
        return Response(described(), media_type="application/json")

    return _Door(fhir, app)


class _Door:
    """Lets in what this computer itself asks, and leads it to FHIR or to the rest."""

    def __init__(self, fhir: ASGIApp, rest: ASGIApp) -> None:
        self._fhir, self._rest = fhir, rest

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        app = self._rest
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            scope["fhir_headers"] = headers
            try:
                if len(headers) < len(scope["headers"]):
                    headers.update(door.repeated(scope["headers"]))
                door.refuse_strangers(headers)
            except Refusal as refusal:
                await _send(send, _refused(refusal), _ALWAYS)
                return
            if scope["path"] == BASE or scope["path"].startswith(f"{BASE}/"):
                app = self._fhir
        await app(scope, receive, send)


class Fhir:
    """The ASGI route of `/fhir`. `timer` counts seconds from any point.

    What is read by its id from a file is there sooner than a thread could be woken: that alone is done on the spot.
    """

    def __init__(
        self,
        service: Service,
        settings: Settings,
        log: FilteringBoundLogger,
        counted: metrics.Metrics,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._service, self._settings, self._log, self._counted, self._timer = service, settings, log, counted, timer
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="fhir")
        self._inline = bool(getattr(service.repository, "quick", False))
        self._room = BoundedSemaphore(settings.threads + settings.waiting)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._begun, self._numbers = secrets.token_hex(ID_BYTES), count(1)
        self._arrived: deque[tuple[asyncio.Future[Reply], Reply | BaseException]] = deque()
        self._woken = False
        self._answered: list[tuple[str, str, str, int, float, dict[str, str]]] = []

    def close(self) -> None:
        """Wait for the handlers that still work."""
        self._pool.shutdown(wait=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        started = self._timer()
        path = scope["path"][len(BASE) :].strip("/")
        name, kind = metrics.interaction(scope["method"], path)
        request_id = f"{self._begun}{next(self._numbers):08x}"
        said: dict[str, str] = {}
        headers = [*_ALWAYS, (b"x-request-id", request_id.encode())]
        try:
            try:
                reply = await self._reply(scope, receive, path, name, headers)
            except Refusal as refusal:
                reply = _refused(refusal)
            except Unavailable as error:
                reply = _outcome(HTTPStatus.SERVICE_UNAVAILABLE, "transient", str(error), _LATER)
            except (_ClientGone, asyncio.CancelledError):
                raise
            except Exception as error:  # noqa: BLE001  its text may hold values of the record: only its place is told
                said = logs.fault(error)
                told = f"a fault of the server, nothing you did: report it with x-request-id {request_id}"
                reply = _outcome(HTTPStatus.INTERNAL_SERVER_ERROR, "exception", told)
            status = int(reply.status)
            await _send(send, reply, headers)
        except _ClientGone:
            status = CLIENT_GONE
        if not self._answered:
            asyncio.get_running_loop().call_soon(self._tell)
        self._answered.append((request_id, name, kind, status, self._timer() - started, said))

    def _tell(self) -> None:
        """Count and log what was answered in one turn of the loop, once the answers are on their way."""
        answered, self._answered = self._answered, []
        for request_id, name, kind, status, seconds, said in answered:
            self._counted.answered(name, status, seconds)
            tell = self._log.error if said else self._log.info
            seconds = round(seconds, DIGITS)
            tell("request", id=request_id, interaction=name, type=kind, status=status, seconds=seconds, **said)

    async def _reply(
        self, scope: Message, receive: Receive, path: str, name: str, out: list[tuple[bytes, bytes]]
    ) -> Reply:
        method: str = scope["method"]
        headers: dict[str, str] = scope["fhir_headers"]
        asked = door.query(scope["query_string"])
        door.refuse_nul(path)
        door.refuse_unanswerable(asked, headers)
        body = await self._body(receive, method, headers)
        try:
            door.refuse_unreadable(method, path, headers, empty=not body)
            if method == "OPTIONS":
                return Reply(HTTPStatus.NO_CONTENT, (_ALLOW,))
            request = Request("GET" if method == "HEAD" else method, path, asked, headers, body)
            if self._inline and name == "read" and not asked:
                reply = handle(request, self._service)
            elif self._inline and (name == "create" or (name == "update" and "/" in path)) and len(body) <= SMALL:
                reply = await self._submitted(request)
            else:
                reply = await self._in_thread(request)
        finally:
            if len(body) > LARGE:
                self._large.release()
        if len(reply.body) < self._settings.gzip_from or not reply.body:
            return reply
        out.append((b"vary", b"accept-encoding"))
        if not door.takes_gzip(headers):
            return reply
        out += _GZIPPED
        packed = await asyncio.get_running_loop().run_in_executor(None, gzip.compress, reply.body, GZIP_LEVEL)
        return reply._replace(body=packed)

    async def _submitted(self, request: Request) -> Reply:
        """A small write: what is there to check is checked here, and no thread waits for the commit."""
        if not self._room.acquire(blocking=False):
            return _FULL
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()

        def answer(found: Reply | BaseException) -> None:
            self._room.release()
            self._arrived.append((reply, found))
            if not self._woken:  # once for all whose commit it was
                self._woken = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._deliver)

        submit(request, self._service, answer)
        return await self._in_time(reply, request.method)

    def _deliver(self) -> None:
        self._woken = False
        while self._arrived:
            reply, found = self._arrived.popleft()
            if reply.done():  # its time was over, or its client is gone
                continue
            if isinstance(found, BaseException):
                reply.set_exception(found)
            else:
                reply.set_result(found)

    async def _in_thread(self, request: Request) -> Reply:
        if not self._room.acquire(blocking=False):
            return _FULL
        work = self._pool.submit(handle, request, self._service)
        work.add_done_callback(lambda _: self._room.release())
        return await self._in_time(asyncio.wrap_future(work), request.method)

    async def _in_time(self, reply: asyncio.Future[Reply], method: str) -> Reply:
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                return await reply  # one that has not begun is not begun after the limit
        except TimeoutError:
            late = f"not answered within {self._settings.request_seconds:g} s"
            if method == "GET":
                return _outcome(HTTPStatus.SERVICE_UNAVAILABLE, "timeout", f"{late}: ask for less", _LATER)
            unknown = f"{late}, and it may still be stored: read before you send it again"
            return _outcome(HTTPStatus.GATEWAY_TIMEOUT, "timeout", unknown)

    async def _body(self, receive: Receive, method: str, headers: dict[str, str]) -> bytes:
        """The whole body, or 413 as soon as it is known to be too long, or 408 if it does not come.

        One that is `LARGE` holds one of the places for such.
        """
        if method in ("GET", "HEAD") and "content-length" not in headers and "transfer-encoding" not in headers:
            return b""
        limit = self._settings.body_bytes
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise _too_large(limit)
        parts, size, more, large = [], 0, True, False
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientGone
                    part = message.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise _too_large(limit)
                    if size > LARGE and not large:
                        large = await self._large.acquire()
                    parts.append(part)
                    more = message.get("more_body", False)
        except BaseException as error:
            if large:
                self._large.release()
            if isinstance(error, TimeoutError):
                said = "the body was not taken in in time: send it again later"
                raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout", said, "body") from None
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> Refusal:
    said = f"larger than {limit} bytes: send it in parts, or load it with the bulk loader"
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-long", said, "body")


def _refused(refusal: Refusal) -> Reply:
    more = (_ALLOW,) if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED else ()
    return Reply(refusal.status, (_PLAIN, *more), orjson.dumps(outcome(refusal.issues)))


def _outcome(status: int, code: str, said: str, *headers: tuple[bytes, bytes]) -> Reply:
    return Reply(status, (_PLAIN, *headers), orjson.dumps(outcome([Issue("error", code, said)])))


_FULL = _outcome(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "throttled",
    "too many requests wait already: nothing was done; send it again later",
    _LATER,
)


async def _send(send: Send, reply: Reply, more: list[tuple[bytes, bytes]]) -> None:
    """To HEAD the server sends the same without the body."""
    headers = [*reply.headers, *more]
    if reply.status not in _EMPTY:
        headers.append((b"content-length", str(len(reply.body)).encode()))
    start: Message = {"type": "http.response.start", "status": int(reply.status), "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": reply.body})
