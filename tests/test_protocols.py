"""Protocols as data: published schedules rebuilt, bounds that hold, missed visits as section 3.6 has them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, BadInput, duration_ms, units
from adjunct.knowledge import Knowledge
from adjunct.knowledge.language import parse
from adjunct.knowledge.lint import overstated
from adjunct.knowledge.schema import validator
from adjunct.planning.model import Setting
from adjunct.planning.protocols import (
    SHARED,
    Phase,
    Protocol,
    bounds,
    changed,
    names,
    protocol,
    value_ms,
    with_settings,
    words,
)

KNOWLEDGE = Knowledge.load()
NAMES = names(KNOWLEDGE)
DOSING = tuple(n for n in NAMES if protocol(KNOWLEDGE, n).kind == "dosing")
HORIZON = 130  # days: as far as the tables below read an open phase


def the(name: str) -> Protocol:
    return protocol(KNOWLEDGE, name)


# --- published schedules ----------------------------------------------------------------------------------------------

WEEKS_1_TO_4 = [0, 3, 7, 10, 14, 17, 21, 24]
SCHEDULES = [
    # protocol, what the clinic set, days of the visits when nothing moves, where it is published
    ("esketamine-trd", {}, [*WEEKS_1_TO_4, 28, 35, 42, 49, 56, 63, 70, 77, 84, 91, 98, 105, 112, 119, 126]),
    ("esketamine-trd", {"maintenance.gap": "2 wk"}, [*WEEKS_1_TO_4, 28, 35, 42, 49, 56, 70, 84, 98, 112, 126]),
    ("esketamine-mdsi", {}, WEEKS_1_TO_4),
    ("ketamine-iv-induction", {}, [0, 3, 7, 10, 14, 17]),  # six in three weeks
    ("ketamine-iv-induction", {"induction.pattern": "three-a-week"}, [0, 2, 4, 7, 9, 11]),  # Murrough: 12-day period
    ("ketamine-iv-induction", {"induction.visits": 4}, [0, 3, 7, 10]),
    ("ketamine-iv-maintenance", {}, [0, 7, 14, 21, 35, 49, 63, 77, 91, 105, 119]),
    (
        "ketamine-iv-maintenance",  # CAN-BIND: weekly one month, two-weekly two months, monthly three months
        {"maintenance.pattern": "can-bind"},
        [0, 7, 14, 21, 35, 49, 63, 77, 105],
    ),
    ("ketamine-sc", {}, WEEKS_1_TO_4),  # KADS: twice weekly for four weeks
    ("ketamine-im", {}, [0, 3, 7, 10, 14, 17]),
    ("cbt-i", {}, [0, 7, 14, 21, 28, 35]),
    ("mbct", {}, [0, 7, 14, 21, 28, 35, 42, 49]),
    ("kratom-reduction", {}, [0, 7, *range(14, 14 + 16 * 7, 7)]),
    ("cooccurring-sud", {}, [*range(0, 16 * 7, 7)]),
]


@pytest.mark.parametrize(("name", "given", "days"), SCHEDULES)
def test_published_schedules(name: str, given: Mapping[str, Any], days: list[int]) -> None:
    known = the(name)
    found = list(visit_days(known, with_settings(known, given)))
    assert [d for d in found if d < HORIZON] == days


def test_six_infusions_take_two_to_four_weeks() -> None:
    known = the("ketamine-iv-induction")
    for pattern in known.settings["induction.pattern"].choices:
        last = list(visit_days(known, with_settings(known, {"induction.pattern": pattern})))[-1]
        assert 7 < last <= 28


def visit_days(known: Protocol, values: Mapping[str, Setting]) -> Iterator[int]:
    """An obvious reading: a day for each visit, counted from the first."""
    day, first = 0, True
    for phase in known.phases:
        if phase.only_if and values[phase.only_if[0]].value != phase.only_if[1]:
            continue
        end = None if phase.until is None else in_days(values[phase.until])
        count = 10_000 if phase.visits is None else int(values[phase.visits].value)
        for n in range(count):
            if not first:
                name = phase.lead if n == 0 and phase.lead else phase.gaps[(n - 1) % len(phase.gaps)]
                day += in_days(values[name])
            if end is not None and day > end:
                break
            first = False
            yield day


def in_days(setting: Setting) -> int:
    return value_ms(setting) // MS_PER_DAY


@pytest.mark.parametrize("name", DOSING)
def test_no_window_of_the_clinic_brings_two_doses_together(name: str) -> None:
    """Even if every visit moves as far as it may, some day fits the least gap: the distance is never negative."""
    known = the(name)
    for phase in known.phases:
        least = min(value_ms(known.settings[g]) for g in phase.gaps)
        assert value_ms(known.settings[str(phase.least_gap)]) <= least
        assert in_days(known.settings[str(phase.early)]) < least // MS_PER_DAY


# --- missed visits, section 3.6 ---------------------------------------------------------------------------------------

MISSED = [
    # protocol, phase, worse, days since the last dose, missed in a row, ids of the rules that speak, effect of the last
    ("esketamine-trd", "induction", "yes", 7, 1, ["induction"], "keep"),
    ("esketamine-trd", "induction", "no", 7, 1, ["induction"], "keep"),
    ("esketamine-trd", "induction", "unknown", 30, 1, ["induction"], "keep"),
    ("esketamine-trd", "weekly", "yes", 14, 1, ["later-worse"], "consider"),
    ("esketamine-trd", "weekly", "no", 14, 1, ["later-not-worse"], "keep"),
    ("esketamine-trd", "maintenance", "yes", 21, 1, ["later-worse"], "consider"),
    ("esketamine-trd", "maintenance", "no", 21, 1, ["later-not-worse"], "keep"),
    ("esketamine-trd", "maintenance", "unknown", 21, 1, ["later-unknown"], "keep"),
    ("esketamine-trd", "maintenance", "no", 21, 2, ["later-not-worse"], "keep"),
    ("esketamine-trd", "maintenance", "no", 28, 3, ["huddle", "later-not-worse"], "keep"),
    ("esketamine-mdsi", "induction", "unknown", 7, 1, ["induction"], "keep"),
    ("ketamine-iv-induction", "two-a-week", "unknown", 7, 1, ["soon"], "append"),
    ("ketamine-iv-induction", "two-a-week", "no", 8, 1, ["rescore"], "append"),
    ("ketamine-iv-induction", "three-a-week", "yes", 14, 1, ["rescore"], "append"),
    ("ketamine-iv-induction", "three-a-week", "no", 15, 1, ["restart"], "hold"),
    ("ketamine-iv-induction", "two-a-week", "no", 29, 3, ["huddle", "restart"], "hold"),
    ("ketamine-iv-maintenance", "spaced", "yes", 28, 1, ["later-worse"], "consider"),
    ("ketamine-iv-maintenance", "spaced", "no", 28, 1, ["later-not-worse"], "keep"),
    ("ketamine-iv-maintenance", "spaced", "unknown", 28, 1, ["later-unknown"], "keep"),
    ("ketamine-iv-maintenance", "canbind-monthly", "no", 29, 1, ["restart"], "hold"),
    ("ketamine-sc", "induction", "no", 8, 1, ["rescore"], "append"),
    ("ketamine-im", "induction", "no", 15, 1, ["restart"], "hold"),
    ("kratom-reduction", "reduction", "no", 14, 1, ["missed"], "keep"),
    ("kratom-reduction", "reduction", "yes", 14, 1, ["missed", "worse"], "consider"),
    ("mbct", "sessions", "unknown", 14, 3, ["missed", "huddle"], "keep"),
]


@pytest.mark.parametrize(("name", "phase", "worse", "days", "row", "ids", "effect"), MISSED)
def test_what_follows_a_missed_visit(
    name: str, phase: str, worse: str, days: int, row: int, ids: list[str], effect: str
) -> None:
    known = the(name)
    found = [
        m
        for m in known.missed
        if (not m.phases or phase in m.phases)
        and m.worse in ("any", worse)
        and (m.gap_above is None or days > in_days(known.settings[m.gap_above]))
        and (m.gap_upto is None or days <= in_days(known.settings[m.gap_upto]))
        and (m.count is None or row >= known.settings[m.count].value)
    ]
    assert [m.id for m in found] == ids
    assert found[-1].effect == effect


@pytest.mark.parametrize("name", DOSING)
def test_a_missed_dose_is_never_made_up_by_two(name: str) -> None:
    for rule in the(name).missed:
        if rule.id != "huddle":
            assert "Never two doses to catch up." in rule.says
            assert re.search("last tolerated|same tolerated dose", rule.says, re.IGNORECASE)


@pytest.mark.parametrize(("name", "appends"), [("ketamine-iv-induction", True), ("esketamine-trd", False)])
def test_a_series_keeps_its_number(name: str, appends: bool) -> None:
    assert {the(name).appends(phase.id) for phase in the(name).phases} == {appends}


def test_a_series_keeps_its_number_only_in_the_phases_named() -> None:
    known = the("ketamine-iv-induction")
    only = replace(known, missed=tuple(replace(m, phases=("two-a-week",)) for m in known.missed))
    assert (only.appends("two-a-week"), only.appends("three-a-week")) == (True, False)


# --- settings ---------------------------------------------------------------------------------------------------------

ACCEPTED = [
    # protocol, setting, value, in the setting's unit
    ("ketamine-iv-induction", "induction.visits", 4, 4),
    ("ketamine-iv-induction", "induction.visits", 6, 6),
    ("ketamine-iv-induction", "dose.gap.least", "72 h", 72),
    ("ketamine-iv-induction", "dose.gap.least", "3 d", 72),
    ("ketamine-iv-induction", "infusion.duration", "1 h", 60),
    ("ketamine-iv-maintenance", "maintenance.gap", "3 wk", 3),
    ("ketamine-iv-maintenance", "maintenance.gap", "21 d", 3),
    ("ketamine-iv-maintenance", "maintenance.gap", 4, 4),
    ("esketamine-trd", "observe.least", "150 min", 2.5),
    ("esketamine-trd", "dose.policy", "either-from-start", "either-from-start"),
    ("esketamine-trd", "bp.defer.systolic", 150.0, 150),
]
REFUSED = [
    # protocol, setting, value, what the error says besides
    ("ketamine-iv-induction", "induction.visits", 3, "outside its bounds; it may be 4 to 6"),
    ("ketamine-iv-induction", "induction.visits", 7, "outside its bounds; it may be 4 to 6"),
    ("ketamine-iv-induction", "induction.visits", 4.5, "not a whole number"),
    ("ketamine-iv-induction", "dose.gap.least", "36 h", "outside its bounds; it may be 48 to 96 h"),
    ("ketamine-iv-induction", "dose.gap.least", "47.9 h", "outside its bounds"),
    ("ketamine-iv-induction", "dose.gap.least", "72 kg", "not a unit like 'h'"),
    ("ketamine-iv-induction", "dose.gap.least", "three days", "not a number with its unit"),
    ("ketamine-iv-induction", "dose.gap.least", True, "not a number"),
    ("ketamine-iv-induction", "dose.gap.least", None, "not a number"),
    ("ketamine-iv-induction", "dose.gap.least", float("nan"), "not a number"),
    ("ketamine-iv-induction", "dose.gap.least", float("inf"), "not a number"),
    ("ketamine-iv-induction", "induction.pattern", "daily", "it may be two-a-week or three-a-week"),
    ("ketamine-iv-induction", "induction.pattern", ["two-a-week"], "it may be two-a-week or three-a-week"),
    ("ketamine-iv-maintenance", "maintenance.gap", "10 d", "it may be 1 wk or 2 wk or 3 wk or 4 wk"),
    ("esketamine-trd", "induction.visits", 6, "it is fixed at 8"),
    ("esketamine-trd", "observe.least", "119 min", "outside its bounds; it may be 2 to 8 h"),
    ("esketamine-trd", "maintenance.gap", "4 wk", "it may be 1 wk or 2 wk"),
]


@pytest.mark.parametrize(("name", "setting", "value", "read"), ACCEPTED)
def test_a_clinic_sets_within_the_bounds(name: str, setting: str, value: object, read: object) -> None:
    values = with_settings(the(name), {setting: value})
    assert (values[setting].value, values[setting].clinic) == (read, True)
    assert values[setting].default == the(name).settings[setting].value
    assert not any(s.clinic for id_, s in values.items() if id_ != setting)


@pytest.mark.parametrize(("name", "setting", "value", "says"), REFUSED)
def test_outside_the_bounds_is_one_clear_error(name: str, setting: str, value: object, says: str) -> None:
    with pytest.raises(BadInput) as error:
        with_settings(the(name), {setting: value})
    text = str(error.value)
    assert says in text
    assert f"{name}, {setting} = " in text
    assert bounds(the(name).settings[setting]) in text
    assert "\n" not in text


def test_an_unknown_setting_is_named_with_near_ones() -> None:
    with pytest.raises(BadInput, match=r"esketamine-trd has no setting 'observe.last'; there is observe.least"):
        with_settings(the("esketamine-trd"), {"observe.last": 3})
    with pytest.raises(BadInput, match="not a table"):
        with_settings(the("esketamine-trd"), [])  # type: ignore[arg-type]


def test_a_name_may_be_written_with_or_without_quotes() -> None:
    known = the("ketamine-sc")
    plain = with_settings(known, tomllib.loads('dose.gap.least = "3 d"\ninduction.visits = 6'))
    assert plain == with_settings(known, tomllib.loads('"dose.gap.least" = "3 d"\n"induction.visits" = 6'))
    assert (plain["dose.gap.least"].value, plain["induction.visits"].value) == (72, 6)
    with pytest.raises(BadInput, match=r"no setting 'dose\.gap\.most'"):
        with_settings(known, tomllib.loads("dose.gap.most = 3"))


def test_every_setting_may_be_written_without_quotes() -> None:
    """No name is a setting and the beginning of another one's name."""
    for name in NAMES:
        ids = sorted(the(name).settings)
        assert not [(a, b) for a in ids for b in ids if b.startswith(f"{a}.")], name


