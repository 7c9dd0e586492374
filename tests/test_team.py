"""The team: who sees what, what leaks (nothing), what is told by when, how a referral ends, what is handed over."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.assessment import Assessment
from adjunct.assessment.result import Finding
from adjunct.base import BadInput, Instant
from adjunct.due import Done, State, Window, due
from adjunct.followup.cover import Cover
from adjunct.knowledge import Knowledge
from adjunct.planning.handover import handover
from adjunct.planning.model import CarePlan, Fact, Status, Told, Visit
from adjunct.planning.team import (
    Access,
    Happened,
    Message,
    Move,
    Share,
    TakenBack,
    Team,
    Thread,
    acknowledge_steps,
    inbox,
    message_steps,
    notification,
    post,
    preferences_of,
    referral,
    team_of,
    visible,
)

KNOWLEDGE = Knowledge.load()
TEAM = KNOWLEDGE.content["team"]
ROLES = tuple(r["id"] for r in TEAM["role"])
LABELS = tuple(label["id"] for label in TEAM["label"])
COVER = Cover(zone="Europe/Berlin", owners={"nurse": "N. Roy"})
MIN, HOUR, DAY = 60_000, 3_600_000, 86_400_000
T = 1_800_000_000_000  # 2027-01-15, 09:00 in Berlin
HOME = "Europe/Berlin"


def access(*shares: Share, now: int = T, taken_back: tuple[TakenBack, ...] = ()) -> Access:
    return Access(knowledge=KNOWLEDGE, now=now, shares=shares, taken_back=taken_back)


def share(label: str = "substance-use", to: str = "primary-care", **more: Any) -> Share:
    return Share(**{"id": "s", "at": T, "by": "Ana", "label": label, "to": to, "purpose": "treatment", **more})


# --- who may see what: s by role, c only by the person's specific consent, - never -----------------------------------

MATRIX = """
                     schedule general mental-health suicide-risk substance-use psychotherapy-process-notes
