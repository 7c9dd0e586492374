"""What broken or hostile entries must not do to a session: end the day's judging, shorten the stay, make two of one."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from adjunct.base import BadInput, Instant, instant
from adjunct.knowledge import Knowledge
from adjunct.session.discharge import gate
from adjunct.session.model import Event, Held
from adjunct.session.readiness import readiness
from adjunct.session.stock import read_ledger, reconcile
from adjunct.session.watch import read_items
from adjunct.session.written import replay
from adjunct.terminal import show_stock
from sessions import Log, at

KNOWLEDGE = Knowledge.load()


@pytest.mark.parametrize(("name", "value"), [("weight", 700), ("weight", 0), ("glucose", 0), ("spo2_baseline", 0)])
def test_an_answer_that_cannot_be_ends_no_session(name: str, value: float) -> None:
    log = Log(KNOWLEDGE)
    log.add(-5, "readiness", **{name: value})
    log.add(-4, "vitals", spo2=70)
    assert name not in log.state.readings
    assert log.state.episodes


def test_the_stay_is_not_shortened_by_a_clock_ahead_and_a_correction() -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    name = log.put(5, "device-given", {"number": 1, "dose": 28}, late=-5)  # written as of 9:05, arrived at 9:00
    log.add(10, "correction", corrects=name, reason="typo", at="2027-01-11T07:00:00+01:00")
    assert gate(log.state, at(20), KNOWLEDGE).may_leave_from == at(120)


@pytest.mark.parametrize("witness", ["Nurse Ｉto", "Nurse Ito\u200d", "Nurse Ito\ufe0f", "monitor-1"])
def test_a_dose_is_withdrawn_by_two_persons(witness: str) -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    log.add(-20, "device-assigned", device="monitor-1")
    log.devices(number=1)
    name = next(e.id for e in log.events if e.type == "device-given")
    log.add(10, "correction", corrects=name, reason="typo", withdrawn=True, witness=witness)
    assert gate(log.state, at(20), KNOWLEDGE).may_leave_from == at(120)


def test_a_device_corrects_only_what_it_said_itself() -> None:
    log = Log(KNOWLEDGE, "esketamine-nasal")
    log.devices(number=1)
    name = next(e.id for e in log.events if e.type == "device-given")
    data = {"corrects": name, "reason": "x", "withdrawn": True, "witness": "Nurse Lund"}
    log.put(10, "correction", data, by="monitor-1", source="monitor-1")
    assert gate(log.state, at(20), KNOWLEDGE).may_leave_from == at(120)
    assert list(log.history().unread())


@pytest.mark.parametrize("received", ["x", 1e300, {"a": 1}, True, 99999999999999999, -99999999999999999])
def test_a_forged_line_of_what_was_kept_aside_is_kept_aside(received: Any) -> None:
    line = json.dumps({"held": {"raw": "x", "where": "y", "why": "z", "received": received}}, separators=(",", ":"))
    log = Log(KNOWLEDGE)
    items = [*log.events, *read_items([line], log.shape)]
    assert isinstance(items[-1], Held)
    assert replay(items, KNOWLEDGE).to_json()


def test_a_pump_that_hardly_runs_has_no_end() -> None:
    log = Log(KNOWLEDGE)
    log.add(0, "infusion-started", rate=1e-300, concentration=1e-300, volume=1e300)
    assert replay(log.events, KNOWLEDGE).to_json()


@pytest.mark.parametrize("year", ["2037", "9999"])
def test_one_clock_years_ahead_does_not_cost_the_answer(year: str) -> None:
    """Hangs today: `gaps` walks every quarter of an hour until then."""
    log = Log(KNOWLEDGE)
    log.infusion()
    late = instant(f"{year}-01-01T00:00:00Z").ms
    note = Event("z", at(30), late, "note", "Nurse Ito", "chair", {"text": "x"})
    assert len(replay([*log.events, note], KNOWLEDGE).to_dict()["gaps"]) < 1000


@pytest.mark.parametrize("patient", ["1", "https://clinic.example/fhir/Patient/1", "patient/1"])
def test_the_record_of_another_person_is_refused_however_the_first_is_named(patient: str) -> None:
    log = Log(KNOWLEDGE, ready=False)
    log.add(-40, "checked-in", patient=patient, treatment="ketamine-iv")
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "2"}}]}
    with pytest.raises(BadInput, match="another person"):
        readiness(log.state, KNOWLEDGE, now=Instant(at(0)), bundle=bundle)


def test_a_lot_is_words_on_a_terminal() -> None:
    entry = {"id": "r", "at": "2026-11-22T08:00:00Z", "received": "2026-11-22T08:00:00Z", "kind": "received"}
    entry |= {"by": "A", "witness": "B", "product": "[/red]", "lot": "[bold]K7", "units": 1, "expiry": "2030-01"}
    found = list(read_ledger([json.dumps(entry)], KNOWLEDGE))
    now, out = instant("2026-11-23T00:00:00Z"), io.StringIO()
    book = reconcile(found, now.ms, KNOWLEDGE)
    show_stock(book, [], now, Console(file=out, width=120))
    assert "[bold]K7" in out.getvalue()
