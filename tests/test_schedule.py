"""The timetable: tables that a nurse can read, and what must hold of every timetable, greedy or optimised."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.clinic import Booking, Clinic, Duty, Need, Request, Timetable, confirm, rebook, schedule
from adjunct.clinic.model import wish
from adjunct.clinic.optimise import optimise
from adjunct.due import State, due
from adjunct.followup.cover import Hours
from adjunct.knowledge import Knowledge

KNOWLEDGE = Knowledge.load()
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEKDAYS = "monday tuesday wednesday thursday friday".split()
NURSE = Need(role="nurse", competences=frozenset({"infusion"}))
WATCH = Need(during="observe", how="shared", competences=frozenset({"rems"}))
DOCTOR = Need(during="whole", how="present", role="prescriber")
Maker = Callable[..., Timetable]


def clinic(zone: str = "Europe/Berlin", **parts: Any) -> Clinic:
    """One nasal and one infusion chair, one nurse who observes two people at once, one prescriber, 08:00 to 12:00."""
    hours = [{"day": day, "opens": "08:00", "closes": "12:00"} for day in WEEKDAYS]
    whole: dict[str, Any] = {
        "cover": {"zone": zone, "hours": hours, "closed": []},
        "room": [{"id": "room"}],
        "chair": [{"id": "c1", "room": "room", "kinds": ["nasal"]}, {"id": "c2", "room": "room", "kinds": ["iv"]}],
        "staff": [
            {"id": "nurse", "roles": ["nurse"], "competences": ["infusion", "rems"]},
            {"id": "doctor", "roles": ["prescriber"]},
        ],
    }
    whole["cover"] |= parts.pop("cover", {})
    return Clinic.of({**whole, **parts}, KNOWLEDGE)


def at(text: str, zone: str = "Europe/Berlin") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def shown(ms: int, zone: str = "Europe/Berlin") -> str:
    return f"{datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def visit(name: str, opens: str = "2027-01-11", closes: str = "2027-01-12", **parts: Any) -> Request:
    """An infusion of 40 minutes and 20 minutes' stay on Monday 11 January 2027, unless said otherwise."""
    zone = parts.pop("zone", "Europe/Berlin")
    usual: dict[str, Any] = {"person": name, "kind": "iv", "duration_ms": 40 * MINUTE, "observe_ms": 20 * MINUTE}
    return Request(id=name, opens=at(opens, zone), closes=at(closes, zone), **(usual | parts))


NOW = at("2027-01-04 08:00")


def starts(table: Timetable, zone: str = "Europe/Berlin") -> dict[str, str]:
    return {b.request.id: shown(b.starts, zone) for b in table.booked}


BOTH = pytest.mark.parametrize("make", [schedule, optimise], ids=["greedy", "cp-sat"])


@BOTH
def test_visits_of_one_chair_follow_each_other(make: Maker) -> None:
    table = make([visit("a", asked=1), visit("b", asked=2)], clinic(), now=NOW)
    assert sorted(starts(table).values()) == ["2027-01-11 08:00", "2027-01-11 09:00"]
    assert not table.waiting


@BOTH
def test_the_chair_stays_taken_through_two_hours_of_observation(make: Maker) -> None:
    asked = [visit(n, kind="nasal", duration_ms=20 * MINUTE, observe_ms=120 * MINUTE) for n in ("a", "b")]
    table = make(asked, clinic(), now=NOW)
    assert starts(table) == {"a": "2027-01-11 08:00"}  # 10:20 to 12:40 would be after closing
    assert [w.request.id for w in table.waiting] == ["b"]
    long_day = clinic(cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "12:40"}]})
    assert starts(make(asked, long_day, now=NOW)) == {"a": "2027-01-11 08:00", "b": "2027-01-11 10:20"}


@BOTH
def test_nobody_starts_a_dose_while_the_only_nurse_gives_another_or_observes(make: Maker) -> None:
    asked = [
        visit("a", kind="nasal", needs=(NURSE, WATCH)),
        visit("b", kind="iv", needs=(NURSE, WATCH)),
    ]
    table = make(asked, clinic(), now=NOW)
    assert sorted(starts(table).values()) == ["2027-01-11 08:00", "2027-01-11 09:00"]  # alone means alone
    watched = replace(asked[0], needs=(replace(WATCH, during="whole"),), asked=9)
    table = make([replace(asked[1], needs=(NURSE,), priority=-1), watched], clinic(), now=NOW)
    assert starts(table) == {"b": "2027-01-11 08:00", "a": "2027-01-11 08:40"}  # nor observes one meanwhile
    helped = clinic(
        staff=[
            {"id": "nurse", "roles": ["nurse"], "competences": ["infusion"]},
            {"id": "aide", "competences": ["rems"]},
        ]
    )
    assert sorted(starts(make(asked, helped, now=NOW)).values()) == ["2027-01-11 08:00", "2027-01-11 08:40"]