prescriber           s        s       s             s            s             c
nurse                s        s       s             s            s             -
addiction-clinician  s        s       s             s            s             -
therapist            s        s       s             s            c             s
primary-care         s        s       s             s            c             -
pharmacist           s        s       s             c            c             -
person               s        s       s             s            s             -
supporter            c        c       c             c            c             -
front-desk           s        -       -             -            -             -
"""
CELLS = [
    (row.split()[0], label, cell)
    for row in MATRIX.strip().splitlines()[1:]
    for label, cell in zip(MATRIX.split("\n")[1].split(), row.split()[1:], strict=True)
]


def test_the_table_is_the_whole_team() -> None:
    assert {(role, label) for role, label, _ in CELLS} == {(r, label) for r in ROLES for label in LABELS}


@pytest.mark.parametrize(("role", "label", "cell"), CELLS)
def test_who_may_see_what(role: str, label: str, cell: str) -> None:
    assert access().sees(role, [label]) is (cell == "s")
    assert access(share(label, role)).sees(role, [label]) is (cell in "sc")


@pytest.mark.parametrize("role", [*ROLES, "visitor"])
def test_what_has_no_label_or_a_strange_one_is_shown_to_nobody(role: str) -> None:
    assert not access().sees(role, [])
    assert not access().sees(role, ["schedule", "genetics"])
    assert not access(share("genetics", role)).sees("visitor", ["schedule"])


CONSENT = [  # what differs from a consent to treat given just now; may primary care read about substances?
    ("as it is", {}, True),
    ("given after now", {"at": T + 1}, False),
    ("ended before now", {"until": T}, False),
    ("ends after now", {"until": T + 1}, True),
    ("to somebody else", {"to": "pharmacist"}, False),
    ("about something else", {"label": "suicide-risk"}, False),
    *((f"for {p}", {"purpose": p}, p == "treatment") for p in TEAM["purpose"]["known"]),
]


@pytest.mark.parametrize(("why", "differs", "sees"), CONSENT, ids=[c[0] for c in CONSENT])
def test_only_a_consent_in_force_for_this_label_role_and_purpose_counts(why: str, differs: Any, sees: bool) -> None:
    assert access(share(**differs)).sees("primary-care", ["substance-use"]) is sees


@pytest.mark.parametrize(("at", "sees"), [(T - 1, False), (T, False), (T + 1, True)])
def test_a_consent_that_is_taken_back_ends_at_once(at: int, sees: bool) -> None:
    back = TakenBack(id="b", at=at, by="Ana", share="s")
    assert access(share(at=T - 2), taken_back=(back,)).sees("primary-care", ["substance-use"]) is sees


LABELLED = [
    ("Kratom tea this morning", {}, "substance-use"),
    ("Takes 7-OH tablets", {}, "substance-use"),
    ("COWS 6 at the visit", {}, "substance-use"),
    ("Toma alcohol cada día", {}, "substance-use"),
    ("buprenorphine as usual", {}, "substance-use"),
    ("Five beers, then weed", {}, "substance-use"),
    ("Suboxone film as usual", {}, "substance-use"),
    ("A combination", {"involves": ["sertraline+alcohol"]}, "substance-use"),
    ("Two serotonergic medicines", {"involves": ["kratom-leaf"]}, "substance-use"),
    ("Agreed reduction", {"about": "withdrawal"}, "substance-use"),
    ("Score 3", {"domain": "substance"}, "substance-use"),
    ("C-SSRS asked: no", {}, "suicide-risk"),
    ("ideas de suicidio", {}, "suicide-risk"),
]


@pytest.mark.parametrize(("text", "more", "label"), LABELLED)
def test_a_text_has_the_labels_of_what_it_speaks_of(text: str, more: Any, label: str) -> None:
    assert access().labels_of(text, base=["general"], **more) == {"general", label}


def test_a_plain_text_keeps_its_label() -> None:
    assert access().labels_of("Blood pressure 128/80, walks well", base=["general"]) == {"general"}


# --- messages: what is not seen leaves no trace -----------------------------------------------------------------------

WORD = st.text(alphabet="qxzjkw", min_size=6, max_size=9)  # no word of any page
MESSAGES = st.builds(
    Message,
    id=st.uuids().map(str),
    at=st.integers(T - 30 * DAY, T + DAY),
    by=WORD,
    role=st.sampled_from(ROLES),
    text=WORD,
    labels=st.frozensets(st.sampled_from(LABELS), max_size=2),
    to=st.lists(st.sampled_from(ROLES), max_size=3, unique=True).map(tuple),
    red=st.booleans(),
)
THREADS = st.builds(
    Thread,
    id=st.uuids().map(str),
    title=WORD,
    labels=st.frozensets(st.sampled_from(LABELS), max_size=2),
    roles=st.just(frozenset(ROLES)) | st.frozensets(st.sampled_from(ROLES)),
    messages=st.lists(MESSAGES, max_size=4).map(tuple),
)
SHARES = st.lists(
    st.builds(
        share,
        st.sampled_from(LABELS),
        st.sampled_from(ROLES),
        purpose=st.sampled_from(TEAM["purpose"]["known"]),
        at=st.integers(T - 2, T + 2),
    ),
    max_size=4,
)


def allowed(role: str, labels: frozenset[str], shares: list[Share]) -> bool:
    """The table above, read naively."""
    cells = {(r, label): cell for r, label, cell in CELLS}
    open_ = {(s.to, s.label) for s in shares if s.at <= T and s.purpose == "treatment"}
    return bool(labels) and all(
        cells[role, label] == "s" or (cells[role, label] == "c" and (role, label) in open_) for label in labels
    )


@given(st.lists(THREADS, max_size=3, unique_by=lambda t: t.id), SHARES, st.sampled_from(ROLES))
def test_without_the_label_nothing_of_a_thread_is_anywhere(
    threads: list[Thread], shares: list[Share], role: str
) -> None:
    """The page and the tasks are those of somebody to whom the hidden threads and messages never were sent."""
    seen = access(*shares)
    kept = []
    for thread in threads:
        rest = tuple(m for m in thread.messages if m.at <= T and allowed(role, m.labels, shares))
        if role in thread.roles and allowed(role, thread.labels, shares) and rest:
            kept.append(replace(thread, messages=rest))
    page = inbox(threads, role, seen, zone=HOME)
    assert page == inbox(kept, role, seen, zone=HOME)
    assert {p.title for p in page.parts} == {t.title for t in kept}
    assert {m.text in page.text() for t in kept for m in t.messages} <= {True}
    mine = [s for s in acknowledge_steps(threads, COVER, seen) if s.owner == COVER.owner(role)]
    assert len(mine) == sum(role in m.to for t in kept for m in t.messages)
    shown = {w for t in kept for w in (t.title, *(x for m in t.messages for x in (m.text, m.by)))}
    for thread in threads:
        hidden = {thread.title, *(m.text for m in thread.messages)} - shown
        assert not any(re.search(rf"\b{w}\b", page.text()) for w in hidden)
        if thread not in kept and thread.id not in {t.id for t in kept}:
            assert visible(thread, role, seen) is None


@given(THREADS, st.sampled_from(["en", "es", "fr"]))
def test_a_notification_tells_nothing(thread: Thread, language: str) -> None:
    """It does not take the thread at all: no word of it, no name, no time, no number can be in it."""
    text = notification(KNOWLEDGE, language)
    assert not any(w in text for w in (thread.title, *(x for m in thread.messages for x in (m.by, m.text))))
    assert not re.search(r"\d", text)
    assert access().labels_of(text) == frozenset()
    assert text == {"es": "Tiene un mensaje. Inicie sesión para leerlo."}.get(
        language, "You have a message. Sign in to read it."
    )


TALK = Thread(id="t", title="Plan for March", labels=frozenset({"mental-health"}), roles=frozenset(ROLES))


def said(text: str = "Sessions go well", **more: Any) -> Message:
    labels = frozenset({"mental-health"})
    return Message(**{"id": "m", "at": T, "by": "N. Roy", "role": "nurse", "text": text, "labels": labels, **more})


def test_a_forgotten_label_hides_all_the_same() -> None:
    thread = post(TALK, said("He drinks kratom tea again"), access())
    assert visible(thread, "nurse", access()) == thread
    assert visible(thread, "primary-care", access()) is None
    assert visible(thread, "primary-care", access(share())) == thread


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (said(text=" "), "a text"),
        (said(by=""), "an author"),
        (said(labels=frozenset()), "at least one label"),
        (said(labels=frozenset({"secret"})), "not a label"),
        (said(role="visitor"), "not a role"),
        (said(to=("front-desk",)), "front-desk may not see this"),
        (said("kratom", to=("primary-care",)), "ask the person for specific consent"),
    ],
)
def test_a_message_that_could_not_be_read_is_refused(message: Message, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        post(TALK, message, access())
    assert "kratom" not in str(caught.value)


def test_without_any_label_a_message_is_shown_to_nobody() -> None:
    thread = replace(TALK, messages=(said("He drinks kratom tea again", labels=frozenset()),))
    assert [visible(thread, role, access()) for role in ROLES] == [None] * len(ROLES)


@pytest.mark.parametrize(("at", "seen"), [(T - 1, True), (T, True), (T + 1, False)])
def test_a_message_of_later_is_not_there_yet(at: int, seen: bool) -> None:
    thread = replace(TALK, messages=(said(at=at, to=("nurse",)),))
    assert (visible(thread, "nurse", access()) is not None) is seen
    assert bool(acknowledge_steps([thread], COVER, access())) is seen


def test_messages_are_only_added() -> None:
    one = post(TALK, said(), access())
    assert post(one, said(), access()) == one
    with pytest.raises(BadInput, match="nothing is written over"):
        post(one, said("Something else"), access())
    assert [m.id for m in post(one, said(id="l", at=T - 1), access()).messages] == ["l", "m"]


# --- clocks -----------------------------------------------------------------------------------------------------------

ACKNOWLEDGE = [(red, late * unit + off, state)
    for red, late, unit in ((False, 24, HOUR), (True, 15, MIN))
    for off, state in ((-1, State.DUE), (0, State.OVERDUE), (1, State.OVERDUE))
]  # fmt: skip


@pytest.mark.parametrize(("red", "after", "state"), ACKNOWLEDGE)
def test_a_message_is_acknowledged_within_a_day_and_a_red_one_within_minutes(
    red: bool, after: int, state: State
) -> None:
    thread = post(TALK, said(to=("prescriber", "nurse"), red=red), access())
    steps = acknowledge_steps([thread], COVER, access())
    assert [s.owner for s in steps] == ["N. Roy", "prescriber"]
    assert {d.state for d in due(steps, [], now=T + after)} == {state}
    read = Done(what="team.acknowledge", at=T + 1, step="team.acknowledge.m.nurse")
    assert [d.state for d in due(steps, [read], now=T + after)] == [State.DONE, state]
    assert all("March" not in s.title and "well" not in s.title for s in steps)


SENT = [  # what happened, what has to be sent, by whom, overdue after (ms)
    (Happened(id="e", kind="eligibility", at=T), {"referral-result": ("prescriber", 24 * HOUR)}),
    (Happened(id="s2", kind="session", at=T, number=2), {"session-summary": ("N. Roy", 24 * HOUR)}),
    (Happened(id="x", kind="medicine-change", at=T), {"medicine-change": ("prescriber", 24 * HOUR)}),
    (Happened(id="a", kind="adverse-event", at=T), {"adverse-event": ("prescriber", 15 * HOUR)}),  # midnight in Berlin
    (Happened(id="r", kind="relapse", at=T), {"relapse-flag": ("prescriber", 15 * MIN)}),
    (Happened(id="u", kind="substance-use", at=T), {"substance-use-update": ("prescriber", 24 * HOUR)}),
]


@pytest.mark.parametrize(("event", "wanted"), SENT, ids=[e.kind for e, _ in SENT])
def test_what_happens_is_told(event: Happened, wanted: dict[str, tuple[str, int]]) -> None:
    steps = message_steps([event, event], COVER, KNOWLEDGE, until=T + 400 * DAY)
    assert {s.what.removeprefix("team."): (s.owner, s.window.overdue - T) for s in steps} == wanted
    assert len(steps) == len(wanted)  # the same event twice is one
    for step in steps:
        late = step.window.overdue
        found = [due([step], [], now=at)[0].state for at in (T - 1, late - 1, late, late + 1)]
        assert found == [State.WAITING, State.DUE, State.OVERDUE, State.OVERDUE]


def test_outcomes_go_out_after_sessions_one_four_and_six_and_then_each_month() -> None:
    sessions = [Happened(id=f"s{n}", kind="session", at=T + n * 3 * DAY, number=n) for n in range(1, 9)]
    steps = message_steps(sessions, COVER, KNOWLEDGE, until=T + 18 * DAY + 100 * DAY)
    outcomes = [s for s in steps if s.what == "team.outcome"]
    assert [s.id for s in outcomes] == [
        "team.outcome.s1", "team.outcome.s4", "team.outcome.s6",
        "team.outcome.s6.1", "team.outcome.s6.2", "team.outcome.s6.3",
    ]  # fmt: skip
    monthly = [(s.window.due - T - 18 * DAY) / DAY for s in outcomes[3:]]
    assert monthly == [pytest.approx(30.4375 * n, abs=0.5) for n in (1, 2, 3)]
    assert sum(s.what == "team.session-summary" for s in steps) == 8


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (Happened(id="s", kind="session", at=T), "give its number"),
        (Happened(id="s", kind="party", at=T), "known are adverse-event"),
    ],
)
def test_what_cannot_be_told_is_refused(event: Happened, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        message_steps([event], COVER, KNOWLEDGE, until=T + DAY)


def test_every_message_has_an_owner_and_readers_who_may_see_it() -> None:
    """With the person's consent, where it needs one."""
    for rule in TEAM["message"]:
        granted = access(*(share(label, role) for label in rule["labels"] for role in rule["to"]))
        assert rule["owner"] in ROLES
        assert all(granted.sees(role, rule["labels"]) for role in rule["to"]), rule["id"]
        assert rule["within"] in {*KNOWLEDGE.facts, "day-end"}
    assert all(r["within"] in KNOWLEDGE.facts for r in TEAM["referral"] if "next" in r)


