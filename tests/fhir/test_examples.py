"""The official examples in the record: what goes in comes out, and what is refused is on the page that says why."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.fhir.test_rest import Client
from tests.fhir.test_validation import REFUSED
from tests.fhir_corpora import examples_folder

from adjunct.fhir.rest import Request, handle
from stores import store

ROOT = Path(__file__).parents[2]
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
SOME, LARGE = 10, 1_000_000  # of the rest every tenth; the largest only where there is time


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    examples_folder()
    spec = importlib.util.spec_from_file_location("refused_examples", ROOT / "tools" / "refused_examples.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def tokens(raw: bytes) -> Any:
    """What the JSON says, to the last digit, in its order, but for type and id, which the record puts first.

    Strings by what they mean, and without what the record stamps.
    """
    numbered: Any = lambda text: ("number", text)  # noqa: E731
    read = json.loads(raw, parse_float=numbered, parse_int=numbered, object_pairs_hook=list)
    told = [(key, _unstamped(value) if key == "meta" else value) for key, value in read]
    first = [pair for name in ("resourceType", "id") for pair in told if pair[0] == name]
    return first + [pair for pair in told if pair not in first and pair != ("meta", [])]


def _unstamped(meta: Any) -> Any:
    return [part for part in meta if part[0] not in ("versionId", "lastUpdated")]


def test_numbers_order_and_unknown_extensions_are_part_of_what_is_compared() -> None:
    same = tokens(b'{"meta":{"versionId":"1"},"a":[1.50,{"b":1E2}]}')
    assert same == tokens(b' {"a": [1.50, {"b": 1E2}]}')
    for other in (b'{"a":[1.5,{"b":1E2}]}', b'{"a":[1.50,{"b":100}]}', b'{"a":[{"b":1E2},1.50]}', b'{"a":[1.50,{}]}'):
        assert tokens(other) != same


def test_what_goes_in_comes_out(tool: ModuleType, tmp_path: Path) -> None:
    every = [(name, raw) for name, raw in tool.examples() if THOROUGH or len(raw) < LARGE]
    chosen = every if THOROUGH else every[::SOME]
    with store("sqlite", tmp_path) as record:
        client = Client(record)
        for name, raw in chosen:
            if name in REFUSED:
                continue
            request = tool.update(raw)
            made = handle(request, client.service)
            assert made.status in (200, 201), name
            read = handle(Request("GET", request.path), client.service)
            assert read.body == made.body, name
            assert tokens(read.body) == tokens(raw), name
            kind, _, own = request.path.partition("/")
            found = handle(Request("GET", kind, (("_id", own),)), client.service)
            assert read.body in found.body, name
    assert len(chosen) > 500


def test_what_is_refused_is_on_the_page(tool: ModuleType) -> None:
    """The whole page is compared by `make check`; here that it names what the tests of validation name, and no more."""
    page = tool.PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([\w-]+) \| \d{3} \|", page, re.MULTILINE)) == set(REFUSED)
    some = [(name, raw) for name, raw in tool.examples() if name in REFUSED and (THOROUGH or len(raw) < LARGE)]
    found = list(tool.refused(some))
    assert [one.name for one in found] == [name for name, _ in some]
    assert all(tool._row(one) in page for one in found)


def test_a_reason_that_nobody_looked_at_is_no_reason(tool: ModuleType) -> None:
    unknown = tool.Refused("x", 400, {"issue": [{"code": "value", "diagnostics": "anything", "expression": ["X"]}]})
    with pytest.raises(KeyError):
        tool.page(1, [unknown])
