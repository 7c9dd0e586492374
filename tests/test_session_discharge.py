"""The discharge gate: every criterion below, at, above and unknown; it agrees with `assess`; nobody signs it open."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adjunct
from adjunct.base import BadInput, Verdict, instant
from adjunct.fhir import read_bundle
from adjunct.knowledge.entries import TREATMENTS
from adjunct.planning.aftercare import escort_sheet
from adjunct.record import from_bundle
from adjunct.session.day import Day
from adjunct.session.discharge import MET, MISSING, NOT_MET, Gate, gate, left, sign
from adjunct.session.events import Shape, read_event
from adjunct.session.history import History
from adjunct.session.model import Answer, Chain, Dose, Ended, Episode, Event, Phase, Reading, State
from adjunct.session.resources import entries
from bundles import NOW, answer, knowledge
from session_days import KNOWLEDGE, NINE, NURSE, PRESCRIBER, Whole, arrival, at, course, day, nasal_dose

CASES = list(
    csv.DictReader((Path(__file__).parent / "cases" / "session_discharge.csv").read_text("utf-8").splitlines())
)
NOW_MS = instant(NOW).ms
MINUTE = 60_000
READINGS = {"systolic": 120, "diastolic": 78, "heart_rate": 72, "resp_rate": 14, "spo2": 98, "moaas": 5, "aldrete": 10}
ANSWERS = (
    *("oriented", "walks_steadily", "dissociation_resolved", "room_air", "safety_plan_copy", "escort_present"),
    *("escort_fit", "aftercare_given", "phone_contact", "no_driving_told"),
)
DENIED = ("cssrs_q1", "cssrs_q2", "cssrs_q6")
NUMBERS = {*READINGS, "cadss6", "padss", "oxygen", "spo2_baseline"}


def ready(treatment: str = "esketamine-nasal", minutes: float | None = 125) -> State:
    """A person with everything seen and said five minutes ago, `minutes` after the last of the dose."""
    at = NOW_MS - 5 * MINUTE
    dose = None if minutes is None else NOW_MS - round(minutes * MINUTE)
    return State(
        session="s",
        phase=Phase.OBSERVING,
        patient="Patient/p",
        treatment=treatment,
        checked_in=NOW_MS - 400 * MINUTE,
        readings={name: Reading(float(value), at, "Nurse Diaz", "chair", "e1") for name, value in READINGS.items()},
        answers={name: Answer(name not in DENIED, at, "Nurse Diaz", "e1") for name in (*ANSWERS, *DENIED)},
        dose=Dose(first=dose, last=dose, watch_from=dose),
    )


def changed(state: State, change: str) -> State:
    """`name=value@minutes ago`, `-name` without it, `was:` an earlier value, `base:` before the dose, `alarm:`."""
    readings, answers, baseline = dict(state.readings), dict(state.answers), dict(state.baseline)
    track: dict[str, list[tuple[int, float]]] = {}
    episodes, past = dict(state.episodes), state.past
    for word in filter(None, change.split(";")):
        name, _, rest = word.partition("=")
        text, _, ago = rest.partition("@")
        at = NOW_MS - round(float(ago or 5) * MINUTE)
        where, _, what = name.partition(":")
        if name.startswith("-"):
            readings.pop(name[1:], None)
            answers.pop(name[1:], None)
            baseline = {} if name == "-base" else baseline
        elif name == "phase":
            state = replace(state, phase=Phase(text))
        elif where == "base":
            baseline[what] = Reading(float(text), NOW_MS - 200 * MINUTE, "n", "c", "b")
        elif where == "was":
            track.setdefault(what, []).append((at, float(text)))
        elif where == "alarm":
            episode = _episode(what)
            if episode.cleared is None:
                episodes[episode.alarm] = episode
            else:
                past = Chain(episode, past)
        elif name in NUMBERS:
            readings[name] = Reading(float(text), at, "Nurse Diaz", "chair", f"e{ago}")
        else:
            answers[name] = Answer({"yes": True, "no": False}.get(text, text), at, "Nurse Diaz", f"e{ago or 1}")
    for name, earlier in track.items():
        earlier.append((readings[name].at, readings[name].value))
    course = {name: tuple(values) for name, values in track.items()}
    yes = {name: answer for name, answer in answers.items() if answer.value is True}
    for episode in (*episodes.values(), *(past or ())):
        sign = episode.by[0][0]
        yes.setdefault(sign, Answer(True, episode.raised, "n", "e9"))
    return replace(
        state,
        readings=readings,
        answers=answers,
        yes=yes,
        baseline=baseline,
        track=course,
        episodes=episodes,
        past=past,
    )


def _episode(word: str) -> Episode:
    """`alarm/level/raised by @ began - ended`, in minutes ago; `!` is acknowledged."""
    alarm, level, rest = word.split("/")
    by, _, times = rest.partition("@")
    began, ended = re.fullmatch(r"(-?\d+)(?:-(\d+))?!?", times).groups()  # type: ignore[union-attr]
    raised = NOW_MS - int(began) * MINUTE
    seen = ((raised, "Nurse Diaz"),) if times.endswith("!") else ()
    over = NOW_MS - int(ended) * MINUTE if ended else None
    return Episode(alarm, level, raised, raised, "e9", ((by, 1.0),), seen, over)


def lacking(found: Gate) -> dict[str, str]:
    return {item.id: item.state for item in found.lacking}


@pytest.mark.parametrize("row", CASES, ids=lambda row: row["case"])
def test_what_the_gate_says(row: dict[str, str]) -> None:
    minutes = float(row["minutes"]) if row["minutes"] else None
    found = gate(changed(ready(row["treatment"], minutes), row["change"]), NOW_MS, knowledge())
    expected = {} if row["gives"] == "open" else dict([row["gives"].split("=")])
    assert lacking(found) == expected
    assert found.open == (not expected)


# --- it agrees with assess --------------------------------------------------------------------------------------------


def checked(state: State) -> tuple[bool, set[str]]:
    """Whether `assess --phase discharge` lets the same person go, and what it holds against it."""
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}, *entries(state, knowledge())],
    }
    result = adjunct.assess(bundle, treatment=state.treatment, phase="discharge", at=NOW, knowledge=knowledge())
    against = {f.id for f in result.findings if f.verdict and Verdict[f.verdict] >= Verdict.DEFER}
    against |= {gap.fact for gap in result.gaps if gap.blocks}
    return Verdict[result.verdict] < Verdict.DEFER, against


@pytest.mark.parametrize("row", [row for row in CASES if row["assess"]], ids=lambda row: row["case"])
def test_who_may_go_may_go_by_assess_too(row: dict[str, str]) -> None:
    """The column `assess` says what it answers: never more than the gate."""
    minutes = float(row["minutes"]) if row["minutes"] else None
    lets_go, against = checked(changed(ready(row["treatment"], minutes), row["change"]))
    assert lets_go == (row["assess"] == "open"), against
    if row["gives"] == "open":
        assert row["assess"] == "open"


READING = {  # values around every limit
    "systolic": (85, 139, 140, 141, 155, 159, 160, 179, 180, 210),
    "diastolic": (60, 90, 91, 99, 100, 109, 110),
    "heart_rate": (0, 39, 49, 50, 110, 111, 150),
    "resp_rate": (0, 8, 9, 10, 20, 21),
    "spo2": (85, 89, 90, 93, 94, 100),
    "moaas": (0, 1, 4, 5),
    "aldrete": (0, 8, 9),
    "padss": (0, 8, 9),
    "cadss6": (0, 2, 3),
}
SAME = {"sedation", "breathing", "pulse", "recovery", "orientation", "walk", "aftercare", "naloxone"}
ASKED = (*ANSWERS[:4], "aftercare_given", "bp_prescriber_exam", "chest_pain", "head_strike")
SCREEN = tuple(f"cssrs_{q}" for q in ("q1", "q2", "q3", "q4", "q5", "q6", "q6_recent", "declined"))
AGO = st.sampled_from((0, 1, 14, 15, 16, 29, 30, 31, 59, 60, 61, 119, 300))
YES_NO = st.sampled_from(("yes", "no"))
CHANGES = st.one_of(
    st.sampled_from(tuple(READING)).flatmap(
        lambda name: st.builds("{}={}@{}".format, st.just(name), st.sampled_from(READING[name]), AGO)
    ),
    st.builds("{}={}@{}".format, st.sampled_from((*ASKED, *SCREEN)), YES_NO, AGO),
    st.builds("escort_present={}@{ago};escort_fit={}@{ago}".format, YES_NO, YES_NO, ago=AGO),
    st.builds(
        "base:{}={}".format, st.sampled_from(("systolic", "diastolic", "heart_rate")), st.sampled_from((45, 100, 130))
    ),
    st.just("naloxone_given=yes@60"),
    st.sampled_from([f"-{name}" for name in (*READINGS, *ANSWERS, *DENIED)]),
)
MINUTES = st.sampled_from((None, 0, 59, 60, 119, 120, 121, 240))
DAYS = st.builds(
    lambda treatment, minutes, changes: changed(ready(treatment, minutes), ";".join(changes)),
    st.sampled_from(("esketamine-nasal", "ketamine-iv")),
    MINUTES,
    st.lists(CHANGES, max_size=4),
)


@given(DAYS)
@settings(max_examples=100, deadline=None)
def test_nobody_goes_whom_assess_holds(state: State) -> None:
    found = gate(state, NOW_MS, knowledge())
    lets_go, against = checked(state)
    assert lets_go or not found.open, against
    assert not (lacking(found).keys() & SAME and lets_go), lacking(found)


SIGNS = [s for s in knowledge().content["alarms"]["sign"] if s.get("concept") and not s.get("internal")]


@pytest.mark.parametrize("sign_of", SIGNS, ids=lambda s: s["id"])
def test_a_sign_that_assess_calls_an_emergency_closes_the_gate(sign_of: dict[str, str]) -> None:
    state = changed(ready(), f"{sign_of['concept']}=yes@5")
    lets_go, _ = checked(state)
    for name in {sign_of["id"], sign_of["concept"]}:
        found = gate(changed(ready(), f"{name}=yes@5"), NOW_MS, knowledge())
        assert lets_go or not found.open, name


def test_every_rule_that_holds_somebody_back_is_in_the_gate() -> None:
    known = {rule for c in knowledge().content["discharge"]["criterion"] for rule in c.get("rules", ())}
    holding = {
        r.id
        for r in knowledge().rule_list
        if r.id.startswith("discharge-") and r.verdict is not None and r.verdict >= Verdict.DEFER
    }
    assert holding - known == {"discharge-sign-off"}  # which the signature answers
    assert known <= knowledge().rules.keys()


# --- whatever else is true --------------------------------------------------------------------------------------------


@given(DAYS, st.integers(0, 119))
@settings(max_examples=200, deadline=None)
def test_nothing_opens_the_gate_before_two_hours(state: State, minutes: int) -> None:
    given_at = NOW_MS - minutes * MINUTE
    early = replace(state, treatment="esketamine-nasal", dose=Dose(first=given_at, last=given_at, watch_from=given_at))
    found = gate(early, NOW_MS, knowledge())
    assert lacking(found)["stay"] == NOT_MET
    assert found.may_leave_from == given_at + 120 * MINUTE
    with pytest.raises(BadInput, match="Watched long enough"):
        sign(early, NOW_MS, "Dr Rao", "prescriber", knowledge())


@given(st.sampled_from((*READINGS, *ANSWERS, *DENIED)))
def test_what_nobody_looked_at_is_missing(name: str) -> None:
    found = gate(changed(ready(), f"-{name}"), NOW_MS, knowledge())
    assert found.open == (name == "dissociation_resolved" and "cadss6" in READINGS)
    assert set(lacking(found).values()) <= {MISSING}


@given(st.integers(0, 24 * 60))
def test_what_is_met_says_until_when(later: int) -> None:
    state = ready()
    until = {item.id: item.until for item in gate(state, NOW_MS, knowledge()).items if item.until is not None}
    after = {item.id: item.state for item in gate(state, NOW_MS + later * MINUTE, knowledge()).items}
    for name, end in until.items():
        assert (after[name] == MET) == (end >= NOW_MS + later * MINUTE), name


def test_what_has_not_happened_yet_does_not_count() -> None:
    found = gate(ready(), NOW_MS - 6 * MINUTE, knowledge())
    assert {"sedation", "pressure", "walk", "suicide"} <= lacking(found).keys()
    assert not any(item.evidence for item in found.items if item.id in ("sedation", "pressure", "walk"))


def test_what_is_too_old_is_shown_with_its_time() -> None:
    found = gate(changed(ready(), "spo2=97@40"), NOW_MS, knowledge())
    item = next(item for item in found.items if item.id == "saturation")
    assert item.state == MISSING
    assert (item.evidence[0].value, item.evidence[0].unit, item.evidence[0].at) == (97, "%", NOW_MS - 40 * MINUTE)
    assert item.says == "Measure saturation on room air."


def test_every_item_says_whose_rule_it_is() -> None:
    for item in gate(State(), NOW_MS, knowledge()).items:
        assert item.source in knowledge().sources
        assert item.status in ("proposed", "reported", "verified")
        assert item.locator
        assert item.title
        assert (item.says == "") == (item.state == MET)
        assert not re.search(r"[{}]", item.says)


# --- signing ----------------------------------------------------------------------------------------------------------


def test_a_person_signs_what_is_open() -> None:
    assert sign(ready(), NOW_MS, " Dr Rao ", "prescriber", knowledge()) == {"signed_by": "Dr Rao", "role": "prescriber"}


@pytest.mark.parametrize(
    ("by", "role", "change", "says"),
    [
        ("", "nurse", "", "give a name"),
        ("monitor-3", "nurse", "", "give a name"),
        ("Dr Rao", "friend", "", "'friend' does not sign a discharge; nurse or prescriber does"),
        ("Dr Rao", "nurse", "-spo2;systolic=150@1", "Blood pressure settled; Oxygen saturation on room air. See"),
    ],
)
def test_who_and_what_cannot_be_signed(by: str, role: str, change: str, says: str) -> None:
    state = replace(changed(ready(), change), devices={"monitor-3": NOW_MS})
    with pytest.raises(BadInput, match=re.escape(says)) as refused:
        sign(state, NOW_MS, by, role, knowledge())
    assert "150" not in str(refused.value)  # no value of a person in a message


def test_a_signature_opens_nothing() -> None:
    """Signing off, a role, an override of before the dose: the same gate."""
    early = replace(ready(minutes=119), overrides={"stay": ("Dr Rao", "asks to leave", NOW_MS)})
    signed = changed(early, "discharge_signed=yes@1;stay=yes@1")
    assert lacking(gate(signed, NOW_MS, knowledge())) == {"stay": NOT_MET}


def test_what_the_record_holds_against_leaving_counts_too() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {"resourceType": "Patient", "id": "p"}}],
    }
    more = {**bundle, "entry": [*bundle["entry"], {"resource": answer("threat_to_others", "yes")}]}
    quiet, warns = (
        from_bundle(read_bundle(b), knowledge(), now=instant(NOW), phase="discharge") for b in (bundle, more)
    )
    assert sign(ready(), NOW_MS, "Dr Rao", "nurse", knowledge(), quiet)
    with pytest.raises(BadInput, match="1 findings of the record"):
        sign(ready(), NOW_MS, "Dr Rao", "nurse", knowledge(), warns)


# --- D17, the whole day -----------------------------------------------------------------------------------------------

CHECK = {
    **dict.fromkeys((*ANSWERS[:5], *ANSWERS[7:]), True),
    **dict.fromkeys(("cssrs_q1", "cssrs_q2", "cssrs_q6"), False),
    "aldrete": 10,
}


def d17(minute: float, *more: dict[str, object], until: float = 0) -> Whole:
    """Two devices, the last at 21 min; everything looked at and perfect at `minute`."""
    return day(
        *arrival(),
        *nasal_dose(),
        *course([(61, 139, 84, 80, 97), (minute, 128, 80, 74, 98)]),
        at(minute, "sedation", moaas=5),
        at(minute, "escort", present=True, fit=True, name="Ana"),
        at(minute, "discharge-check", **CHECK),
        *more,
        until=until,
    )


def test_d17_a_perfect_score_at_95_min_is_not_the_end() -> None:
    whole = d17(116, at(117, "discharged", PRESCRIBER, signed_by=PRESCRIBER, role="prescriber"))
    assert whole.state.phase is Phase.OBSERVING
    assert [flag.code for flag in whole.state.flags or ()] == ["discharge-refused"]
    found = gate(whole.state, whole.now.ms, KNOWLEDGE)
    assert lacking(found) == {"stay": NOT_MET}
    assert found.may_leave_from == NINE.ms + 141 * MINUTE
    stay = next(item for item in found.items if item.id == "stay")
    assert stay.hard
    for meaning in ("2 h.*no score, signature, waiver or reason", "Record the other criteria", "re-check at 2 h"):
        assert re.search(meaning, stay.says), meaning
    assert not re.search(r"\bAMA\b|medical advice", stay.says)


@pytest.mark.parametrize(("minute", "phase"), [(140.9, Phase.OBSERVING), (141, Phase.DISCHARGED)])
def test_d17_at_two_hours_after_the_last_device(minute: float, phase: Phase) -> None:
    whole = d17(139, at(minute, "discharged", PRESCRIBER, signed_by=PRESCRIBER, role="prescriber", id="z"))
    assert whole.state.phase is phase
    assert gate(whole.state, whole.now.ms, KNOWLEDGE).open == (phase is Phase.DISCHARGED)


def test_a_later_device_starts_the_two_hours_anew() -> None:
    whole = d17(139, at(136, "device-given", number=3, dose=28), at(141, "discharged", signed_by="x", role="nurse"))
    assert whole.state.phase is not Phase.DISCHARGED


WALKS_OUT = at(118, "left-before-discharge", warned=False)


@pytest.mark.parametrize(
    ("minute", "acts", "gives"),
    [
        (118, [], {"left-warn": "open", "left-call-person": "open", "left-tell-prescriber": "open"}),
        (132.9, [], {"left-call-person": "open", "left-tell-prescriber": "open"}),
        (133, [], {"left-warn": "overdue", "left-call-escort": "overdue", "left-tell-prescriber": "overdue"}),
        (133, [], {"left-welfare": "open", "left-form": "holds", "left-next-dose": "holds"}),
        (178, [], {"left-welfare": "overdue"}),
        (122, [at(120, "action", what="told", step="left-tell-prescriber")], {"left-tell-prescriber": "done"}),
        (122, [at(120, "action", what="called", step="left-call-person", reached=False)], {"left-call-person": "open"}),
        (122, [at(120, "action", what="called", step="left-call-person", reached=True)], {"left-call-person": "done"}),
    ],
)
def test_walking_out_is_never_a_discharge_and_leaves_work(
    minute: float, acts: list[dict[str, object]], gives: dict[str, str]
) -> None:
    whole = d17(116, WALKS_OUT, *acts, until=minute)
    assert whole.state.phase is Phase.LEFT
    assert not gate(whole.state, whole.now.ms, KNOWLEDGE).open
    duties = {duty.id: duty for duty in left(whole.state, whole.now.ms, KNOWLEDGE)}
    assert {name: duties[name].state for name in gives} == gives
    assert duties["left-call-person"].tried == sum(act["data"].get("reached") is False for act in acts)
    assert duties["left-tell-prescriber"].due == NINE.ms + 133 * MINUTE
    assert duties["left-next-dose"].due is None


def test_who_was_warned_at_the_door_was_warned() -> None:
    whole = d17(116, at(118, "left-before-discharge", warned=True))
    duties = {duty.id: duty for duty in left(whole.state, whole.now.ms, KNOWLEDGE)}
    assert duties["left-warn"].state == "done"
    assert duties["left-warn"].done == (NINE.ms + 118 * MINUTE, NURSE)


def test_there_are_no_duties_without_a_walk_out() -> None:
    assert left(ready(), NOW_MS, knowledge()) == ()
    gone = Ended(phase=Phase.DISCHARGED, at=NOW_MS, by="n", event="e", data={})
    assert left(replace(ready(), phase=Phase.DISCHARGED, ended=gone), NOW_MS, knowledge()) == ()


def test_no_form_is_flagged_for_ketamine() -> None:
    gone = Ended(phase=Phase.LEFT, at=NOW_MS, by="n", event="e", data={})
    duties = left(replace(ready("ketamine-iv"), phase=Phase.LEFT, ended=gone), NOW_MS, knowledge())
    assert "left-form" not in {duty.id for duty in duties}


def test_escort_absent_stays_until_a_clinician_arranged_transport() -> None:
    ends = at(142, "discharged", PRESCRIBER, signed_by=PRESCRIBER, role="prescriber")
    absent = at(140, "escort", present=False, id="zz")
    assert d17(139, absent, ends).state.phase is Phase.OBSERVING
    drunk = at(140, "escort", present=True, fit=False, id="zz")
    assert d17(139, drunk, ends).state.phase is Phase.OBSERVING
    ride = at(141, "transport-arranged", clinician=PRESCRIBER, how="with the nurse, clinic car")
    assert d17(139, absent, ride, ends).state.phase is Phase.DISCHARGED


# --- the escort's sheet -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_escorts_sheet_names_no_treatment_diagnosis_pregnancy_or_risk(language: str) -> None:
    """It is made without the person and without the treatment; so nothing of either can stand there."""
    sheet = escort_sheet(knowledge(), zone="UTC", language=language, starts=NOW_MS, country="US", telephone="")
    text = sheet.text().lower()
    named = {s.name.lower() for s in knowledge().substances.values()} | set(TREATMENTS)
    assert [name for name in named if re.search(rf"\b{re.escape(name)}\b", text)] == []
    assert not re.search(r"pregnan|embaraz|suicid|depress|depres|risk|riesgo|diagnos", text)


# --- what was written wrong -------------------------------------------------------------------------------------------


def logged(*log: dict[str, object]) -> State:
    history, shape = History(Day.of(KNOWLEDGE)), Shape.of(KNOWLEDGE)
    for sent in log:
        event = read_event(sent, shape)
        assert isinstance(event, Event), event
        history.add(event)
    return history.state


@pytest.mark.parametrize(
    ("wrong", "right", "criterion"),
    [
        (at(60, "readiness", cssrs_q4=True, id="w"), {"cssrs_q4": False}, "suicide"),
        (
            at(60, "event", sign="chest_pain", present=True, id="w"),
            {"sign": "chest_pain", "present": False},
            "emergency",
        ),
    ],
)
def test_a_slip_that_was_corrected_does_not_close_the_gate(
    wrong: dict[str, object], right: dict[str, object], criterion: str
) -> None:
    log = [*arrival(), *nasal_dose(), at(30, "readiness", cssrs_q1=False, cssrs_q6=False), wrong]
    log.append(at(139, "discharge-check", **CHECK))
    assert lacking(gate(logged(*log), NINE.ms + 142 * MINUTE, KNOWLEDGE))[criterion] == NOT_MET
    mended = logged(*log, at(61, "correction", corrects="w", reason="wrong box", data=right))
    assert criterion not in lacking(gate(mended, NINE.ms + 142 * MINUTE, KNOWLEDGE))


@pytest.mark.parametrize(
    ("seen", "criterion"),
    [
        (
            [at(60, "event", sign="chest_pain", present=True), at(80, "event", sign="chest_pain", present=False)],
            "emergency",
        ),
        (
            [
                at(60, "event", sign="allergic_signs", present=True),
                at(80, "event", sign="allergic_signs", present=False),
            ],
            "emergency",
        ),
        (
            [
                at(60, "readiness", cssrs_q5=True),
                at(70, "event", sign="suicidal_intent", present=False),
                at(80, "readiness", cssrs_q5=False),
            ],
            "suicide",
        ),
        ([at(60, "medication-given", substance="Narcan", dose="0.4 mg", route="IV")], "naloxone"),
    ],
    ids=["chest pain", "allergy", "intent", "naloxone"],
)
def test_what_was_once_an_emergency_is_not_discharged_later(seen: list[dict[str, object]], criterion: str) -> None:
    state = logged(*arrival(), *nasal_dose(), *seen, at(139, "discharge-check", **CHECK))
    assert lacking(gate(state, NINE.ms + 142 * MINUTE, KNOWLEDGE))[criterion] == NOT_MET