# --- referrals --------------------------------------------------------------------------------------------------------


def moves(*kinds: str) -> list[Move]:
    return [Move(id=f"{n}", at=T + n * DAY, by="N. Roy", kind=kind) for n, kind in enumerate(kinds)]


def stands(found: list[Move], now: int = T + 90 * DAY) -> Any:
    return referral("r1", "prescriber", "addiction-clinician", found, COVER, KNOWLEDGE, now=now)


STANDS = [  # moves a day apart, state, whose turn, days from there to overdue, flags
    ([], "", "", None, ()),
    (["opened"], "opened", "addiction-clinician", 3, ()),
    (["opened", "accepted"], "accepted", "addiction-clinician", 14, ()),
    (["opened", "accepted", "seen"], "seen", "addiction-clinician", 7, ()),
    (["opened", "accepted", "seen", "answered"], "answered", "prescriber", 1, ()),
    (["opened", "accepted", "seen", "answered", "closed"], "closed", "", None, ()),
    (["opened", "declined"], "declined", "prescriber", 1, ()),
    (["opened", "declined", "opened"], "opened", "addiction-clinician", 3, ()),
    (["opened", "declined", "closed"], "closed", "", None, ()),
    (["opened", "answered"], "answered", "prescriber", 1, ("skipped: accepted, seen",)),
    (["opened", "closed"], "closed", "", None, ("skipped: accepted, seen, answered",)),
    (["opened", "seen", "accepted"], "seen", "addiction-clinician", 7, ("skipped: accepted", "out of order: accepted")),
    (["opened", "lost"], "opened", "addiction-clinician", 3, ("out of order: lost",)),
    (["accepted"], "accepted", "addiction-clinician", 14, ("skipped: opened",)),
]


