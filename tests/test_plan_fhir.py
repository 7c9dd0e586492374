"""A plan as FHIR: valid R4 by someone else's reading, complete, repeatable; nothing booked, nothing ordered."""

from __future__ import annotations

from typing import Any

import fhirkit
import pytest

from adjunct.publish import plan_to_fhir
from cases.worked_cases import CASES
from test_plan import CHICAGO, change, followed, planned
from test_publish import of

Json = dict[str, Any]
DEFERRED = next(c for c in CASES if c.id == "D07")
ESCALATED = next(c for c in CASES if c.decision == "ESCALATE")


def plans() -> dict[str, Json]:
    return {
        "active": planned().to_dict(),
        "waiting": planned(DEFERRED, protocol="ketamine-iv-induction").to_dict(),
        "none": planned(ESCALATED).to_dict(),
        "followed": followed((6, 5, 5)),
        "held": followed((6, 5, 5), order={"change": [change("hold", 1)]}, clinic=CHICAGO),
        "reduction": planned(protocol="kratom-reduction").to_dict(),
        "spanish": planned(language="es").to_dict(),
    }


PLANS = plans()


@pytest.mark.parametrize("patient", ["Patient/p", None])
@pytest.mark.parametrize("name", PLANS)
def test_valid_r4(name: str, patient: str | None) -> None:
    assert [str(i) for i in fhirkit.validate(plan_to_fhir(PLANS[name], patient_reference=patient))] == []


def test_every_visit_is_in_the_plan_once() -> None:
    found = PLANS["followed"]
    bundle = plan_to_fhir(found, patient_reference="Patient/p")
    (plan,) = of(bundle, "CarePlan")
    appointments = {a["identifier"][0]["value"] for a in of(bundle, "Appointment")}
    past = {a["detail"]["code"]["coding"][0]["code"] for a in plan["activity"] if "detail" in a}
    assert not appointments & past
    assert appointments | past == {v["id"] for v in found["visits"]}
    assert {a["status"] for a in of(bundle, "Appointment")} == {"proposed"}
    assert {t["intent"] for t in of(bundle, "Task")} == {"proposal"}


def test_what_is_open_is_a_task_and_the_plan_a_draft() -> None:
    bundle = plan_to_fhir(PLANS["waiting"], patient_reference="Patient/p")
    (plan,) = of(bundle, "CarePlan")
    assert plan["status"] == "draft"
    tasks = {t["identifier"][0]["value"] for t in of(bundle, "Task")}
    assert tasks >= {f"open:{o['id']}" for o in PLANS["waiting"]["open"]}


def test_an_emergency_is_told_and_nothing_planned() -> None:
    bundle = plan_to_fhir(PLANS["none"], patient_reference="Patient/p")
    assert not of(bundle, "CarePlan")
    (told,) = of(bundle, "Communication")
    assert PLANS["none"]["told"][0] in told["payload"][0]["contentString"]


def test_the_same_plan_is_the_same_resources() -> None:
    first, again = (plan_to_fhir(PLANS["active"], patient_reference="Patient/p") for _ in range(2))
    assert first == again


def test_references_inside_the_bundle_resolve() -> None:
    for found in PLANS.values():
        bundle = plan_to_fhir(found, patient_reference="Patient/p")
        urls = {e["fullUrl"] for e in bundle["entry"]}
        for plan in of(bundle, "CarePlan"):
            for activity in plan.get("activity", ()):
                assert activity.get("reference", {}).get("reference", next(iter(urls))) in urls
