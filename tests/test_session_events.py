"""The log of a treatment day is read whole: each line an event, or kept aside with its reason and still judged."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from adjunct.base import BadInput, instant
from adjunct.knowledge import Knowledge
from adjunct.session.events import (
    IMPLAUSIBLE,
    Shape,
    json_schema,
    line,
    read_data,
    read_event,
    read_log,
    to_json,
    write_data,
)
from adjunct.session.model import Event, Held
from adjunct.session.watch import log_line, read_items

KNOWLEDGE = Knowledge.load()
SHAPE = Shape.of(KNOWLEDGE)
TOLD = KNOWLEDGE.content["events"]
BAD = tomllib.loads((Path(__file__).parent / "cases/session_bad_events.toml").read_text())["case"]
SENT: dict[str, Any] = {
    "id": "e1",
    "at": "2026-11-22T09:30:00+01:00",
    "received": "2026-11-22T09:30:02+01:00",
    "type": "vitals",
    "by": "monitor-3",
    "source": "monitor-3",
    "data": {"heart_rate": 72, "spo2": 78},
}
AT = instant("2026-11-22T09:30:00+01:00").ms


FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=BadInput)
def _is_instant(text: object) -> bool:
    return not isinstance(text, str) or bool(instant(text))


SCHEMA = json_schema(KNOWLEDGE)
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FORMATS)


def event(**change: Any) -> Event:
    read = read_event(SENT | change, SHAPE)
    assert isinstance(read, Event), read
    return read


def held(raw: Any) -> Held:
    read = read_event(raw, SHAPE, where="line 7")
    assert isinstance(read, Held), read
    assert read.where == "line 7"
    return read


def test_an_event_as_it_is_sent() -> None:
    assert event() == Event(
        "e1",
        AT,
        AT + 2000,
        "vitals",
        "monitor-3",
        "monitor-3",
        {"heart_rate": 72.0, "spo2": 78.0},
        "",
        timedelta(hours=1),
    )
    assert event(session="chair-2").session == "chair-2"


@pytest.mark.parametrize("case", BAD, ids=lambda case: case["name"])
def test_what_cannot_be_used_is_kept_with_its_reason_and_still_judged(case: dict[str, Any]) -> None:
    raw = case.get("line") or json.dumps(
        {name: value for name, value in (SENT | case.get("change", {})).items() if name not in case.get("drop", ())}
    )
    kept = held(raw)
    assert kept.why.startswith(case["why"])
    assert kept.raw == raw
    assert (dict(kept.event.data) if kept.event else None) == case.get("judged")
    if kept.event:
        assert kept.event.at == instant(case.get("at", SENT["at"])).ms
        assert kept.event.received == (kept.received or kept.event.at)
    if "whole JSON" not in kept.why:
        assert not VALIDATOR.is_valid(json.loads(raw))


def test_no_reason_repeats_a_value_of_the_person() -> None:
    for value in (41.37, {"value": 41.37, "unit": "kg"}, "41.37"):
        assert "41.37" not in held(SENT | {"data": {"systolic": 9.37, "distress": value, "spo2": value}}).why


@pytest.mark.parametrize(
    ("name", "value", "read", "odd"),
    [  # a measure, as it is sent, as it is read, and whether it is only something to look at
        ("systolic", 128, 128.0, False),
        ("systolic", 0, 0.0, False),  # no pulse is an alarm, not a slip of the unit
        ("systolic", 4.6, 4.6, False),  # in kPa it would be 34.5 mm Hg: no better believed
        ("systolic", 35, 35.0, False),
        ("systolic", {"value": 16, "unit": "kPa"}, 120.01, False),
        ("systolic", {"value": 16, "unit": "mmHg"}, 16.0, False),  # the unit is stated: it is what it says
        ("systolic", {"value": 60, "unit": "kPa"}, 450.04, True),
        ("diastolic", 10.7, 10.7, False),
        ("spo2", 100, 100.0, False),
        ("spo2", 101, 101.0, True),
        ("spo2", {"value": 0.97, "unit": "1"}, 97.0, False),
        ("heart_rate", 0, 0.0, False),
        ("heart_rate", 351, 351.0, True),
        ("heart_rate", -1, -1.0, True),
        ("heart_rate", {"value": 72, "unit": "bpm"}, 72.0, False),
        ("temperature", {"value": 98.6, "unit": "F"}, 37.0, False),
        ("temperature", 46.0, 46.0, False),
        ("temperature", 46.1, 46.1, True),  # in Fahrenheit it would be 7.8 degrees
        ("oxygen", {"value": 2000, "unit": "mL/min"}, 2.0, False),
    ],
)
def test_units_and_what_is_believed(name: str, value: Any, read: float, odd: bool) -> None:
    data = event(data={name: value, "resp_rate": 14}).data
    assert data[name] == pytest.approx(read, abs=0.01)
    assert data.get(IMPLAUSIBLE, ()) == ((name,) if odd else ())


@pytest.mark.parametrize(("systolic", "whole"), [(4.6, True), (4.7, False), (34.9, False), (35, True)])
def test_a_pressure_without_a_unit_that_reads_well_in_kilopascal_is_not_taken(systolic: float, whole: bool) -> None:
    assert isinstance(read_event(SENT | {"data": {"systolic": systolic}}, SHAPE), Event) == whole


def test_what_no_number_can_hold_in_the_unit_expected() -> None:
    kept = held(SENT | {"type": "injection-given", "data": {"dose": {"value": 1e306, "unit": "kg"}}})
    assert kept.why.startswith("data.dose: too large for any measure in mg")  # more than its schema can say


def test_what_is_held_keeps_the_mark_of_the_implausible() -> None:
    seen = held(SENT | {"by": "", "data": {"spo2": 101, "heart_rate": 72}}).event
    assert seen is not None
    assert seen.data == {"spo2": 101.0, "heart_rate": 72.0, IMPLAUSIBLE: ("spo2",)}


def test_a_line_beyond_the_limit_is_known_by_its_beginning_length_and_hash() -> None:
    raw = json.dumps(SENT | {"data": {"text": "x" * 10_000_000}}).encode()
    kept = held(raw)
    assert kept.why.startswith("longer than the 1048576 bytes of one event")
    assert kept.raw.startswith('{"id": "e1"')
    assert kept.raw.endswith(f"({len(raw)} bytes, SHA-256 {sha256(raw).hexdigest()})")
    assert len(kept.raw) < 2200
    whole = json.dumps(SENT) + " " * (TOLD["limit"]["line"] - len(json.dumps(SENT)))
    assert isinstance(read_event(whole, SHAPE), Event)
    assert isinstance(read_event(whole + " ", SHAPE), Held)


@pytest.mark.parametrize(("kind", "name", "most"), [("note", "text", 2000), ("transport-arranged", "clinician", 200)])
def test_words_to_their_limit(kind: str, name: str, most: int) -> None:
    data = {"how": "taxi"} if kind == "transport-arranged" else {}
    assert event(type=kind, by="Nurse Ito", data=data | {name: "ñ" * most})
    assert held(SENT | {"type": kind, "by": "Nurse Ito", "data": data | {name: "ñ" * (most + 1)}}).why.startswith(
        f"data.{name}: longer than {most} characters"
    )


def test_what_is_not_text_is_kept_byte_by_byte() -> None:
    assert held(b'{"id": "\xff"}').raw == '{"id": "\\xff"}'
    assert held('{"id": "\udcff"}').raw == '{"id": "\\xed\\xb3\\xbf"}'
    assert held({"id": "\ud800"}).why.startswith("cannot be written as JSON")
    assert held({"id": 10**400}).raw.startswith("{'id': 1000")
    assert held(b"[" * 5000).why.startswith("not one whole JSON object")


def test_a_log_is_read_line_by_line_as_it_comes() -> None:
    whole = json.dumps(SENT)

    def lines() -> Iterator[bytes | str]:
        yield from (b"\xef\xbb\xbf" + whole.encode(), "", " \r\n", whole + "\r\n", whole[:40])
        raise AssertionError("the next line was asked for before anybody needed it")

    log = read_log(lines(), SHAPE)
    first, second, third = next(log), next(log), next(log)
    assert first == second == event()
    assert isinstance(third, Held)
    assert third.where == "line 5"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T09:30Z",
        "2026-11-22T09:30:00Z",
        "2026-11-22T09:30:59.999-11:30",
        "2026-11-22T23:59:59.25+14:00",
        "1969-12-31T23:59:59.5-00:00",
        "2024-02-29T00:00:00+05:45",
    ],
)
def test_instants_are_those_of_the_house(text: str) -> None:
    read = event(at=text)
    assert (read.at, read.offset) == (instant(text).ms, instant(text).offset)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22 09:30:00Z", "20261122T093000Z", "2026-11-22T09:30:00", "2026-11-22T09:30:00+0100",
        "2026-11-22T24:00:00Z", "2026-11-22T09:60:00Z", "2026-11-22T09:30:00Z\n", "2026-11-22T09:30:00+25:00",
        "２０26-11-22T09:30:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-W47-7T09:30:00Z", "", None, 0,
    ],
)  # fmt: skip
def test_what_is_no_instant(text: Any) -> None:
    assert held(SENT | {"at": text}).why.startswith("at: ")


def test_the_data_of_a_correction_are_read_by_the_type_of_what_they_correct() -> None:
    sent = {"corrects": "e1", "reason": "wrong arm", "at": "2026-11-22T09:00:00Z", "data": {"systolic": "12"}}
    assert event(type="correction", data=sent).data["data"] == {"systolic": "12"}
    assert read_data("vitals", {"systolic": 120}, SHAPE) == {"systolic": 120.0}
    with pytest.raises(BadInput, match=r"data\.systolic: not a number"):
        read_data("vitals", {"systolic": "12"}, SHAPE)
    with pytest.raises(BadInput, match="not a type of event"):
        read_data(["vitals"], {}, SHAPE)


def test_what_a_machine_corrects_is_written_so_that_it_reads_again() -> None:
    seen = event(data={"systolic": {"value": 16, "unit": "mm[Hg]"}, "spo2": 101}).data
    assert seen == {"systolic": 16.0, "spo2": 101.0, IMPLAUSIBLE: ("spo2",)}
    assert write_data("vitals", seen, SHAPE) == {"systolic": {"value": 16.0, "unit": "mm[Hg]"}, "spo2": 101.0}
    assert read_data("vitals", write_data("vitals", seen, SHAPE), SHAPE) == seen


def test_the_fields_of_readiness_and_the_gate_are_theirs() -> None:
    for name in ("readiness", "discharge"):
        kind = {"readiness": "readiness", "discharge": "discharge-check"}[name]
        items = {item["id"] for item in KNOWLEDGE.content[name]["item"]}
        assert items
        assert SHAPE.types[kind].fields.keys() == items
        assert not SHAPE.types[kind].required


# --- every good event comes back as it was; the schema and the reader agree on good and bad ones ----------------------

SEEN = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp"))
WORDS = st.text(SEEN, min_size=1, max_size=12).filter(lambda text: not text.isspace())
NUMBER = st.one_of(st.integers(-400, 400), st.floats(-400, 400), st.floats(-1e300, 1e300))
INSTANTS = st.sampled_from([
    "2026-11-22T09:30:00.250+01:00", "2026-11-22T08:30Z", "2026-11-22T23:59:59.999-11:30", "1970-01-01T00:00:00Z"
])  # fmt: skip


def good(field: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the field may hold, from its row in the knowledge; measures also far from any body."""
    name, kind = field["id"], field["kind"]
    match kind:
        case "measure":
            unit = KNOWLEDGE.concepts[field.get("concept", name)].unit
            like = {"mm[Hg]": "kPa", "/min": "bpm", "Cel": "degF", "kg": "lb", "%": "1"}.get(unit, unit)
            plain = NUMBER.filter(lambda number: not (number < 35 and unit == "mm[Hg]") and not number > 46)
            return plain | st.fixed_dictionaries({"value": NUMBER, "unit": st.sampled_from([unit, like])})
        case "score":
            low, high = KNOWLEDGE.concepts[field.get("concept", name)].plausible or (0, 0)
            return st.integers(int(low * 2), int(high * 2)).map(lambda half: half / 2)
        case "amount":
            return st.floats(0, 1e6) | st.fixed_dictionaries(
                {"value": st.floats(0, 1e6), "unit": st.just(field["unit"])}
            )
        case "count":
            return st.integers(1, 99)
        case "yes-no":
            return st.booleans()
        case "instant":
            return INSTANTS
        case "choice":
            return st.sampled_from(field["choices"])
        case "sign":
            return st.sampled_from([sign["id"] for sign in KNOWLEDGE.content["alarms"]["sign"]])
        case "data":
            return st.dictionaries(WORDS, NUMBER | WORDS, max_size=2)
    return WORDS