@BOTH
@pytest.mark.parametrize(("observes", "together"), [(1, 1), (2, 2), (3, 3)])
def test_one_person_observes_as_many_as_the_clinic_says(make: Maker, observes: int, together: int) -> None:
    place = clinic(
        chair=[{"id": f"c{n}"} for n in range(3)],
        staff=[{"id": "aide", "competences": ["rems"], "observes": observes}],
        cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]},
    )
    table = make(
        [visit(n, duration_ms=5 * MINUTE, observe_ms=55 * MINUTE, needs=(WATCH,)) for n in "abc"], place, now=NOW
    )
    assert len(table.booked) == together


@BOTH
def test_a_room_holds_no_more_than_its_capacity(make: Maker) -> None:
    chairs = [{"id": f"c{n}", "room": "room"} for n in range(3)]
    place = clinic(chair=chairs, room=[{"id": "room", "capacity": 2}])
    table = make([visit(n) for n in "abc"], place, now=NOW)
    assert Counter(starts(table).values()) == {"2027-01-11 08:00": 2, "2027-01-11 09:00": 1}


@BOTH
@pytest.mark.parametrize("how", ["alone", "shared", "present"])
def test_two_at_the_start_are_two_people(make: Maker, how: str) -> None:
    two = Need(role="nurse", count=2, how=how)
    nurses = [{"id": f"n{n}", "roles": ["nurse"]} for n in (1, 2)]
    table = make([visit("a", needs=(two,))], clinic(staff=nurses), now=NOW)
    assert sorted(d.staff for d in table.booked[0].duties) == ["n1", "n2"]
    alone = make([visit("a", needs=(two,))], clinic(staff=nurses[:1]), now=NOW)
    assert "there are 1 here" in alone.conflicts[0].says


@BOTH
@pytest.mark.parametrize(
    ("gap_h", "second"), [(23, "2027-01-12 08:00"), (24, "2027-01-12 08:00"), (25, "2027-01-12 09:00")]
)
def test_the_least_gap_between_two_doses(make: Maker, gap_h: int, second: str) -> None:
    asked = [
        visit("one", person="p", order=1),
        visit("two", "2027-01-12", "2027-01-13", person="p", order=2, least_gap_ms=gap_h * HOUR),
    ]
    assert starts(make(asked, clinic(), now=NOW)) == {"one": "2027-01-11 08:00", "two": second}


@BOTH
def test_what_comes_after_comes_after_and_the_first_leaves_room(make: Maker) -> None:
    asked = [
        visit("talk", "2027-01-11", "2027-01-11 10:00", after="consult"),
        visit("consult", "2027-01-11", "2027-01-16", kind="nasal", wanted=at("2027-01-15 08:00")),
    ]
    table = make(asked, clinic(), now=NOW)
    assert starts(table) == {"consult": "2027-01-11 08:00", "talk": "2027-01-11 09:00"}


@BOTH
def test_what_is_booked_already_binds_what_comes_before_it_and_beside_it(make: Maker) -> None:
    def with_booked(kept: list[Request], asked: Request) -> str:
        booked = schedule(kept, clinic(), now=NOW).booked
        return starts(make([asked], clinic(), now=NOW, booked=booked))[asked.id]

    ten = at("2027-01-12 10:00")
    second = visit("two", "2027-01-12", "2027-01-13", person="p", order=2, least_gap_ms=DAY, wanted=ten)
    first = visit("one", kind="nasal", person="p", order=1, wanted=at("2027-01-11 11:00"))
    assert with_booked([second], first) == "2027-01-11 10:00"  # the day between the two is kept backwards too
    talk = visit("talk", person="p", after="consult", wanted=ten - DAY)
    consult = visit("consult", kind="nasal", person="q", wanted=at("2027-01-11 09:30"))
    both = schedule([talk, replace(consult, closes=at("2027-01-11 09:00"), wanted=None)], clinic(), now=NOW).booked
    table = make([consult], clinic(), now=NOW, booked=[b for b in both if b.request.id == "talk"])
    assert starts(table) == {"consult": "2027-01-11 09:00", "talk": "2027-01-11 10:00"}
    own = [visit("a", person="p"), visit("b", person="p", wanted=at("2027-01-11 10:00"))]
    for wanted, given_ in (("2027-01-11 08:00", "2027-01-11 09:00"), ("2027-01-11 10:20", "2027-01-11 11:00")):
        assert with_booked(own, visit("c", kind="nasal", person="p", wanted=at(wanted))) == given_