def test_a_later_amendment_keeps_what_the_clinic_set() -> None:
    known = the("ketamine-iv-maintenance")
    values = changed(known, with_settings(known, {"weekly.visits": 2}), {"maintenance.gap": "3 wk"}, "change")
    assert (values["weekly.visits"].value, values["maintenance.gap"].value) == (2, 3)


@pytest.mark.parametrize("name", ["esketamine-tdr", "Esketamine TRD x", "shared-nasal", "", "spravato"])
def test_an_unknown_protocol_is_named_with_near_ones(name: str) -> None:
    with pytest.raises(BadInput, match="no protocol is called") as error:
        protocol(KNOWLEDGE, name)
    assert any(n in str(error.value) for n in NAMES)
    assert SHARED not in str(error.value).partition("there is")[2]


def test_a_protocol_is_read_once_however_it_is_spelt() -> None:
    assert protocol(KNOWLEDGE, "Esketamine TRD") is the("esketamine-trd")


ALL_SETTINGS = [(n, s) for n in NAMES for s in the(n).settings.values()]


@given(chosen=st.sampled_from(ALL_SETTINGS), at=st.floats(0, 1), beyond=st.floats(0.01, 1000))
def test_bounds_hold_for_every_setting(chosen: tuple[str, Setting], at: float, beyond: float) -> None:
    name, setting = chosen
    if setting.choices:
        for choice in setting.choices:
            assert with_settings(the(name), {setting.id: choice})[setting.id].clinic
        return
    assert setting.least is not None
    assert setting.most is not None
    inside = setting.least + at * (setting.most - setting.least)
    if setting.unit == "1":
        inside = round(inside)
    assert setting.least <= with_settings(the(name), {setting.id: inside})[setting.id].value <= setting.most
    for outside in (setting.least - beyond, setting.most + beyond):
        with pytest.raises(BadInput):
            with_settings(the(name), {setting.id: outside})


