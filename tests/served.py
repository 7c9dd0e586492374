"""A server as a clinic would start it: SQLite, a real socket. The clients here were written by others."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from adjunct.serve.running import serving
from adjunct.serve.settings import load

T = TypeVar("T")
NOW = 1_795_000_000_000


def awaited(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, in a thread of its own: the tests in a browser leave a running loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address below which FHIR is spoken."""
    database = f"sqlite:///{tmp_path_factory.mktemp('record') / 'record.db'}"
    settings = load({"port": 0, "database": database, "log_level": "error"}, {})
    with serving(settings, clock=lambda: NOW, stream=io.BytesIO()) as address:
        yield f"{address}/fhir"