def test_a_preferred_time_a_time_to_avoid_and_the_time_that_the_plan_wants() -> None:
    late, early = Hours(day="monday", opens="10:00", closes="12:00"), Hours(day="monday", opens="08:00", closes="09:30")
    place = clinic()
    assert starts(schedule([visit("a", prefer=(late,))], place, now=NOW)) == {"a": "2027-01-11 10:00"}
    assert starts(schedule([visit("a", avoid=(early,))], place, now=NOW)) == {"a": "2027-01-11 09:30"}
    assert starts(schedule([visit("a", wanted=at("2027-01-11 09:10"))], place, now=NOW)) == {"a": "2027-01-11 09:10"}
    taken = schedule([visit("x", wanted=at("2027-01-11 09:00"))], place, now=NOW).booked
    asked = visit("a", wanted=at("2027-01-11 09:10"))
    assert starts(schedule([asked], place, now=NOW, booked=taken))["a"] == "2027-01-11 10:00"  # 08:00 is further away


# --- the calendar -----------------------------------------------------------------------------------------------------

DST = [
    # zone, Sunday on which the clocks change, Friday 08:00, Monday 08:00, real hours between
    ("Europe/Berlin", "2027-03-26", "2027-03-29", 71),
    ("Europe/Berlin", "2027-10-29", "2027-11-01", 73),
    ("America/New_York", "2027-03-12", "2027-03-15", 71),
    ("America/New_York", "2027-11-05", "2027-11-08", 73),
]


@BOTH
@pytest.mark.parametrize(("zone", "friday", "monday", "hours"), DST)
def test_hours_are_wall_clock_and_lengths_are_real(
    make: Maker, zone: str, friday: str, monday: str, hours: int
) -> None:
    asked = [
        visit("one", friday, f"{friday} 09:00", zone=zone, person="p", order=1),
        visit("two", monday, f"{monday} 12:00", zone=zone, person="p", order=2, least_gap_ms=72 * HOUR),
    ]
    table = make(asked, clinic(zone), now=at(friday, zone) - DAY)
    first, second = sorted(table.booked, key=lambda b: b.starts)
    assert shown(first.starts, zone) == f"{friday} 08:00"
    assert shown(second.starts, zone) == f"{monday} {'09:00' if hours < 72 else '08:00'}"  # 72 real hours at least
    assert second.ends - second.starts == HOUR


@pytest.mark.parametrize(
    ("zone", "night", "length_h", "fits"),
    [
        ("Europe/Berlin", "2027-03-28", 3, False),  # 01:00 to 04:00 on the clock are two hours
        ("Europe/Berlin", "2027-03-28", 2, True),
        ("Europe/Berlin", "2027-10-31", 4, True),  # and in autumn four
        ("America/New_York", "2027-03-14", 3, False),
        ("America/New_York", "2027-11-07", 4, True),
    ],
)
def test_the_night_of_the_change_is_as_long_as_it_is(zone: str, night: str, length_h: int, fits: bool) -> None:
    place = clinic(zone, cover={"hours": [{"day": "sunday", "opens": "01:00", "closes": "04:00"}]})
    asked = visit("a", night, f"{night} 23:00", zone=zone, duration_ms=length_h * HOUR, observe_ms=0)
    assert bool(schedule([asked], place, now=at(night, zone) - DAY).booked) is fits


def test_a_holiday_an_absence_and_a_weekend_are_passed_over() -> None:
    place = clinic(
        cover={"closed": ["2027-01-11"]},
        staff=[{"id": "nurse", "roles": ["nurse"], "competences": ["infusion"], "away": ["2027-01-12/2027-01-13"]}],
    )
    table = schedule([visit("a", "2027-01-09", "2027-01-16", needs=(NURSE,))], place, now=NOW)
    assert starts(table) == {"a": "2027-01-14 08:00"}


# --- what cannot be ---------------------------------------------------------------------------------------------------