@pytest.mark.parametrize(("kinds", "state", "turn", "days", "flags"), STANDS)
def test_where_a_referral_stands(
    kinds: list[str], state: str, turn: str, days: int | None, flags: tuple[str, ...]
) -> None:
    found = stands(moves(*kinds))
    assert (found.state, found.flags) == (state, flags)
    if days is None:
        assert found.step is None
        return
    assert found.step is not None
    assert found.step.owner == turn
    since = found.since
    late = since + days * DAY
    assert [found.step.window.state(at) for at in (since - 1, late - 1, late, late + 1)] == [
        State.WAITING, State.DUE, State.OVERDUE, State.OVERDUE,
    ]  # fmt: skip


KINDS = st.sampled_from(["opened", "accepted", "declined", "seen", "answered", "closed", "lost"])
MOVES = st.lists(
    st.builds(Move, id=st.uuids().map(str), at=st.integers(T, T + 20), by=st.just("A"), kind=KINDS), max_size=9
)


@given(MOVES, st.randoms(), st.integers(T, T + 20))
def test_a_referral_is_a_fold_of_what_has_happened(found: list[Move], random: Any, now: int) -> None:
    shuffled = [*found, *found[:2]]
    random.shuffle(shuffled)
    assert stands(shuffled, now) == stands([m for m in found if m.at <= now], T + 99)


