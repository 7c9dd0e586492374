"""What a server writes down: one JSON line an event, on standard error, and never anything of a person.

No id, no search value, no body, no text of an error: a fault is told by its kind and its place in the code. Messages of
libraries are withheld for the same reason, except those of the HTTP server, which knows nothing of what it carries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

_SPEAKS = "uvicorn"


def logger(level: str, stream: BinaryIO, now: Callable[[], str]) -> FilteringBoundLogger:
    """A logger for this server alone; nothing global is set up. `now` gives the instant as text."""

    def stamped(_: Any, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at": now(), "level": level, **event}

    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(stream),
        processors=[stamped, structlog.processors.JSONRenderer(serializer=_serialized)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return made


def _serialized(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event)


def fault(error: BaseException) -> dict[str, str]:
    """Kind and place of what went wrong; its message may hold values of the record and is left out."""
    step = error.__traceback__
    while step and step.tb_next:
        step = step.tb_next
    place = f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}" if step else ""
    return {"kind": type(error).__name__, "place": place}


class _Forward(logging.Handler):
    """Messages of libraries as lines of this log."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage().strip() if record.name.partition(".")[0] == _SPEAKS else "message withheld"
        error = record.exc_info[1] if record.exc_info else None
        self._log.log(record.levelno, said, source=record.name, **(fault(error) if error else {}))


@contextmanager
def forwarding(log: FilteringBoundLogger) -> Iterator[None]:
    """While inside, what libraries log goes through `log`; afterwards logging is as it was."""
    root, handler = logging.getLogger(), _Forward(log)
    before, level = root.handlers[:], root.level
    root.handlers[:], root.level = [handler], logging.INFO
    try:
        yield
    finally:
        root.handlers[:], root.level = before, level