ACLS = Need(role="nurse", competences=frozenset({"acls"}))
AWAY = {"staff": [{"id": "n", "roles": ["nurse"], "competences": ["infusion"], "away": ["2027-01-11"]}]}
ALL_DAY = Hours(day="monday", opens="00:00", closes="24:00")
TWICE = (NURSE, Need(during="whole", how="shared", role="nurse"))
IMPOSSIBLE: list[tuple[str, Request, dict[str, Any], str]] = [
    ("short window", visit("a", "2027-01-11 08:00", "2027-01-11 08:30"), {},
     "the window is shorter than the visit: 30 min"),
    ("closed", visit("a", "2027-01-16", "2027-01-18"), {},
     "never open for 60 min on end .* next free start is Monday 2027-01-18 08:00"),
    ("longer than the day", visit("a", duration_ms=5 * HOUR), {}, "never open for 320 min on end"),
    ("no such chair", visit("a", kind="therapy"), {}, "no chair is for visits of the kind therapy"),
    ("nobody can", visit("a", needs=(ACLS,)), {}, "nobody here is a nurse with acls competence"),
    ("nobody at work", visit("a", needs=(NURSE,)), AWAY,
     "no nurse with infusion competence is at work long enough in the window; the next free start is Tuesday"),
    ("never then", visit("a", avoid=(ALL_DAY,)), {}, "outside the times that the person cannot come"),
    ("after nothing", visit("a", after="ghost"), {}, "comes after ghost, which nobody asked for"),
    ("over", visit("a", "2027-01-01", "2027-01-04 08:30"), {}, "its window is over"),
    ("next year", visit("a", "2029-01-01", "2029-02-01"), {}, "more than 366 days ahead"),
    ("in two places", visit("a", needs=TWICE), {}, "one person would have to be in two places"),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("asked", "parts", "says"), [c[1:] for c in IMPOSSIBLE], ids=[c[0] for c in IMPOSSIBLE])
def test_the_impossible_is_found_and_named(make: Maker, asked: Request, parts: dict[str, Any], says: str) -> None:
    table = make([asked], clinic(**parts), now=NOW)
    assert not table.booked
    assert not table.waiting
    assert re.search(says, table.conflicts[0].says), table.conflicts[0].says


def test_doses_that_cannot_keep_their_gap_and_visits_that_wait_for_each_other() -> None:
    asked = [visit("one", person="p", order=1), visit("two", person="p", order=2, least_gap_ms=2 * DAY)]
    table = schedule(asked, clinic(), now=NOW)
    assert starts(table) == {"one": "2027-01-11 08:00"}
    assert "cannot start before Wednesday 2027-01-13 08:00, because of one before it" in table.conflicts[0].says
    ring = [visit("a", after="b"), visit("b", after="a"), visit("c", after="a")]
    table = schedule(ring, clinic(), now=NOW)
    assert [c.request.id for c in table.conflicts] == ["a", "b", "c"]
    assert table.conflicts[0].says == "these visits wait for each other: a, b"
    assert table.conflicts[2].says == "it comes after a, which cannot be"


def test_the_reason_names_the_constraints_that_bind_together_and_the_next_start() -> None:
    place = clinic(
        staff=[{"id": "nurse", "roles": ["nurse"], "competences": ["infusion"],
                "hours": [{"day": "friday", "opens": "08:00", "closes": "09:00"},
                          {"day": "monday", "opens": "08:00", "closes": "12:00"}]}],
    )  # fmt: skip
    first = schedule([visit("x", "2027-01-15", "2027-01-16")], place, now=NOW).booked  # the chair until 09:00
    asked = visit("a", "2027-01-15", "2027-01-17", needs=(NURSE,))
    table = schedule([asked], place, now=NOW, booked=first)
    assert table.waiting[0].says == (
        "a chair for iv is free for a start only Friday 2027-01-15 09:00 to 11:00; "
        "a nurse with infusion competence is free for a start only Friday 2027-01-15 08:00 to 08:20; "
        "the next free start is Monday 2027-01-18 08:00, the window closes on Sunday 2027-01-17 00:00"
    )
    assert table.waiting[0].next_start == at("2027-01-18 08:00")