@given(MOVES)
def test_a_referral_is_always_somebodys_turn_until_it_is_closed(found: list[Move]) -> None:
    one = stands(found)
    assert (one.step is None) is (one.state in ("", "closed"))


# --- the handover -----------------------------------------------------------------------------------------------------


def finding(name: str, says: str, **more: Any) -> Finding:
    given_ = {"severity": "high", "action": "monitor", "kind": "condition", "about": "bp", "urgency": "routine"}
    rest = dict.fromkeys(("why",), "") | {"grade": "D", "status": "proposed", "certainty": "yes", "rule": f"{name}@1"}
    sets: Any = dict.fromkeys(("involves", "sources", "disputed", "because"), ())
    values = {"id": name, "title": name, "says": says, "tell": f"For you: {says}", "verdict": "CAUTION"}
    return Finding(**{**given_, **rest, **sets, **values, **more})


def told(name: str, says: str) -> Told:
    return Told(id=name, title=name, says=says, tell=f"For you: {says}")


VISIT = Visit(
    id="induction.1", number=1, phase="induction", kind="dose", title="Nasal spray session", starts=T + DAY,
    ends=T + DAY + HOUR, window=Window(opens=T, due=T, overdue=T + 2 * DAY), state=State.OPEN,
)  # fmt: skip
PLAN = CarePlan(
    at=Instant(T), zone=HOME, language="en", patient="Patient/p", protocol="esketamine-trd", protocol_version=1,
    protocol_title="Nasal spray course", version=1, status=Status.ACTIVE, verdict="CAUTION", override=None,
    open=(told("escort", "Name the escort"), told("reduction", "Agree the kratom reduction")),
    told=(), visits=(VISIT,), steps=(), missed=(), reviews=(told("end", "Review after induction"),),
    stops=(told("thoughts", "Stop for new suicidal intent"),),
    timeline=(
        Fact(id="f1", title="Sertraline", says="take as usual", tell="Take it as usual.", opens=None, closes=None),
        Fact(id="f2", title="Relief film", says="as usual, never stopped for a session", tell="Take it as usual today.",
             opens=None, closes=None, involves=("buprenorphine-naloxone",)),
    ),
    settings=(), changes=(), notes=(), knowledge={},
)  # fmt: skip
ASSESSED = Assessment(
    knowledge={}, question="esketamine-nasal", phase="intake", verdict="CAUTION", complete=False, headline={},
    findings=(
        finding("pressure", "Blood pressure is high"),
        finding("leaf", "Same-day leaf use", involves=("kratom-leaf",), verdict="DEFER"),
        finding("thoughts", "Asked and answered yes", about="suicide"),
    ),
    gaps=(), contacts=(),
)  # fmt: skip
ROUTINE = (told("walk", "Ten minutes of walking"), told("meeting", "A sober meeting each week"))
MARKERS = {name: TEAM["handover"][name] for name in ("withheld", "withheld_affects")}