@given(hours=st.integers(48, 96))
def test_a_length_is_the_same_in_every_unit(hours: int) -> None:
    known = the("ketamine-sc")
    for text in (f"{hours} h", f"{hours * 60} min", f"{hours * 3600} s"):
        assert value_ms(with_settings(known, {"dose.gap.least": text})["dose.gap.least"]) == duration_ms(f"{hours} h")


# --- every file agrees with itself and with the rest of the knowledge -------------------------------------------------

DURATION = {"min", "h", "d", "wk", "mo"}
EXAMINATIONS = {"mood10", "liver", "ecg", "hcg", "drug-screen", "use", "craving"}  # measured, but no questionnaire


@pytest.mark.parametrize("entry", KNOWLEDGE.content["protocols"], ids=lambda e: e["id"])
def test_a_file_has_its_shape_and_its_name(entry: dict[str, Any]) -> None:
    plain = {key: value for key, value in entry.items() if key != "file"}
    assert [e.message for e in validator("protocol").iter_errors(plain)] == []
    assert entry["file"] == f"protocols/{entry['id']}.toml"


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_consistent(name: str) -> None:
    known = the(name)
    for s in known.settings.values():
        if s.unit:
            assert s.unit in units(), s.id
        if s.choices:
            assert (f"{s.value:g} {s.unit}" if s.unit else s.value) in s.choices, s.id
        else:
            assert (s.least or 0) <= s.value <= (s.most or 0), s.id


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_protocol_uses_exists(name: str) -> None:
    known = the(name)
    phases = {p.id for p in known.phases}
    lengths = {s.id for s in known.settings.values() if s.unit in DURATION}
    counts = {s.id for s in known.settings.values() if s.unit == "1"}
    for phase in known.phases:
        assert set(filter(None, phase_lengths(phase))) <= lengths, phase.id
        assert {phase.visits} - {None} <= counts, phase.id
        if phase.only_if:
            assert phase.only_if[1] in known.settings[phase.only_if[0]].choices
        assert set(phase.measures) <= KNOWLEDGE.instruments.keys() | EXAMINATIONS, phase.id
    assert known.phases[0].lead is None
    assert all(p.lead for p in known.phases[1:] if p.only_if is None)
    for before in known.prerequisites:
        assert {before.opens, before.due} <= lengths, before.id
    for task in known.tasks:
        assert {task.due, task.opens, task.every} - {None} <= lengths, task.id
    for review in known.reviews:
        assert review.after.get("time", next(iter(lengths))) in lengths
        assert review.after.get("phase", known.phases[0].id) in phases
    for stop in known.stops:
        assert set(stop.rules) <= KNOWLEDGE.rules.keys(), stop.id
    for missed in known.missed:
        assert set(missed.phases) <= phases
        assert {missed.gap_above, missed.gap_upto} - {None} <= lengths
        assert {missed.count} - {None} <= counts
    assert all(goal.measure in KNOWLEDGE.instruments for goal in known.goals)
    assert known.substance in KNOWLEDGE.substances or not known.substance


