"""Simulated sessions with faults: a sample of the table that `make torture` fills with a thousand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from adjunct.devices import faults
from adjunct.devices.faults import Run, run, runs, told
from adjunct.knowledge import Knowledge

K = Knowledge.load()
CONTENT = K.content["scenarios"]
DANGERS = {d["id"]: d for d in CONTENT["danger"]}
TROUBLES = {t["id"]: t for t in CONTENT["trouble"]}
SAMPLE = list(runs(15, 20270111, K))


@pytest.mark.parametrize("each", SAMPLE, ids=[f"{r.danger['id']}, {r.trouble['id']}" for r in SAMPLE])
def test_a_danger_raises_its_alarm_at_the_first_message_that_shows_it(each: Run) -> None:
    found = told(each, K)
    assert found.outcome == ("at_once" if each.shows is not None else "")
    assert found.grave == found.mild == 0


@pytest.mark.parametrize("danger", [d for d in DANGERS if "artefact" in DANGERS[d]])
def test_an_artefact_prompts_for_the_probe_and_nothing_graver_than_missing_data(danger: str) -> None:
    stood = [a for _, alarms in faults.standing(run(DANGERS[danger], TROUBLES["none"], "1", K), K) for a in alarms]
    assert {a.alarm for a in stood} <= {"probe", "no-data"}
    assert "probe" in {a.alarm for a in stood}
    assert "emergency" not in {a.level for a in stood}


def test_as_many_runs_as_pairs_meet_every_pair() -> None:
    pairs = len(DANGERS) * len(TROUBLES)
    names = [
        (each % len(DANGERS), (each % len(DANGERS) + each // len(DANGERS)) % len(TROUBLES)) for each in range(pairs)
    ]
    assert len(set(names)) == pairs
    listed = [(r.danger["id"], r.trouble["id"]) for r in SAMPLE]
    assert listed == [(list(DANGERS)[d], list(TROUBLES)[t]) for d, t in names[: len(SAMPLE)]]


def test_the_table_would_notice_an_alarm_that_never_comes() -> None:
    broken = dict(DANGERS["saturation"], alarm=["hypotension"])
    assert told(run(broken, TROUBLES["none"], "1", K), K).outcome == "never"
    unexpected = dict(DANGERS["saturation"], alarm=[])
    assert told(run(unexpected, TROUBLES["none"], "1", K), K).grave > 0


def test_the_table_would_notice_an_alarm_that_comes_late() -> None:
    late = run(DANGERS["pressure-high"], TROUBLES["none"], "1", K)
    assert late.shows is not None
    assert told(late, K).outcome == "at_once"
    assert told(late._replace(shows=late.shows - 1), K).outcome == "late"


def test_an_alarm_before_the_danger_is_a_false_one() -> None:
    early = run(DANGERS["pressure-high"], TROUBLES["none"], "1", K)
    assert early.shows is not None
    assert told(early, K).grave == 0
    assert told(early._replace(quiet=early.shows + 1), K).grave == 1


def test_what_a_message_shows_is_decided_by_the_limit() -> None:
    """Below 90 is severe; 90 is not. A cut message shows nothing; one of another person shows it all the same."""
    whole = run(DANGERS["saturation"], TROUBLES["none"], "2", K)
    seen = next(s for s in whole.sent if s.event.data.get("spo2", 100) < 90)
    assert whole.shows == seen.message.received
    at_limit = dict(DANGERS["saturation"], change={"spo2": 90})
    assert run(at_limit, TROUBLES["none"], "2", K).shows is None
    assert run(DANGERS["saturation"], TROUBLES["wrong-patient"], "2", K).shows == whole.shows
    cut = run(DANGERS["saturation"], {"id": "x", "fault": [{"kind": "half"}]}, "2", K)
    assert cut.shows is None


def test_silence_is_counted_from_the_last_message_before_the_gap() -> None:
    quiet = run(DANGERS["silence"], TROUBLES["reordered"], "4", K)
    arrivals = [s.message.received for s in quiet.sent if s.message.kind != "event"]
    assert quiet.shows is not None
    assert quiet.shows - K.length_ms("session.no_data") - K.length_ms("session.clock.tolerance") in arrivals
    assert max(b - a for a, b in pairwise(arrivals)) > K.length_ms("session.no_data")


def test_a_table_counts_every_run_twice() -> None:
    table = faults.faults(5, 1, K)
    for rows in table:
        assert sum(r.runs for r in rows) == 5
        assert all(r.shown == r.at_once + r.late + r.never for r in rows)
    assert {r.id for r in table.dangers} == set(DANGERS)