@pytest.mark.parametrize(
    ("make_bad", "says"),
    [
        (lambda: schedule([visit("a"), visit("a")], clinic(), now=NOW), "2 requests have the id"),
        (lambda: schedule([visit("a", person="p", order=1), visit("b", person="p", order=1)], clinic(), now=NOW),
         "the same place in the order"),
        (lambda: visit("a", duration_ms=0), "more than no time"),
        (lambda: visit("a", "2027-01-12", "2027-01-11"), "closes before it opens"),
        (lambda: visit("a", prefer=(Hours(day="someday", opens="08:00", closes="09:00"),)), "not a day of the week"),
        (lambda: Need(how="somehow"), "not a way to be there"),
        (lambda: rebook(schedule([], clinic(), now=NOW), clinic(), cancelled=["ghost"], now=NOW), "no booking ghost"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(make_bad: Callable[[], object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        make_bad()


def test_without_or_tools_the_optimiser_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(BadInput, match=r"install adjunct\[scheduling\]"):
        optimise([visit("a")], clinic(), now=NOW)


def test_the_soonest_due_goes_first() -> None:
    """A long visit that must be early: two short ones that asked first would both be in its way."""
    tight = visit("tight", "2027-01-11 08:00", "2027-01-11 10:00", asked=9, duration_ms=100 * MINUTE)
    table = schedule([visit("a", asked=1), visit("b", asked=2), tight], clinic(), now=NOW)
    assert starts(table) == {"tight": "2027-01-11 08:00", "a": "2027-01-11 10:00", "b": "2027-01-11 11:00"}


@BOTH
def test_what_has_no_place_among_the_bookings_waits_and_what_comes_after_it_too(make: Maker) -> None:
    nurses = [{"id": f"n{n}", "roles": ["nurse"], "competences": ["infusion"]} for n in (1, 2)]
    morning = visit("x", kind="nasal", duration_ms=4 * HOUR, observe_ms=0, needs=(NURSE,))
    kept = schedule([morning], clinic(staff=nurses), now=NOW).booked  # one nurse and one chair all morning
    one, other = (replace(need, during="whole", how="shared") for need in (NURSE, Need(role="nurse")))
    two_hands = visit("hands", needs=(one, other))
    consult, talk = visit("consult", kind="nasal"), visit("talk", after="consult")
    table = make([two_hands, consult, talk], clinic(staff=nurses), now=NOW, booked=kept)
    assert {w.request.id: w.says.partition(";")[0] for w in table.waiting} == {
        "hands": "one person would have to be in two places: the same staff are needed for two parts of it",
        "consult": "no chair for nasal is free for long enough in the window: all are taken",
        "talk": "it comes after consult, which has no place",
    }


# --- bookings that exist, the waiting list, a freed place -------------------------------------------------------------


@BOTH
def test_bookings_that_exist_are_kept(make: Maker) -> None:
    first = schedule([visit("a")], clinic(), now=NOW).booked
    table = make([visit("a"), visit("b")], clinic(), now=NOW, booked=first)
    assert starts(table) == {"a": "2027-01-11 08:00", "b": "2027-01-11 09:00"}
    assert not table.faults


NURSE_GONE = {"staff": [{"id": "x"}]}
FAULTY: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("nothing changed", {}, ["a"], []),
    ("a holiday", {"cover": {"closed": ["2027-01-11"]}}, ["a"],
     ["the clinic is closed then", "nurse is not at work then"]),
    ("the chair is gone", {"chair": [{"id": "c9"}]}, ["a"], ["there is no chair c2"]),
    ("the nurse is gone", NURSE_GONE, ["a"], ["nurse does not work here"]),
    ("somebody else sits there", {}, ["a", "b"],
     ["a chair, a room or somebody of the staff is bound elsewhere at the same time"]),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "who", "faults"), [f[1:] for f in FAULTY], ids=[f[0] for f in FAULTY])
def test_what_no_longer_fits_is_kept_and_named(parts: dict[str, Any], who: list[str], faults: list[str]) -> None:
    made = [schedule([visit(name, needs=(NURSE,))], clinic(), now=NOW).booked[0] for name in who]
    table = schedule([], clinic(**parts), now=NOW, booked=made)
    assert len(table.booked) == len(who)
    assert [f.partition(": ")[2] for f in table.faults] == faults


def test_the_waiting_list_is_by_urgency_then_deadline_then_arrival() -> None:
    full = clinic(cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]})
    asked = [
        visit("late-deadline", closes="2027-01-14", asked=1, priority=1),
        visit("asked-second", asked=3, priority=1),
        visit("asked-first", asked=2, priority=1),
        visit("urgent", closes="2027-01-15", asked=9, priority=0),
    ]
    table = schedule(asked, full, now=NOW)
    assert starts(table) == {"urgent": "2027-01-11 08:00"}
    assert [w.request.id for w in table.waiting] == ["asked-first", "asked-second", "late-deadline"]


def test_a_freed_place_is_offered_to_the_first_whom_it_fits() -> None:
    full = clinic(cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]})
    asked = [
        visit("a", asked=1),
        visit("long", asked=2, duration_ms=55 * MINUTE, observe_ms=0, needs=(NURSE,)),
        visit("c", asked=3),
    ]
    table = schedule(asked, full, now=NOW)
    assert [w.request.id for w in table.waiting] == ["long", "c"]
    again = rebook(table, full, cancelled=["a"], now=NOW)
    assert not again.booked
    assert [o.booking.request.id for o in again.offers] == ["long"]
    assert again.offers[0].says == (
        "Monday 2027-01-11 08:00, chair c2, is offered to long (request long): first in turn of those it fits"
    )
    assert [w.request.id for w in again.waiting] == ["long", "c"]  # an offer is no booking
    nurse_away = clinic(
        cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]},
        staff=[{"id": "n", "roles": ["nurse"], "competences": ["infusion"], "away": ["2027-01-11"]}],
    )
    assert [o.booking.request.id for o in rebook(table, nurse_away, cancelled=["a"], now=NOW).offers] == ["c"]


