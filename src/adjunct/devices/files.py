"""Messages of monitors from files: how they stand one after another, and when each arrived."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson

from adjunct.base import BadInput
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
    contents: Iterable[bytes], seen: Iterable[Event], knowledge: Knowledge, *, received: int | None = None
) -> Iterator[Event | Held]:
    """What the messages of some files come to, for sessions of which `seen` says who is on which monitor.

    `received` is when they arrived; without it each arrived when it says that it was sent, and one that does not say
    arrived with the one before it.
    """
    stream, words, last = Stream(knowledge), Words.of(knowledge), 0
    for event in seen:
        stream.see(event)
    for content in contents:
        for raw in messages_of(content):
            last = received if received is not None else _sent(raw, words) or last
            yield from stream.feed(raw, last)


def _sent(raw: bytes, words: Words) -> int | None:
    """When a message says that it was sent, or the last of its readings was taken."""
    try:
        report = fhir.read(raw, words) if raw.lstrip()[:1] in (b"{", b"[") else hl7v2.read(raw, words)
    except BadInput:
        return None
    if report.sent is not None:
        return report.sent.ms
    return max((row.at.ms for row in report.rows if row.at is not None), default=None)
