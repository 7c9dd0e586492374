"""The arithmetic of a dose: below, at, above and unknown; mix-ups of ampoules; the second check."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import instant
from adjunct.knowledge import Knowledge
from adjunct.session import pump
from adjunct.session.model import Dose, Given

LIMITS = pump.Limits.of(Knowledge.load())
MIN = 60_000
NOON = instant("2026-11-22T12:00:00+01:00").ms
# Ana, 70 kg, 0.5 mg/kg: 35 mg in 50 mL (0.7 mg/mL) over 40 minutes
DRIP: dict[str, Any] = {
    "substance": "ketamine",
    "dose": 35.0,
    "prescriber": "Dr Vega",
    "weight": 70.0,
    "per_kg": 0.5,
    "concentration": 0.7,
    "volume": 50.0,
    "rate": 75.0,
    "duration": 40.0,
}
DRAWN = {"substance": "ketamine", "dose": 35.0, "prescriber": "Dr Vega", "concentration": 50.0, "volume": 0.7}
SPRAY = {"substance": "esketamine", "dose": 56.0, "prescriber": "Dr Vega", "devices": 2}

PREPARED = [
    # why, treatment, what was written, number of the session, measured kg, codes
    ("all agrees", "ketamine-iv", DRIP, 1, 70, []),
    ("rounded: 35.4 to 35", "ketamine-iv", DRIP | {"weight": 70.8}, 1, 70.8, []),
    ("nothing to compare with", "ketamine-iv", {"substance": "ketamine", "dose": 35.0}, 1, None, []),
    ("within the tolerance", "ketamine-iv", DRIP | {"weight": 73.6}, 2, None, []),
    ("above the tolerance", "ketamine-iv", DRIP | {"weight": 74}, 2, None, ["weight-dose"]),
    ("adjusted weight, below the measured", "ketamine-iv", DRIP, 2, 95, []),
    ("dosed on more than she weighs", "ketamine-iv", DRIP, 2, 60, ["weight"]),
    ("pounds as kilograms", "ketamine-iv", DRIP | {"weight": 154.0, "dose": 77.0}, 2, 70, ["weight", "volume-dose"]),
    ("rate for 20 minutes", "ketamine-iv", DRIP | {"rate": 150.0}, 2, None, ["rate-volume"]),
    (
        "rate without time",
        "ketamine-iv",
        {k: v for k, v in DRIP.items() if k != "duration"} | {"rate": 150.0},
        2,
        None,
        [],
    ),
    ("100 for 10 mg/mL", "ketamine-im", DRAWN | {"concentration": 100.0, "volume": 3.5}, 2, None, ["ampoule"]),
    ("10 for 100 mg/mL", "ketamine-im", DRAWN | {"concentration": 10.0, "volume": 0.35}, 2, None, ["ampoule"]),
    ("50 for 10 mg/mL", "ketamine-sc", DRAWN | {"volume": 3.5}, 2, None, ["ampoule"]),
    ("100 for 50 mg/mL", "ketamine-sc", DRAWN | {"concentration": 100.0}, 2, None, ["ampoule"]),
    ("wrong, but no ampoule", "ketamine-im", DRAWN | {"volume": 1.0}, 2, None, ["volume-dose"]),
    (
        "highest compared",
        "ketamine-iv",
        {"substance": "ketamine", "dose": 70.0, "weight": 70.0, "per_kg": 1.0},
        2,
        None,
        [],
    ),
    (
        "above it",
        "ketamine-iv",
        {"substance": "ketamine", "dose": 77.0, "weight": 70.0, "per_kg": 1.1},
        2,
        None,
        ["per-kg"],
    ),
    ("at the cap", "ketamine-iv", {"substance": "ketamine", "dose": 80.0, "duration": 40.0}, 1, None, []),
    ("above the cap", "ketamine-iv", {"substance": "ketamine", "dose": 80.5, "duration": 60.0}, 1, None, ["cap"]),
    ("above it, number unknown", "ketamine-iv", {"substance": "ketamine", "dose": 81.0}, None, None, ["cap"]),
    ("above it, tolerated before", "ketamine-iv", {"substance": "ketamine", "dose": 81.0}, 2, None, []),
    (
        "too fast for a first one",
        "ketamine-iv",
        {"substance": "ketamine", "dose": 35.0, "duration": 15.0},
        1,
        None,
        ["cap-rate"],
    ),
    ("the cap is of infusions", "ketamine-im", {"substance": "ketamine", "dose": 81.0}, 1, None, []),
    ("two devices", "esketamine-nasal", SPRAY, 1, None, []),
    ("three for 56", "esketamine-nasal", SPRAY | {"devices": 3}, 1, None, ["devices-dose"]),
    ("ketamine for the nose", "esketamine-nasal", SPRAY | {"substance": "ketamine"}, 1, None, ["other-substance"]),
    ("esketamine in the drip", "ketamine-iv", DRIP | {"substance": "esketamine"}, 1, None, ["other-substance"]),
    ("last day of its month", "ketamine-iv", DRIP | {"expiry": "2026-11"}, 1, None, []),
    ("expired yesterday", "ketamine-iv", DRIP | {"expiry": "2026-11-21"}, 1, None, ["expired"]),
    ("expires today", "ketamine-iv", DRIP | {"expiry": "2026-11-22"}, 1, None, []),
    ("no date", "ketamine-iv", DRIP | {"expiry": "11/26"}, 1, None, ["expiry"]),
]


@pytest.mark.parametrize(("why", "treatment", "data", "number", "kg", "codes"), PREPARED, ids=[p[0] for p in PREPARED])
def test_prepared(
    why: str, treatment: str, data: dict[str, Any], number: int | None, kg: float | None, codes: list[str]
) -> None:
    found = pump.prepared(
        data, LIMITS, treatment=treatment, at=NOON, number=number, measured_kg=kg, offset=timedelta(hours=1)
    )
    assert [d.code for d in found] == codes


def test_a_mix_up_of_ampoules_says_how_much_and_what_to_do() -> None:
    ten = pump.prepared(DRAWN | {"concentration": 100.0, "volume": 3.5}, LIMITS, treatment="ketamine-im", at=NOON)
    assert ten[0].says == (
        "3.5 mL x 100 mg/mL is 350 mg, the dose says 35 mg: 10 times as much; it is sold as 10, 50, 100 mg/mL. "
        "Read the strength and the content on the vial again, both of you."
    )
    tenth = pump.prepared(DRAWN | {"concentration": 10.0, "volume": 0.35}, LIMITS, treatment="ketamine-im", at=NOON)
    assert "10 times too little" in tenth[0].says


PREPARATION = Dose(prepared=DRIP, prepared_by="Nina Ortiz", prepared_event="e7")
CHECK = {"prepared": "e7", "agrees": True, "dose": 35.0, "volume": 50.0, "rate": 75.0}
CHECKED = [
    # why, by, what the second person wrote, codes
    ("agrees", "Tom Reed", CHECK, []),
    ("rounded otherwise", "Tom Reed", CHECK | {"dose": 35.4}, []),
    ("same person", "nina  ortiz", CHECK, ["check-same-person"]),
    ("says no", "Tom Reed", CHECK | {"agrees": False}, ["check-disagrees"]),
    ("ten times the rate", "Tom Reed", CHECK | {"rate": 7.5}, ["check-differs"]),
    ("agrees, but wrote no rate", "Tom Reed", {k: v for k, v in CHECK.items() if k != "rate"}, ["check-missing"]),
    ("of an earlier preparation", "Tom Reed", CHECK | {"prepared": "e3"}, ["check-other"]),
]


@pytest.mark.parametrize(("why", "by", "data", "codes"), CHECKED, ids=[c[0] for c in CHECKED])
def test_second_check(why: str, by: str, data: dict[str, Any], codes: list[str]) -> None:
    assert [d.code for d in pump.checked(PREPARATION, data, by, LIMITS)] == codes


def test_a_check_before_anything_was_prepared_is_none() -> None:
    assert [d.code for d in pump.checked(Dose(), CHECK, "Tom Reed", LIMITS)] == ["check-other"]


def test_the_pump_is_set_as_prepared() -> None:
    asked = {"rate": 75.0, "concentration": 0.7, "volume": 50.0}
    assert pump.started(PREPARATION, asked, LIMITS) == ()
    assert "75 mL/h prepared, 750 mL/h set" in pump.started(PREPARATION, asked | {"rate": 750.0}, LIMITS)[0].says
    assert pump.started(Dose(), asked, LIMITS) == ()  # a dose that nobody prepared is the fold's to flag


RUNNING = Dose(rate=75.0, since=0, concentration=0.7, volume=50.0)


@pytest.mark.parametrize(
    ("minute", "mg"),
    [(-1, 0), (0, 0), (10, 8.75), (40, 35), (90, 35)],
    ids=["before", "start", "a quarter", "end", "after"],
)
def test_dose_so_far(minute: int, mg: float) -> None:
    assert pump.so_far(RUNNING, minute * MIN) == pytest.approx(mg)


def test_dose_so_far_over_a_change_of_rate_a_pause_and_a_stop() -> None:
    first = Given(at=0, until=20 * MIN, mg=17.5, event="e1")
    slower = replace(RUNNING, given=(first,), rate=37.5, since=20 * MIN)
    assert pump.so_far(slower, 40 * MIN) == pytest.approx(26.25)
    assert pump.ends(slower) == 60 * MIN
    assert pump.so_far(slower, 24 * 60 * MIN) == pytest.approx(35)  # the pump stops at the volume
    paused = replace(slower, rate=None)
    assert pump.so_far(paused, 90 * MIN) == 17.5
    assert pump.so_far(paused, 10 * MIN) == 8.75  # asked for a moment within a stretch
    assert pump.ends(paused) is None


def test_unknown_stays_unknown() -> None:
    assert pump.so_far(replace(RUNNING, concentration=None), 10 * MIN) is None
    assert pump.ends(replace(RUNNING, volume=None)) is None
    assert pump.ends(replace(RUNNING, rate=0.0)) is None
    assert pump.so_far(replace(RUNNING, volume=None), 80 * MIN) == pytest.approx(70)


def test_devices_and_injections_count_at_once() -> None:
    sprays = Dose(given=(Given(0, 0, 28, "a"), Given(5 * MIN, 5 * MIN, 28, "b")))
    assert [pump.so_far(sprays, t * MIN) for t in (-1, 0, 4, 5, 600)] == [0, 28, 28, 56, 56]


@given(st.floats(0, 1200), st.floats(0.01, 100), st.integers(0, 10**8), st.integers(0, 10**8), st.integers(0, 10**8))
def test_stretches_add_up(rate: float, concentration: float, a: int, b: int, c: int) -> None:
    start, middle, end = sorted((a, b, c))
    whole = pump.infused(rate, concentration, start, end)
    parts = pump.infused(rate, concentration, start, middle) + pump.infused(rate, concentration, middle, end)
    assert whole == pytest.approx(parts, rel=1e-9, abs=1e-9)
    assert pump.infused(rate, concentration, end, start) == 0 or start == end