@pytest.mark.parametrize(("now", "offers"), [("2027-01-10 07:55", 1), ("2027-01-10 08:00", 1), ("2027-01-10 08:05", 0)])
def test_no_place_is_offered_at_shorter_notice_than_the_clinic_gives(now: str, offers: int) -> None:
    full = clinic(cover={"hours": [{"day": "monday", "opens": "08:00", "closes": "09:00"}]}, clinic={"notice": "24 h"})
    table = schedule([visit("a", asked=1), visit("b", asked=2)], full, now=NOW)
    assert len(rebook(table, full, cancelled=["a"], now=at(now)).offers) == offers


def test_whoever_came_after_a_cancelled_visit_is_named() -> None:
    asked = [visit("consult", kind="nasal"), visit("talk", after="consult")]
    table = rebook(schedule(asked, clinic(), now=NOW), clinic(), cancelled=["consult"], now=NOW)
    assert table.faults == ("talk on Monday 2027-01-11 09:00 comes after consult, which was cancelled",)


def test_one_visit_moves_so_that_another_has_a_place() -> None:
    """The longer window goes first by its urgency and sits where the other must be: it is moved."""
    asked = [
        visit("urgent", closes="2027-01-13", priority=0),
        visit("tight", "2027-01-11 08:00", "2027-01-11 09:00", priority=1),
    ]
    table = schedule(asked, clinic(), now=NOW)
    assert starts(table) == {"urgent": "2027-01-11 09:00", "tight": "2027-01-11 08:00"}


# --- confirmation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "escort"),
    [
        ("2027-03-22 07:59", "waiting"),
        ("2027-03-22 08:00", "open"),
        ("2027-03-27 08:00", "due"),  # two days on the calendar, over the night of the change
        ("2027-03-28 08:00", "overdue"),
        ("2027-03-29 08:00", "missed"),
    ],
)
def test_the_escort_is_confirmed_and_reminders_count_back_from_the_visit(now: str, escort: str) -> None:
    place = clinic()
    booking = schedule([visit("a", "2027-03-29", "2027-03-30")], place, now=at("2027-03-01")).booked[0]
    steps = confirm(booking, place, KNOWLEDGE)
    states = {d.step.what: d.state for d in due(steps, [], now=at(now))}
    assert states["escort-confirmed"] is State(escort)
    assert [shown(s.window.due) for s in steps] == ["2027-03-27 08:00", "2027-03-22 08:00", "2027-03-28 08:00"]
    assert {s.owner for s in steps} == {"front-desk"}
    talk = replace(booking, request=replace(booking.request, escort=False))
    assert [s.what for s in confirm(talk, place, KNOWLEDGE)] == ["visit-reminder", "visit-reminder"]


# --- what must hold of every timetable --------------------------------------------------------------------------------

RASTER = 30 * MINUTE


