"""The alarms of a treatment day: a table that a nurse can read, and the algebra of delays, turns and silence."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjunct.base import Verdict, duration_ms
from adjunct.knowledge import Knowledge
from adjunct.session import alarms
from adjunct.session.alarms import LEVELS, NO_DATA, Table, log, standing, verdict
from adjunct.session.model import Alarm
from sessions import MINUTE, SECOND, Log, at

SCORES = {
    "moaas": "sedation",
    "rass": "sedation",
    "bprs_item_max": "dissociation",
    "nausea_score": "nausea",
    "distress": "distress",
}
with (Path(__file__).parent / "cases" / "session_alarms.csv").open(encoding="utf-8") as rows:
    CASES = list(csv.DictReader(rows))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def measured(day: Log, minutes: float, text: str) -> None:
    """`systolic=120 moaas=5` as a nurse writes it down: vital signs together, each score for itself."""
    values = {name: float(value) for name, _, value in (part.partition("=") for part in text.split())}
    vitals = {name: value for name, value in values.items() if name not in SCORES}
    if vitals:
        day.add(minutes, "vitals", **vitals)
    for name in values.keys() - vitals.keys():
        day.add(minutes, SCORES[name], **{name: values[name]})


def signs(day: Log, minutes: float, text: str) -> None:
    match text.split(maxsplit=1):
        case ["told", words]:
            day.add(minutes, "substance-disclosed", text=words)
        case ["gave", name]:
            day.add(minutes, "medication-given", substance=name, dose="as ordered", route="iv")
        case ["not", sign]:
            day.add(minutes, "event", sign=sign, present=False)
        case [sign]:
            day.add(minutes, "event", sign=sign, present=True)


def names(day: Log, minutes: float) -> list[str]:
    """Every alarm that was raised by then and is not over, covered ones too."""
    return [a.alarm for a in log(day.state, at(minutes), day.day.table) if a.cleared is None]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['alarm']}, {c['is']}: {c['then']} {c['signs']} {c['after']}")
def test_the_table(case: dict[str, str], knowledge: Knowledge) -> None:
    day = Log(knowledge)
    measured(day, -20, case["baseline"])
    day.infusion(-10)
    if case["is"] == "artefact" or case["baseline"]:
        measured(day, -1, case["baseline"])
    measured(day, 0, case["then"])
    signs(day, 0, case["signs"])
    assert (case["alarm"] in names(day, duration_ms(case["after"]) / MINUTE)) == (case["stands"] == "yes"), case["why"]


def test_every_name_in_the_table_is_known(knowledge: Knowledge) -> None:
    table = Table.of_knowledge(knowledge)
    assert {c for row in table.rows.values() for together in row.any for c in together} <= table.conditions.keys()
    assert {name for row in table.rows.values() for name in row.covers} <= table.rows.keys()
    assert {row.rule for row in table.rows.values()} - {""} <= knowledge.rules.keys()
    assert {c.measure for c in table.conditions.values()} - {""} <= knowledge.concepts.keys()
    assert {sign.concept for sign in table.signs.values()} - {""} <= knowledge.concepts.keys()
    used = {c for row in table.rows.values() for together in row.any for c in together}
    spoken_of = {"other"} | {c for c in table.conditions if c.startswith("artefact-")}
    assert table.conditions.keys() - used <= spoken_of


def test_every_alarm_stands_in_the_table(knowledge: Knowledge) -> None:
    table = Table.of_knowledge(knowledge)
    held = {case["alarm"] for case in CASES if case["stands"] == "yes"}
    assert held == table.rows.keys() - {NO_DATA}
    limits = {row.id for row in table.rows.values() if any(table.conditions[c].measure for t in row.any for c in t)}
    not_raised = {case["alarm"] for case in CASES if case["stands"] == "no"}
    assert limits <= not_raised | {"pressure-climbing"}


def test_what_an_alarm_says_it_does_not_contradict_its_rule(knowledge: Knowledge) -> None:
    """Levels and `assess --phase during` agree on what is an emergency and on what no one may override."""
    for row in Table.of_knowledge(knowledge).rows.values():
        if not row.rule:
            continue
        rule = knowledge.rules[row.rule]
        if "during" in rule.phase and row.id not in ("naloxone-given", "psychosis-after-dose"):
            assert (rule.verdict is Verdict.ESCALATE) == (row.level == "emergency"), row.id
        assert row.hard or not (rule.hard and row.dose == "stop"), row.id


# --- delay and hysteresis ---------------------------------------------------------------------------------------------


def test_a_mild_fall_that_is_over_in_time_raises_nothing(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    for second, value in ((0, 93), (20, 92), (29, 95)):
        day.add(second / 60, "vitals", spo2=value)
    assert log(day.state, at(5), day.day.table) == ()


def test_a_mild_fall_without_another_value_is_raised_when_its_delay_is_over(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=93)
    (alarm,) = standing(day.state, at(0) + 30 * SECOND, day.day.table)
    assert (alarm.alarm, alarm.since, alarm.raised) == ("hypoxia", at(0), at(0) + 30 * SECOND)


@pytest.mark.parametrize(
    ("value", "stands"), [(94, True), (95, False), (98, False)], ids=["just over", "by the margin", "well over"]
)
def test_an_alarm_ends_only_when_the_value_is_back_by_a_margin(knowledge: Knowledge, value: int, stands: bool) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=92)
    day.add(1, "vitals", spo2=value)
    assert ("hypoxia" in names(day, 1)) == stands


def test_what_hovers_at_a_limit_is_one_alarm(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    for minute in range(20):
        day.add(minute, "vitals", systolic=160 - minute % 3, diastolic=80)
    assert [a.alarm for a in log(day.state, at(20), day.day.table) if a.alarm == "hypertension"] == ["hypertension"]


def test_an_artefact_neither_raises_nor_ends_an_alarm(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=85)
    day.add(1, "vitals", spo2=130)
    assert set(names(day, 1)) == {"respiratory-depression", "hypoxia", "probe"}
    assert day.state.readings["spo2"].value == 85
    day.add(2, "vitals", spo2=98)
    assert names(day, 2) == []


def test_a_sign_stays_until_somebody_says_that_it_is_over(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "event", sign="chest_pain", present=True)
    assert "hypertensive-emergency" in names(day, 600)
    day.add(601, "event", sign="chest_pain", present=False)
    assert names(day, 601) == []


# --- whose turn -------------------------------------------------------------------------------------------------------


def the(day: Log, minutes: float) -> Alarm:
    return standing(day.state, at(minutes), day.day.table)[0]


def test_nobody_answers(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "event", sign="seizure", present=True)
    seconds = {second: the(day, second / 60).to for second in (0, 29, 30, 59, 60, 3600)}
    assert seconds == {
        0: "nurse",
        29: "nurse",
        30: "prescriber",
        59: "prescriber",
        60: "everybody on site",
        3600: "everybody on site",
    }


def test_an_acknowledgement_stops_the_clock_and_not_the_alarm(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(1.5, "acknowledged", alarm="hypertension-severe")
    alarm = the(day, 50)
    assert (alarm.to, alarm.acknowledged, alarm.acknowledged_by) == ("charge nurse", at(1.5), "Nurse Ito")


def test_what_lasts_too_long_needs_an_answer_again(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "acknowledged", alarm="hypertension-severe")
    assert (the(day, 59).level, the(day, 59).acknowledged) == ("high", at(0.5))
    late = the(day, 60)
    assert (late.level, late.to, late.acknowledged) == ("emergency", "emergency service", None)
    assert the(day, 61).to == "everybody on site"  # the answer to the first is none to this


def test_an_answer_at_once_leaves_it_with_the_nurse(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0, "acknowledged", alarm="hypertension-severe")
    assert (the(day, 50).to, the(day, 50).escalated) == ("nurse", None)


def test_to_acknowledge_what_does_not_stand_is_said(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "acknowledged", alarm="hypoxia")
    assert "no-such-alarm" in day.codes()


def test_who_answers_an_alarm_answers_those_it_covers(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-1, "vitals", systolic=120, diastolic=80)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "acknowledged", alarm="hypertension-severe")
    covered = next(a for a in log(day.state, at(5), day.day.table) if a.alarm == "hypertension")
    assert covered.acknowledged == at(0.5)


# --- since when -------------------------------------------------------------------------------------------------------


def test_values_that_go_on_do_not_begin_the_delay_anew(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    for second in range(0, 61, 5):
        day.add(second / 60, "vitals", spo2=93)
    alarm = the(day, 1)
    assert (alarm.alarm, alarm.since, alarm.raised) == ("hypoxia", at(0), at(0) + 30 * SECOND)
    assert alarm.by == (("spo2", 93),)


def test_a_second_reason_begins_nothing_anew(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "acknowledged", alarm="hypertension-severe")
    day.add(1, "vitals", systolic=185, diastolic=115)
    day.add(2, "vitals", systolic=150, diastolic=115)  # the first reason is over
    alarm = the(day, 3)
    assert (alarm.alarm, alarm.raised, alarm.acknowledged) == ("hypertension-severe", at(0), at(0.5))


def test_what_needs_two_things_is_raised_by_the_second(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "sedation", moaas=4)
    day.add(2, "event", sign="vomiting", present=True)
    alarm = next(a for a in standing(day.state, at(3), day.day.table) if a.alarm == "vomiting-sedated")
    assert (alarm.since, alarm.raised) == (at(0), at(2))
    assert day.state.episodes["vomiting-sedated"].event == day.events[-1].id


def test_the_reason_that_came_first_has_its_delay_first(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-1, "vitals", heart_rate=70)
    day.infusion(-0.5)
    day.add(0, "vitals", heart_rate=115)  # much above the own
    day.add(5 / 60, "vitals", heart_rate=135)  # fast for anybody
    day.add(1, "vitals", heart_rate=135)
    alarm = next(a for a in standing(day.state, at(1), day.day.table) if a.alarm == "tachycardia")
    assert (alarm.since, alarm.raised) == (at(0), at(0) + 10 * SECOND)


def test_the_reason_without_a_delay_does_not_wait_for_the_one_with(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-2, "vitals", heart_rate=70)
    day.add(-1, "event", sign="dizziness", present=True)
    day.add(0, "vitals", heart_rate=30)
    assert next(a for a in standing(day.state, at(0), day.day.table) if a.alarm == "bradycardia").raised == at(0)


# --- silence ----------------------------------------------------------------------------------------------------------


def test_silence_ends_at_its_time_and_at_the_latest_after_two_minutes(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "silenced", until="2027-01-11T09:30:00+01:00")
    assert [the(day, m).silent_until is not None for m in (0.4, 0.5, 2.49, 2.5)] == [False, True, True, False]
    assert "silence-limited" in day.codes()


def test_any_new_alarm_breaks_a_silence(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "silenced", until="2027-01-11T09:02:00+01:00")
    assert the(day, 0.9).silent_until is not None
    day.add(1, "nausea", nausea_score=5)
    assert [a.silent_until for a in standing(day.state, at(1), day.day.table)] == [None, None]


def test_silence_of_what_was_before_is_not_of_what_comes(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "silenced", until="2027-01-11T09:02:00+01:00")
    day.add(0.5, "vitals", systolic=185, diastolic=95)
    assert the(day, 1).silent_until is None


def test_an_alarm_that_came_and_went_breaks_a_silence_too(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=185, diastolic=95)
    day.add(0.5, "silenced", until="2027-01-11T09:02:00+01:00")
    day.add(1, "vitals", spo2=80)
    day.add(1.1, "vitals", spo2=98)
    assert the(day, 1.2).silent_until is None


# --- no data ----------------------------------------------------------------------------------------------------------


def monitored(knowledge: Knowledge) -> Log:
    day = Log(knowledge)
    day.add(-25, "device-assigned", device="monitor-3")
    for second in range(-60, 1, 10):
        day.put(second / 60, "vitals", {"spo2": 97, "heart_rate": 70}, by="monitor-3", source="monitor-3")
    return day


@pytest.mark.parametrize(("seconds", "stands"), [(29, False), (30, False), (31, True)], ids=["below", "at", "above"])
def test_a_monitor_that_says_nothing_is_an_alarm(knowledge: Knowledge, seconds: int, stands: bool) -> None:
    found = standing(monitored(knowledge).state, at(seconds / 60), Table.of_knowledge(knowledge))
    assert [a.alarm for a in found] == ([NO_DATA] if stands else [])


def test_an_impossible_value_is_no_data(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    for second in range(10, 60, 10):
        day.put(second / 60, "vitals", {"spo2": 127, "heart_rate": 70}, by="monitor-3", source="monitor-3")
    assert set(names(day, 50 / 60)) == {"probe", NO_DATA}


def test_a_silence_of_the_monitor_stays_in_the_log(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.put(2, "vitals", {"spo2": 97, "heart_rate": 70}, by="monitor-3", source="monitor-3")
    gap = [a for a in log(day.state, at(2.2), day.day.table) if a.alarm == NO_DATA and a.raised > at(0)][-1]
    assert (gap.raised, gap.cleared) == (at(0) + 30 * SECOND, at(2))


def test_the_first_measure_that_is_missing_begins_it(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.put(20 / 60, "vitals", {"heart_rate": 70}, by="monitor-3", source="monitor-3")
    assert [a.raised for a in standing(day.state, at(2), day.day.table)] == [at(0) + 30 * SECOND]


def test_missing_data_that_came_and_went_broke_a_silence(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.add(0.1, "vitals", systolic=185, diastolic=95)
    day.add(0.2, "silenced", until="2027-01-11T09:02:00+01:00")
    assert the(day, 0.4).silent_until is not None
    day.put(1, "vitals", {"spo2": 97, "heart_rate": 70}, by="monitor-3", source="monitor-3")
    (alarm,) = standing(day.state, at(1.1), day.day.table)
    assert (alarm.alarm, alarm.silent_until) == ("hypertension-severe", None)


def test_an_answer_to_missing_data_is_none_to_the_next(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.add(1, "acknowledged", alarm=NO_DATA)
    assert the(day, 2).acknowledged == at(1)
    day.put(2, "vitals", {"spo2": 97, "heart_rate": 70}, by="monitor-3", source="monitor-3")
    assert the(day, 3).acknowledged is None


@pytest.mark.parametrize("end", ["device-released", "transferred"])
def test_missing_data_stays_in_the_log_when_the_monitor_goes(knowledge: Knowledge, end: str) -> None:
    day = monitored(knowledge)
    day.add(2, end, **({"device": "monitor-3"} if end == "device-released" else {"to": "hospital", "reason": "x"}))
    gap = [a for a in log(day.state, at(3), day.day.table) if a.alarm == NO_DATA][-1]
    assert (gap.raised, gap.cleared) == (at(0) + 30 * SECOND, at(2))


def test_one_of_two_monitors_goes_and_the_answer_stays(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.add(0.2, "device-assigned", device="monitor-4")
    day.add(1, "acknowledged", alarm=NO_DATA)
    day.add(1.5, "device-released", device="monitor-4")
    assert the(day, 2).acknowledged == at(1)


def test_a_released_monitor_may_be_quiet(knowledge: Knowledge) -> None:
    day = monitored(knowledge)
    day.add(0.1, "device-released", device="monitor-3")
    assert standing(day.state, at(30), day.day.table) == ()


def test_a_fall_is_seen_over_its_whole_window(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", spo2=99)
    day.add(5, "vitals", spo2=95)
    assert names(day, 5.5) == ["oxygen-falling"]


def test_a_fall_is_seen_behind_the_values_between(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0.5, "vitals", spo2=99)
    for minute in range(1, 6):
        day.add(minute, "vitals", spo2=97)
    day.add(5.5, "vitals", spo2=95)
    assert names(day, 6.5) == ["oxygen-falling"]


def test_pressures_the_wrong_way_round_are_an_artefact_where_each_is_quiet(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(0, "vitals", systolic=96, diastolic=97)
    assert (names(day, 0), day.state.readings) == (["probe"], {})


def test_a_baseline_of_nothing_compares_with_nothing(knowledge: Knowledge) -> None:
    day = Log(knowledge)
    day.add(-1, "vitals", systolic=0)
    day.infusion()
    day.add(1, "vitals", systolic=120, diastolic=80)
    assert day.state.readings["systolic"].value == 120


# --- properties -------------------------------------------------------------------------------------------------------


VITALS = st.fixed_dictionaries(
    {},
    optional={
        "spo2": st.integers(94, 101),
        "systolic": st.integers(91, 162),
        "diastolic": st.integers(65, 101),
        "heart_rate": st.integers(52, 132),
        "resp_rate": st.integers(10, 18),
    },
)


@given(values=st.lists(st.tuples(st.integers(-4, 40), VITALS), min_size=2, max_size=12))
@settings(max_examples=200)
def test_the_quick_way_past_the_limits_misses_nothing(
    knowledge: Knowledge, values: list[tuple[int, dict[str, int]]]
) -> None:
    day = Log(knowledge)
    day.infusion(0)
    for step, vitals in sorted(values, key=lambda v: v[0]):
        if vitals:
            day.add(step / 2, "vitals", **vitals)
    quick = day.state
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alarms, "is_calm", lambda values, between: False)
        whole = day.state
    assert (quick.bands, quick.episodes, [*(quick.past or ())]) == (whole.bands, whole.episodes, [*(whole.past or ())])


@given(values=st.lists(st.tuples(st.integers(0, 240), st.integers(60, 100)), min_size=1, max_size=30))
def test_looking_often_changes_nothing(knowledge: Knowledge, values: list[tuple[int, int]]) -> None:
    """What was raised at an instant is the same whether somebody looked then or reads the log later."""
    day = Log(knowledge)
    for second, value in sorted(values):
        day.add(second / 60, "vitals", spo2=value)
    table, history = day.day.table, day.history()
    told = {(a.alarm, a.raised) for a in log(history.state, at(10), table)}
    seen = set()
    state, events = Log(knowledge).state, [e for e in day.events if e.type == "vitals"]
    from adjunct.session import advance

    for event, later in pairwise([*events, events[-1]._replace(at=at(10))]):
        state = advance(state, event, day.day)
        for now in range(event.at, later.at, SECOND):
            seen |= {(a.alarm, a.raised) for a in log(state, now, table) if a.cleared is None}
    assert seen <= told


@given(st.lists(st.sampled_from(["emergency", "high", "medium", "low", "probe"]), max_size=4))
def test_the_worst_alarm_is_the_verdict(levels: list[str]) -> None:
    blank = dict.fromkeys(Alarm._fields)
    alarms = [Alarm(**(blank | {"level": level})) for level in levels]
    expected = {"emergency": Verdict.ESCALATE, "high": Verdict.CAUTION, "medium": Verdict.CAUTION}
    worst = max(levels, key=LEVELS.index, default="low")
    assert verdict(alarms) is expected.get(worst, Verdict.ELIGIBLE)