def phase_lengths(phase: Phase) -> list[str | None]:
    own = (phase.until, phase.lead, phase.early, phase.late, phase.least_gap, phase.duration, phase.observe)
    return [*own, *phase.gaps]


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_has_a_source_that_was_read(name: str) -> None:
    known = the(name)
    rows = chain(known.prerequisites, known.tasks, known.reviews, known.stops, known.missed)
    facts = (fact for phase in known.phases for fact in phase.facts)
    stated = [(r.id, r.source["id"], r.status) for r in chain(rows, facts)]
    stated += [(s.id, s.source, s.status) for s in known.settings.values()]
    for id_, source, status in [*stated, (name, known.source["id"], known.status)]:
        found = KNOWLEDGE.sources[source]
        if status != "proposed":
            assert found.kind not in ("project-default", "uncited"), id_
            assert found.read_as != "not-read", id_


@pytest.mark.parametrize("name", NAMES)
def test_conditions_are_of_the_rule_language(name: str) -> None:
    known = the(name)
    facts = (fact for phase in known.phases for fact in phase.facts)
    for row in chain(known.prerequisites, known.tasks, facts):
        if row.when:
            parse(row.when, KNOWLEDGE.vocabulary, f"{name}, {row.id}")


def test_a_shared_entry_gives_way_to_one_of_the_same_name() -> None:
    assert the("ketamine-iv-induction").settings["dose.policy"].value == "fixed"
    assert the("ketamine-sc").settings["dose.policy"].value == "response-guided"
    assert the("mbct").settings["session.duration"].value == 120


