"""A clinic as it writes itself down: every fault by its place, what follows where it writes nothing, the examples."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import adjunct
from adjunct.base import BadInput
from adjunct.clinic import Clinic, requests, schedule
from adjunct.clinic.board import lasting, nearest, runs
from adjunct.followup import Settings
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
EXAMPLES = Path(adjunct.__file__).parent / "examples"


def example() -> dict[str, Any]:
    return tomllib.loads((EXAMPLES / "clinic.toml").read_text(encoding="utf-8"))


def visits() -> Any:
    return json.loads((EXAMPLES / "visits.json").read_text(encoding="utf-8"))


def test_a_clinic_that_wrote_nothing_has_hours_that_say_they_are_a_default() -> None:
    clinic = Clinic.of(None, KNOWLEDGE)
    assert not clinic.stated
    assert (clinic.cover.zone, clinic.chairs, clinic.staff, clinic.country) == ("UTC", (), (), "")
    assert [clinic.is_open(date(2027, 1, day)) for day in (15, 16, 17, 18)] == [True, False, False, True]
    assert clinic.cover.local(clinic.openings(date(2027, 1, 15), date(2027, 1, 15))[0][0]).hour == 8


def test_a_clinic_that_wrote_its_zone_but_no_hours_has_not_stated_them() -> None:
    clinic = Clinic.of({"cover": {"zone": "Europe/Berlin"}}, KNOWLEDGE)
    assert not clinic.stated
    assert clinic.cover.zone == "Europe/Berlin"


def test_the_example_is_read_whole_and_the_follow_up_takes_the_same_file() -> None:
    clinic = Clinic.of(example(), KNOWLEDGE)
    assert clinic.stated
    assert (clinic.name, clinic.emergency, clinic.country) == ("Harbour Street Clinic", "911", "US")
    assert {room.id: room.capacity for room in clinic.rooms} == {"quiet": 2, "infusion": 2, "talk": 1}
    assert {p.id: p.observes for p in clinic.staff}["rossi"] == 3
    hassan = next(p for p in clinic.staff if p.id == "hassan")
    assert [hassan.is_away(date(2027, 1, day)) for day in (27, 28, 29, 30)] == [False, True, True, False]
    assert Settings.of(example(), KNOWLEDGE, adjunct.base.Instant(0)).cover == clinic.cover


@pytest.mark.parametrize(
    ("day", "following"),
    [
        ("2027-01-15", "2027-01-15"),  # a Friday: the day itself
        ("2027-01-16", "2027-01-19"),  # Saturday, and the Monday is a holiday
        ("2026-12-24", "2026-12-28"),  # Thursday and Friday closed, then a weekend
    ],
)
def test_the_next_open_day(day: str, following: str) -> None:
    assert str(Clinic.of(example(), KNOWLEDGE).next_open_day(date.fromisoformat(day))) == following


def test_a_clinic_that_is_never_open_has_no_next_open_day() -> None:
    never = {"cover": {"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}],
                       "closed": [f"2027-{m:02}-{d:02}" for m in range(1, 5) for d in range(1, 29)]}}  # fmt: skip
    assert Clinic.of(never, KNOWLEDGE).next_open_day(date(2027, 1, 1)) is None


@pytest.mark.parametrize(
    ("hours", "open_h"),
    [
        ([("08:00", "12:00"), ("13:00", "17:00")], [(8, 12), (13, 17)]),  # nobody stays over noon
        ([("08:00", "12:00"), ("12:00", "17:00")], [(8, 17)]),  # openings that touch are one
    ],
)
def test_the_openings_of_a_day(hours: list[tuple[str, str]], open_h: list[tuple[int, int]]) -> None:
    cover = {"zone": "UTC", "hours": [{"day": "friday", "opens": a, "closes": b} for a, b in hours]}
    clinic, friday = Clinic.of({"cover": cover}, KNOWLEDGE), date(2027, 1, 15)
    hour = {a: clinic.cover.local(a).hour for times in clinic.openings(friday, friday) for a in times}
    assert [(hour[a], hour[b]) for a, b in clinic.openings(friday, friday)] == open_h
    assert clinic.openings(date(2027, 1, 16), date(2027, 1, 16)) == []


CHAIR = {"id": "c1"}
SOMEDAY = {"day": "someday", "opens": "08:00", "closes": "09:00"}
BACKWARDS = {"day": "friday", "opens": "09:00", "closes": "08:00"}
FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"cover": {"zone": "Mars/Olympus"}}, "no such time zone", "cover.zone"),
    ({"cover": {"hours": [SOMEDAY]}}, "not a day of the week", "cover.hours"),
    ({"cover": {"hours": [{"day": "monday", "opens": "08:00"}]}}, "closes is missing", "settings.cover.hours"),
    ({"cover": {"closed": ["2027-02-30"]}}, "not a date", "cover.closed"),
    ({"chair": [CHAIR, CHAIR]}, "'c1' is there 2 times", "settings.chair"),
    ({"chair": [{"room": "r"}]}, "id is missing", "settings.chair[1]"),
    ({"chair": [CHAIR, {"id": "c2", "room": "attic"}]}, "the room 'attic' does not exist", "settings.chair[2].room"),
    ({"room": [{"id": "r", "capacity": 0}]}, "not a number of people", "settings.room[1]"),
    ({"room": [{"id": "r"}, {"id": "r"}]}, "'r' is there 2 times", "settings.room"),
    ({"staff": [{"id": "n", "hours": [BACKWARDS]}]}, "end before they begin", "settings.staff[1].hours"),
    ({"staff": [{"id": "n", "hours": [{"day": "friday"}]}]}, "opens is missing", "settings.staff[1].hours"),
    ({"staff": [{"id": "n", "away": ["tomorrow"]}]}, "not a date", "settings.staff[1].away"),
    ({"staff": [{"id": "n", "away": ["2027-02-02/2027-02-01"]}]}, "ends before it begins", "settings.staff[1].away"),
    ({"staff": [{"id": "n", "observes": 1.5}]}, "not a number of people", "settings.staff[1].observes"),
    ({"clinic": {"raster": "7 min"}}, "part of the hour", "settings.clinic.raster"),
    ({"clinic": {"notice": "soon"}}, "not a duration", "settings.clinic.notice"),
    ({"clinic": {"country": "USA"}}, "two letters", "settings.clinic.country"),
    ({"clinic": {"colour": "blue"}}, "a setting is not known here", "settings.clinic"),
    ({"clinics": {}}, "a setting is not known here", "settings"),
    ({"protocol": 3}, "not a table", "settings.protocol"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says", "at"), FAULTS, ids=[f"{f[2]}: {f[1]}" for f in FAULTS])
def test_every_fault_is_named_with_its_place(given: dict[str, Any], says: str, at: str) -> None:
    with pytest.raises(BadInput, match=says) as fault:
        Clinic.of(given, KNOWLEDGE)
    assert fault.value.at == at


@pytest.mark.parametrize(
    ("change", "says", "at"),
    [
        ({"opens": ""}, "opens is missing", "requests[1]"),
        ({"opens": "2027-01-11T08:00"}, "not an instant with an offset", "requests[1].opens"),
        ({"duration": "forty"}, "not a duration", "requests[1].duration"),
        ({"order": 1.5}, "not a whole number", "requests[1].order"),
        ({"prefer": [{"day": "monday"}]}, "write day, opens and closes", "requests[1].prefer"),
        ({"needs": [{"during": "later"}]}, "not a part of a visit", "needs.during"),
        ({"dose": "56 mg"}, "a setting is not known here", "requests"),  # a timetable has no business with a dose
    ],
)
def test_a_request_that_cannot_be_read_is_refused(change: dict[str, Any], says: str, at: str) -> None:
    with pytest.raises(BadInput, match=says) as fault:
        requests([{**visits()[0], **change}])
    assert fault.value.at == at


def test_the_example_month_has_a_place_for_everybody_but_while_the_prescriber_is_away() -> None:
    asked = requests(visits())
    table = schedule(asked, Clinic.of(example(), KNOWLEDGE), now=min(r.opens for r in asked))
    (away,) = table.conflicts
    assert away.request.id == "person-02-8"
    assert away.says.startswith("no member of staff with prescriber competence is at work long enough in the window")
    assert not table.waiting
    assert len(table.booked) == len(visits()) - 1 > 50
    plain = table.to_dict()
    assert json.loads(json.dumps(plain)) == plain


def bits(mask: int) -> set[int]:
    return {n for n in range(mask.bit_length()) if mask >> n & 1}


@pytest.mark.parametrize("mask", range(128))
def test_masks_mean_what_they_say(mask: int) -> None:
    for length in range(1, 5):
        assert bits(lasting(mask, length)) == {n for n in bits(mask) if set(range(n, n + length)) <= bits(mask)}
    assert {n for first, last in runs(mask) for n in range(first, last)} == bits(mask)
    for wish in (-3, 0, 3, 9):
        assert list(nearest(mask, wish)) == sorted(bits(mask), key=lambda n: (abs(n - wish), n))