@st.composite
def sent_events(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(TOLD["type"]))
    fields = [*kind["field"], *(KNOWLEDGE.content[kind["of"]]["item"] if "of" in kind else ())]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=6)) if fields else []
    needed = [field for field in fields if field.get("required") is True and field in kind["field"]]
    return {
        "id": draw(WORDS),
        "at": draw(INSTANTS),
        "received": draw(INSTANTS),
        "type": kind["id"],
        "by": draw(WORDS),
        "source": f"through {draw(WORDS)}",
        "data": {field["id"]: draw(good(field)) for field in (*needed, *chosen)},
    } | ({"session": draw(WORDS)} if draw(st.booleans()) else {})


@given(sent_events())
def test_every_good_event_comes_back_as_it_was(sent: dict[str, Any]) -> None:
    read = read_event(json.dumps(sent), SHAPE)
    assert isinstance(read, Event), read
    again = line(read, SHAPE)
    assert "\n" not in again
    assert read_event(again, SHAPE) == read
    assert read_event(to_json(read, SHAPE), SHAPE) == read
    assert all(math.isfinite(value) for value in read.data.values() if isinstance(value, float))


JUNK = [
    None, True, False, 0, -1, 0.5, 1.0, 1.5, 7, 16, 34.99, 35, 98.6, 120, 1e9, -1e300, "", " ", "\u2003", "x", "yes",
    "x" * 200, "x" * 201, "x" * 2000, "x" * 2001, [], [1], {}, {"value": 7}, {"value": 7, "unit": "kPa"},
    {"value": "7", "unit": "kPa"}, {"value": True, "unit": "kPa"}, {"value": -7, "unit": "mg"},
    {"value": 7, "unit": "mg", "low": 1}, {"value": 7, "unit": ["mg"]}, {"value": None, "unit": "mg"}, "vitals", "e1",
    "2026-11-22T09:30:00", "2026-02-30T09:30:00Z", "2026-11-22T09:30:60Z", "2026-11-22T09:30:00Z\n", "chest_pain",
]  # fmt: skip


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(SCHEMA["$defs"]) == [kind["id"] for kind in TOLD["type"]]