HANDED = {  # label -> words that only somebody with it may read
    "mental-health": ("Nasal spray session", "Blood pressure is high", "Name the escort", "walking", "Review after"),
    "substance-use": ("kratom", "leaf", "Relief film", "Take it as usual today", "sober", "meeting"),
    "suicide-risk": ("Asked and answered yes", "suicidal intent"),
}


def handed(role: str, *shares: Share, plan: CarePlan = PLAN, language: str = "en") -> Any:
    return handover(plan, ASSESSED, access(*shares), role=role, routine=ROUTINE, language=language)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("label", HANDED)
def test_a_role_is_handed_what_it_may_see_and_no_word_more(role: str, label: str) -> None:
    for shares in ((), (share(label, role),)):
        text = handed(role, *shares).text()
        seen = [w for w in HANDED[label] if w in text]
        if not access(*shares).sees(role, [label]):
            assert seen == []
        elif access(*shares).sees(role, ["mental-health"]):
            said_to = HANDED[label] if role not in ("person", "supporter") else ("For you",)
            assert any(w in text for w in said_to)


@pytest.mark.parametrize("role", ROLES)
def test_that_something_is_withheld_is_told_only_to_who_may_know(role: str) -> None:
    text = handed(role).text()
    found = {name for name, marker in MARKERS.items() if marker in text}
    knows = {r["id"]: r["withheld"] for r in TEAM["role"]}[role]
    hides = not access().sees(role, ["mental-health", "substance-use", "suicide-risk"])
    assert found == ({"withheld_affects"} if knows and hides else set())  # the same-day use bears on the dose


