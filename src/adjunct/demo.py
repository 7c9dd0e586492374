"""Invented people that come with Adjunct: records to try the commands on, Mara, whose half year the demo tells, and a
synthetic clinic in a record of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from adjunct.base import BadInput, Instant, Refused, instant, partial_date

if TYPE_CHECKING:
    from adjunct.knowledge import Knowledge


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the bundle describes, and the question that is asked of it."""

    file: str
    story: str
    treatment: str
    phase: str
    at: str
    country: str


PEOPLE = (
    Person(
        "ana-first-visit.json",
        "Ana, 44, sertraline 150 mg, two trials without response, history and medicines reviewed today.",
        "esketamine-nasal",
        "intake",
        "2026-11-21T09:00:00-06:00",
        "US",
    ),
    Person(
        "ben-kratom-this-morning.json",
        "Ben, 33, sertraline 200 mg and 25 g of kratom powder a day, last taken five hours ago; first infusion today.",
        "ketamine-iv",
        "pre-dose",
        "2026-11-21T09:00:00-06:00",
        "US",
    ),
    Person(
        "carla-two-antidepressants.json",
        "Carla, 58, phenelzine, a new prescription for sertraline, and a blood pressure of 168/102 before her spray.",
        "esketamine-nasal",
        "pre-dose",
        "2026-11-21T09:00:00+01:00",
        "ES",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One moment of Mara's story. `shows`: request, assess, plan, day, follow or report; `phase` for assess."""

    at: str
    story: str
    shows: str
    phase: str = ""
    order: str = "mara-start.toml"


RECORD, REQUEST, CLINIC = "mara-story.json", "mara-request.toml", "mara-clinic.toml"
PROTOCOL, TREATMENT, START, COUNTRY, LANGUAGE = "esketamine-trd", "esketamine-nasal", "2026-06-01", "US", "es"
DECIDED = "mara-order.toml"
DAY_LOG = "mara-day.jsonl"
SCENES = (
    Scene(
        at="2026-05-04T20:12:00-05:00",
        shows="request",
        story="Mara, 41, cannot bear another month like this. In the evening she answers the clinic's first questions, "
        "in Spanish. Where she is, a number to call back and the local emergency number come before anything else.",
    ),
    Scene(
        at="2026-05-11T10:55:00-05:00",
        shows="assess",
        phase="intake",
        story="First visit. Her blood pressure is too high, and nobody has done a pregnancy test.",
    ),
    Scene(
        at="2026-05-11T10:55:00-05:00",
        shows="plan",
        story="A plan can be drawn up all the same: it begins with what is open.",
    ),
    Scene(
        at="2026-05-26T11:15:00-05:00",
        shows="report",
        story="Two weeks later both are done. Her papers are written, in Spanish, with all that comes before day one.",
    ),
    Scene(
        at="2026-06-01T09:40:00-05:00",
        shows="assess",
        phase="pre-dose",
        story="The first day, before the spray: measured anew, asked anew.",
    ),
    Scene(
        at="2026-06-01T12:10:00-05:00",
        shows="day",
        story="Two hours in the chair. Her pressure jumps at minute 40, a nurse comes, it settles. Home with a friend.",
    ),
    Scene(
        at="2026-07-27T12:00:00-05:00",
        shows="follow",
        order=DECIDED,
        story="Eight weeks on she bakes on Sundays again. Is it more than the error of the scale?",
    ),
    Scene(
        at="2026-10-28T09:00:00-05:00",
        shows="plan",
        order=DECIDED,
        story="In October a child was ill and she missed a visit. She says that she is fine. Her score says otherwise.",
    ),
    Scene(
        at="2026-11-20T17:00:00-06:00",
        shows="report",
        order=DECIDED,
        story="Month six: the review. What helped, what it cost, whether to go on.",
    ),
)


def bundle_path(file: str) -> Path:
    """Where an example lies in the installed package."""
    return Path(str(resources.files("adjunct") / "examples" / file))


DATES = ("authored", "effectiveDateTime", "sent", "dateAsserted", "recordedDate", "dateTime", "issued")
PERIODS = ("effectivePeriod", "period")


def until(bundle: Mapping[str, Any], at: str) -> dict[str, Any]:
    """The record as it stood at an instant: what is dated later is not in it yet; what has no date always was."""
    now = instant(at)
    offset: timedelta = now.offset
    kept = [e for e in bundle["entry"] if not (when := dated(e["resource"])) or partial_date(when, offset)[0] <= now.ms]
    return {**bundle, "timestamp": at, "entry": kept}


def dated(resource: Mapping[str, Any]) -> str:
    """When a resource was written, or what it says happened; empty for what has no date, such as the person."""
    starts = (resource[p]["start"] for p in PERIODS if "start" in resource.get(p, {}))
    return str(next((resource[d] for d in DATES if d in resource), next(starts, "")))


# --- the synthetic clinic in a record ---------------------------------------------------------------------------------

BASE = "http://localhost/fhir"  # while nobody asks over HTTP


class Question(NamedTuple):
    """Something to ask the server, in words and as a search."""

    asks: str
    search: str


QUESTIONS = (
    Question(
        "Who takes kratom now?",
        "MedicationStatement?code=urn:adjunct:concept|kratom-leaf&status=active&_include=MedicationStatement:subject",
    ),
    Question(
        "Whose systolic pressure was 150 or more, newest first?",
        "Observation?component-code-value-quantity=http://loinc.org|8480-6$ge150&_sort=-date&_include=Observation:subject",
    ),
    Question(
        "Who missed a visit?",
        "Patient?_has:Appointment:patient:status=noshow",
    ),
)


def seed_record(
    database: str,
    knowledge: Knowledge,
    *,
    people: int,
    seed: int,
    light: bool = False,
    clock: Callable[[], int],
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the synthetic clinic into an empty record; how many resources. One that holds it already stays as it is.

    `light`: no day is played minute by minute. `progress` hears how many resources are there so far. Raises `BadInput`
    for a record that holds anything else: invented people do not go among real ones.
    """
    from adjunct.fhir.load import load
    from adjunct.serve.service import open_service
    from adjunct.synthetic import clinic

    service = open_service(database, BASE, clock=clock)
    try:
        with service.repository.reading() as record:
            if record.read("Organization", knowledge.content["synthetic"]["clinic"]["id"]) is not None:
                return 0
            if record.newest_key():
                raise BadInput("there is a record here already: invented people need one of their own", "--database")
        bundles = clinic(seed, people, knowledge, now=Instant(clock()), light=light)
        lines = (orjson.dumps(entry["resource"]) for bundle in bundles for entry in bundle["entry"])
        loaded = load(service.repository, [("synthetic", lines)], service.rules, progress=progress)
    finally:
        service.repository.close()
    if loaded.refused:
        raise Refused(f"{len(loaded.refused)} invented resources are not FHIR R4: tell us", loaded.refused[0].source)
    return loaded.stored
