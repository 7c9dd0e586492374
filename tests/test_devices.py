"""Monitors speak: every row of a message, every clock, every way to go wrong, and that nothing received is lost."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import convert, instant
from adjunct.devices.fhir import to_fhir
from adjunct.devices.files import messages_of, read_files
from adjunct.devices.hl7v2 import acknowledgement, framed, frames, to_hl7
from adjunct.devices.report import Words
from adjunct.devices.stream import Stream
from adjunct.knowledge import Knowledge
from adjunct.session.events import IMPLAUSIBLE, Shape, line, read_event
from adjunct.session.model import Event, Held
from adjunct.session.watch import log_line, read_items

CASES = Path(__file__).parent / "cases"
KNOWLEDGE = Knowledge.load()
SHAPE = Shape.of(KNOWLEDGE)
T = instant("2026-11-22T10:00:00+01:00").ms
SECOND, MINUTE = 1000, 60_000
ORDINARY = {
    "systolic": 128.0,
    "diastolic": 82.0,
    "heart_rate": 74.0,
    "spo2": 97.0,
    "resp_rate": 15.0,
    "temperature": 36.8,
}
DANGER = {"spo2": 78.0}
SURE = {"systolic": (35, 99), "temperature": (30, 60)}  # numbers that look like no other unit
HEAD = "MSH|^~\\&|m3||||20261122100000+0100||ORU^R01^ORU_R01|{control}|P|2.6|||NE|AL||UNICODE UTF-8\r"
ROW = "OBX|1|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1|{value}|%|||||{status}|||{time}||||{device}\r"


def tied(*, patient="Patient/7", session="s1", device="m3", since=T, also=None) -> Stream:
    """A floor on which one person is checked in and one monitor is on that person."""
    stream = Stream(KNOWLEDGE, also)
    data = {"patient": patient, "treatment": "ketamine-iv"}
    stream.see(Event("in", since, since, "checked-in", "nurse", "chair", data, session))
    stream.see(Event("tie", since, since, "device-assigned", "nurse", "chair", {"device": device}, session))
    return stream


def vitals(at=T, ident="e1", device="m3", offset=timedelta(hours=1), **data) -> Event:
    return Event(ident, at, at, "vitals", device, device, data or ORDINARY, "s1", offset)


def at(second: int, lag: int = 0, **data) -> bytes:
    """A message that the monitor sends so many seconds after the start, its clock `lag` ms ahead of ours."""
    event = vitals(T + second * SECOND + lag, f"n{second}", **(data or {"spo2": 97.0}))
    return to_hl7(event, KNOWLEDGE)


def feed(stream: Stream, *sent: tuple[bytes, int]) -> list[Event | Held]:
    return [out for raw, second in sent for out in stream.feed(raw, T + second * SECOND)]


def judged(outcome: list[Event | Held], **data: float) -> bool:
    """Whether a value can be seen in what came out, as an event or aside."""
    events = [o.event if isinstance(o, Held) else o for o in outcome]
    return any(e and data.items() <= e.data.items() for e in events)


# --- rows -------------------------------------------------------------------------------------------------------------


def cases() -> list[dict[str, str]]:
    with (CASES / "device_rows.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["case"])
def test_a_row_becomes_what_its_line_says(case):
    raw = f"{HEAD.format(control=1)}OBX|1|{case['obx']}|||20261122100000+0100\r"
    (out,) = tied().feed(raw.encode(), T + 200)
    event = out.event if isinstance(out, Held) else out
    assert ("held" if isinstance(out, Held) else out.type) == case["becomes"]
    assert case["says"] in (out.why if isinstance(out, Held) else str(out.data.get("text", "")))
    if isinstance(out, Held):
        assert out.raw == raw
    told = dict(pair.split("=") for pair in case["data"].removesuffix(" implausible").split())
    if told:
        ((name, value),) = told.items()
        assert event.data[name] == pytest.approx(float(value), abs=0.05)
        assert (IMPLAUSIBLE in event.data) == case["data"].endswith("implausible")
    elif isinstance(out, Held):
        assert event is None


@pytest.mark.parametrize("write", [to_hl7, to_fhir])
@given(
    data=st.fixed_dictionaries(
        {}, optional={m: st.integers(*SURE.get(m, (0, 99))).map(float) for m in sorted(ORDINARY)}
    ).filter(bool),
    late=st.integers(0, 4999),
    zone=st.integers(-48, 56),
)
def test_what_is_written_is_read_back(write, data, late, zone):
    event = vitals(T, offset=timedelta(minutes=15 * zone), **data)
    (out,) = tied().feed(write(event, KNOWLEDGE, patient="Patient/7"), T + late)
    assert isinstance(out, Event)
    assert {k: v for k, v in out.data.items() if k != IMPLAUSIBLE} == data
    assert (out.at, out.received, out.session, out.source, out.offset) == (T, T + late, "s1", "m3", event.offset)


@pytest.mark.parametrize("write", [to_hl7, to_fhir])
def test_a_value_keeps_its_meaning_in_another_unit(write):
    units = {"systolic": "kPa", "temperature": "[degF]"}
    sent = vitals(systolic=convert(180, "mm[Hg]", "kPa"), temperature=98.6)
    (out,) = tied().feed(write(sent, KNOWLEDGE, units=units), T)
    assert out.data == pytest.approx({"systolic": 180.0, "temperature": 37.0})


@pytest.mark.parametrize("write", [to_hl7, to_fhir])
def test_what_a_monitor_no_longer_gives_is_noted_once_and_is_no_reading(write):
    stream = tied()
    messages = [write(vitals(T + n * SECOND, f"n{n}", spo2=97.0), KNOWLEDGE, silent=("heart_rate",)) for n in range(3)]
    outs = [stream.feed(raw, T + n * SECOND) for n, raw in enumerate(messages)]
    assert [[o.type for o in out] for out in outs] == [["note", "vitals"], ["vitals"], ["vitals"]]
    assert all(o.data == {"spo2": 97.0} for out in outs for o in out if o.type == "vitals")


def test_the_preferred_of_two_readings_comes_last_and_none_is_lost():
    rows = (
        "OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC|1|71|bpm|||||R|||20261122100000+0100\r"
        "OBX|2|NM|149530^MDC_PULS_OXIM_PULS_RATE^MDC|1|0|bpm|||||R|||20261122100000+0100\r"
    )
    out = tied().feed((HEAD.format(control=1) + rows).encode(), T)
    assert [e.data for e in out] == [{"heart_rate": 0.0}, {"heart_rate": 71.0}]
    assert out[0].id < out[1].id  # so they stand in this order in the record too


# --- the same again ---------------------------------------------------------------------------------------------------


def test_a_doubled_message_counts_once():
    stream = tied()
    assert len(feed(stream, (at(0), 0), (at(0), 1), (framed(at(0)), 2))) == 1
    assert stream.counts["doubled"] == 2


def test_one_id_with_two_contents_is_held_and_judged():
    stream = tied()
    feed(stream, (at(0), 0))
    (out,) = feed(stream, (to_hl7(vitals(T + SECOND, "n0", **DANGER), KNOWLEDGE), 1))
    assert isinstance(out, Held)
    assert "other content" in out.why
    assert judged([out], **DANGER)


def test_a_counter_that_begins_anew_after_an_hour_is_a_new_message():
    stream = tied()
    later = 61 * 60
    again = to_hl7(vitals(T + later * SECOND, "n0", spo2=96.0), KNOWLEDGE)
    assert [type(o) for o in feed(stream, (at(0), 0), (again, later))] == [Event, Event]


@pytest.mark.parametrize(("since", "becomes"), [(T - 6 * MINUTE, Event), (T, Held)], ids=["its own", "of whom?"])
def test_the_last_cuff_pressure_in_every_message_is_one_reading(since, becomes):
    stream, cuff = tied(since=since), "OBX|2|NM|150021^x^MDC|1|147|mmHg|||||R|||20261122095500+0100\r"
    outs = []
    for n in range(3):
        head = HEAD.format(control=n).replace("100000", f"10000{n}")
        row = ROW.format(value=97, status="R", time=f"2026112210000{n}+0100", device="m3")
        outs += stream.feed((head + row + cuff).encode(), T + n * SECOND)
    (pressure,) = [o for o in outs if judged([o], systolic=147.0)]
    assert isinstance(pressure, becomes)
    assert getattr(pressure, "event", pressure).at == T - 5 * MINUTE
    assert [o.data["spo2"] for o in outs if isinstance(o, Event) and "spo2" in o.data] == [97.0, 97.0, 97.0]
    assert stream.counts["repeated"] == 2


# --- kPa sent as mmHg -------------------------------------------------------------------------------------------------


def pressures(systolic: float, diastolic: float, wire: str, unit: str) -> bytes:
    """One cuff reading with a heart rate, in numbers that stand under a unit that need not be theirs."""
    values = {"systolic": systolic, "diastolic": diastolic, "heart_rate": 71.0}
    if wire == "hl7":
        return to_hl7(vitals(**values), KNOWLEDGE).replace(b"mm[Hg]^mm[Hg]^UCUM", unit.encode())
    bundle = json.loads(to_fhir(vitals(**values), KNOWLEDGE))
    for entry in bundle["entry"]:
        for part in entry["resource"].get("component", ()):
            part["valueQuantity"] = {"value": part["valueQuantity"]["value"], "unit": unit}
    return json.dumps(bundle).encode()


@pytest.mark.parametrize("wire", ["hl7", "fhir"])
@pytest.mark.parametrize("unit", ["mm[Hg]", "mmHg", "MDC_DIM_MMHG", ""])
@pytest.mark.parametrize(
    ("systolic", "diastolic", "doubted"),
    [
        (24.9, 14.0, {"systolic", "diastolic"}),  # 187/105 in kPa
        (34.9, 20.0, {"systolic", "diastolic"}),
        (24.9, 40.0, {"systolic"}),  # 40 kPa is no diastolic pressure: it stands
        (35.0, 14.0, set()),  # low, and judged as that
        (120.0, 14.0, set()),
        (47.0, 20.0, set()),
        (0.0, 0.0, set()),  # nothing, in either unit
    ],
)
def test_a_pressure_that_only_makes_sense_in_kpa_is_taken_in_neither_unit(wire, unit, systolic, diastolic, doubted):
    outs = tied().feed(pressures(systolic, diastolic, wire, unit), T)
    held = [o for o in outs if isinstance(o, Held) and "looks like kPa" in o.why]
    assert {o.why.split()[0] for o in held} == doubted
    assert all(o.event is None and str(systolic) not in o.why for o in held)
    for measure, value in (("systolic", systolic), ("diastolic", diastolic)):
        assert judged(outs, **{measure: value}) == (measure not in doubted)
    assert judged([o for o in outs if isinstance(o, Event)], heart_rate=71.0)


def test_a_temperature_that_only_makes_sense_in_fahrenheit_is_taken_in_neither_unit():
    (out,) = tied().feed(to_hl7(vitals(temperature=98.6), KNOWLEDGE), T)
    assert isinstance(out, Held)
    assert "looks like [degF]" in out.why
    assert out.event is None


def test_another_monitors_pressure_in_the_same_message_is_not_doubted():
    row = "OBX|{n}|NM|{code}^x^MDC|1|{value}|mmHg|||||R|||20261122100000+0100||||{device}\r"
    rows = (
        row.format(n=1, code="150021", value="24.9", device="m3"),
        row.format(n=2, code="150022", value="30", device="m4"),
    )
    outs = tied().feed((HEAD.format(control=1) + "".join(rows)).encode(), T)
    assert judged(outs, diastolic=30.0)
    assert not judged(outs, systolic=24.9)


# --- corrections ------------------------------------------------------------------------------------------------------


def corrected(status: str, value: str) -> list[Event | Held]:
    stream, first = tied(), to_hl7(vitals(spo2=67.0, heart_rate=80.0), KNOWLEDGE)
    row = ROW.format(value=value, status=status, time="20261122100000+0100", device="m3")
    return feed(stream, (first, 0), ((HEAD.format(control=2) + row).encode(), 60))


@pytest.mark.parametrize(
    ("status", "value", "change"),
    [
        ("C", "97", {"data": {"spo2": 97.0, "heart_rate": 80.0}}),
        ("C", "104", {"data": {"spo2": 104.0, "heart_rate": 80.0, IMPLAUSIBLE: ("spo2",)}}),
        ("D", "", {"data": {"heart_rate": 80.0}}),
        ("W", "", {"withdrawn": True}),
    ],
)
def test_a_correction_names_what_it_corrects_and_keeps_the_rest(status, value, change):
    first, correction = corrected(status, value)
    assert (correction.type, correction.data["corrects"]) == ("correction", first.id)
    assert {k: v for k, v in correction.data.items() if k in ("data", "withdrawn")} == change
    assert correction.data["reason"] == "m3 sent a correction"


@pytest.mark.parametrize(("value", "unit"), [("24.9", "mmHg"), ("97", "furlong"), ("97", "")])
def test_a_correction_that_cannot_be_read_takes_nothing_back(value, unit):
    stream = tied()
    measure = "systolic" if unit == "mmHg" else "spo2"
    stream.feed(to_hl7(vitals(**{measure: 96.0}), KNOWLEDGE), T)
    raw = to_hl7(vitals(ident="e2", **{measure: 90.0}), KNOWLEDGE, status="C")
    for sent in (b"|90|mm[Hg]^mm[Hg]^UCUM|", b"|90|%^%^UCUM|"):
        raw = raw.replace(sent, f"|{value}|{unit}|".encode())
    (out,) = stream.feed(raw, T + SECOND)
    assert isinstance(out, Held)
    assert "takes back" not in out.why


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_within_seconds_is_left_as_it_is():
    outs = feed(stream := tied(), *((at(n, lag=-3000), n) for n in range(5)))
    assert [o.at for o in outs] == [T + n * SECOND - 3000 for n in range(5)]
    assert stream.clocks["m3"].skew == 3000


@pytest.mark.parametrize("lag", [-7 * MINUTE, 7 * MINUTE])
def test_a_wrong_clock_is_measured_told_once_and_set_right(lag):
    outs = feed(tied(), *((at(n, lag=lag), n) for n in range(5)))
    assert [o.at for o in outs if o.type == "vitals"] == [T + n * SECOND for n in range(5)]
    assert [o.data["text"] for o in outs if o.type == "note"] == [
        f"m3 has a clock that is 420 s {'ahead' if lag > 0 else 'behind'}: its times are set right."
    ]


def test_nothing_is_measured_after_it_arrived():
    (out,) = feed(tied(), (at(0, lag=4000), 0))
    assert out.at == out.received == T


@pytest.mark.parametrize("jump", [-60 * MINUTE, -30 * SECOND, 30 * SECOND, 60 * MINUTE])
def test_a_danger_right_after_a_clock_jump_is_judged_at_once_and_placed_later(jump):
    stream = tied()
    feed(stream, *((at(n), n) for n in range(60)))
    first = feed(stream, (at(60, lag=jump, **DANGER), 60))
    assert judged(first, **DANGER)
    assert all(o.event.at == T + 60 * SECOND for o in first if isinstance(o, Held))
    rest = feed(stream, *((at(n, lag=jump, **DANGER), n) for n in range(61, 70)))
    placed = {o.at for o in rest if isinstance(o, Event) and o.type == "vitals"}
    assert placed == {T + n * SECOND for n in range(60, 70)}
    assert stream.clocks["m3"].changes == 1
    (slow,) = feed(stream, (at(80, lag=jump), 120))  # forty seconds on the wire, in order: no doubt about it
    assert slow.at == T + 80 * SECOND


def test_a_message_from_the_future_is_placed_at_its_arrival():
    stream = tied()
    feed(stream, *((at(n), n) for n in range(5)))
    (held,) = feed(stream, (at(5, lag=3600 * SECOND, **DANGER), 5))
    assert held.event.data == DANGER
    future, now = feed(stream, (at(6), 6))
    assert (future.at, future.id, now.at) == (T + 5 * SECOND, held.event.id, T + 6 * SECOND)


def test_messages_whose_time_stays_in_doubt_are_not_kept_waiting_without_end():
    stream = tied()
    most = KNOWLEDGE.content["monitors"]["limit"]["waiting"]
    feed(stream, *((at(n), n) for n in range(5)))
    outs = feed(stream, *((at(n, lag=-n * 3600 * SECOND), n) for n in range(5, most + 15)))
    placed = [o for o in outs if isinstance(o, Event)]
    assert [o.at for o in placed] == [T + n * SECOND for n in range(5, 15)]


def test_a_late_message_is_placed_by_its_own_time_once_the_next_one_tells():
    stream = tied()
    feed(stream, *((at(n), n) for n in range(700) if n != 50))
    (held,) = feed(stream, (at(50, spo2=91.0), 700))
    assert isinstance(held, Held)
    assert "late, or the clock was set" in held.why
    late, now = feed(stream, (at(701), 701))
    assert (late.at, late.data, now.at) == (T + 50 * SECOND, {"spo2": 91.0}, T + 701 * SECOND)
    assert late.id == held.event.id
    assert stream.clocks["m3"].changes == 0


def test_messages_that_waited_for_the_wire_are_placed_by_their_own_times():
    stream = tied()
    feed(stream, *((at(n), n) for n in range(10)))
    outs = feed(stream, *((at(n), 600) for n in range(10, 590, 20)), (at(601), 601))
    assert [o.at for o in outs] == [T + n * SECOND for n in (*range(10, 590, 20), 601)]


def test_times_without_an_offset_are_read_in_the_nearest_zone():
    row = ROW.format(value=97, status="R", time="20261122154459", device="m3")
    head = HEAD.format(control=1).replace("20261122100000+0100", "20261122154500")
    (out,) = tied().feed((head + row).encode(), T)
    assert (out.at, out.offset) == (T - SECOND, timedelta(hours=6, minutes=45))


def test_a_message_without_a_time_counts_from_its_arrival_and_says_so():
    row = ROW.format(value=97, status="R", time="", device="m3")
    note, out = tied().feed((HEAD.format(control=1).replace("20261122100000+0100", "") + row).encode(), T + 5)
    assert (note.type, out.at) == ("note", T + 5)
    assert "arrival" in note.data["text"]


# --- whose ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [to_hl7, to_fhir])
@pytest.mark.parametrize(
    ("patient", "also", "counts"),
    [
        ("", None, True),  # it names nobody: the chair said who it is
        ("Patient/7", None, True),
        ("7", None, True),
        ("MRN-9", {"Patient/7": ["MRN-9"]}, True),
        ("MRN-9", None, False),
        ("Patient/8", None, False),
    ],
)
def test_a_message_of_another_person_is_held_and_judged(write, patient, also, counts):
    (out,) = tied(also=also).feed(write(vitals(**DANGER), KNOWLEDGE, patient=patient), T)
    assert isinstance(out, Event if counts else Held)
    assert judged([out], **DANGER)
    if not counts:
        assert "another person" in out.why
        assert out.event.session == "s1"


@pytest.mark.parametrize("write", [to_hl7, to_fhir])
@pytest.mark.parametrize(
    ("second", "patient", "counts"),
    [
        (-5, "", True),  # as far as clocks may differ
        (-6, "", False),
        (-6, "Patient/7", True),  # it says whose it is
        (-3600, "", False),
        (0, "", True),
    ],
)
def test_a_reading_from_before_the_tie_is_of_whoever_was_on_it_then(write, second, patient, counts):
    stream = tied()
    raw = write(vitals(T + second * SECOND, **DANGER), KNOWLEDGE, patient=patient, sent=T + SECOND)
    (out,) = stream.feed(raw, T + SECOND)
    assert isinstance(out, Event if counts else Held)
    assert judged([out], **DANGER)
    if not counts:
        assert "before" in out.why


def test_a_correction_of_the_person_before_changes_nothing_of_the_next():
    stream = tied()
    stream.feed(to_hl7(vitals(spo2=78.0), KNOWLEDGE), T)
    stream.see(Event("x", T + MINUTE, T + MINUTE, "device-assigned", "nurse", "chair", {"device": "m3"}, "s2"))
    raw = to_hl7(vitals(ident="e2", spo2=97.0), KNOWLEDGE, status="C", sent=T + 2 * MINUTE)
    (out,) = stream.feed(raw, T + 2 * MINUTE)
    assert isinstance(out, Held)


def test_what_was_kept_aside_ties_nobody():
    event = Event("x", T, T, "device-released", "nurse", "chair", {"device": "m3"}, "s1")
    stream = tied()
    stream.see(Held("...", "line 1", "no", T, event))
    assert stream.feed(at(1), T + SECOND)[0].session == "s1"


def test_a_silent_monitor_of_another_person_writes_into_nobodys_record():
    raw = to_hl7(vitals()._replace(data={}), KNOWLEDGE, patient="Patient/8", silent=("spo2",))
    (out,) = tied().feed(raw, T)
    assert isinstance(out, Held)
    assert "another person" in out.why


def test_a_correction_for_another_person_changes_nothing():
    stream = tied()
    stream.feed(to_hl7(vitals(spo2=78.0), KNOWLEDGE, patient="Patient/7"), T)
    (out,) = stream.feed(to_hl7(vitals(ident="e2", spo2=97.0), KNOWLEDGE, patient="Patient/8", status="C"), T)
    assert isinstance(out, Held)


def test_only_a_person_ties_a_monitor():
    stream = Stream(KNOWLEDGE)
    stream.see(Event("tie", T, T, "device-assigned", "m3", "m3", {"device": "m3"}, "s1"))
    (out,) = stream.feed(to_hl7(vitals(**DANGER), KNOWLEDGE), T)
    assert isinstance(out, Held)
    assert out.where == "device m3"
    assert out.event.data == DANGER
    assert out.event.session == ""


@pytest.mark.parametrize(
    "event",
    [
        Event("x", T, T, "device-released", "nurse", "chair", {"device": "m3"}, "s1"),
        Event("x", T, T, "transferred", "nurse", "chair", {"to": "hospital", "reason": "r"}, "s1"),
        Event("x", T, T, "left-before-discharge", "nurse", "chair", {}, "s1"),
        Event("x", T, T, "correction", "nurse", "chair", {"corrects": "tie", "reason": "r", "withdrawn": True}, "s1"),
        Event(
            "x", T, T, "correction", "n", "chair", {"corrects": "tie", "reason": "r", "data": {"device": "m4"}}, "s1"
        ),
    ],
    ids=lambda e: e.type,
)
def test_after_the_tie_ends_a_reading_is_nobodys(event):
    stream = tied()
    stream.see(event)
    (out,) = stream.feed(to_hl7(vitals(**DANGER), KNOWLEDGE), T)
    assert isinstance(out, Held)
    assert judged([out], **DANGER)


def test_a_correction_of_the_tie_moves_it_to_the_right_monitor():
    stream = tied()
    data = {"corrects": "tie", "reason": "misread", "data": {"device": "m4"}}
    stream.see(Event("x", T, T, "correction", "nurse", "chair", data, "s1"))
    (out,) = stream.feed(to_hl7(vitals(device="m4"), KNOWLEDGE), T)
    assert (out.session, out.source) == ("s1", "m4")


def test_a_gateway_sends_several_monitors_in_one_message():
    rows = (ROW.format(value=value, status="R", time="", device=device) for device, value in (("m3", 97), ("m4", 78)))
    own, other = tied().feed((HEAD.format(control=1) + "".join(rows)).encode(), T)
    assert (own.source, own.data) == ("m3", {"spo2": 97.0})
    assert isinstance(other, Held)
    assert (other.event.source, other.event.data) == ("m4", DANGER)


def test_the_name_that_the_wire_gives_wins():
    (out,) = tied(device="bed-3").feed(to_hl7(vitals(), KNOWLEDGE), T, device="bed-3")
    assert (out.source, out.by) == ("bed-3", "bed-3")


# --- bad messages -----------------------------------------------------------------------------------------------------

GOOD = to_hl7(vitals(**DANGER), KNOWLEDGE)
BAD = [
    ("half a frame", framed(GOOD)[:-2], "cut off", True),
    ("half a row", GOOD[: GOOD.index(b"|mm") if b"|mm" in GOOD else GOOD.index(b"|%") + 1], "cut off", False),
    ("second half", GOOD[40:], "does not begin with MSH", False),
    ("another type", GOOD.replace(b"ORU^R01^ORU_R01", b"ADT^A01^ADT_A01"), "ADT^A01", True),
    ("training", GOOD.replace(b"|P|2.6", b"|T|2.6"), "training", True),
    ("not UTF-8", GOOD.replace(b"patient", b"patient \xe9"), "not UTF-8", True),
    ("unknown character set", GOOD.replace(b"UNICODE UTF-8", b"ISO IR87"), "ISO IR87", True),
    ("no results", GOOD[: GOOD.index(b"OBX")], "no measure", False),
    ("separators twice", GOOD.replace(b"|^~\\&|", b"|^^^^|"), "separators", False),
    ("empty", b"", "does not begin", False),
    ("a patient", b'{"resourceType": "Patient"}', "no Observation", False),
    ("half a resource", to_fhir(vitals(), KNOWLEDGE)[:300], "not JSON", False),
    ("too long", b"MSH|^~\\&|" + b"x" * 10_000_000, "10000009 bytes", False),
]


@pytest.mark.parametrize(("name", "raw", "why", "seen"), BAD, ids=[case[0] for case in BAD])
def test_a_bad_message_is_kept_with_its_reason_and_judged_where_it_can_be_read(name, raw, why, seen):
    (out,) = tied().feed(raw, T)
    assert isinstance(out, Held)
    assert why in out.why + out.raw[-120:]
    assert out.received == T
    assert judged([out], **DANGER) == seen
    assert "78" not in out.why  # a reason goes to logs: no value of a person in it
    if len(raw) < 1_000_000:
        assert out.raw == raw.removeprefix(b"\x0b").removesuffix(b"\x1c\r").decode("utf-8", "backslashreplace")
    else:
        assert "SHA-256" in out.raw
        assert len(out.raw) < 3000


def test_the_last_field_of_a_message_without_an_end_is_not_believed():
    (out,) = tied().feed(GOOD[:-2], T)  # "m3" became "m"
    assert (out.source, out.data) == ("m3", DANGER)


def changed(**change) -> dict:
    bundle = json.loads(to_fhir(vitals(**DANGER), KNOWLEDGE, patient="Patient/7"))
    return bundle | {"entry": [{"resource": bundle["entry"][0]["resource"] | change}]}


@pytest.mark.parametrize(
    ("bundle", "why"),
    [
        (changed(modifierExtension=[{"url": "urn:x", "valueBoolean": True}]), "modifier extension"),
        (changed(status="unknown"), "does not vouch"),
        (changed(status="cancelled"), "does not vouch"),
        (changed(valueQuantity={"value": 78, "comparator": "<", "unit": "%"}), "does not vouch"),
        (changed(valueQuantity={"value": 78}), "no unit"),
        (
            {**changed(), "entry": [*changed()["entry"], *changed(subject={"reference": "Patient/8"})["entry"]]},
            "several",
        ),
        ({**changed(), "entry": [*changed()["entry"], {"resource": {"resourceType": "Condition"}}]}, "no Observations"),
    ],
)
def test_an_observation_that_cannot_count_is_held_and_judged(bundle, why):
    outs = tied().feed(bundle, T)
    assert all(isinstance(out, Held) and why in out.why for out in outs)
    assert judged(outs, **DANGER)


@pytest.mark.parametrize(
    ("change", "becomes"),
    [
        ({"status": "corrected", "valueQuantity": {"value": 97, "unit": "%"}}, {"data": {"spo2": 97.0}}),
        ({"status": "entered-in-error"}, {"withdrawn": True}),
    ],
)
def test_an_observation_that_is_corrected_becomes_a_correction(change, becomes):
    stream = tied()
    first, correction = (*stream.feed(changed(), T), *stream.feed(changed(**change), T + SECOND))
    assert correction.type == "correction"
    assert correction.data == {"corrects": first.id, "reason": "m3 sent a correction", **becomes}


@pytest.mark.parametrize(("phase", "seen"), [("start", True), ("continue", True), ("end", False)])
def test_a_standstill_that_is_over_is_none(phase, seen):
    rows = (
        f"OBX|1|ST|199684^MDC_EVT_ECG_ASYSTOLE^MDC|1|||||||F\rOBX|2|ST|68481^MDC_ATTR_EVT_PHASE^MDC|2|{phase}||||||F\r"
    )
    outs = tied().feed((HEAD.format(control=1) + rows).encode(), T)
    assert judged(outs, heart_rate=0.0) == seen


def test_one_observation_may_come_alone():
    (out,) = tied().feed(changed()["entry"][0]["resource"], T)
    assert (out.at, out.data) == (T, DANGER)


def test_a_message_sent_again_after_it_was_cut_off_counts():
    stream = tied()
    held, whole = (*stream.feed(framed(GOOD)[:-2], T), *stream.feed(framed(GOOD), T + SECOND))
    assert isinstance(held, Held)
    assert whole.data == DANGER


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (GOOD, "AA"),
        (framed(GOOD)[:-2], "AE"),
        (GOOD.replace(b"ORU^R01^ORU_R01", b"ADT^A01^ADT_A01"), "AE"),
        (GOOD[: GOOD.index(b"OBX")], "AR"),
        (b"rubbish", "AR"),
    ],
)
def test_the_sender_is_answered(raw, code):
    stream = tied()
    lines = stream.answer(raw, stream.feed(raw, T), T).decode().split("\r")
    assert lines[1].split("|")[1] == code
    assert lines[1].split("|")[2] == ("" if raw == b"rubbish" else "e1")
    assert lines[0].split("|")[6] == "20261122090000.000+0000"


def test_whose_a_monitor_is_does_not_concern_its_sender():
    stream = Stream(KNOWLEDGE)
    assert b"MSA|AA|e1|" in stream.answer(GOOD, stream.feed(GOOD, T), T)


def test_a_name_cannot_become_a_field_of_the_answer():
    raw = GOOD.replace(b"MSH|^~\\&|m3|", b"MSH|^~\\&|m\\F\\3|")
    header = acknowledgement(raw, "AA", T).decode().split("\r")[0].split("|")
    assert (header[4], header[9]) == ("m\\F\\3", "e1")


def test_a_reason_cannot_become_a_segment_of_the_answer():
    assert acknowledgement(GOOD, "AE", T, "a|b\rMSA|AA").count(b"\r") == 2


@given(
    st.lists(st.binary(max_size=40).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b), max_size=6),
    st.integers(0, 200),
)
def test_frames_come_apart_wherever_the_wire_cuts_them(messages, cut):
    sent = b"".join(framed(m) for m in messages)
    first, rest = frames(sent[:cut])
    second, rest = frames(rest + sent[cut:])
    assert [*first, *second] == [framed(m) for m in messages]
    assert rest == b""


@given(st.binary(max_size=80))
def test_framing_loses_no_byte(received):
    found, rest = frames(received)
    assert b"".join(found) + rest == received


@settings(max_examples=300)
@given(data=st.data(), write=st.sampled_from([to_hl7, to_fhir]))
def test_no_damage_raises_and_nothing_is_lost(data, write):
    raw = bytearray(write(vitals(), KNOWLEDGE, patient="Patient/7"))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    first, last = data.draw(st.sampled_from([0, 0, 1, 9])), data.draw(st.none() | st.integers(0, len(raw)))
    raw = framed(bytes(raw))[first:last]
    stream = tied()
    outs = stream.feed(raw, T)
    assert outs
    bare = raw.removeprefix(b"\x0b").removesuffix(b"\x1c\r").decode("utf-8", "backslashreplace")
    for out in outs:
        assert read_event(line(out, SHAPE), SHAPE) == out if isinstance(out, Event) else out.raw == bare
    stream.answer(raw, outs, T)


def test_every_word_of_monitors_names_a_measure_that_vital_signs_have():
    words = Words.of(KNOWLEDGE)
    assert {measure for measure, _ in words.codes.values()} == set(words.canonical)
    assert {a.measure for a in words.alerts.values()} <= {*words.canonical, ""}
    for system in ("MDC", "LN"):
        assert set(words.written[system]) == set(words.canonical)


# --- what comes from elsewhere ----------------------------------------------------------------------------------------


def written_back(outcome: list[Event | Held]) -> None:
    """A log of what came out is read again as the same."""
    again = list(read_items([log_line(o, SHAPE) for o in outcome], SHAPE))
    assert [getattr(o, "event", o) for o in again] == [getattr(o, "event", o) for o in outcome]


@pytest.mark.parametrize("year", ["0001", "1970", "2000", "9999"])
@pytest.mark.parametrize("zone", ["", "+0100", "+1400", "-1200"])
def test_a_clock_that_is_years_off_costs_no_reading(year, zone):
    stream, wrong = tied(), f"{year}0101100000{zone}"
    raw = HEAD.format(control=1).replace("20261122100000+0100", wrong)
    raw += ROW.format(value=78, status="R", time=wrong, device="m3")
    outcome = feed(stream, (at(0), 0), (raw.encode(), 1), *((at(n), n) for n in range(2, 30)))
    assert judged(outcome, **DANGER)
    written_back(outcome)
    (alone,) = [o for o in feed(tied(), (raw.encode(), 1)) if not isinstance(o, Event) or o.type == "vitals"]
    assert judged([alone], **DANGER)
    written_back([alone])


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("D" * 300, "D" * 60 + "~"),
        (" \t ", "unnamed"),
        ("m\u202e3", "m 3"),
        ("m\u200b", "m"),
    ],
)
@pytest.mark.parametrize("wire", ["hl7", "fhir"])
def test_a_name_that_does_not_fit_into_a_record_is_told_as_far_as_it_can_be_read(name, called, wire):
    raw = to_fhir(vitals(device=name, **DANGER), KNOWLEDGE)
    if wire == "hl7":
        raw = (HEAD.replace("m3", " ") + ROW).format(
            control=1, value=78, status="R", time="20261122100000+0100", device=name
        )
    (out,) = tied().feed(raw, T)
    assert isinstance(out, Held)
    assert "not tied" in out.why
    assert out.event.source.startswith(called)
    assert len(out.event.source) < 100
    assert out.event.source.isprintable()
    assert out.event.data == DANGER
    written_back([out])


def test_a_message_need_not_say_which_system_sent_it():
    raw = HEAD.format(control=1).replace("|m3|", "||") + ROW.format(value=78, status="R", time="", device="m\x1b[2J3")
    (out,) = tied().feed(raw.encode(), T)
    assert out.event.data == DANGER
    assert out.event.source == "m [2J3"


def test_an_id_of_a_message_is_told_in_one_short_line():
    raw = HEAD.format(control="\x1b[2J" + "9" * 900) + "OBX|1|NM|150456^x^MDC|1|78|furlong|||||R\r"
    (out,) = tied().feed(raw.encode(), T)
    assert out.where.isprintable()
    assert len(out.where) < 200


def test_only_the_session_that_has_a_monitor_releases_it_and_no_device_ties_another():
    stream = tied()
    other = Event("x", T, T, "device-released", "nurse", "chair", {"device": "m3"}, "s2")
    stream.see(other)
    assert stream.feed(at(1), T + SECOND)[0].session == "s1"
    stream.see(Event("y", T, T, "device-assigned", "m9", "m9", {"device": "m3"}, "s2"))
    assert stream.feed(at(2), T + 2 * SECOND)[0].session == "s1"


def test_whose_a_monitor_is_follows_from_when_it_was_tied_not_from_when_that_was_told():
    stream = tied(device="m3", session="s1")
    early = Event("a", T - MINUTE, T + MINUTE, "device-assigned", "nurse", "chair", {"device": "m3"}, "s0")
    gone = Event("b", T - SECOND, T + MINUTE, "device-released", "nurse", "chair", {"device": "m3"}, "s1")
    stream.see(early)
    stream.see(gone)
    (out,) = stream.feed(at(1), T + SECOND)
    assert out.session == "s1"


def test_a_second_check_in_does_not_make_a_monitor_another_persons():
    stream = tied(patient="Patient/7")
    data = {"patient": "Patient/8", "treatment": "ketamine-iv"}
    stream.see(Event("in2", T + SECOND, T + SECOND, "checked-in", "nurse", "chair", data, "s1"))
    (out,) = stream.feed(to_hl7(vitals(), KNOWLEDGE, patient="8"), T)
    assert isinstance(out, Held)


@pytest.mark.parametrize("depth", [300, 5000])
def test_objects_that_cannot_be_written_down_are_held(depth):
    nested: dict = {}
    for _ in range(depth):
        nested = {"a": nested}
    circle: dict = {}
    circle["a"] = circle
    for sent in (nested, circle, {b"a": 1}):
        (out,) = tied().feed(sent, T)
        assert isinstance(out, Held)
        assert out.raw


def test_separators_that_the_reader_of_hl7_cannot_take_are_held():
    raw = HEAD.format(control=1).replace("^~\\&", "^&") + ROW.format(value=78, status="R", time="", device="m3")
    (out,) = tied().feed(raw.encode(), T)
    assert isinstance(out, Held)
    assert tied().answer(raw.encode(), (out,), T).startswith(b"MSH|^~\\&|")


def test_a_file_of_one_observation_is_read_however_it_is_laid_out():
    bundle = json.loads(to_fhir(vitals(**DANGER), KNOWLEDGE))
    pretty = json.dumps(bundle, indent=2).encode()
    for content in (pretty, b"\xef\xbb\xbf" + pretty, b"\xef\xbb\xbf" + json.dumps(bundle).encode()):
        (raw,) = messages_of(content)
        (out,) = tied().feed(raw, T)
        assert out.data == DANGER
    (one,) = messages_of(b"\xef\xbb\xbf" + at(0))
    assert tied().feed(one, T)[0].data == {"spo2": 97.0}


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x08", "\x0c", "\x1b[2J", "\n", "\x1f", "\x07\\u0007"])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_control_character_in_an_observation_hides_no_danger(sign, escaped):
    bundle = changed(note=[{"text": "a SIGN b"}])
    raw = json.dumps(bundle).replace("SIGN", json.dumps(sign)[1:-1] if escaped else sign).encode()
    (out,) = tied().feed(raw, T)
    assert judged([out], **DANGER)
    assert isinstance(out, Event if escaped and sign == "\n" else Held)
    if isinstance(out, Held):
        assert out.raw == raw.decode()
        assert "control character" in out.why
        written_back([out])


def test_bytes_that_are_no_text_in_an_observation_hide_no_danger():
    raw = to_fhir(vitals(**DANGER), KNOWLEDGE).replace(b"Vital Signs", b"Vital\xe9Signs")
    (out,) = tied().feed(raw, T)
    assert isinstance(out, Held)
    assert judged([out], **DANGER)


# --- how much is remembered -------------------------------------------------------------------------------------------

LIMIT = KNOWLEDGE.content["monitors"]["limit"]


def test_names_without_end_fill_nothing_and_a_tied_monitor_keeps_its_clock():
    stream = tied()
    feed(stream, *((at(n, lag=-3000), n) for n in range(5)))
    for n in range(LIMIT["devices"] + 50):
        stream.feed(to_hl7(vitals(ident=f"x{n}", device=f"x{n}"), KNOWLEDGE), T)
    assert len(stream.clocks) == LIMIT["devices"]
    assert stream.clocks["m3"].skew == 3000
    assert f"x{LIMIT['devices'] + 49}" in stream.clocks


def test_codes_without_end_are_counted_together():
    stream = tied()
    for n in range(LIMIT["codes"] + 50):
        row = f"OBX|1|NM|{n}{'9' * 500}^x^MDC|1|1|%|||||R\r"
        stream.feed((HEAD.format(control=n) + row).encode(), T)
    assert len(stream.counts) <= LIMIT["codes"] + 4
    assert max(map(len, stream.counts)) < 100
    assert sum(c for name, c in stream.counts.items() if name.startswith("not read")) == LIMIT["codes"] + 50


def test_a_long_name_of_a_sender_is_not_remembered_whole():
    stream = tied()
    stream.feed(at(0).replace(b"MSH|^~\\&|m3|", b"MSH|^~\\&|" + b"m" * 5000 + b"|"), T)
    ((sender, _),) = stream._messages
    assert len(sender) < 100


def test_what_was_told_is_forgotten_at_last():
    stream = tied()
    for n in range(LIMIT["notes"] + 50):
        stream.see(Event(f"t{n}", T, T, "device-assigned", "nurse", "chair", {"device": f"x{n}"}, "s1"))
        raw = to_hl7(vitals(ident=f"x{n}", device=f"x{n}")._replace(data={}), KNOWLEDGE, silent=("spo2",))
        stream.feed(raw, T)
    assert len(stream._told) == LIMIT["notes"]


# --- files ------------------------------------------------------------------------------------------------------------


def person(ident: str, minute: float, kind: str, session: str = "s1", **data) -> Event:
    when = round(T + minute * MINUTE)
    return Event(ident, when, when, kind, "nurse", "chair", data, session, timedelta(hours=1))


def day(*more: Event) -> list[Event]:
    return [
        person("in", -5, "checked-in", patient="Patient/7", treatment="ketamine-iv"),
        person("tie", 0, "device-assigned", device="m3"),
        *more,
    ]


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (person("x", 10, "device-released", device="m3"), [0, 5, 9]),
        (person("x", 10, "transferred", to="hospital", reason="r"), [0, 5, 9]),
        (person("x", 10, "left-before-discharge"), [0, 5, 9]),
        (person("x", 10, "device-assigned", session="s2", device="m3"), [0, 5, 9]),
        (person("x", 20, "correction", corrects="tie", reason="r", withdrawn=True), []),
        (person("x", 20, "correction", corrects="tie", reason="r", data={"device": "m4"}), []),
        (person("x", 20, "discharged"), [0, 5, 9, 15]),
    ],
    ids=lambda e: e.type if isinstance(e, Event) else "",
)
@pytest.mark.parametrize("files", ["one file", "a file each, last first"])
def test_a_file_is_read_as_the_day_was_when_each_message_came(end, counted, files):
    sent = [at(60 * minute) for minute in (-1, 0, 5, 9, 15)]
    contents = [b"".join(sent)] if files == "one file" else sent[::-1]
    for seen in (day(end), day(end)[::-1]):
        outs = [o for o in read_files(contents, seen, KNOWLEDGE) if getattr(o, "session", "") == "s1"]
        assert [o.at for o in outs] == [T + n * MINUTE for n in counted]


def test_who_checked_in_is_known_of_every_message_of_a_file():
    seen = day()
    late = [person("in", 30, "checked-in", patient="Patient/7", treatment="ketamine-iv"), *seen[1:]]
    raw = to_hl7(vitals(T + MINUTE, **DANGER), KNOWLEDGE, patient="Patient/8")
    (out,) = read_files([raw], late, KNOWLEDGE)
    assert isinstance(out, Held)


def test_messages_that_arrived_at_one_time_are_of_whoever_was_on_the_monitor_then():
    seen = day(person("x", 10, "device-released", device="m3"))
    (out,) = read_files([at(300)], seen, KNOWLEDGE, received=T + 5 * MINUTE)
    assert isinstance(out, Event)
    (out,) = read_files([at(300)], seen, KNOWLEDGE, received=T + 11 * MINUTE)
    assert isinstance(out, Held) or out.type == "note"


def test_times_without_an_offset_in_a_file_are_of_the_place_of_its_log():
    row = ROW.format(value=97, status="R", time="20261122100500", device="m3")
    raw = HEAD.format(control=1).replace("20261122100000+0100", "20261122100501") + row
    seen = day(person("x", 10, "device-released", device="m3"))
    (out,) = read_files([raw.encode()], seen, KNOWLEDGE)
    assert (out.at, out.session, out.offset) == (T + 5 * MINUTE, "s1", timedelta(hours=1))