def test_who_may_not_know_reads_the_same_whether_there_is_something_or_not() -> None:
    quiet = replace(PLAN, open=PLAN.open[:1], stops=(), timeline=PLAN.timeline[:1])
    calm = replace(ASSESSED, findings=ASSESSED.findings[:1])
    for role, shares in (("front-desk", ()), ("supporter", ()), ("supporter", (share("mental-health", "supporter"),))):
        found = handover(PLAN, ASSESSED, access(*shares), role=role, routine=ROUTINE)
        assert found == handover(quiet, calm, access(*shares), role=role, routine=ROUTINE[:1])


WEIGHS = [  # what is withheld from primary care, what is said of it
    ({}, {}, "withheld"),  # a meeting and a film that are kept as they are
    ({}, {"action": "avoid"}, "withheld_affects"),
    ({}, {"verdict": "DEFER"}, "withheld_affects"),
    ({}, {"action": "monitor", "verdict": "CAUTION"}, "withheld"),
    ({"open": PLAN.open}, {}, "withheld_affects"),
]


@pytest.mark.parametrize(("plan", "finding_", "marker"), WEIGHS)
def test_what_bears_on_the_treatment_is_announced(plan: Any, finding_: Any, marker: str) -> None:
    found = (finding("leaf", "Leaf use", involves=("kratom-leaf",), **finding_),) if finding_ else ()
    calm = replace(PLAN, **({"open": PLAN.open[:1]} | plan))
    text = handover(calm, replace(ASSESSED, findings=found), access(), role="primary-care", routine=ROUTINE).text()
    assert {name for name, words in MARKERS.items() if words in text} == {marker}


def test_the_front_desk_reads_when_and_nothing_else() -> None:
    page = handed("front-desk")
    assert [part.id for part in page.parts] == ["visits"]
    assert [line.text for line in page.parts[0].lines] == ["Visit: Saturday 16 January 2027, 09:00"]


def test_a_supporter_whom_nothing_was_allowed_reads_nothing() -> None:
    assert handed("supporter").parts == ()
    assert [part.id for part in handed("supporter", share("schedule", "supporter")).parts] == ["visits"]


def test_a_plan_about_a_substance_is_a_time_to_who_may_not_know_of_it() -> None:
    plan = replace(
        PLAN, protocol="kratom-reduction", protocol_title="Reduction", visits=(replace(VISIT, title="Visit"),)
    )
    visits = {role: handed(role, plan=plan) for role in ("nurse", "primary-care")}
    lines = {role: next(p for p in page.parts if p.id == "visits").lines for role, page in visits.items()}
    assert lines["primary-care"][0].text == "Visit: Saturday 16 January 2027, 09:00"
    assert lines["nurse"][0].text.startswith("Visit 1: Visit")


def test_shared_substance_use_travels_with_its_notice() -> None:
    assert not any("42 CFR Part 2" in line.text for line in handed("primary-care").foot)
    assert any("42 CFR Part 2" in line.text and line.source for line in handed("primary-care", share()).foot)
    assert handed("person").foot == ()


def test_the_person_reads_plain_words_and_their_language() -> None:
    page = handed("person", language="es")
    assert page.title == "Traspaso: usted"
    assert "Blood pressure is high" in page.text()
    assert "CAUTION" not in page.text()
    assert {line.language for p in page.parts if p.id != "visits" for line in p.lines} == {"en"}  # and marked so
    assert handed("nurse", language="es").language == "en"


def test_a_role_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadInput, match="there are prescriber"):
        handed("visitor")


# --- the order file ---------------------------------------------------------------------------------------------------