def problems(booked: Sequence[Booking], place: Clinic) -> Iterator[str]:
    """What is wrong with a timetable, read slowly: every rule by itself, every half hour looked at."""
    chairs, staff = {c.id: c for c in place.chairs}, {p.id: p for p in place.staff}
    times = sorted({t for b in booked for t in range(b.starts, b.ends, RASTER)})
    for t in times:
        here = [b for b in booked if b.starts <= t < b.ends]
        yield from (f"chair {c} twice" for c, n in Counter(b.chair for b in here).items() if n > 1)
        rooms = Counter(chairs[b.chair].room for b in here)
        yield from (f"room {r.id} too full" for r in place.rooms if rooms[r.id] > r.capacity)
        for person in place.staff:
            ways = [d.how for b in here for d in b.duties if d.staff == person.id and d.starts <= t < d.ends]
            bound = [way for way in ways if way != "present"]
            if len(bound) > (1 if "alone" in bound else person.observes):
                yield f"{person.id} has too many"
            if ways and not at_work(t, place, person.hours or place.cover.hours):
                yield f"{person.id} is not at work"
        if here and not at_work(t, place, place.cover.hours):
            yield "closed"
    for b in booked:
        r = b.request
        if b.starts < r.opens or b.ends > r.closes or b.ends - b.starts < r.duration_ms + r.observe_ms:
            yield f"{r.id} outside its window"
        if not chairs[b.chair].fits(r.kind):
            yield f"{r.id} on a chair for others"
        middle = b.starts + r.duration_ms
        parts = {"dose": (b.starts, middle), "observe": (middle, b.ends), "whole": (b.starts, b.ends)}
        for need in r.needs:
            there = {
                d.staff
                for d in b.duties
                if d.how == need.how and (d.starts, d.ends) == parts[need.during]
                and need.role in {"", *staff[d.staff].roles} and need.competences <= staff[d.staff].competences
            }  # fmt: skip
            if len(there) < need.count and parts[need.during][0] < parts[need.during][1]:
                yield f"{r.id} lacks a {need}"
        for other in booked:
            o = other.request
            if o.person == r.person and o.id != r.id:
                if other.starts < b.ends and b.starts < other.ends:
                    yield f"{r.person} in two places"
                ordered = o.order is not None and r.order is not None and o.order < r.order
                if ordered and (b.starts - other.starts < r.least_gap_ms or b.starts < other.starts):
                    yield f"{r.id} too soon after {o.id}"
            if r.after == o.id and b.starts < other.ends:
                yield f"{r.id} before {o.id}"
        if r.after and r.after not in {x.request.id for x in booked}:
            yield f"{r.id} without {r.after}"


def at_work(t: int, place: Clinic, hours: Sequence[Hours]) -> bool:
    """Read from the clock on the wall."""
    local = datetime.fromtimestamp(t / 1000, ZoneInfo(place.cover.zone))
    day, wall = f"{local:%A}".lower(), f"{local:%H:%M}"
    return str(local.date()) not in place.cover.closed and any(
        h.day == day and h.opens <= wall < h.closes for h in hours
    )


@st.composite
def clinics(draw: st.DrawFn) -> Clinic:
    days = ["friday", "saturday", "sunday", "monday"]
    hours = [
        {
            "day": day,
            "opens": draw(st.sampled_from(["01:00", "08:00"])),
            "closes": draw(st.sampled_from(["10:00", "12:30"])),
        }
        for day in days
        if draw(st.booleans())
    ]
    kinds = st.lists(st.sampled_from(["iv", "nasal"]), unique=True)
    chairs = [{"id": f"c{n}", "room": draw(st.sampled_from(["r", "s"])), "kinds": draw(kinds)} for n in range(3)]
    staff = [
        {
            "id": f"p{n}",
            "roles": draw(st.lists(st.sampled_from(["nurse", "prescriber"]), unique=True)),
            "competences": draw(st.lists(st.sampled_from(["infusion", "rems"]), unique=True)),
            "observes": draw(st.integers(1, 2)),
            "hours": draw(st.sampled_from([[], [{"day": d, "opens": "09:00", "closes": "11:00"} for d in days]])),
        }
        for n in range(3)
    ]
    zone = draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata"]))
    return clinic(
        zone,
        cover={"hours": hours or [{"day": "monday", "opens": "08:00", "closes": "12:00"}],
               "closed": draw(st.sampled_from([[], ["2027-03-26"], ["2027-03-27"]]))},
        clinic={"raster": "30 min"},
        room=[{"id": "r", "capacity": draw(st.integers(1, 2))}, {"id": "s", "capacity": 1}],
        chair=chairs,
        staff=staff,
    )  # fmt: skip


SPRING = at("2027-03-26")  # the Friday before the clocks change in Europe
NEEDS = st.sampled_from([(), (NURSE,), (NURSE, WATCH), (WATCH, DOCTOR), (Need(count=2),), (NURSE, DOCTOR)])


