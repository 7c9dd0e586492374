"""A protocol as PlanDefinition and ActivityDefinitions: valid R4, whole, repeatable, without a dose for anybody."""

from __future__ import annotations

from itertools import pairwise

import fhirkit
import pytest

from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from adjunct.planning.protocols import names, protocol, with_settings
from adjunct.publish.frame import Json
from adjunct.publish.protocols import protocol_to_fhir
from test_publish import at_path, nodes, of, required_codes

KNOWLEDGE = Knowledge.load()
NOW = "2026-11-22T09:30:00+01:00"


def publish(name: str, language: str = "en", **given: object) -> Json:
    known = protocol(KNOWLEDGE, name)
    values = with_settings(known, {key.replace("__", "."): value for key, value in given.items()})
    return protocol_to_fhir(known, KNOWLEDGE, now_iso=NOW, values=values, language=language, software_version="0.1.0")


def plan_of(bundle: Json) -> Json:
    (plan,) = of(bundle, "PlanDefinition")
    return plan


def action(bundle: Json, id_: str) -> Json:
    return next(n for n in nodes(plan_of(bundle)["action"]) if n.get("id") == id_)


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("name", names(KNOWLEDGE))
def test_the_bundle_has_the_structure_of_r4(name: str, language: str) -> None:
    assert [str(i) for i in fhirkit.validate(publish(name, language))] == []


@pytest.mark.parametrize("name", names(KNOWLEDGE))
def test_required_codes_are_those_of_the_specification(name: str) -> None:
    checked = 0
    bundle = publish(name)
    for resource in (e["resource"] for e in bundle["entry"]):
        for path, allowed in required_codes(resource["resourceType"]):
            for code in at_path(resource, path.split(".")[1:]):
                assert code in allowed, f"{path}: {code}"
                checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", names(KNOWLEDGE))
def test_every_action_and_activity_that_is_named_is_there(name: str) -> None:
    bundle = publish(name)
    actions = [n["id"] for n in nodes(plan_of(bundle)["action"]) if "participant" in n]
    assert len(actions) == len(set(actions))
    related = [r["actionId"] for n in nodes(plan_of(bundle)) for r in n.get("relatedAction", ())]
    assert related
    assert set(related) <= set(actions)
    defined = {a["url"] for a in of(bundle, "ActivityDefinition")}
    used = {n["definitionCanonical"] for n in nodes(plan_of(bundle)) if "definitionCanonical" in n}
    assert used == defined


@pytest.mark.parametrize("name", names(KNOWLEDGE))
def test_nothing_orders_a_dose(name: str) -> None:
    for activity in of(publish(name), "ActivityDefinition"):
        assert activity["intent"] == "proposal"
        assert activity["kind"] in ("Appointment", "Task")
        assert not {"dosage", "productReference", "productCodeableConcept", "quantity"} & activity.keys()


def test_visits_follow_each_other_within_their_windows() -> None:
    bundle = publish("esketamine-trd")
    visits = action(bundle, "induction")["action"]
    assert [v["id"] for v in visits] == [f"induction.{n}" for n in range(1, 9)]
    assert "relatedAction" not in visits[0]
    for before, after in pairwise(visits):
        assert after["relatedAction"][0]["actionId"] == before["id"]
    ranges = [v["relatedAction"][0]["offsetRange"] for v in visits[1:]]
    assert [(r["low"]["value"], r["high"]["value"]) for r in ranges] == [(2, 4), (3, 5)] * 3 + [(2, 4)]
    first = action(bundle, "weekly")["action"][0]["relatedAction"][0]
    assert (first["actionId"], first["offsetRange"]["low"]["value"]) == ("induction.8", 2)


def test_what_the_label_says_of_the_first_dose_stands_at_the_first_visit_only() -> None:
    first, second = action(publish("esketamine-trd"), "induction")["action"][:2]
    assert "56 mg on day one" in first["description"]
    assert "If latest(age) >= fact('age.older'):" in first["description"]
    assert "description" not in second
    (visit,) = (a for a in of(publish("esketamine-trd"), "ActivityDefinition") if a["url"].endswith("visit.induction"))
    assert "Stay after it, at least: 2 hours." in visit["description"]
    assert "56 mg or 84 mg" in visit["description"]
    assert "on day one" not in visit["description"]


def test_a_phase_that_goes_on_has_its_rhythm_and_its_end() -> None:
    repeat = action(publish("esketamine-trd", maintenance__gap="2 wk"), "maintenance")["timingTiming"]["repeat"]
    assert (repeat["period"], repeat["periodUnit"]) == (2, "wk")
    assert repeat["boundsDuration"]["value"] == 26


def test_a_choice_between_ladders_is_a_condition_and_each_ladder_follows_itself() -> None:
    bundle = publish("ketamine-iv-maintenance")
    monthly = action(bundle, "canbind-monthly")
    assert monthly["condition"][0]["expression"]["expression"] == "maintenance.pattern = 'can-bind'"
    assert monthly["action"][0]["relatedAction"][0]["actionId"] == "canbind-fortnightly.4"
    assert "relatedAction" not in action(bundle, "canbind-weekly.1")


def test_conditions_prerequisites_and_events() -> None:
    bundle = publish("esketamine-trd")
    test = action(bundle, "before.pregnancy-test")
    assert test["condition"][0]["expression"] == {
        "language": "text/x-adjunct-rule",
        "expression": "exists(pregnancy_possible)",
    }
    assert {r["relationship"] for r in test["relatedAction"]} == {"before-start"}
    assert action(bundle, "before.escort")["participant"][0]["type"] == "patient"
    assert action(bundle, "review.end-of-induction")["relatedAction"] == [
        {"actionId": "induction.8", "relationship": "after-end"}
    ]
    worse = action(bundle, "missed.later-worse")
    assert worse["trigger"] == [{"type": "named-event", "name": "visit-missed"}]
    assert [c["expression"]["expression"] for c in worse["condition"]] == [
        "phase in (weekly, maintenance)",
        "worse = yes",
    ]
    form = action(bundle, "task.rems-form")["relatedAction"][0]
    assert (form["relationship"], form["offsetDuration"]["value"], form["offsetDuration"]["code"]) == (
        "after-end",
        7,
        "d",
    )


def test_settings_say_their_bounds_their_source_and_that_a_default_is_ours() -> None:
    bundle = publish("ketamine-iv-induction", induction__visits=4)
    (settings,) = (r for r in of(bundle, "Library") if r["url"].endswith(":settings"))
    said = {p["name"]: p["documentation"] for p in settings["parameter"]}
    assert "4, set by the clinic; it may be 4 to 6 (verified; Phillips JL" in said["induction.visits"]
    assert "48 hours, the default; it may be 48 to 96 h (this project's default" in said["dose.gap.least"]
    assert len(action(bundle, "two-a-week")["action"]) == 4


def test_the_same_protocol_is_the_same_resources_and_another_setting_another() -> None:
    assert publish("mbct") == publish("mbct")
    assert publish("cbt")["id"] != publish("cbt", sessions=12)["id"]
    assert plan_of(publish("cbt", "es"))["title"] == "Terapia cognitivo-conductual"


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(BadInput):
        protocol_to_fhir(protocol(KNOWLEDGE, "cbt"), KNOWLEDGE, now_iso="2026-11-22T09:30:00")
