"""A server as a clinic would start it: SQLite, a real socket. The clients here were written by others."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from adjunct.serve.running import serving
from adjunct.serve.settings import load

NOW = 1_795_000_000_000


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address below which FHIR is spoken."""
    database = f"sqlite:///{tmp_path_factory.mktemp('record') / 'record.db'}"
    settings = load({"port": 0, "database": database, "log_level": "error"}, {})
    with serving(settings, clock=lambda: NOW, stream=io.BytesIO()) as address:
        yield f"{address}/fhir"