def test_numbers_that_a_fact_holds_as_an_interval_agree_with_the_settings() -> None:
    early = KNOWLEDGE.facts["kratom.lft.interval.early"]
    values = the("kratom-reduction").settings
    assert early.value == (values["liver.early.opens"].value, values["liver.early.due"].value)
    assert early.unit == values["liver.early.due"].unit
    least = the("ketamine-iv-induction").settings["observe.least"]
    assert (least.least, least.unit) == (KNOWLEDGE.number("discharge.infusion.minimum"), "min")


# --- words ------------------------------------------------------------------------------------------------------------


def person_texts(known: Protocol) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "title", known.title
    yield "says", known.says
    yield from ((row.id, row.title) for row in (*known.goals, *known.phases, *known.prerequisites, *known.tasks))
    yield from ((row.id, row.tell) for row in (*known.stops, *known.missed))


def clinician_texts(known: Protocol) -> Iterator[tuple[str, str]]:
    yield "clinician", known.clinician
    facts = (fact for phase in known.phases for fact in phase.facts)
    for row in chain(known.reviews, known.stops, known.missed, facts):
        yield row.id, f"{row.title} {row.says}"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_person_reads_is_in_both_languages_and_holds_no_number(name: str) -> None:
    for id_, texts in person_texts(the(name)):
        assert set(texts) == {"en", "es"}, id_
        for text in texts.values():
            assert not re.search(r"[\d{]", text), f"{id_}: {text}"


