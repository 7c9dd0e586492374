"""The page about the record store: everything that a client meets is on it, with the reason for what is missing."""

from __future__ import annotations

import pytest

from adjunct.documents import record_reference
from adjunct.fhir.definitions import NOT_SERVED
from adjunct.fhir.memory import MemoryRepository
from adjunct.fhir.rest import Operation, Request, Rules, Service, handle
from adjunct.fhir.search.conditions import MODIFIERS, REFUSED
from adjunct.fhir.validation import unchecked
from adjunct.fhir.wire import read_exact
from adjunct.serve import assessing
from adjunct.serve.settings import Settings

RULES = Rules(base="", clock=lambda: 0, operations=assessing.operations())
SETTINGS = Settings().model_dump()


@pytest.fixture(scope="module")
def page() -> str:
    return record_reference.pages(RULES, SETTINGS)["record-store.md"]


def test_everything_that_a_client_meets_is_on_the_page(page: str) -> None:
    modifiers = {m for some in MODIFIERS.values() for m in some} | {m for _, m in REFUSED}
    names = [*SETTINGS, *NOT_SERVED, *(what for what, _, _ in unchecked()), *(f":{m}" for m in modifiers)]
    assert [name for name in names if f"`{name}" not in page] == []


def test_what_the_server_says_of_itself_is_on_the_page(page: str) -> None:
    reply = handle(Request("GET", "metadata"), Service(MemoryRepository(lambda: 0), RULES))
    (rest,) = read_exact(reply.body)["rest"]  # type: ignore[index]
    said = [*rest["interaction"], *(i for resource in rest["resource"] for i in resource["interaction"])]
    assert [name for name in {each["code"] for each in said} if f"\n| {name} | `" not in page] == []
    offered = {operation["name"] for resource in rest["resource"] for operation in resource.get("operation", ())}
    assert [name for name in offered if f"| `${name}` |" not in page] == []


def test_what_has_no_sentence_stops_the_page() -> None:
    with pytest.raises(KeyError, match="unheard_of"):
        record_reference.pages(RULES, {**SETTINGS, "unheard_of": 1})
    new = Operation(assessing.assess, ("POST",))
    with pytest.raises(KeyError, match="unheard-of"):
        record_reference.pages(Rules(base="", clock=lambda: 0, operations={("system", "$unheard-of"): new}), SETTINGS)
