"""The simulated person, monitor and nurse: usual sizes, the same bytes for a seed, faults where they are laid."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import BadInput, Instant
from adjunct.devices import simulator
from adjunct.devices.simulator import MS_PER_MIN, Body, Chair, day, dose, heard, scenario, scenarios, script
from adjunct.knowledge import Knowledge
from adjunct.session.events import Shape, read_event
from adjunct.session.model import Dose, Event, Given, State
from adjunct.session.monitoring import gaps
from adjunct.session.predicted import MODELS, PEOPLE, given_so_far, predicted
from adjunct.session.readiness import readiness
from adjunct.session.watch import Tick, watch

K = Knowledge.load()
NAMES = sorted(scenarios(K))
SINGLE = [name for name in NAMES if "chairs" not in scenarios(K)[name]]
SHAPE = Shape.of(K)


def played(name: str, seed: str = "1:1", **laid: object) -> list[simulator.Sent]:
    return day(script(dict(scenarios(K)[name], **laid), K), seed, Chair(session="s"), K)


def monitor(sent: list[simulator.Sent]) -> list[simulator.Sent]:
    return [s for s in sent if s.message.kind != "event"]


# --- the body ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("measure", "fact"), K.content["scenarios"]["person"]["pressor"].items())
def test_the_mean_rise_at_the_peak_is_the_published_one(measure: str, fact: str) -> None:
    """Fifty people of the quiet infusion: the mean of 12.61, 8.49 and 4.09 is met within its sampling error."""
    plan = script(scenarios(K)["quiet-infusion"], K)
    people = [Body(plan, f"{n}", K) for n in range(50)]
    rises = [mean(p.value(measure, 50 + i / 60) - p.value(measure, 5 + i / 60) for i in range(20)) for p in people]
    assert mean(rises) == pytest.approx(K.number(fact), rel=0.2)


@pytest.mark.parametrize(("name", "peak"), [("quiet-infusion", (45, 60)), ("quiet-nasal", (45, 75))])
def test_the_effect_peaks_when_the_label_says(name: str, peak: tuple[int, int]) -> None:
    """Both doses begin at minute 10: the end of 40 minutes of infusion, about 40 minutes after the devices."""
    body = Body(script(scenarios(K)[name], K), "1", K)
    pressure = [mean(body.value("systolic", m + i / 20) for i in range(20)) for m in range(140)]
    assert peak[0] <= pressure.index(max(pressure)) <= peak[1]
    assert mean(pressure[:8]) < mean(pressure[130:]) < max(pressure)


def test_what_a_person_feels_is_over_before_the_pressure_is() -> None:
    body = Body(script(scenarios(K)["quiet-nasal"], K), "3", K)
    assert body.value("cadss6", 60) >= 4 > 2 >= body.value("cadss6", 142)
    assert body.value("moaas", 142) == 5


@pytest.mark.parametrize(("minute", "share"), [(9, 0.0), (22, 0.0), (24, 0.5), (30, 1.0), (45, 1.0), (65, 0.0)])
def test_a_change_rises_holds_and_goes_back(minute: float, share: float) -> None:
    change = {"measure": "systolic", "from": 22, "reach": 26, "until": 50, "back": 60}
    assert simulator._weight(change, minute) == pytest.approx(share)


DOSES = [  # scenario, parts, mg, share of what was prepared
    ("quiet-infusion", 1, 35.0, 1.0),  # 52.5 mL/h x 1 mg/mL x 40 min
    ("quiet-nasal", 3, 84.0, 1.0),
    ("hypertensive-surge", 1, 25.375, 0.725),  # stopped after 29 of 40 min
    ("vomiting-sedated", 2, 35.0, 1.0),  # 6.5 min of pause make it later, not less
]


@pytest.mark.parametrize(("name", "parts", "mg", "share"), DOSES)
def test_the_dose_of_a_script_is_what_went_in(name: str, parts: int, mg: float, share: float) -> None:
    given, of_prepared = dose(script(scenarios(K)[name], K))
    assert (len(given), sum(a.amount_mg for a in given)) == (parts, pytest.approx(mg))
    assert of_prepared == pytest.approx(share)


# --- the day ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_event_of_the_nurse_is_one_that_the_log_takes(name: str) -> None:
    lines = [m.payload for m in scenario(name, 7, K) if m.kind == "event"]
    read = [read_event(line, SHAPE) for line in lines]
    assert [r for r in read if not isinstance(r, Event) or "implausible" in r.data] == []
    assert len({e.id for e in read if isinstance(e, Event)}) == len(lines)


@pytest.mark.parametrize(("name", "wire"), [*((name, "hl7") for name in NAMES), ("three-chairs", "fhir")])
def test_messages_come_in_order_and_the_same_for_a_seed(name: str, wire: str) -> None:
    first = list(scenario(name, 3, K, wire=wire))
    assert first == list(scenario(name, 3, K, wire=wire))
    assert first != list(scenario(name, 4, K, wire=wire))
    assert all(a.received <= b.received for a, b in pairwise(first))
    assert {m.kind for m in first} == {"event", wire}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63), name=st.sampled_from(SINGLE))
def test_a_value_never_depends_on_what_was_asked_before(seed: int, name: str) -> None:
    plan = script(scenarios(K)[name], K)
    forward, backward = Body(plan, str(seed), K), Body(plan, str(seed), K)
    minutes = [1.0, 20.5, 33.0]
    there = [forward.value("systolic", m) for m in minutes]
    assert there == [backward.value("systolic", m) for m in reversed(minutes)][::-1]


def test_three_chairs_keep_their_own_names() -> None:
    found = list(scenario("three-chairs", 1, K))
    sessions = {e.session for m in found if m.kind == "event" and isinstance(e := read_event(m.payload, SHAPE), Event)}
    assert sessions == {"quiet-nasal-1", "hypertensive-surge-1", "probe-off-1"}
    for number in (1, 2, 3):
        assert any(f"monitor-{number}".encode() in m.payload for m in found if m.kind == "hl7")


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(BadInput, match=r"quiet-nasal.*three-chairs"):
        scenario("no-such-day", 1, K)
    assert "run" not in NAMES


# --- the wire ---------------------------------------------------------------------------------------------------------


def test_lost_and_unplugged_messages_are_gone_and_doubled_ones_come_twice() -> None:
    whole = len(monitor(played("probe-off", fault=[])))
    assert whole == 144 * 6 - 1 - 6 * 6  # from minute 1 to 139; the first a turn after it was tied
    assert len(monitor(played("probe-off", fault=[{"kind": "off", "from": 10, "until": 12}]))) == whole - 12
    assert len(monitor(played("probe-off", fault=[{"kind": "doubled"}]))) == 2 * whole
    assert whole / 3 < len(monitor(played("probe-off", fault=[{"kind": "lost", "share": 0.5}]))) < whole * 2 / 3


def test_late_and_reordered_messages_keep_their_true_time() -> None:
    plain, late = (
        monitor(played("probe-off", fault=f)) for f in ([], [{"kind": "reordered", "by": "25 s", "share": 0.5}])
    )
    assert {s.event.id: s.event.at for s in late} == {s.event.id: s.event.at for s in plain}
    assert any(a.event.at > b.event.at for a, b in pairwise(late))
    assert not any(a.event.at > b.event.at for a, b in pairwise(plain))


def test_half_a_message_is_cut_and_known_to_be() -> None:
    cut = monitor(played("probe-off", fault=[{"kind": "half"}]))
    whole = {s.event.id: s.message.payload for s in monitor(played("probe-off", fault=[]))}
    assert all(not s.whole and whole[s.event.id].startswith(s.message.payload) for s in cut)


def test_a_wrong_patient_and_a_clock_jump_are_written_into_the_message() -> None:
    other = monitor(played("wrong-patient"))
    assert {s.own for s in other} == {True, False}
    assert all((b"somebody-else" in s.message.payload) is not s.own for s in other)
    jumped = [s.event.at - s.event.received for s in monitor(played("clock-jump"))]
    assert max(jumped) == pytest.approx(60 * MS_PER_MIN, abs=3000)
    assert min(jumped) == pytest.approx(0, abs=3000)


def test_an_artefact_is_impossible_and_a_slipped_probe_says_nothing() -> None:
    seen = monitor(played("probe-off"))
    assert sum(s.event.data.get("spo2") == 104 for s in seen) == 6
    assert sum("spo2" not in s.event.data for s in seen) == 18
    assert all("heart_rate" in s.event.data for s in seen)


# --- the days, as the fold and the alarms see them --------------------------------------------------------------------

E = "emergency"
STORIES = [  # scenario, (alarm, level) that must stand at some time, the worst level of the day, how it ends
    ("quiet-infusion", [], "", "discharged"),
    ("quiet-nasal", [], "", "discharged"),
    ("hypertensive-surge", [("hypertension-severe", "high")], "high", "discharged"),
    (
        "hypoxia-kratom",
        [("respiratory-depression", E), ("naloxone-given", "high")],
        "emergency",
        "transferred",
    ),
    ("headache-emergency", [("hypertensive-emergency", E)], E, "transferred"),
    ("early-leaver", [], "", "left-before-discharge"),
    ("vomiting-sedated", [("vomiting-sedated", "high")], "high", "discharged"),
    ("probe-off", [("probe", "probe"), ("no-data", "high")], "high", "discharged"),
    ("wrong-patient", [("respiratory-depression", E), ("no-data", "high")], E, "discharged"),
    ("clock-jump", [("respiratory-depression", E)], E, "discharged"),
    ("anaphylaxis", [("allergic-reaction", E)], E, "transferred"),
]
LEVELS = ["", "probe", "low", "medium", "high", "emergency"]


def alarms_of(ticks: list[Tick], state: State) -> tuple[set[tuple[str, str]], State]:
    stood = {(a.alarm, a.level) for tick in ticks for seen in tick.seen for a in seen.alarms}
    return stood | {(loose.alarm.alarm, loose.alarm.level) for tick in ticks for loose in tick.loose}, state


@cache
def watched(name: str, seed: int = 1, wire: str = "hl7") -> tuple[list[Tick], State]:
    messages = list(scenario(name, seed, K, wire=wire))
    clock = range(messages[0].received, messages[-1].received, 10_000)
    ticks = list(watch(heard(messages, K), clock, K))
    return ticks, next(seen.state for tick in reversed(ticks) for seen in tick.seen)


@pytest.mark.parametrize(("name", "alarms", "worst", "ends"), STORIES)
def test_a_day_goes_as_its_text_says(name: str, alarms: list[tuple[str, str]], worst: str, ends: str) -> None:
    stood, state = alarms_of(*watched(name))
    assert set(alarms) <= stood
    assert max((level for _, level in stood), key=LEVELS.index, default="") == worst
    assert state.phase == ends


RATED = ("Sedation (MOAA/S or RASS), 20 min", "Distress, asked, 20 min")
MISSED = {"hypertensive-surge": RATED, "hypoxia-kratom": RATED[1:]}  # nobody comes; cannot be asked
FLAGGED = {"early-leaver": {"discharge-refused"}}


@pytest.mark.parametrize("name", SINGLE)
def test_the_nurse_leaves_out_nothing_but_what_the_story_is_about(name: str) -> None:
    _, state = watched(name)
    assert tuple(gap.step.title for gap in gaps(state, state.at, K)) == MISSED.get(name, ())
    assert {flag.code for flag in state.flags or ()} == FLAGGED.get(name, set())


@pytest.mark.parametrize("name", SINGLE)
def test_what_every_visit_asks_is_answered_before_the_dose(name: str) -> None:
    """What is left open is what the record of a real person would hold."""
    ticks, state = watched(name)
    first = state.dose.first
    assert first is not None
    before = next(seen.state for tick in reversed(ticks) for seen in tick.seen if tick.at < first)
    asked = {i["id"] for i in K.content["readiness"]["item"] if i["each"] == "visit"}
    questions = {q.id: q.open for q in readiness(before, K, now=Instant(first, before.zone)).questions}
    assert [name for name in asked & questions.keys() if questions[name]] == []
    assert len(asked & questions.keys()) > 20


@pytest.mark.parametrize("seed", range(2, 4))
@pytest.mark.parametrize("name", ["quiet-infusion", "quiet-nasal"])
def test_a_quiet_day_is_quiet_for_whoever_it_is(name: str, seed: int) -> None:
    ticks, state = watched(name, seed, "fhir" if seed % 2 else "hl7")
    assert alarms_of(ticks, state)[0] == set()
    assert (gaps(state, state.at, K), tuple(state.flags or ()), state.phase) == ((), (), "discharged")
    assert [t for t in ticks if t.loose] == []


@pytest.mark.parametrize("name", ["hypertensive-surge", "probe-off", "wrong-patient"])
def test_a_day_is_the_same_in_either_language_of_the_monitor(name: str) -> None:
    assert alarms_of(*watched(name))[0] == alarms_of(*watched(name, wire="fhir"))[0]


def test_the_surge_is_raised_goes_up_the_line_is_acknowledged_and_is_over() -> None:
    ticks, state = watched("hypertensive-surge")
    severe = [
        (n.kind, n.says.rpartition(": ")[2]) for tick in ticks for n in tick.news if n.what == "hypertension-severe"
    ]
    assert [kind for kind, _ in severe] == ["raised", "turn", "turn", "acknowledged", "cleared"]
    assert [who for _, who in severe[1:4]] == ["charge nurse", "prescriber", "Dr. Okoye"]
    assert ticks[-1].seen[0].alarms == ()
    assert state.dose.complete is False


def test_the_early_leaver_is_refused_first() -> None:
    _, state = watched("early-leaver")
    assert "discharge-refused" in {flag.code for flag in state.flags or ()}


# --- the predicted curve ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mg", "models", "band"), [("quiet-infusion", 35.0, 4, MODELS), ("quiet-nasal", 84.0, 1, PEOPLE)]
)
def test_the_curve_is_of_the_doses_that_were_given(name: str, mg: float, models: int, band: str) -> None:
    _, state = watched(name)
    first = state.dose.first
    assert first is not None
    assert sum(a.amount_mg for a in given_so_far(state, state.at)) == pytest.approx(mg)
    curve = predicted(state, K, now=state.at, until=first + 240 * MS_PER_MIN, age_a=44)
    assert (curve.t_ms[0], curve.t_ms[-1]) == (first, first + 240 * MS_PER_MIN)
    assert curve.low is not None
    assert curve.high is not None
    assert all(low <= mid <= high for low, mid, high in zip(curve.low, curve.typical, curve.high, strict=True))
    assert max(curve.low) < max(curve.typical) < max(curve.high)
    assert (curve.unit, len(curve.models), curve.predicted) == ("ng/mL", models, True)
    assert band in curve.says
    assert "Not measured" in curve.says


def test_a_running_infusion_counts_what_the_pump_has_delivered() -> None:
    """52.5 mL/h of 1 mg/mL since minute 10: 17.5 mg after 20 minutes, and the curve after it only falls."""
    running = next(
        seen.state
        for tick in watched("quiet-infusion")[0]
        for seen in tick.seen
        if seen.state.dose.rate and tick.at >= seen.state.dose.since + 20 * MS_PER_MIN
    )
    now = running.dose.since + 20 * MS_PER_MIN
    assert [a.amount_mg for a in given_so_far(running, now)] == [pytest.approx(17.5)]
    curve = predicted(running, K, now=now, until=now + 60 * MS_PER_MIN)
    assert curve.t_ms[curve.typical.index(max(curve.typical))] == now


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State(treatment="ketamine-iv"), "Nothing has been given"),
        (State(treatment="ketamine-sc", dose=Dose(first=0, given=(Given(0, 0, 35.0, "e"),))), "No prediction"),
    ],
)
def test_without_a_dose_or_a_model_there_is_no_curve_but_the_reason(state: State, says: str) -> None:
    curve = predicted(state, K, now=MS_PER_MIN, until=60 * MS_PER_MIN)
    assert (curve.t_ms, curve.typical, curve.low, curve.models) == ((), (), None, ())
    assert says in curve.says