@pytest.mark.parametrize("name", NAMES)
def test_every_place_of_a_clinicians_text_is_filled(name: str) -> None:
    known = the(name)
    filled = words(known.settings, KNOWLEDGE)
    for id_, text in clinician_texts(known):
        assert "{" not in KNOWLEDGE.say(text, **filled), id_


def test_a_text_shows_what_the_clinic_set() -> None:
    known = the("ketamine-iv-induction")
    (soon,) = (m for m in known.missed if m.id == "restart")
    values = with_settings(known, {"missed.gap.restart": "21 d"})
    assert "More than 21 days since" in KNOWLEDGE.say(soon.says, **words(values, KNOWLEDGE))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_promised(name: str) -> None:
    plain = [(i, t) for i, texts in person_texts(the(name)) for t in texts.values()]
    for id_, text in [*plain, *clinician_texts(the(name))]:
        assert list(overstated(text, "B", KNOWLEDGE, hedge=False)) == [], id_


def test_the_kratom_pathway_never_tells_to_stop_or_to_skip_and_names_no_amount() -> None:
    known = the("kratom-reduction")
    assert "Do not stop suddenly" in known.says["en"]
    assert "No lo deje de golpe" in known.says["es"]
    whole = " ".join(text for _, texts in person_texts(known) for text in texts.values())
    whole += " ".join(text for _, text in clinician_texts(known))
    assert not re.search(r"\d\s*(mg|g|%)|skip (a|one|the) dose|fast(ing)? ", whole)
    assert not [s.id for s in known.settings.values() if s.unit not in {*DURATION, "1"}]
    assert known.settings["naltrexone.wait"].least == KNOWLEDGE.number("washout.kratom.naltrexone")
    (offer,) = (r for r in known.reviews if r.id == "buprenorphine")
    assert offer.owner == "addiction-clinician"
    assert offer.title.endswith("?")


@pytest.mark.parametrize("name", DOSING)
def test_every_dosing_protocol_stops_for_the_reasons_of_section_3_7(name: str) -> None:
    reasons = {"no-response", "hypomania", "psychosis", "cystitis", "liver", "misuse", "pressure", "choice"}
    assert {s.id for s in the(name).stops} == reasons
