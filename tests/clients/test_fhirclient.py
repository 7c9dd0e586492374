"""PyPI `fhirclient` (SMART on FHIR) against the running server, by its own models and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle, BundleEntry, BundleEntryRequest
from fhirclient.models.humanname import HumanName
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException

from served import base  # noqa: F401  a fixture


@pytest.fixture
def server(base: str) -> Iterator[Any]:
    client = FHIRClient(settings={"app_id": "adjunct_tests", "api_base": base})
    client.prepare()  # reads the CapabilityStatement as a model: that alone finds many a fault in it
    yield client.server
    client.server.session.close()


def patient(family: str) -> Patient:
    return Patient({"resourceType": "Patient", "name": [{"family": family, "given": ["Ana", "M."]}], "active": True})


def weight(of: str, kg: float, day: int) -> Observation:
    return Observation(
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "subject": {"reference": f"Patient/{of}"},
            "effectiveDateTime": f"2026-11-{day:02}",
            "valueQuantity": {"value": kg, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
        }
    )


def test_the_server_says_what_it_can(server: Any) -> None:
    said = server.capabilityStatement
    assert (said.fhirVersion, said.rest[0].mode) == ("4.0.1", "server")
    assert len(said.rest[0].resource) > 140


def test_create_read_update_history_delete(server: Any) -> None:
    made = patient("Fclife").create(server)
    found = Patient.read(made["id"], server)
    assert (found.name[0].family, found.meta.versionId) == ("Fclife", "1")
    found.name.append(HumanName({"family": "Fclater"}))
    assert found.update()["meta"]["versionId"] == "2"
    versions = Bundle.read_from(f"Patient/{found.id}/_history", server)
    assert [(e.request.method, e.resource.meta.versionId) for e in versions.entry] == [("PUT", "2"), ("PUT", "1")]
    assert len(Patient.read_from(f"Patient/{found.id}/_history/1", server).name) == 1
    assert found.delete() is None
    with pytest.raises(requests.HTTPError, match="410"):
        Patient.read(found.id, server)
    with pytest.raises(FHIRNotFoundException):
        Patient.read("nobody", server)


def test_search_turns_the_pages_and_includes(server: Any) -> None:
    own = patient("Fcpages").create(server)["id"]
    for day in range(1, 8):
        weight(own, 70 + day / 4, day).create(server)
    asked = {"subject": f"Patient/{own}", "_sort": "-date", "_count": "3", "_include": "Observation:subject"}
    pages = list(Observation.where(asked).perform_iter(server))
    assert [[e.search.mode for e in page.entry].count("match") for page in pages] == [3, 3, 1]
    assert [[e.resource.id for e in page.entry if e.search.mode == "include"] for page in pages] == [[own]] * 3
    found = [r for r in Observation.where(asked).perform_resources_iter(server) if r.resource_type == "Observation"]
    assert [o.effectiveDateTime.isostring[:10] for o in found] == [f"2026-11-0{day}" for day in range(7, 0, -1)]
    grams = "gt71000|http://unitsofmeasure.org|g"
    heavy = Observation.where({"subject:Patient.family": "fcpages", "value-quantity": grams, "date": "lt2026-11-07"})
    assert [o.valueQuantity.value for o in heavy.perform_resources_iter(server)] == [71.25, 71.5]


def test_a_transaction_is_posted_to_the_base(server: Any) -> None:
    bundle = Bundle()
    bundle.type = "transaction"
    bundle.entry = []
    subject = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"
    for resource, name in ((patient("Fctogether"), subject), (weight("x", 80.5, 9), None)):
        if name is None:
            resource.subject.reference = subject
        entry = BundleEntry({"request": {"method": "POST", "url": resource.resource_type}})
        entry.fullUrl, entry.resource = name, resource
        bundle.entry.append(entry)
    assert isinstance(bundle.entry[0].request, BundleEntryRequest)
    answer = Bundle(server.post_json("", bundle.as_json()).json())
    assert [e.response.status[:3] for e in answer.entry] == ["201", "201"]
    who, what = (e.resource for e in answer.entry)
    assert what.subject.reference == f"Patient/{who.id}"


def test_what_is_refused_says_why(server: Any) -> None:
    with pytest.raises(requests.HTTPError) as refused:
        list(Observation.where({"colour": "red"}).perform_iter(server))
    issue = refused.value.response.json()["issue"][0]
    assert (issue["code"], issue["expression"]) == ("not-supported", ["colour"])
