"""What must hold of the messages of every plan, in every zone, however often and in whatever order it is asked."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, Instant
from adjunct.documents.calendar import calendar
from adjunct.due import Done, State, Step, Window
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.planning.model import CarePlan, Change, Status, Visit
from adjunct.planning.outgoing import MESSAGE, Contact, Outgoing, messages, messages_due

KNOWLEDGE = Knowledge.load()
HOUR = 3_600_000
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
# The day before a change of clocks in one of these zones, and a day without any.
DAYS = ("2027-03-13", "2027-03-27", "2027-04-03", "2027-10-02", "2027-10-30", "2027-11-06", "2027-06-15")
QUIET = st.tuples(st.integers(0, 23), st.sampled_from([0, 15, 30, 45])).map(lambda t: f"{t[0]:02}:{t[1]:02}")
CONTACTS = st.builds(
    lambda zone, quiet, language, ride: Contact(
        zone=zone, quiet_from=quiet[0], quiet_to=quiet[1], language=language, supporter_ride=ride
    ),
    st.sampled_from(["", *ZONES]),
    st.one_of(st.just(("", "")), st.tuples(QUIET, QUIET)),
    st.sampled_from(["en", "es"]),
    st.booleans(),
)


def base(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


@st.composite
def visits(draw: st.DrawFn, start: int) -> tuple[Visit, ...]:
    found, at = [], start
    for number in range(1, draw(st.integers(1, 3)) + 1):
        state = draw(st.sampled_from([State.WAITING, State.WAITING, State.WAITING, State.DONE, State.MISSED]))
        found.append(
            Visit(
                id=f"esketamine-trd.induction.{number}",
                number=number,
                phase="induction",
                kind=draw(st.sampled_from(["dose", "dose", "therapy", "taper", "contact"])),
                title="Nasal esketamine",
                window=Window(opens=at - MS_PER_DAY, due=at, overdue=at + HOUR, closes=at + 2 * MS_PER_DAY),
                starts=at,
                ends=at + draw(st.integers(1, 5)) * HOUR,
                state=state,
                given_at=at if state is State.DONE else None,
                prerequisites=(f"ride.{number}",),
            )
        )
        at += draw(st.integers(12, 24 * 8)) * HOUR
    return tuple(found)


@st.composite
def plans(draw: st.DrawFn) -> CarePlan:
    start = base(draw(st.sampled_from(DAYS))) + draw(st.integers(0, 47)) * HOUR
    steps = []
    for number in range(draw(st.integers(0, 4))):
        opens = start + draw(st.integers(-72, 72)) * HOUR
        due = opens + draw(st.integers(0, 48)) * HOUR
        what = draw(st.sampled_from(["checkin", "consent", "phq9", "review", "ride", "preparation"]))
        owner = draw(st.sampled_from(["person", "nurse"]))
        window = Window(opens=opens, due=due, overdue=due + 8 * HOUR, closes=due + 3 * MS_PER_DAY)
        steps.append(Step(id=f"s{number}", what=what, title=what, domain="plan", owner=owner, window=window))
    changes = []
    for number in range(1, draw(st.integers(0, 2)) + 1):
        kind = draw(st.sampled_from(["hold", "resume", "stop", "amend"]))
        when = start + draw(st.integers(-48, 48)) * HOUR
        changes.append(Change(id=f"c{number}", at=when, by="Dr Ito", kind=kind, reason="r", after=number))
    return CarePlan(
        at=Instant(start - 10 * MS_PER_DAY),
        zone=draw(st.sampled_from(ZONES)),
        language="en",
        patient="Patient/ana",
        protocol="esketamine-trd",
        protocol_version=1,
        protocol_title="Nasal esketamine",
        version=1 + len(changes),
        status=draw(st.sampled_from([Status.ACTIVE, Status.ACTIVE, Status.ACTIVE, Status.WAITING, Status.STOPPED])),
        verdict="ELIGIBLE",
        override=None,
        open=(),
        told=(),
        visits=draw(visits(start)),
        steps=tuple(steps),
        missed=(),
        reviews=(),
        stops=(),
        timeline=(),
        settings=(),
        changes=tuple(changes),
        notes=(),
        knowledge={},
    )


def ask(plan: CarePlan, history: Any, now: int, contact: Contact) -> tuple[Outgoing, ...]:
    cover = Cover(zone=plan.zone)
    return messages_due(plan, history, now, contact=contact, cover=cover, knowledge=KNOWLEDGE)


def coming(plan: CarePlan, contact: Contact, history: Any = ()) -> tuple[Outgoing, ...]:
    return messages(plan, history, contact=contact, cover=Cover(zone=plan.zone), knowledge=KNOWLEDGE)


def times(plan: CarePlan, contact: Contact) -> list[int]:
    """From before the first message of a plan to after its last, with the moment of each."""
    first, last = min(v.starts for v in plan.visits), max(v.starts for v in plan.visits)
    regular = range(first - 9 * MS_PER_DAY, last + 9 * MS_PER_DAY, 5 * HOUR + HOUR // 2)
    return sorted({*regular, *(m.not_before for m in coming(plan, contact))})


def sending(plan: CarePlan, contact: Contact) -> Iterator[tuple[int, Outgoing]]:
    """Asks again and again and sends whatever is due at once."""
    history: list[Done] = []
    for now in times(plan, contact):
        for message in ask(plan, history, now, contact):
            yield now, message
            history.append(Done(what=MESSAGE, at=now, step=message.key))


def parts(message: Outgoing) -> list[str]:
    return [f"{message.to}:{part}" for part in message.key.rpartition(":")[2].split("+")]


def is_quiet(ms: int, zone: str, contact: Contact) -> bool:
    """The obvious reading, minute by minute of the clock on the wall."""
    wall = datetime.fromtimestamp(ms / 1000, tz=ZoneInfo(zone)).strftime("%H:%M:%S")
    begins, ends = contact.quiet_from or "21:00", contact.quiet_to or "08:00"
    if begins <= ends:
        return begins <= wall < ends
    return not ends <= wall < begins


@given(plans(), CONTACTS)
@settings(max_examples=40)
def test_nothing_goes_in_quiet_hours_twice_too_often_or_after_its_time(plan: CarePlan, contact: Contact) -> None:
    seen: set[str] = set()
    a_day: Counter[tuple[str, str]] = Counter()
    for now, message in sending(plan, contact):
        own = (contact.zone or plan.zone) if message.to in ("person", "supporter") else plan.zone
        preferences = contact if message.to in ("person", "supporter") else Contact()
        assert not is_quiet(now, own, preferences)
        assert message.not_before <= now < message.send_by <= message.expires
        assert not seen & set(parts(message))
        seen |= set(parts(message))
        day = datetime.fromtimestamp(now / 1000, tz=ZoneInfo(own)).date().isoformat()
        a_day[message.to, day] += 1
    assert max(a_day.values(), default=0) <= KNOWLEDGE.number("outgoing.most_per_day")


@given(plans(), CONTACTS)
def test_what_is_planned_is_never_planned_for_quiet_hours(plan: CarePlan, contact: Contact) -> None:
    for message in coming(plan, contact):
        own = (contact.zone or plan.zone) if message.to in ("person", "supporter") else plan.zone
        assert not is_quiet(message.not_before, own, contact if message.to in ("person", "supporter") else Contact())
        assert message.not_before < message.expires


@given(plans(), CONTACTS, st.data())
def test_order_repetition_and_restarts_change_nothing(plan: CarePlan, contact: Contact, data: st.DataObject) -> None:
    now = data.draw(st.sampled_from(times(plan, contact)))
    earlier = coming(plan, contact)
    history = [
        Done(what=MESSAGE, at=m.not_before, step=m.key)
        for m in data.draw(st.lists(st.sampled_from(earlier), max_size=5) if earlier else st.just([]))
    ]
    expected = ask(plan, history, now, contact)
    shuffled = data.draw(st.permutations(history + history[:2]))
    again = replace(
        plan,
        at=Instant(plan.at.ms + MS_PER_DAY),
        visits=tuple(data.draw(st.permutations(plan.visits))),
        steps=tuple(data.draw(st.permutations(plan.steps))),
        verdict="CAUTION",
    )
    assert ask(again, shuffled, now, contact) == expected
    future = Done(what=MESSAGE, at=now + 1, step=expected[0].key) if expected else Done(what="checkin", at=now + 1)
    assert ask(plan, [*history, future], now, contact) == expected


@given(plans(), CONTACTS)
@settings(max_examples=40)
def test_time_only_moves_a_message_forward(plan: CarePlan, contact: Contact) -> None:
    """A part waits, is due except in quiet hours, and is gone for good."""
    due_at: dict[str, list[int]] = {}
    asked = times(plan, contact)
    for now in asked:
        for message in ask(plan, (), now, contact):
            for part in parts(message):
                due_at.setdefault(part, []).append(now)
    for part, when in due_at.items():
        to = part.partition(":")[0]
        own = (contact.zone or plan.zone) if to in ("person", "supporter") else plan.zone
        for now in asked[asked.index(when[0]) : asked.index(when[-1])]:
            assert now in when or is_quiet(now, own, contact if to in ("person", "supporter") else Contact())


@given(plans(), CONTACTS, st.integers(1, 200))
def test_a_moved_visit_has_other_keys_and_no_other_visit_has(plan: CarePlan, contact: Contact, hours: int) -> None:
    plan = replace(plan, status=Status.ACTIVE)
    last = plan.visits[-1]
    later = replace(last, starts=last.starts + hours * HOUR, ends=last.ends + hours * HOUR)
    moved = replace(plan, visits=(*plan.visits[:-1], later))

    def keys(p: CarePlan, mine: bool) -> set[str]:
        dated = ("reminder", "ride", "prepare", "missed")
        return {m.key for m in coming(p, contact) if (m.why == (last.id,)) is mine and m.template.startswith(dated)}

    assert not keys(plan, True) & keys(moved, True)

    def steady(p: CarePlan) -> set[str]:  # a reminder may come or go where a visit comes to lie before it
        return {key for key in keys(p, False) if "reminder-" not in key}

    assert steady(plan) == steady(moved)


# --- words ------------------------------------------------------------------------------------------------------------

NAMES = {row["text"].casefold() for row in KNOWLEDGE.content["names"] if len(row["text"]) >= 4}
NAMES |= {name.casefold() for concept in KNOWLEDGE.concepts.values() for name in concept.names if len(name) >= 4}
ALLOWED: frozenset[str] = frozenset()  # reviewed: a word of everyday language that is also a name
# Beginnings of words that tell an illness, a treatment or the kind of clinic, in both languages.
TELLING = """addict adicci alcohol ansiedad anxiety ayun bipolar clinic clínic depres diagn dosis dose dosing drog drug
    esketamin fast hospital infus inyec inject ketamin kratom manía mania medic mental nasal opioid pastilla pill psic
    psych recaíd relaps salud suic symptom síntoma terap therap trastorn tratam treatm withdraw""".split()
WORD = re.compile(r"\w[\w'-]*")
LONGEST = 4


def telling(text: str) -> set[str]:
    words = WORD.findall(text.casefold())
    runs = {" ".join(words[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(words))}
    return (runs & NAMES - ALLOWED) | {w for w in words if any(w.startswith(t) for t in TELLING)}


def test_the_list_of_telling_words_can_find_something() -> None:
    assert telling("Your esketamine treatment") == {"esketamine", "treatment"}
    assert telling("Tome sertralina y kratom.") >= {"sertralina", "kratom"}


@given(plans(), CONTACTS)
def test_no_text_tells_what_it_is_about(plan: CarePlan, contact: Contact) -> None:
    for message in coming(plan, contact):
        assert telling(f"{message.subject} {message.text}") == set()
        assert "http" not in message.text
        assert "ana" not in message.key.lower().split("/")
        assert not telling(re.sub(r"[.:+-]", " ", message.key))


def test_no_text_of_the_file_tells_what_it_is_about() -> None:
    content = KNOWLEDGE.content["outgoing"]
    texts = [t for e in content["message"] for name in ("subject", "text") for t in e[name].values()]
    texts += [t for name in ("summary", "proposed", "description", "call") for t in content["calendar"][name].values()]
    assert [(t, telling(t)) for t in texts if telling(t)] == []


# --- calendar ---------------------------------------------------------------------------------------------------------


def entries(plan: CarePlan) -> dict[str, int]:
    """UID and SEQUENCE of every entry, read line by line."""
    text = calendar(plan, KNOWLEDGE, language="en", now=plan.at.ms).decode().replace("\r\n ", "")
    uids = re.findall(r"^UID:(.*)\r$", text, re.MULTILINE)
    return dict(zip(uids, map(int, re.findall(r"^SEQUENCE:(\d+)\r$", text, re.MULTILINE)), strict=True))


@given(plans(), st.integers(0, 3), st.integers(1, 100), st.sampled_from(list(Status)))
@settings(max_examples=50)
def test_an_entry_keeps_its_uid_and_its_sequence_never_falls(
    plan: CarePlan, more: int, hours: int, status: Status
) -> None:
    shifted = tuple(replace(v, starts=v.starts + hours * HOUR, ends=v.ends + hours * HOUR) for v in plan.visits)
    later = replace(plan, version=plan.version + 1 + more, visits=shifted, status=status)
    before, after = entries(plan), entries(later)
    assert before.keys() == after.keys()
    assert len(before) == len(plan.visits)
    assert all(after[uid] > before[uid] for uid in before)
