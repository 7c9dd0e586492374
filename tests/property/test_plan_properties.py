"""What holds of every plan: windows, the least time between doses, what comes first, replay, summer time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import BadInput, instant
from adjunct.clinic import Clinic
from adjunct.due import State, due
from adjunct.knowledge import Knowledge
from adjunct.planning.course import Course, course
from adjunct.planning.log import Log, read_log
from adjunct.planning.protocols import protocol, value_ms, with_settings

KNOWLEDGE = Knowledge.load()
DOSING = ("esketamine-trd", "esketamine-mdsi", "ketamine-iv-induction", "ketamine-iv-maintenance", "ketamine-sc")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOUR = 3_600_000


def clinic(zone: str) -> Clinic:
    hours = [{"day": d, "opens": "08:00", "closes": "18:00"} for d in WEEK]
    return Clinic.of({"cover": {"zone": zone, "hours": hours}}, KNOWLEDGE)


def made(
    name: str,
    zone: str,
    start: date,
    given: Sequence[tuple[int, int]],
    now: int,
    order: Mapping[str, Any] | None = None,
) -> Course:
    known, place = protocol(KNOWLEDGE, name), clinic(zone)
    values = with_settings(known, {})
    log = read_log(known, place.cover, values, order or {}, now)
    return course(known, values, start=start, clinic=place, given=given, log=log, now=now, language="en")


starts = st.dates(date(2027, 1, 1), date(2028, 12, 31))
attended = st.lists(st.one_of(st.none(), st.integers(0, 999)), min_size=1, max_size=14)


def at_midnight(zone: str, day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@settings(max_examples=60)
@given(name=st.sampled_from(DOSING), zone=st.sampled_from(ZONES), start=starts)
def test_every_visit_stands_inside_its_window_and_the_hours_of_the_clinic(name: str, zone: str, start: date) -> None:
    found = made(name, zone, start, (), at_midnight(zone, start))
    place = clinic(zone)
    for visit in found.visits:
        assert visit.window.opens <= visit.starts < visit.window.closes
        day = place.cover.local(visit.starts).date()
        assert any(a <= visit.starts and visit.ends <= b for a, b in place.cover.openings(day))
    assert [v.number for v in found.visits] == list(range(1, len(found.visits) + 1))


@settings(max_examples=60)
@given(name=st.sampled_from(DOSING), zone=st.sampled_from(ZONES), start=starts, attends=attended)
def test_no_two_doses_inside_the_least_time_wherever_in_the_windows_one_comes(
    name: str, zone: str, start: date, attends: Sequence[int | None]
) -> None:
    """The person comes at some time of the window that the plan shows then, or not at all; the plan is read anew."""
    now, doses = at_midnight(zone, start), list[tuple[int, int]]()
    for share in attends:
        found = made(name, zone, start, doses, now)
        coming = [v for v in found.visits if v.state not in (State.DONE, State.MISSED)]
        if not coming:
            break
        visit = coming[0]
        if share is None:
            now = max(now, visit.window.closes)
            continue
        opens = max(visit.window.opens, now)
        at = opens + (max(visit.window.closes - 1, opens) - opens) * share // 1000
        if doses:
            assert at - doses[-1][1] >= visit.least_gap_ms > 0
        doses.append((at, at))
        now = at + HOUR
        again = made(name, zone, start, doses, now)
        assert sum(v.state is State.DONE for v in again.visits) == len(doses)


@settings(max_examples=60)
@given(
    name=st.sampled_from(DOSING),
    start=starts,
    gaps=st.lists(st.integers(20, 400), max_size=10),
    later=st.integers(0, 60),
)
def test_a_plan_is_the_same_after_any_restart_and_only_learns(
    name: str, start: date, gaps: Sequence[int], later: int
) -> None:
    """What was given stays given; with the same record a later look changes no proposal that is still to come."""
    zone = "Europe/Berlin"
    at, doses = at_midnight(zone, start) + 9 * HOUR, []
    for gap in gaps:
        doses.append((at, at))
        at += gap * HOUR
    now = doses[-1][1] + HOUR if doses else at_midnight(zone, start)
    first = made(name, zone, start, doses, now)
    assert made(name, zone, start, list(reversed(doses)), now) == first
    after = made(name, zone, start, doses, now + later * HOUR)
    assert [v.given_at for v in first.visits if v.given_at] == [v.given_at for v in after.visits if v.given_at]
    assert len([v for v in first.visits if v.given_at]) + len(first.outside) + bool(first.before) >= len(doses) - sum(
        d[1] < first.visits[0].window.opens for d in doses
    )


@settings(max_examples=40)
@given(start=starts, zone=st.sampled_from(ZONES), hours=st.lists(st.integers(0, 5000), min_size=2, max_size=2))
def test_states_only_move_forward_in_time(start: date, zone: str, hours: Sequence[int]) -> None:
    order = list(State)
    first, second = sorted(at_midnight(zone, start) + h * HOUR for h in hours)
    early, late = (
        {v.id: v.state for v in made("esketamine-trd", zone, start, (), now).visits} for now in (first, second)
    )
    assert early.keys() <= late.keys()
    assert all(order.index(early[name]) <= order.index(late[name]) for name in early)


@settings(max_examples=40)
@given(start=starts, zone=st.sampled_from(ZONES))
def test_the_wall_clock_does_not_move_in_weeks_of_summer_time(start: date, zone: str) -> None:
    place = clinic(zone)
    times = {f"{place.cover.local(v.starts):%H:%M}" for v in made("esketamine-trd", zone, start, (), 0).visits}
    assert times == {"08:00"}


KINDS = st.sampled_from(("hold", "resume", "stop", "amend"))


@settings(max_examples=60)
@given(kinds=st.lists(KINDS, max_size=6), steps=st.lists(st.integers(1, 30), min_size=6, max_size=6))
def test_a_log_is_taken_whole_or_refused_and_a_held_course_proposes_nothing(
    kinds: Sequence[str], steps: Sequence[int]
) -> None:
    start, at, entries = date(2027, 3, 1), datetime(2027, 3, 3, tzinfo=UTC), []
    for number, (kind, days) in enumerate(zip(kinds, steps, strict=False), start=1):
        at += timedelta(days=days)
        entry = {"id": f"c{number}", "kind": kind, "at": at.isoformat(), "by": "Dr", "reason": "r", "after": number}
        entries.append(entry | ({"settings": {"window.late": 0}} if kind == "amend" else {}))
    now = instant((at + timedelta(days=1)).isoformat()).ms
    held, fits = False, True
    for kind in kinds:
        fits = fits and not (kind == "resume" and not held) and not (kind == "hold" and held) and held != "stopped"
        held = {"hold": True, "resume": False}.get(kind, held) if kind != "stop" else "stopped"  # type: ignore[assignment]
    if not fits:
        with pytest.raises(BadInput):
            made("esketamine-trd", "UTC", start, (), now, {"change": entries})
        return
    found = made("esketamine-trd", "UTC", start, (), now, {"change": entries})
    if held:
        assert all(v.state in (State.DONE, State.MISSED) for v in found.visits)
    else:
        assert any(v.state not in (State.DONE, State.MISSED) for v in found.visits)


def test_the_states_of_visits_are_those_of_due() -> None:
    """One due logic: a visit's state is what `due` says of its step."""
    from adjunct.due import Done, Step

    zone, start = "Europe/Berlin", date(2027, 3, 1)
    doses = [(at_midnight(zone, start) + 9 * HOUR,) * 2, (at_midnight(zone, start) + 81 * HOUR,) * 2]
    for day in range(0, 40, 3):
        now = at_midnight(zone, start) + day * 24 * HOUR
        found = made("esketamine-trd", zone, start, [d for d in doses if d[1] <= now], now)
        steps = [Step(id=v.id, what="dose", title="", domain="", owner="", window=v.window) for v in found.visits]
        acts = [Done(what="dose", at=v.given_at, step=v.id) for v in found.visits if v.given_at is not None]
        assert {d.step.id: d.state for d in due(steps, acts, now=now)} == {v.id: v.state for v in found.visits}


def test_lengths_of_the_log_are_of_the_protocol() -> None:
    known = protocol(KNOWLEDGE, "esketamine-trd")
    values = with_settings(known, {"maintenance.gap": "2 wk"})
    assert value_ms(values["maintenance.gap"]) == 14 * 24 * HOUR
    assert Log(known, clinic("UTC").cover).version == 1
