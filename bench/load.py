"""Ask a server over HTTP as fast as it answers, or at a steady rate: connections that are kept, one request on each.

A program of its own, so that it shares no interpreter with what it measures. It takes its task as JSON (`Task`) on
standard input and prints what it saw as JSON (`Seen`). At a steady rate, waiting counts from when a request was due.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from time import perf_counter
from typing import NamedTuple

import uvloop

CONNECTIONS = 32


class Task(NamedTuple):
    """`requests` are asked one after another, again and again; `rate` 0 is as fast as answers come."""

    port: int
    requests: list[str]
    seconds: float
    rate: float = 0.0
    connections: int = CONNECTIONS


class Seen(NamedTuple):
    """Answers, answers a second, milliseconds that half and 99 of 100 took at most, how many had which status."""

    answered: int
    rate: float
    p50: float
    p99: float
    statuses: dict[str, int]


class _Run:
    """What all connections share: what to ask next, since when, and what was answered."""

    def __init__(self, task: Task) -> None:
        self.requests = [request.encode() for request in task.requests]
        self.interval = 1 / task.rate if task.rate else 0.0
        self.start = perf_counter()
        self.end = self.start + task.seconds
        self.asked = 0
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.idle: deque[_Connection] = deque()
        self.late: deque[float] = deque()

    def next(self) -> bytes:
        self.asked += 1
        return self.requests[self.asked % len(self.requests)]

    def free(self, connection: _Connection) -> None:
        """A connection has its answer: it asks on, or waits until something is due."""
        if not self.interval:
            if perf_counter() < self.end:
                connection.ask(perf_counter())
        elif self.late:
            connection.ask(self.late.popleft())
        else:
            self.idle.append(connection)

    async def keep_time(self) -> None:
        """Put every request in motion when it is due, or in line if every connection waits for an answer."""
        due = perf_counter()
        while due < self.end:
            while due <= perf_counter():
                if self.idle:
                    self.idle.popleft().ask(due)
                else:
                    self.late.append(due)
                due += self.interval
            await asyncio.sleep(min(0.001, max(due - perf_counter(), 0)))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run) -> None:
        self.run, self.buffer, self.missing = run, b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, since: float) -> None:
        self.since = since
        self.transport.write(self.run.next())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.missing < 0:
            head, found, _ = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self.missing = len(head) + len(found) + int(length or 0)
        if len(self.buffer) < self.missing:
            return
        now, run = perf_counter(), self.run
        if run.start <= now < run.end:
            run.took.append(now - self.since)
        run.statuses[self.buffer[9:12].decode()] += 1
        self.buffer, self.missing = b"", -1
        run.free(self)


async def _ask(task: Task) -> Seen:
    run, loop = _Run(task), asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(lambda: _Connection(run), "127.0.0.1", task.port))[1]
        for _ in range(task.connections)
    ]
    run.start = perf_counter()
    run.end = run.start + task.seconds
    for connection in opened:
        run.free(connection)
    if run.interval:
        await run.keep_time()
    else:
        await asyncio.sleep(task.seconds)
    for connection in opened:
        connection.transport.close()
    took = sorted(run.took) or [float("nan")]
    p50, p99 = (took[int(len(took) * part)] * 1e3 for part in (0.5, 0.99))
    return Seen(len(run.took), len(run.took) / task.seconds, p50, p99, dict(run.statuses))


if __name__ == "__main__":
    uvloop.install()
    print(json.dumps(asyncio.run(_ask(Task(**json.load(sys.stdin))))._asdict()))