@st.composite
def asked_for(draw: st.DrawFn) -> list[Request]:
    found = []
    for number in range(draw(st.integers(1, 7))):
        opens = SPRING + draw(st.integers(0, 40)) * 2 * RASTER
        doses = draw(st.booleans())
        found.append(
            Request(
                id=f"q{number}",
                person=draw(st.sampled_from(["x", "y", "z"])),
                kind=draw(st.sampled_from(["iv", "nasal"])),
                duration_ms=draw(st.integers(1, 2)) * RASTER,
                observe_ms=draw(st.integers(0, 3)) * RASTER,
                opens=opens,
                closes=opens + draw(st.integers(1, 90)) * RASTER,
                needs=draw(NEEDS),
                order=number if doses else None,
                least_gap_ms=draw(st.sampled_from([0, 4 * HOUR, 24 * HOUR])) if doses else 0,
                after=draw(st.sampled_from(["", "", "", "q0", "q1", "q6"])),
                wanted=draw(st.sampled_from([None, opens + 10 * RASTER])),
                priority=draw(st.integers(0, 1)),
                asked=draw(st.integers(0, 3)),
            )
        )
    return found


def everybody_is_somewhere_and_nothing_is_wrong(table: Timetable, asked: list[Request], place: Clinic) -> None:
    where = Counter(
        [*(b.request.id for b in table.booked), *(u.request.id for u in (*table.waiting, *table.conflicts))]
    )
    assert where == Counter(r.id for r in asked)
    assert list(problems(table.booked, place)) == []


@settings(max_examples=400)
@given(clinics(), asked_for(), st.randoms())
def test_every_greedy_timetable_keeps_every_rule(place: Clinic, asked: list[Request], dice: Any) -> None:
    table = schedule(asked, place, now=SPRING)
    everybody_is_somewhere_and_nothing_is_wrong(table, asked, place)
    shuffled = dice.sample(asked, len(asked))
    assert schedule(shuffled, place, now=SPRING) == table
    again = schedule(shuffled, place, now=SPRING, booked=table.booked)
    assert again.booked == table.booked  # asked again: nothing moves and nobody is added


def _delay(table: Timetable) -> int:
    """How far all starts together are from what was wanted, or from the opening of the window."""
    return sum(abs(b.starts - wish(b.request)) for b in table.booked)


@settings(max_examples=40)
@given(clinics(), asked_for())
def test_every_optimised_timetable_keeps_every_rule_and_is_no_worse(place: Clinic, asked: list[Request]) -> None:
    asked = [replace(r, priority=0) for r in asked]
    table, greedy = optimise(asked, place, now=SPRING), schedule(asked, place, now=SPRING)
    everybody_is_somewhere_and_nothing_is_wrong(table, asked, place)
    assert len(table.booked) >= len(greedy.booked)
    if len(table.booked) == len(greedy.booked):
        assert _delay(table) <= _delay(greedy)
    assert table.conflicts == greedy.conflicts


@settings(max_examples=100)
@given(clinics(), asked_for())
def test_who_waits_has_no_place_that_is_left_free(place: Clinic, asked: list[Request]) -> None:
    """Every start, chair and member of staff is tried by hand for those who wait, one need at the most."""
    asked = [replace(r, needs=r.needs[:1] if r.needs[:1] and r.needs[0].count == 1 else ()) for r in asked]
    table = schedule(asked, place, now=SPRING)
    for waits in table.waiting:
        r = waits.request
        length = r.duration_ms + r.observe_ms
        for start, chair in product(range(r.opens, r.closes - length + 1, RASTER), place.chairs):
            parts = {"dose": (start, start + r.duration_ms), "observe": (start + r.duration_ms, start + length)}
            for person in place.staff:
                duties = tuple(
                    Duty(staff=person.id, how=n.how, starts=parts[n.during][0], ends=parts[n.during][1])
                    for n in r.needs
                )
                tried = Booking(request=r, starts=start, ends=start + length, chair=chair.id, duties=duties)
                assert list(problems([*table.booked, tried], place)) != [], (waits.says, tried)


@settings(max_examples=400)
@given(clinics(), asked_for(), st.data())
def test_a_freed_place_goes_along_the_waiting_list(place: Clinic, asked: list[Request], data: st.DataObject) -> None:
    table = schedule(asked, place, now=SPRING)
    if not table.booked:
        return
    gone = data.draw(st.sampled_from([b.request.id for b in table.booked]))
    again = rebook(table, place, cancelled=[gone], now=SPRING - DAY)
    assert [b for b in table.booked if b.request.id != gone] == list(again.booked)
    offered = [o.booking for o in again.offers]
    wrong = [p for p in problems([*again.booked, *offered], place) if not p.endswith(f"without {gone}")]
    assert wrong == []
    assert {b.request.id for b in offered} <= {w.request.id for w in table.waiting}
