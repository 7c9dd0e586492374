"""Messages of monitors from files: how they stand one after another, and when each arrived."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import timedelta
from math import inf
from operator import itemgetter

import orjson

from adjunct.base import MS_PER_SECOND, BadInput
from adjunct.devices import fhir, hl7v2
from adjunct.devices.report import Words, without_mark
from adjunct.devices.stream import Stream
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event, Held

_HEADERS = re.compile(rb"(?:^|(?<=[\r\n]))(?=MSH\|)")


def messages_of(content: bytes) -> tuple[bytes, ...]:
    r"""The messages of a file: framed as on a wire, or HL7 v2 one after another, or FHIR: one resource, or one a line.

    >>> messages_of(b"MSH|a\rPID|1\rMSH|b\r")
    (b'MSH|a\rPID|1\r', b'MSH|b\r')
    """
    content = without_mark(content)
    if hl7v2.START in content:
        whole, rest = hl7v2.frames(content)
        return (*whole, *((rest,) if rest.strip() else ()))
    if content.lstrip()[:1] in (b"{", b"["):
        try:
            orjson.loads(content)
        except orjson.JSONDecodeError:
            return tuple(line for line in content.splitlines() if line.strip())
        return (content,)
    return tuple(piece for piece in _HEADERS.split(content) if piece.strip())


def read_files(
    contents: Iterable[bytes], seen: Iterable[Event | Held], knowledge: Knowledge, *, received: int | None = None
) -> Iterator[Event | Held]:
    """What the messages of some files come to, for sessions of which `seen` says who was on which monitor, and when.

    `received` is when they arrived; without it each arrived when it says that it was sent, and one that does not say
    arrived with the one before it. A time without an offset is of the place of the log.
    """
    stream, events = Stream(knowledge), _told(seen)
    zone = events[0][1].offset if events else timedelta(0)
    for when, raw in sorted(_arrivals(contents, Words.of(knowledge), zone, received), key=itemgetter(0)):
        while events and events[0][0] <= when:
            stream.see(events.popleft()[1])
        yield from stream.feed(raw, when)


def _told(seen: Iterable[Event | Held]) -> deque[tuple[float, Event]]:
    """Events in the order in which they count: who a person is from the beginning, a correction with its original."""
    events = [e for e in seen if isinstance(e, Event)]
    times = {(e.session, e.id): -inf if e.type == "checked-in" else e.at for e in events}

    def place(event: Event) -> tuple[float, bool]:
        corrects = event.data["corrects"] if event.type == "correction" else event.id
        return times.get((event.session, corrects), event.at), event.type == "correction"

    return deque((place(e)[0], e) for e in sorted(events, key=place))


def _arrivals(
    contents: Iterable[bytes], words: Words, zone: timedelta, received: int | None
) -> Iterator[tuple[int, bytes]]:
    last = 0
    for content in contents:
        for raw in messages_of(content):
            last = received if received is not None else _sent(raw, words, zone) or last
            yield last, raw


def _sent(raw: bytes, words: Words, zone: timedelta) -> int | None:
    """When a message says that it was sent, or the last of its readings was taken."""
    try:
        report = fhir.read(raw, words) if raw.lstrip()[:1] in (b"{", b"[") else hl7v2.read(raw, words)
    except BadInput:
        return None
    times = (report.sent,) if report.sent is not None else (row.at for row in report.rows if row.at is not None)
    ahead = round(zone.total_seconds() * MS_PER_SECOND)
    return max((t.ms if t.zoned else t.ms - ahead for t in times), default=None)