@given(sent_events(), st.data())
def test_the_schema_and_the_reader_agree(sent: dict[str, Any], data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 2))):
        within = data.draw(st.sampled_from([sent, sent["data"] if isinstance(sent.get("data"), dict) else sent]))
        known = SHAPE.types[sent["type"]].fields if sent.get("type") in list(SHAPE.types) and within is not sent else ()
        name = data.draw(st.sampled_from([*within, *known, "session", "other"]))
        if data.draw(st.booleans()):
            within[name] = data.draw(st.sampled_from(JUNK))
        else:
            within.pop(name, None)
    read = read_event(json.dumps(sent), SHAPE)
    errors = [error.message for error in VALIDATOR.iter_errors(sent)]
    assert isinstance(read, Event) == (not errors), (read, errors)


@given(sent_events(), st.data())
def test_nothing_that_arrives_raises_or_is_lost(sent: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(json.dumps(sent).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(1, len(raw)))]).strip() or b"{"
    read = read_event(cut, SHAPE)
    if isinstance(read, Held):
        assert read.why
        assert read.raw == cut.decode("utf-8", "backslashreplace")


# --- hostile lines ----------------------------------------------------------------------------------------------------


def written(**parts: str) -> str:
    """A line as text, so that it can hold what no writer of JSON would write."""
    whole = {name: json.dumps(value) for name, value in SENT.items()} | parts
    return "{" + ",".join(f'"{name}":{value}' for name, value in whole.items()) + "}"