ORDER = """
[[team.share]]
id = "s"
at = 2027-01-01T10:00:00+01:00
by = "Ana"
label = "substance-use"
to = "primary-care"
purpose = "treatment"
[[team.taken_back]]
id = "b"
at = 2027-02-01T10:00:00+01:00
by = "Ana"
share = "s"
[[team.referral]]
id = "r"
from = "prescriber"
to = "addiction-clinician"
move = [{id = "1", at = 2027-01-02T10:00:00+01:00, by = "Dr Lee", kind = "opened"}]
[[team.thread]]
id = "t"
title = "Reduction"
labels = ["mental-health"]
roles = ["prescriber", "primary-care"]
message = [{id = "1", at = 2027-01-03T10:00:00+01:00, by = "Dr Lee", role = "prescriber", text = "kratom: half", labels = ["substance-use"], to = ["primary-care"]}]
"""  # noqa: E501


def read(text: str) -> Team:
    return team_of(tomllib.loads(text)["team"], KNOWLEDGE)


def test_an_order_file_says_what_is_shared_until_it_is_taken_back() -> None:
    team = read(ORDER)
    seen = [visible(team.threads[0], "primary-care", team.access(KNOWLEDGE, T + day * DAY)) for day in (0, 30)]
    assert [s is None for s in seen] == [False, True]
    assert team.referrals[0].moves[0].kind == "opened"
    assert team_of({}, KNOWLEDGE) == Team()


WRONG = [
    ("purpose = ", "why = ", r"not known here: 'why'.*team.share\[0\]"),
    ('purpose = "treatment"', "", r"purpose is missing.*team.share\[0\].purpose"),
    ('purpose = "treatment"', 'purpose = "marketing"', "no such purpose"),
    ('label = "substance-use"', 'label = "substances"', "no such label"),
    ('to = "primary-care"\npurpose', 'to = "employer"\npurpose', "no such role"),
    ('share = "s"', 'share = "x"', "no such share"),
    ('from = "prescriber"', 'from = "employer"', "no such role"),
    ('kind = "opened"', 'kind = "lost"', "no such kind"),
    ('labels = ["mental-health"]', "", "at least one label"),
    ('labels = ["mental-health"]', 'labels = ["x"]', "no such label"),
    ('"primary-care"]\nmessage', '"employer"]\nmessage', "no such role"),
    ("2027-01-03T10:00:00+01:00", "2026-12-03T10:00:00+01:00", "ask the person for specific consent"),
    ("2027-01-01T10:00:00+01:00", "2027-01-01T10:00:00", "offset"),
    ("[[team.share]]", "[[team.shares]]", "known are share"),
    ("[[team.taken_back]]", ORDER.split("[[team.taken")[0] + "[[team.taken_back]]", "have one id"),
]


@pytest.mark.parametrize(("old", "new", "says"), WRONG, ids=[f"{w[0]} -> {w[1][:40]}" for w in WRONG])
def test_what_cannot_be_read_is_refused(old: str, new: str, says: str) -> None:
    assert old in ORDER
    with pytest.raises(BadInput, match=says) as caught:
        read(ORDER.replace(old, new, 1))
    assert "kratom" not in str(caught.value)


def test_how_a_person_wants_to_be_reached() -> None:
    asked = {"channels": ["sms", "post"], "language": "es", "name": "Ana", "address": "c/o Rui, Box 3"}
    found = preferences_of({**asked, "quiet_from": "21:00", "quiet_to": "08:00", "voicemail": False}, KNOWLEDGE)
    assert (found.contact.language, found.contact.channels, found.contact.name) == ("es", ("sms", "post"), "Ana")
    assert (found.voicemail, found.address) == (False, "c/o Rui, Box 3")
    assert preferences_of({}, KNOWLEDGE).voicemail is None  # nobody asked: not yes


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"channels": ["pigeon"]}, "no such channels"),
        ({"channels": ["post"]}, "post needs the address"),
        ({"voicemail": "yes"}, "true or false"),
        ({"address": 3}, "post needs the address"),
        ({"colour": "red"}, "not known here"),
        ({"language": "xx"}, "no pages in the language"),
    ],
)
def test_preferences_that_cannot_be_kept_are_refused(given_: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        preferences_of(given_, KNOWLEDGE)
