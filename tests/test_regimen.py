"""The words of a prescription: which amounts at which hours, and one clear error for what cannot be read."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.pharmacology.simulation.regimen import (
    Administration,
    Repeat,
    Segment,
    administrations,
    delivered_mg,
    dose,
    hours,
    infusion,
    paused,
    repeat,
    stopped,
)


@pytest.mark.parametrize(
    ("text", "weight_kg", "over_h", "mg"),
    [
        ("0.5 mg/kg", 70, 0, 35.0),
        ("0.5mg/kg", 70, 0, 35.0),
        ("500 ug/kg", 70, 0, 35.0),
        ("500 mcg/kg", 70, 0, 35.0),
        ("56 mg", None, 0, 56.0),
        ("0.035 g", 70, 0, 35.0),
        ("1e1 mg", None, 0, 10.0),
        ("40 ug/kg/min", 70, 0.5, 84.0),
        ("0.3 mg/kg/h", 50, 2, 30.0),
        ("20 mg/h", None, 1.5, 30.0),
    ],
)
def test_reads_a_dose(text: str, weight_kg: float | None, over_h: float, mg: float) -> None:
    assert dose(text).mg(weight_kg, over_h) == pytest.approx(mg, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0.5", "no unit"),
        ("", "not an amount"),
        ("ketamine", "not an amount"),
        ("nan mg", "not an amount"),
        ("inf mg", "not an amount"),
        ("1e999 mg", "not a finite number"),
        ("0.5 mg/mL", "not an amount of drug"),
        ("0.5 mL", "not an amount of drug"),
        ("35 mg/g", "not an amount of drug"),
        ("35 min", "not an amount of drug"),
        ("35 stones", "unknown unit 'stones'"),
        ("-5 mg", "more than zero"),
        ("0 mg", "more than zero"),
        ("0.0 mg/kg", "more than zero"),
        ("0,5 mg", "has a comma"),
        ("10001 mg", "not a plausible dose"),
        ("1e-330 mg", "more than zero"),
        ("5 mg 6", "unknown unit"),
    ],
)
def test_a_dose_that_cannot_be_read_is_one_clear_error(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as error:
        dose(text, most_mg=10_000)
    assert "\n" not in str(error.value)
    assert "0.5 mg/kg" in str(error.value)  # what to write instead


def test_a_dose_by_weight_asks_for_the_weight_and_a_rate_for_its_length() -> None:
    with pytest.raises(BadInput, match="--weight"):
        dose("0.5 mg/kg").mg()
    with pytest.raises(BadInput, match="--over"):
        dose("20 mg/h").mg(70)


@pytest.mark.parametrize(("text", "expected"), [("40 min", 2 / 3), ("2 h", 2.0), ("2 hours", 2.0), ("1 d", 24.0)])
def test_reads_a_length_of_time(text: str, expected: float) -> None:
    assert hours(text) == expected


@pytest.mark.parametrize("text", ["40", "40 mg", "-1 h", "0 min", "soon"])
def test_a_length_of_time_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(BadInput, match="40 min"):
        hours(text)


@pytest.mark.parametrize(
    ("text", "interval_h", "doses"),
    [
        ("2x/week for 4 weeks", 84, 8),
        ("2 x week for 4 weeks", 84, 8),
        ("twice weekly for 4 weeks", 84, 8),
        ("3 times a week for 2 weeks", 56, 6),
        ("weekly for 1 week", 168, 1),
        ("daily for 14 d", 24, 14),
        ("Daily  for 14 days", 24, 14),
        ("once daily for 2 wk", 24, 14),
        ("every day for 3 days", 24, 3),
        ("every 8 h for 3 d", 8, 9),
        ("q12h for 2 d", 12, 4),
        ("every other day for 8 d", 48, 4),
        ("every 8 h for 5 doses", 8, 5),
        ("BID 6 d", 12, 12),
        ("QD 9 d", 24, 9),
        ("every 5 h for 24 h", 5, 5),
    ],
)
def test_reads_how_often(text: str, interval_h: float, doses: int) -> None:
    found = repeat(text)
    assert found is not None
    assert (found.interval_h, found.doses) == (pytest.approx(interval_h), doses)


def test_once_is_a_single_dose() -> None:
    assert repeat("once") is None


@pytest.mark.parametrize(
    "text",
    [
        "now and then",
        "daily",
        "0x/week for 4 weeks",
        "every 0 h for 3 d",
        "every 8 mg for 3 d",
        "daily for 14",
        "daily for 0 d",
        "daily for -3 d",
        "weekly for 3 d",
        "every 1 s for 4 weeks",
        "every 8 h for 0 doses",
        "",
    ],
)
def test_a_rhythm_that_cannot_be_read_is_one_clear_error(text: str) -> None:
    with pytest.raises(BadInput, match=r"write for example|can be simulated"):
        repeat(text)


def test_nasal_devices_follow_each_other_and_start_anew_with_each_dose() -> None:
    course = administrations(84, device_mg=28, device_gap_h=5 / 60, repeat=Repeat(84, 2))
    assert [a.amount_mg for a in course] == [28] * 6
    assert [a.part for a in course] == [0, 1, 2, 0, 1, 2]
    assert [a.start_h for a in course] == pytest.approx([0, 5 / 60, 10 / 60, 84, 84 + 5 / 60, 84 + 10 / 60])


@pytest.mark.parametrize("mg", [42, 14, 27.9, 1e-9])
def test_half_a_device_does_not_exist(mg: float) -> None:
    with pytest.raises(BadInput, match=r"not a whole number of 28-mg devices: give 28"):
        administrations(mg, device_mg=28, device_gap_h=5 / 60)


def test_a_missed_dose_leaves_the_others_at_their_time() -> None:
    course = administrations(56, repeat=Repeat(24, 4), missed=[2])
    assert [a.start_h for a in course] == [0, 48, 72]


@pytest.mark.parametrize("missed", [[0], [5], [-1], [1.0], ["2"], [True], [1, 2, 3, 4]])
def test_a_dose_that_is_not_there_cannot_be_missed(missed: list[object]) -> None:
    with pytest.raises(BadInput, match="miss"):
        administrations(56, repeat=Repeat(24, 4), missed=missed)


def test_a_dose_that_outlasts_its_interval_is_refused() -> None:
    with pytest.raises(BadInput, match="next is due after 1 h"):
        administrations(35, over_h=2, repeat=Repeat(1, 3))
    assert len(administrations(35, over_h=1, repeat=Repeat(1, 3))) == 3


@pytest.mark.parametrize("numbers", [(-1, 5, 0), (0, -5, 0), (0, 5, -1), (math.nan, 5, 0), (0, math.inf, 0)])
def test_an_administration_is_finite_and_not_below_zero(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(BadInput):
        Administration(*numbers)


# --- an infusion that is changed while it runs ------------------------------------------------------------------------

PLAN = infusion([Segment(0.5, 40), Segment(0.25, 0), Segment(0.5, 20)])


def test_a_change_of_rate_is_a_new_stretch_and_a_pause_gives_nothing() -> None:
    assert list(PLAN) == [Administration(0, 20, 0.5), Administration(0.75, 10, 0.5)]


@pytest.mark.parametrize(
    "segments", [[], [Segment(1, 0)], [Segment(0, 5)], [Segment(-1, 5)], [Segment(1, -5)], [Segment(math.inf, 5)]]
)
def test_an_infusion_of_nothing_is_refused(segments: list[Segment]) -> None:
    with pytest.raises(BadInput):
        infusion(segments)


@pytest.mark.parametrize(
    ("at_h", "mg"), [(0, 0), (0.25, 10), (0.5, 20), (0.6, 20), (0.75, 20), (1.0, 25), (1.25, 30), (9, 30)]
)
def test_stopping_delivers_what_has_run_by_then(at_h: float, mg: float) -> None:
    assert delivered_mg(stopped(PLAN, at_h)) == pytest.approx(mg)
    assert delivered_mg(PLAN, at_h) == pytest.approx(mg)


def test_a_pause_in_the_middle_splits_a_stretch() -> None:
    assert paused([Administration(0, 30, 1)], 0.25, 2) == (
        Administration(0, 7.5, 0.25),
        Administration(2.25, 22.5, 0.75),
    )


@given(at_h=st.floats(0, 2), for_h=st.floats(0, 5))
def test_a_pause_loses_no_drug_and_no_rate(at_h: float, for_h: float) -> None:
    later = paused(PLAN, at_h, for_h)
    assert delivered_mg(later) == pytest.approx(30, rel=1e-12)
    assert max(a.end_h for a in later) == pytest.approx(1.25 + (for_h if at_h < 1.25 else 0))
    assert {round(a.amount_mg / a.duration_h, 6) for a in later if a.duration_h > 1e-6} <= {40.0, 20.0}
