"""PyPI `fhirpy` against the running server, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from served import awaited, base  # noqa: F401  a fixture

SYSTEM = "http://example.org/fhirpy"


@pytest.fixture
def client(base: str) -> Any:
    return SyncFHIRClient(base)


def patient(client: Any, name: str) -> Any:
    return client.resource("Patient", name=[{"family": name}], identifier=[{"system": SYSTEM, "value": name}])


def pulse(client: Any, of: Any, rate: int) -> Any:
    code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
    amount = {"value": rate, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
    return client.resource("Observation", status="final", code=code, subject=of.to_reference(), valueQuantity=amount)


def test_create_read_update_patch_delete(client: Any) -> None:
    who = patient(client, "Pylife")
    who.save()
    assert (who["meta"]["versionId"], who.is_valid()) == ("1", True)
    who["gender"] = "female"
    who.save()
    assert client.get("Patient", who.id)["gender"] == "female"
    who.refresh()
    who.patch(active=True, gender=None)
    again = client.reference("Patient", who.id).to_resource()
    assert (again["active"], again.get("gender"), again["meta"]["versionId"]) == (True, None, "3")
    who.delete()
    with pytest.raises(ResourceNotFound):
        client.get("Patient", who.id)
    history = client.execute(f"Patient/{who.id}/_history", method="get")
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "PUT", "PUT", "PUT"]


def test_search_sort_include_has_and_every_page(client: Any) -> None:
    who = patient(client, "Pypages")
    who.save()
    for rate in range(60, 67):
        pulse(client, who, rate).save()
    found = client.resources("Observation").search(subject=who, code="http://loinc.org|8867-4")
    assert [o["valueQuantity"]["value"] for o in found.sort("-value-quantity").limit(3)] == [*range(66, 59, -1)]
    assert len(found.limit(2).fetch()) == 2
    assert len(found.limit(2).fetch_all()) == 7
    assert found.search(value_quantity__gt=64).count() == 2
    assert found.sort("value-quantity").first()["valueQuantity"]["value"] == 60
    assert found.include("Observation", "subject").limit(1).fetch_raw()["entry"][1]["resource"]["id"] == who.id
    assert [p.id for p in client.resources("Patient").has("Observation", "subject", code="8867-4").fetch()] == [who.id]
    assert [p.id for p in client.resources("Patient").search(name__exact="Pypages").elements("name")] == [who.id]
    assert client.resources("Patient").search(identifier=f"{SYSTEM}|Pypages").get().id == who.id
    assert client.resources("Patient").search(_id__not=who.id, name="Pypages").fetch() == []


def test_a_transaction_stores_all_and_answers_in_order(client: Any) -> None:
    who, name = patient(client, "Pytogether"), "urn:uuid:0a1f0000-0000-4000-8000-000000000001"
    what = client.resource("Observation", status="final", code={"text": "pulse"}, subject={"reference": name})
    entries = [
        {"fullUrl": name, "resource": who.serialize(), "request": {"method": "POST", "url": "Patient"}},
        {"resource": what.serialize(), "request": {"method": "POST", "url": "Observation"}},
    ]
    bundle = client.resource("Bundle", type="transaction", entry=entries)
    stored, seen = client.execute("", data=bundle.serialize())["entry"]
    assert seen["resource"]["subject"]["reference"] == f"Patient/{stored['resource']['id']}"


def test_what_is_found_is_not_made_twice(client: Any) -> None:
    wanted = client.resources("Patient").search(identifier=f"{SYSTEM}|Pyonce")
    made, new = wanted.get_or_create(patient(client, "Pyonce"))
    again, newer = wanted.get_or_create(patient(client, "Pyonce"))
    assert (new, newer, made.id) == (True, False, again.id)
    changed, _ = wanted.update(client.resource("Patient", identifier=made["identifier"], active=False))
    assert (changed.id, changed["active"]) == (made.id, False)
    patient(client, "Pyonce").save()
    with pytest.raises(MultipleResourcesFound):
        wanted.get_or_create(patient(client, "Pyonce"))


def test_what_is_refused_says_why(client: Any) -> None:
    with pytest.raises(OperationOutcome, match="colour"):
        client.resources("Patient").search(colour="red").fetch()
    with pytest.raises(OperationOutcome, match=r"Patient\.gender"):
        client.resource("Patient", gender="rather").save()


def test_many_at_once(base: str) -> None:
    async def work() -> tuple[int, int, int]:
        client = AsyncFHIRClient(base)
        await asyncio.gather(*(patient(client, "Pymany").save() for _ in range(20)))
        found = client.resources("Patient").search(name="Pymany").limit(6)
        everyone = [one async for one in found]
        await asyncio.gather(*(one.delete() for one in everyone[:5]))
        raw = await found.fetch_raw()
        return len({one.id for one in everyone}), len(raw["entry"]), await found.count()

    assert awaited(work()) == (20, 6, 15)
