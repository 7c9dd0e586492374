"""What is written to whom and when: one course of visits, message by message."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from adjunct.base import MS_PER_DAY, BadInput, Instant, instant
from adjunct.due import Done, State, Step, Window
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Change, Status, Told, Visit
from adjunct.planning.outgoing import (
    MESSAGE,
    WITHDRAWN,
    Contact,
    Outgoing,
    contact_of,
    messages,
    messages_due,
    withdrawn,
)

KNOWLEDGE = Knowledge.load()
COVER = Cover(zone="Europe/Berlin")
HOUR = 3_600_000


def at(text: str) -> int:
    """A local time in Berlin in winter, as "2027-01-11 09:00"."""
    return instant(text.replace(" ", "T") + "+01:00").ms


def visit(number: int, starts: str | int, *, kind: str = "dose", **more: Any) -> Visit:
    ms = at(starts) if isinstance(starts, str) else starts
    given: dict[str, Any] = {
        "window": Window(opens=ms - MS_PER_DAY, due=ms, overdue=ms + 2 * HOUR, closes=ms + MS_PER_DAY),
        "ends": ms + 3 * HOUR,
        "state": State.WAITING,
    }
    return Visit(
        id=f"esketamine-trd.induction.{number}",
        number=number,
        phase="induction",
        kind=kind,
        title="Session",
        starts=ms,
        **(given | more),
    )


def step(name: str, what: str, opens: str, due: str, *, owner: str = "person", overdue: str = "", **more: Any) -> Step:
    window = Window(opens=at(opens), due=at(due), overdue=at(overdue or due))
    return Step(id=name, what=what, title=what, domain=more.get("domain", "plan"), owner=owner, window=window)


def plan(*visits: Visit, steps: tuple[Step, ...] = (), changes: tuple[Change, ...] = (), **more: Any) -> CarePlan:
    return CarePlan(
        at=Instant(at("2027-01-01 09:00")),
        zone="Europe/Berlin",
        language="en",
        patient="Patient/ana",
        protocol="esketamine-trd",
        protocol_version=1,
        protocol_title="Nasal esketamine",
        version=1 + len(changes),
        status=more.get("status", Status.ACTIVE),
        verdict="ELIGIBLE",
        override=None,
        open=more.get("open", ()),
        told=(),
        visits=visits,
        steps=steps,
        missed=(),
        reviews=(),
        stops=(),
        timeline=(),
        settings=(),
        changes=changes,
        notes=(),
        knowledge={},
    )


def change(kind: str, when: str, after: int = 1, **data: Any) -> Change:
    return Change(id=f"c{after}", at=at(when), by="Dr Ito", kind=kind, reason="r", after=after, data=data)


def ask(the_plan: CarePlan, when: str | int, history: tuple[Done, ...] = (), **contact: Any) -> tuple[Outgoing, ...]:
    now = at(when) if isinstance(when, str) else when
    return messages_due(the_plan, history, now, contact=Contact(**contact), cover=COVER, knowledge=KNOWLEDGE)


def expected(the_plan: CarePlan, history: tuple[Done, ...] = (), **contact: Any) -> dict[str, str]:
    """Every message to come: template and local time."""
    found = messages(the_plan, history, contact=Contact(**contact), cover=COVER, knowledge=KNOWLEDGE)
    return {m.template: f"{COVER.local(m.not_before):%Y-%m-%d %H:%M}" for m in found}


def sent(message: Outgoing, when: str | int) -> Done:
    return Done(what=MESSAGE, at=at(when) if isinstance(when, str) else when, step=message.key)


THE_VISIT = "your appointment on Monday 11 January 2027, 09:00"
CALL = (
    "If we have told you another time, that one counts. If you cannot come, please call us: we will find another time."
)
NOBODY = "If you find nobody, call us: we will think about it together."
FIT = "If something on it does not fit you, call us before you change anything."
MONDAY, WHEN = visit(1, "2027-01-11 09:00"), "Monday 11 January 2027, 09:00"


def test_reminders_go_back_from_the_visit_and_what_belongs_together_goes_together() -> None:
    assert expected(plan(MONDAY), supporter_ride=True) == {
        "reminder-first": "2027-01-04 10:00",
        "reminder-second": "2027-01-08 10:00",
        "ride": "2027-01-08 10:00",
        "ride-supporter": "2027-01-08 10:00",
        "prepare": "2027-01-08 10:00",
        "reminder-last": "2027-01-10 10:00",
    }
    (message,) = ask(plan(MONDAY), "2027-01-08 10:00")
    assert message.subject == "Your appointment"
    assert message.text.split("\n\n") == [
        f"Your next visit is planned for {WHEN}. {CALL}",
        f"Please arrange for an adult to take you home after {THE_VISIT}, and tell us who it is. {NOBODY}",
        f"Please read your preparation sheet for {THE_VISIT}, and read it before you eat on that day. {FIT}",
    ]


@pytest.mark.parametrize(
    ("when", "templates"),
    [
        ("2027-01-04 09:59", []),
        ("2027-01-04 10:00", ["reminder-first"]),
        ("2027-01-07 20:59", ["reminder-first"]),
        ("2027-01-08 09:59", []),  # it has expired, the second one is not due yet
        ("2027-01-08 10:00", ["reminder-second"]),
        ("2027-01-10 10:00", ["reminder-last"]),
        ("2027-01-10 20:59", ["reminder-last"]),
        ("2027-01-10 21:00", []),  # quiet hours
        ("2027-01-11 06:00", []),  # too late to be useful
        ("2027-01-11 09:30", []),
    ],
)
def test_a_reminder_is_due_from_its_hour_until_the_next_one_or_until_it_is_too_late(
    when: str, templates: list[str]
) -> None:
    therapy = replace(MONDAY, kind="therapy")
    assert [m.template for m in ask(plan(therapy), when)] == templates


def test_what_was_sent_is_never_due_again_not_even_as_a_part() -> None:
    the_plan = plan(MONDAY)
    (first,) = ask(the_plan, "2027-01-08 10:00")
    assert ask(the_plan, "2027-01-08 10:01", (sent(first, "2027-01-08 10:00"),)) == ()
    parts = first.key.removeprefix("person:").split("+")
    (rest,) = ask(
        the_plan, "2027-01-08 10:05", (Done(what=MESSAGE, at=at("2027-01-08 10:00"), step=f"person:{parts[0]}"),)
    )
    assert rest.key == "person:" + "+".join(parts[1:])


@pytest.mark.parametrize(
    "key", ["", "person:", "by hand", "person:reminder-last", "person:gone.890cef7b8c4a.9999999999999"]
)
def test_an_act_of_another_kind_of_message_changes_nothing(key: str) -> None:
    other = (Done(what=MESSAGE, at=at("2027-01-09 09:00"), step=key), Done(what="checkin", at=at("2027-01-09 09:00")))
    assert expected(plan(MONDAY), other) == expected(plan(MONDAY))


def test_somebody_planned_at_short_notice_is_reminded_once() -> None:
    (message,) = ask(plan(MONDAY), "2027-01-10 12:00")
    assert message.text.count("Your next visit is planned for") == 1
    assert [p.split(".")[0] for p in message.key.removeprefix("person:").split("+")] == [
        "reminder-last",
        "ride",
        "prepare",
    ]


def test_twice_a_week_nobody_is_reminded_of_the_next_visit_but_one() -> None:
    thursday = visit(2, "2027-01-14 09:00")
    found = messages(plan(MONDAY, thursday), (), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE)
    of_thursday = [m.template for m in found if m.why == (thursday.id,)]
    assert sorted(of_thursday) == ["prepare", "reminder-last", "ride"]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTIVE])
def test_a_visit_that_is_only_proposed_or_does_not_happen_is_not_reminded_of(status: Status) -> None:
    assert expected(plan(MONDAY, status=status)) == {}


@pytest.mark.parametrize("state", [State.DONE, State.MISSED])
def test_a_visit_that_is_past_is_not_reminded_of(state: State) -> None:
    given = {"given_at": MONDAY.starts} if state is State.DONE else {}
    found = expected(plan(replace(MONDAY, state=state, **given)))
    assert set(found) == {"aftercare" if state is State.DONE else "missed"}


@pytest.mark.parametrize(("open_", "reminded"), [("open-review", {"2", "3"}), (WITHDRAWN, {"3"}), ("stop:x", set())])
def test_in_a_course_that_has_begun_people_are_expected_unless_they_took_their_consent_back(
    open_: str, reminded: set[str]
) -> None:
    given = visit(1, "2027-01-04 09:00", given_at=at("2027-01-04 09:00"), state=State.DONE)
    coming = (visit(2, "2027-01-11 09:00"), visit(3, "2027-01-18 09:00", kind="therapy"))
    told = Told(id=open_, title="t", says="s", tell="", source="project-default", owner="prescriber")
    waiting = plan(given, *coming, status=Status.WAITING, open=(told,))
    found = messages(waiting, (), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE)
    coming_ids = {v.id: str(v.number) for v in coming}
    assert {coming_ids[w] for m in found for w in m.why if w in coming_ids} == reminded


def test_a_ride_that_is_arranged_is_not_asked_for_again() -> None:
    ride = step("ride.1", "ride", "2027-01-04 09:00", "2027-01-10 20:00")
    the_plan = plan(replace(MONDAY, prerequisites=("ride.1",)), steps=(ride,))
    assert "ride" in expected(the_plan, supporter_ride=True)
    done = (Done(what="ride", at=at("2027-01-05 09:00"), step="ride.1"),)
    assert not {"ride", "ride-supporter"} & set(expected(the_plan, done, supporter_ride=True))


def test_only_who_agreed_is_written_to() -> None:
    assert expected(plan(MONDAY), reminders=False) == {}
    assert set(expected(plan(MONDAY), reminders=False, supporter_ride=True)) == {"ride-supporter"}
    assert "ride-supporter" not in expected(plan(MONDAY))
    (to_supporter,) = [m for m in ask(plan(MONDAY), "2027-01-08 10:00", supporter_ride=True) if m.to == "supporter"]
    assert "sheet" not in to_supporter.text


# --- moved, gone, held ------------------------------------------------------------------------------------------------


def test_a_moved_visit_is_another_message_and_takes_the_place_of_the_old_one() -> None:
    (first,) = ask(plan(MONDAY), "2027-01-04 10:00")
    history = (sent(first, "2027-01-04 10:00"),)
    tuesday = replace(MONDAY, starts=at("2027-01-12 14:00"), ends=at("2027-01-12 17:00"))
    moved = plan(tuesday, changes=(change("move", "2027-01-05 15:00", visit=MONDAY.id),))
    assert ask(moved, "2027-01-05 15:00", history) == ()
    (told,) = ask(moved, "2027-01-05 18:00", history)
    assert told.template == "moved"
    assert "is now planned for Tuesday 12 January 2027, 14:00" in told.text
    history += (sent(told, "2027-01-05 18:00"),)
    assert "moved" not in expected(moved, history)
    assert ask(moved, "2027-01-05 18:00", history) == ()  # no reminder on top of the news
    assert expected(moved, history) == {
        "reminder-second": "2027-01-09 10:00",
        "ride": "2027-01-09 10:00",
        "prepare": "2027-01-09 10:00",
        "reminder-last": "2027-01-11 10:00",
    }
    # and back to where it was: the person must hear that too
    back = plan(MONDAY, changes=(*moved.changes, change("move", "2027-01-06 09:00", 2, visit=MONDAY.id)))
    (told_again,) = ask(back, "2027-01-06 10:00", history)
    assert "is now planned for Monday 11 January 2027, 09:00" in told_again.text
    assert told_again.key != told.key
    assert "moved" not in expected(back, (*history, sent(told_again, "2027-01-06 10:00")))


def test_a_message_names_the_ones_that_it_takes_the_place_of() -> None:
    (first,) = ask(plan(MONDAY), "2027-01-08 10:00")
    later = plan(replace(MONDAY, starts=at("2027-01-20 09:00"), ends=at("2027-01-20 12:00")))
    found = messages(later, (sent(first, "2027-01-08 10:00"),), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE)
    ride = next(m for m in found if m.template == "ride")
    assert [key.split(".")[0] for key in ride.supersedes] == ["person:ride"]
    assert ride.supersedes[0].rpartition(":")[2] in first.key


def test_what_was_handed_over_for_later_is_taken_back_when_the_visit_moves() -> None:
    keys = [m.key for m in messages(plan(MONDAY), (), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE)]
    later = plan(replace(MONDAY, starts=MONDAY.starts + HOUR, ends=MONDAY.ends + HOUR))

    def taken_back(p: CarePlan) -> set[str]:
        return set(withdrawn(keys, p, (), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE))

    assert taken_back(plan(MONDAY)) == set()
    assert taken_back(plan(replace(MONDAY, title="Other words"))) == set()
    assert taken_back(later) == set(keys) == taken_back(plan(status=Status.STOPPED))


def test_a_visit_that_is_gone_is_told_to_those_who_knew_of_it() -> None:
    history = tuple(sent(m, "2027-01-08 10:00") for m in ask(plan(MONDAY), "2027-01-08 10:00", supporter_ride=True))
    without = plan(visit(2, "2027-01-18 09:00"), changes=(change("amend", "2027-01-09 09:00", settings={}),))
    found = {m.to: m for m in ask(without, "2027-01-09 10:00", history, supporter_ride=True)}
    assert {to: m.template for to, m in found.items()} == {"person": "gone", "supporter": "ride-gone"}
    assert "Monday 11 January 2027, 09:00" in found["person"].text
    assert "gone" not in expected(without, (*history, sent(found["person"], "2027-01-09 10:00")))
    assert "gone" not in expected(without)  # nobody had been written to


@pytest.mark.parametrize(
    ("decided", "told"),
    [
        ("2027-01-08 15:00", "2027-01-08 18:00"),  # with the next messages
        ("2027-01-10 20:00", "2027-01-10 20:00"),  # tomorrow at ten is too late
        ("2027-01-10 23:30", "2027-01-11 08:00"),  # as soon as the quiet hours end
    ],
)
def test_a_pause_is_told_before_the_visit_that_does_not_happen(decided: str, told: str) -> None:
    past = plan(visit(9, "2027-01-05 09:00"))  # one that took place hurries nothing
    history = (
        sent(ask(past, "2027-01-04 10:00")[0], "2027-01-04 10:00"),
        sent(ask(plan(MONDAY), "2027-01-08 10:00")[0], "2027-01-08 10:00"),
    )
    held = plan(status=Status.ON_HOLD, changes=(change("hold", decided),))
    assert expected(held, history) == {"held": told}


def test_after_a_pause_people_hear_that_their_visit_takes_place_after_all() -> None:
    history = (sent(ask(plan(MONDAY), "2027-01-08 10:00")[0], "2027-01-08 10:00"),)
    hold = change("hold", "2027-01-08 15:00")
    history += (
        sent(ask(plan(status=Status.ON_HOLD, changes=(hold,)), "2027-01-08 18:00", history)[0], "2027-01-08 18:00"),
    )
    resumed = plan(MONDAY, changes=(hold, change("resume", "2027-01-09 09:00", 2)))
    (message,) = ask(resumed, "2027-01-09 10:00", history)
    assert message.template == "moved"
    assert "Monday 11 January 2027, 09:00" in message.text
    assert "Your appointments go on" in message.text


def test_only_the_last_decision_is_told() -> None:
    changes = (change("hold", "2027-01-08 15:00"), change("stop", "2027-01-08 16:00", 2))
    assert expected(plan(status=Status.STOPPED, changes=changes)) == {"stopped": "2027-01-08 18:00"}


# --- after the visit, steps, tasks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "when"),
    [
        ("2027-01-11 12:00", "2027-01-11 18:00"),
        ("2027-01-11 18:00", "2027-01-11 18:00"),
        ("2027-01-11 18:01", "2027-01-11 18:01"),  # still that evening
        ("2027-01-11 21:30", "2027-01-12 08:00"),  # somebody who went home at night
    ],
)
def test_aftercare_comes_the_same_evening(ends: str, when: str) -> None:
    given = replace(MONDAY, state=State.DONE, given_at=MONDAY.starts, ends=at(ends))
    assert expected(plan(given)) == {"aftercare": when}


def test_the_evening_of_a_visit_brings_one_message() -> None:
    given = replace(MONDAY, state=State.DONE, given_at=MONDAY.starts)
    checkin = step(
        "checkin:2027-01-11:daily", "checkin", "2027-01-11 18:00", "2027-01-11 20:00", overdue="2027-01-12 10:00"
    )
    the_plan = plan(given, steps=(checkin,))
    (message,) = ask(the_plan, "2027-01-11 18:00")
    assert message.text.count("\n\n") == 1
    assert message.why == (MONDAY.id, checkin.id)
    answered = (Done(what="checkin", at=at("2027-01-11 18:10"), step=checkin.id),)
    assert set(expected(the_plan, answered)) == {"aftercare"}
    assert ask(plan(steps=(checkin,)), "2027-01-11 20:00") == ()  # in the morning it is somebody's task to call


def test_missed_is_told_kindly_and_once_somebody_recorded_it() -> None:
    missed = replace(MONDAY, state=State.MISSED)
    assert expected(plan(missed)) == {"missed": "2027-01-12 10:00"}  # its window closed at nine
    recorded = plan(missed, changes=(change("missed", "2027-01-11 11:00", visit=MONDAY.id),))
    assert expected(recorded) == {"missed": "2027-01-11 18:00"}
    assert ask(recorded, "2027-01-14 11:00") == ()


def test_steps_of_the_person_and_of_the_clinic() -> None:
    steps = (
        step("q1", "phq9", "2027-01-06 08:00", "2027-01-08 20:00"),
        step("q2", "phq9", "2027-01-06 08:00", "2027-01-08 20:00", owner="nurse"),
        step("c1", "consent", "2027-01-06 08:00", "2027-01-08 20:00", owner="prescriber", overdue="2027-01-09 09:00"),
        step("r1", "review:end-of-induction", "2027-01-07 08:00", "2027-01-08 20:00", owner="prescriber"),
        step("s1", "screen", "2027-01-06 08:00", "2027-01-06 09:00", owner="prescriber", domain="suicide"),
        step("o1", "open:consent", "2027-01-06 08:00", "2027-01-06 09:00", owner="prescriber", domain="open"),
        step("w1", "walk", "2027-01-06 08:00", "2027-01-06 09:00"),
    )
    found = messages(plan(steps=steps, status=Status.WAITING), (), contact=Contact(), cover=COVER, knowledge=KNOWLEDGE)
    shown = {(m.template, m.to, *m.why): f"{COVER.local(m.not_before):%d %H:%M}" for m in found}
    assert shown == {
        ("questionnaire", "person", "q1"): "06 10:00",
        ("consent", "person", "c1"): "06 10:00",
        ("review", "person", "r1"): "07 10:00",
        ("worklist", "prescriber", "r1"): "09 10:00",
    }
    assert next(m for m in found if m.template == "questionnaire").text.startswith(
        "Some questions are ready for you. Please answer them by Friday 8 January 2027 if you can."
    )


def test_what_is_due_as_soon_as_it_opens_is_asked_for_until_it_is_overdue() -> None:
    at_once = step("q1", "phq9", "2027-01-06 08:00", "2027-01-06 08:00", overdue="2027-01-07 08:00")
    assert expected(plan(steps=(at_once,))) == {"questionnaire": "2027-01-06 10:00"}


def test_a_task_reaches_its_owner_by_whatever_name() -> None:
    late = step("missed:1", "missed-visit", "2027-01-06 08:00", "2027-01-06 09:00", owner="Dr. Ito: team + 2")
    (message,) = ask(plan(steps=(late,)), "2027-01-06 10:00")
    assert (message.to, message.template, message.language) == ("Dr. Ito: team + 2", "worklist", "en")
    assert ask(plan(steps=(late,)), "2027-01-06 10:00", (sent(message, "2027-01-06 10:00"),)) == ()


def test_many_questionnaires_are_one_sentence() -> None:
    steps = tuple(step(f"q{d}", "phq9", "2027-01-06 08:00", f"2027-01-{d} 20:00") for d in (12, 11, 13))
    (message,) = ask(plan(steps=steps), "2027-01-06 10:00")
    assert message.text.count("Some questions are ready") == 1
    assert "Monday 11 January 2027" in message.text
    assert message.why == ("q11", "q12", "q13")
    assert ask(plan(steps=steps), "2027-01-14 10:00") == ()  # nobody reads that something was due the day before


# --- whose clocks, which language, how often --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quiet", "when"),
    [
        (("21:00", "08:00"), "10 10:00"),
        (("21:00", "10:30"), "10 10:30"),  # the hour falls into quiet hours: at their end
        (("09:00", "17:00"), "10 17:00"),
        (("00:00", "00:00"), "10 10:00"),  # none
        (("07:00", "06:00"), "10 06:00"),  # one hour a day is left
    ],
)
def test_quiet_hours_are_the_persons(quiet: tuple[str, str], when: str) -> None:
    contact = {"quiet_from": quiet[0], "quiet_to": quiet[1]}
    assert expected(plan(replace(MONDAY, kind="taper")), **contact)["reminder-last"] == f"2027-01-{when}"


def test_what_would_come_too_late_goes_before_the_quiet_hours_begin() -> None:
    late = plan(replace(visit(1, "2027-01-11 09:00"), kind="taper"))
    contact = {"quiet_from": "00:00", "quiet_to": "23:50"}
    assert expected(late, **contact)["reminder-last"] == "2027-01-10 23:50"
    asleep = {"quiet_from": "23:55", "quiet_to": "23:50"}  # five minutes a day
    early = plan(replace(visit(1, at("2027-01-11 00:30")), kind="taper"))
    assert expected(early, **asleep)["reminder-last"] == "2027-01-09 23:50"
    assert [m.template for m in ask(early, "2027-01-09 23:50", **asleep)] == ["reminder-last"]


@pytest.mark.parametrize(
    ("decided", "told"),
    [
        ("2027-10-31T02:20:00+02:00", "2027-10-31T02:30:00+02:00"),  # the first time that clocks show 02:20 that night
        ("2027-10-31T02:20:00+01:00", "2027-10-31T02:30:00+01:00"),  # the second time
        ("2027-03-28T01:50:00+01:00", "2027-03-28T03:30:00+02:00"),  # clocks skip 02:30: it counts as 03:30
    ],
)
def test_quiet_hours_end_when_the_clocks_say_so(decided: str, told: str) -> None:
    decision, end = instant(decided).ms, instant(told).ms
    reminded = plan(visit(1, decision + 9 * HOUR))
    history = tuple(sent(m, m.not_before) for m in ask(reminded, decision - 14 * HOUR))
    stop = Change(id="c1", at=decision, by="Dr Ito", kind="stop", reason="r", after=1)
    found = messages(
        plan(status=Status.STOPPED, changes=(stop,)),
        history,
        contact=Contact(quiet_from="20:00", quiet_to="02:30"),
        cover=COVER,
        knowledge=KNOWLEDGE,
    )
    assert [(m.template, m.not_before) for m in found] == [("stopped", end)]


def test_the_hour_is_the_persons_and_the_time_of_the_visit_the_clinics() -> None:
    found = messages(plan(MONDAY), (), contact=Contact(zone="America/New_York"), cover=COVER, knowledge=KNOWLEDGE)
    last = next(m for m in found if m.template == "reminder-last")
    assert Cover(zone="America/New_York").local(last.not_before).isoformat() == "2027-01-10T10:00:00-05:00"
    assert "Monday 11 January 2027, 09:00 (Europe/Berlin)" in last.text


def test_spanish() -> None:
    (message,) = ask(plan(MONDAY), "2027-01-10 10:00", language="es")
    assert message.language == "es"
    assert message.text.startswith("Su próxima visita está prevista para el lunes 11 de enero de 2027, 09:00.")


def test_no_more_a_day_than_the_fact_says() -> None:
    most = int(KNOWLEDGE.number("outgoing.most_per_day"))
    history = tuple(Done(what=MESSAGE, at=at(f"2027-01-10 0{n}:00"), step=f"person:x.{n}.0") for n in range(most))
    assert len(ask(plan(MONDAY), "2027-01-10 10:00", history[1:])) == 1
    assert ask(plan(MONDAY), "2027-01-10 10:00", history) == ()
    others = tuple(replace(h, step=h.step.replace("person", "supporter")) for h in history)
    assert len(ask(plan(MONDAY), "2027-01-10 10:00", others)) == 1


# --- preferences ------------------------------------------------------------------------------------------------------


def test_contact_is_read() -> None:
    section = {
        "name": "Ana",
        "zone": "America/New_York",
        "language": "es",
        "quiet_from": "22:30",
        "quiet_to": "07:00",
        "channels": ["email"],
        "reminders": False,
        "supporter_ride": True,
    }
    assert contact_of(section) == Contact(**(section | {"channels": ("email",)}))  # type: ignore[arg-type]
    assert contact_of({}) == Contact()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"zone": "Mars/Base"}, "no such time zone: 'Mars/Base'; write for example Europe/Berlin (at contact.zone)"),
        ({"language": "tlh"}, "(at contact.language)"),
        (
            {"quiet_from": "9pm", "quiet_to": "08:00"},
            "not a time of day: '9pm'; write HH:MM, 00:00 to 23:59 (at contact.quiet_from)",
        ),
        ({"quiet_from": "21:00"}, "give quiet_from and quiet_to (at contact)"),
        ({"quiet": "21:00"}, "not known here: 'quiet'"),
        ({"reminders": "no"}, "write true or false (at contact.reminders)"),
        ({"channels": "email"}, "write a list of names (at contact.channels)"),
        ({"zone": 1}, "write text (at contact.zone)"),
    ],
)
def test_contact_that_cannot_be_read_is_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        contact_of(section)