@pytest.mark.parametrize(
    "raw",
    [
        written(data='{"spo2":70,"spo2":98}'),
        written(data='{"spo2" : 70, "spo2":98}'),
        written(data='{"spo2":70,\t"heart_rate":80,"spo2"\t:98}'),
        written(data='{"s\\u0070o2":70,"spo2":98}'),
        written(data='{"systolic":{"value":70,"value":120,"unit":"mm[Hg]"}}'),
        written(type='"event","type":"vitals"'),
        written(type='"vitals","data":{"spo2":70}'),
        written(type='"correction"', data='{"corrects":"e0","reason":"\\":","data":{"spo2" :70,"spo2":98}}'),
    ],
)
def test_what_is_said_twice_in_one_line_is_not_read_as_its_last_word(raw: str) -> None:
    kept = held(raw)
    assert kept.raw == raw
    assert "twice" in kept.why
    assert "98" not in kept.why


@pytest.mark.parametrize(
    "text", ['a "quoted": word', "x\\y", '":":":', "tab\tand\nline", "Zoë", "نرگس\u200cها", "👩\u200d⚕️"]
)
def test_ordinary_words_are_read_whatever_signs_they_hold(text: str) -> None:
    sent = SENT | {"type": "note", "data": {"text": text}}
    for raw in (json.dumps(sent), json.dumps(sent, indent=2), json.dumps(sent, ensure_ascii=False)):
        read = read_event(raw, SHAPE)
        assert isinstance(read, Event), read
        assert read.data["text"] == text


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x1b[2J", "\x7f", "\x9b2J", "\u202e", "\u2066", "\ufeff", "\u200b"])
@pytest.mark.parametrize("part", ["id", "by", "source", "session", "text"])
def test_no_sign_that_nobody_sees_stands_in_a_log(sign: str, part: str) -> None:
    """It would move a cursor, turn a line around, or make one person look like two."""
    change = {part: f"Nurse{sign}"} if part != "text" else {"type": "note", "data": {"text": f"fine{sign}"}}
    kept = held(SENT | change)
    assert "seen" in kept.why
    assert not VALIDATOR.is_valid(SENT | change)
    if part != "text":
        assert kept.event is not None
        assert kept.event.data == {"heart_rate": 72.0, "spo2": 78.0}


@pytest.mark.parametrize("sign", ["\n", "\t", "\r", "\u2028"])
def test_a_name_is_one_line(sign: str) -> None:
    assert not VALIDATOR.is_valid(SENT | {"by": f"Nurse{sign}Ito"})
    assert "seen" in held(SENT | {"by": f"Nurse{sign}Ito"}).why


@pytest.mark.parametrize("depth", [100, *range(240, 260), 300, 1000, 5000])
def test_a_correction_is_not_deeper_than_it_can_be_written(depth: int) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    raw = written(type='"correction"', data=f'{{"corrects":"e0","reason":"x","data":{nested}}}')
    read = read_event(raw, SHAPE)
    if depth > 255 or depth == 100:
        assert isinstance(read, Held) == (depth > 100)
    if isinstance(read, Event):
        aside = log_line(Held(raw, "", "", read.received, read), SHAPE)
        assert next(read_items([aside], SHAPE)) == Held(raw, "", "", read.received, read)


@pytest.mark.parametrize("number", [10**6, 2**53, 2**63, 1e19, 1e300])
def test_a_count_is_one_that_somebody_could_count(number: float) -> None:
    change = {"type": "device-given", "data": {"dose": 28, "number": number}}
    assert "whole number from 1 to" in held(SENT | change).why
    assert not VALIDATOR.is_valid(SENT | change)


def test_objects_deeper_than_anything_are_held() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"a": nested}
    assert held({"data": nested}).raw


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("acknowledged", {"alarm": "hypoxia"}),
        ("silenced", {"until": "2026-11-22T09:40:00+01:00"}),
        ("device-assigned", {"device": "monitor-4"}),
        ("device-released", {"device": "monitor-3"}),
        ("dose-checked", {"prepared": "p", "agrees": True, "dose": 35}),
        ("consent", {"confirmed": True}),
        ("override", {"item": "x", "prescriber": "Dr Okoye", "reason": "y"}),
        ("escort", {"present": True, "fit": True}),
        ("transport-arranged", {"clinician": "Nurse Ito", "how": "taxi with a nurse"}),
        ("discharge-check", {"aldrete": 10}),
        ("readiness", {"weight": 70}),
        ("discharged", {"signed_by": "monitor-3", "role": "nurse"}),
    ],
)
def test_a_device_answers_no_alarm_and_no_question_and_lets_nobody_go(kind: str, data: dict[str, Any]) -> None:
    for by in ("monitor-3", "Monitor-3 "):
        kept = held(SENT | {"type": kind, "data": data, "by": by})
        assert "only a person" in kept.why
    assert event(type=kind, data=data, by="Nurse Ito").type == kind


def test_what_a_device_shows_in_the_place_of_a_person_is_judged() -> None:
    kept = held(SENT | {"type": "readiness", "data": {"spo2": 78}})
    assert kept.event is not None
    assert kept.event.data == {"spo2": 78.0}


@pytest.mark.parametrize("kind", ["vitals", "infusion-started", "dose-stopped", "event", "note"])
def test_what_a_device_may_know_is_taken_from_it(kind: str) -> None:
    assert kind not in SHAPE.persons
