"""Whatever is asked and whatever is sent: an answer or a reason, and never a fault of the server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from adjunct.serve.running import serving
from adjunct.serve.settings import load

NOW = 1_795_000_000_000
THOROUGH = settings.get_current_profile_name() == "thorough"
USED = ("Patient", "Observation", "Questionnaire", "MedicationStatement", "Binary", "Bundle", "ValueSet")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = f"sqlite:///{tmp_path_factory.mktemp('record') / 'record.db'}"
    given = {"port": 0, "database": database, "log_level": "error"}
    with serving(load(given, {}), clock=lambda: NOW, stream=io.BytesIO()) as place:
        yield place


# --- by its own description -------------------------------------------------------------------------------------------


@cache
def described(address: str) -> list[Any]:
    """The operations of the OpenAPI description: of some types, or of all in the thorough profile."""
    raw = httpx.get(f"{address}/openapi.json").json()
    for path in list(raw["paths"]):
        kind = path.removeprefix("/fhir").strip("/").partition("/")[0]
        if not THOROUGH and kind[:1].isupper() and kind not in USED:
            del raw["paths"][path]
    return [found.ok() for found in schemathesis.openapi.from_dict(raw).get_all_operations()]


EXAMPLES = 20 if THOROUGH else 2


@settings(max_examples=200)
@given(data=st.data())
def test_what_is_described_is_what_is_answered(address: str, data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(described(address)))
    mode = data.draw(st.sampled_from(list(GenerationMode)))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    case.call_and_validate(base_url=address)
