"""Follow-up read by a hostile eye: a second filter written out in full, one home for each threshold, stale signals,
comparisons that chance could have made."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from adjunct.base import MS_PER_DAY, NO, UNKNOWN, YES, BadInput
from adjunct.documents.follow_up import _verdict
from adjunct.followup.block import Person
from adjunct.followup.cohorts import cohort
from adjunct.followup.expected import scales
from adjunct.followup.measured import Contest, Outcome
from adjunct.followup.signals import ewma, signals
from adjunct.followup.trajectory import Chances, trajectories, trajectory
from adjunct.instruments import instrument, outcomes
from adjunct.instruments.course import course
from adjunct.instruments.ratings import Measured
from adjunct.knowledge import Knowledge

START = 1_700_000_000_000
SERIES = (0, 3, 7, 10, 14, 17)
FOLLOWED = ["phq9", "qidssr16", "madrs", "hamd17"]


@dataclass(frozen=True)
class At:
    at: int
    value: float


def day(number: float) -> int:
    return START + round(number * MS_PER_DAY)


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def followed(knowledge, points, doses=SERIES, route="iv", now=None, **series):
    series = {"phq9": points, **series}
    return trajectory(
        knowledge,
        {name: [At(day(d), v) for d, v in some] for name, some in series.items()},
        [day(d) for d in doses],
        route=route,
        primary="phq9",
        now=day(points[-1][0] + 1 if now is None else now),
    )


def raised(knowledge, *args, **changes):
    return {s.id: s for s in signals(knowledge, followed(knowledge, *args, **changes))}


# --- the filter against one written out in full -----------------------------------------------------------------------


def written_out(knowledge, series, doses, now):
    """Mean of the true severity now: level, gain and offsets as states of a plain Kalman filter, setting by setting."""
    model, first = knowledge.content["courses"]["model"], knowledge.content["courses"]["course"][0]
    scale = {e["id"]: e for e in knowledge.content["courses"]["scale"]}
    primary = scale["phq9"]
    others = [name for name in series if name != "phq9"]
    events = [(at, 0, value, name) for name, some in series.items() for at, value in some]
    events += [(at, 1, 0.0, "") for at in doses] + [(now, 2, 0.0, "")]
    events.sort(key=lambda e: e[:2])
    before = [value for at, value in series["phq9"] if doses and at <= doses[0]]
    size = before[-1] if before else primary["typical"]
    found, logs = [], []
    for drift, drift_weight in zip(model["drift"], model["drift_weight"], strict=True):
        for noise, noise_weight in zip(model["noise"], model["noise_weight"], strict=True):
            for loss, loss_weight in zip(model["loss_d"], model["loss_weight"], strict=True):
                mean, cov = np.zeros(2 + len(others)), np.zeros((2 + len(others),) * 2)
                wide = (model["prior_sds"] * primary["sd"]) ** 2
                mean[:2] = primary["typical"], first["gain"] * primary["typical"]
                cov[:2, :2] = [[wide, first["gain"] * wide], [first["gain"] * wide, first["gain"] ** 2 * wide]]
                cov[1, 1] += (first["spread"] * max(size, primary["sd"])) ** 2
                for i in range(2, len(mean)):
                    cov[i, i] = model["offset_sd"] ** 2
                log, share, last = math.log(drift_weight * noise_weight * loss_weight), 0.0, events[0][0]
                for at, kind, value, name in events:
                    gap, last = (at - last) / MS_PER_DAY, at
                    share *= math.exp(-gap / loss)
                    cov[0, 0] += (drift * primary["sd"]) ** 2 * gap
                    seen = np.zeros(len(mean))
                    seen[:2] = 1, -share
                    if kind == 1:
                        share += (1 - math.exp(-1 / first["pace"])) * (1 - share)
                    elif kind == 0:
                        own = scale[name]
                        stretch = primary["link"]["slope"] / own["link"]["slope"]
                        score = primary["link"]["shift"] + (value - own["link"]["shift"]) * stretch
                        error = noise * own["sd"] * math.sqrt(1 - own["reliability"]) * stretch
                        if name != "phq9":
                            seen[2 + others.index(name)] = 1
                        spread, off = seen @ cov @ seen + error**2, score - seen @ mean
                        pull = cov @ seen / spread
                        log -= (math.log(spread) + off * off / spread) / 2
                        mean, cov = mean + pull * off, cov - np.outer(pull, seen @ cov)
                found.append(seen @ mean)
                logs.append(log)
    weight = np.exp(np.array(logs) - max(logs))
    return float(weight @ found / weight.sum())


@pytest.mark.parametrize("seed", range(4))
def test_the_filter_is_a_plain_kalman_filter_written_shorter(knowledge, seed):
    dice = np.random.default_rng(seed)
    doses = sorted(day(d) for d in dice.uniform(0, 40, 5))
    series = {
        name: [
            (day(d), float(v)) for d, v in zip(np.sort(dice.uniform(-9, 90, n)), dice.integers(0, 28, n), strict=True)
        ]
        for name, n in (("phq9", 9), ("qidssr16", 5), ("madrs", 3))[: 1 + seed % 3]
    }
    series["phq9"].insert(0, (day(-9.5), 20.0))
    found = trajectory(
        knowledge,
        {name: [At(*p) for p in some] for name, some in series.items()},
        [*doses, day(95)],
        route="iv",
        primary="phq9",
        now=day(95.5),
    )
    last = max((at, name) for name, some in series.items() for at, _ in some)[0]
    chance = next(c for c in found.chances if c.at == last)
    assert chance.severity == pytest.approx(written_out(knowledge, series, doses, last), abs=1e-6)


# --- one home for each threshold --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLLOWED)
def test_signals_judge_remission_relapse_and_per_cent_as_the_course_does(knowledge, name):
    model, rated = scales(knowledge)[name], outcomes.Scale.of(knowledge.instruments[name], knowledge)
    every = np.arange(model.low, model.high + 0.125, 0.125).tolist()  # prorated totals lie between whole points
    assert model.in_remission(every) == rated.variant("remission").holds(every)
    assert model.least_baseline == rated.variant("response").needs
    assert (model.low, model.high) == rated.range
    if rated.variant("relapse"):
        assert model.relapse == rated.variant("relapse").points
    if model.important is not None:
        assert model.important in [v.points for v in rated.important]


@pytest.mark.parametrize("name", ["phq9", "qidssr16", "hamd17"])
def test_the_error_of_the_filter_is_a_published_one_of_the_scale(knowledge, name):
    """Not so for MADRS: the SD of one row with the retest reliability of its 24-hour form, as its locator says."""
    entry = next(e for e in knowledge.content["courses"]["scale"] if e["id"] == name)
    listed = [(c["sd"], c["r"]) for c in knowledge.instruments[name]["change"] if c["kind"] == "reliable"]
    assert (entry["sd"], entry["reliability"]) in listed


def test_no_threshold_of_an_instrument_is_written_down_a_second_time(knowledge):
    for entry in knowledge.content["courses"]["scale"]:
        rated = outcomes.Scale.of(knowledge.instruments[entry["id"]], knowledge)
        assert not {"range", "remission", "least_baseline", "important"} & set(entry)
        assert ("relapse" in entry) == (rated.variant("relapse") is None), entry["id"]


def test_rules_and_instrument_mean_the_same_reliable_rise_of_the_phq9(knowledge):
    rated = outcomes.Scale.of(knowledge.instruments["phq9"], knowledge)
    assert knowledge.number("phq9.deterioration") == rated.variant("reliable_change").points


def test_a_prorated_score_between_the_whole_points_counts_as_the_remission_it_is(knowledge):
    """PHQ-9 remission is below 5: 4.5, prorated from eight items, belongs to the scores that set the EWMA's limit."""
    scale = scales(knowledge)["phq9"]
    kept = {"severity": 4.0, "remitted": True, "relapse": 0.1, "half_gain": None, "nonresponse": None}
    chances = [Chances(at=day(7 * i), score=s, **kept) for i, s in enumerate((4.5, 4.5, 4.5, 16.0))]
    over, z, limit = ewma(knowledge, scale, chances)[-1]
    assert z == pytest.approx(0.3 * 16 + 0.7 * 4.5)
    assert limit == pytest.approx(4.5 + 2 * 5.5 * math.sqrt(1 - 0.84))
    assert over == pytest.approx(z - limit)


def test_a_prorated_remission_arms_the_warning_of_a_relapse(knowledge):
    points = [(-1, 20), (6, 10), (13, 7), (20, 4.5), (27, 6), (34, 12), (41, 15)]
    assert followed(knowledge, points).chances[-1].remitted
    assert "relapse-predicted" in raised(knowledge, points)


def test_the_words_of_the_review_name_the_doses_of_the_course(knowledge):
    content = knowledge.content["courses"]
    words = next(s["definition"] for s in content["signal"] if s["id"] == "course-review")
    for entry in content["course"]:
        for key, text in (("review_from", "from dose {} on, a last"), ("stop_review", "red from dose {} on")):
            assert key not in entry or text.format(entry[key]) in words, entry["id"]


# --- per cent where it would mislead ----------------------------------------------------------------------------------

RESPONSES = [
    # instrument, before, after, response
    ("phq9", 10, 5, YES),
    ("phq9", 9, 4, UNKNOWN),
    ("who5", 20, 30, YES),
    ("who5", 19, 38, UNKNOWN),  # a fifth of the range, where nobody published a limit
    ("who5", 4, 8, UNKNOWN),
    ("hamd17", 11, 5, YES),
    ("hamd17", 6, 3, UNKNOWN),
    ("hamd17", 11, 6, NO),
]


@pytest.mark.parametrize(("name", "before", "after", "response"), RESPONSES)
def test_no_response_is_told_where_per_cent_would_mislead(knowledge, name, before, after, response):
    points = [Measured(day(-1), before), Measured(day(7), after)]
    found = course(instrument(knowledge, name), points, first_dose_at=START, now=day(8), knowledge=knowledge)
    assert found.judgement("response").holds == response
    per_cent = next(f for f in found.figures if f.id == "percent_change")
    assert math.isnan(per_cent.value) == (response == UNKNOWN)


# --- what is said now must be true now --------------------------------------------------------------------------------

STUCK = [(-1, 20), (6, 18), (13, 18), (20, 18)]
BETTER = [(-1, 20), (6, 10), (13, 8), (20, 6), *((27 + 7 * i, 6) for i in range(10))]


def test_a_late_remission_takes_back_what_was_said_of_the_series(knowledge):
    then = raised(knowledge, STUCK)
    assert then["off-course"].level == then["off-course-review"].level == then["course-review"].level == "red"
    now = raised(knowledge, [*STUCK, *((34 + 7 * i, 3) for i in range(6))])
    assert not {"off-course", "off-course-review", "course-review", "nonresponse-predicted"} & set(now)


def test_a_review_stays_due_while_late_scores_are_no_better(knowledge):
    now = raised(knowledge, [*STUCK, (60, 17), (67, 18)])
    assert now["course-review"].level == "red"
    assert "off-course" not in now  # its expectation is one of the days after a dose


def test_a_relapse_long_after_the_series_is_no_prediction_about_the_series(knowledge):
    now = raised(knowledge, [*BETTER, (104, 15), (111, 18)])
    assert "half-gain-predicted" in now
    assert not {"nonresponse-predicted", "course-review", "off-course"} & set(now)


@pytest.mark.parametrize(("wait", "asked"), [(13.9, True), (14.1, False)])
def test_nonresponse_is_predicted_until_two_weeks_after_a_dose(knowledge, wait, asked):
    points = [(-1, 20), (2, 19), (6, 19), (7 + wait, 19)]
    assert (followed(knowledge, points, SERIES[:3]).chances[-1].nonresponse is not None) == asked


@pytest.mark.parametrize(("age", "known"), [(13.9, True), (14.1, False), (200, False)])
def test_the_trajectory_takes_no_baseline_that_the_course_refuses(knowledge, age, known):
    points = [(-age, 20), (6, 18), (13, 17), (20, 17)]
    found = followed(knowledge, points)
    judged = course(
        instrument(knowledge, "phq9"),
        [Measured(day(d), v) for d, v in points],
        first_dose_at=START,
        now=day(21),
        knowledge=knowledge,
    )
    assert (found.baseline is not None) == known == (not math.isnan(judged.baseline.value))
    assert ("off-course" in raised(knowledge, points)) == known
    assert all((c.nonresponse is not None) == known for c in found.chances[1:])
    assert known or any("14 days before the first dose" in why for why in found.unknown)


def test_interval_review_tells_the_chance_of_today(knowledge):
    """Once the level is passed the first day is today, and the chance itself says how far."""
    review = followed(knowledge, [*BETTER, (104, 15), (111, 18)]).review
    says = raised(knowledge, [*BETTER, (104, 15), (111, 18)])["interval-review"].says
    assert review.day == 0
    assert f"{review.today:.0%} today" in says
    assert "in the past" in says


def test_one_bad_score_among_many_people_is_found(knowledge):
    good = Person(series={"phq9": [At(day(0), 20)]}, doses=(), route=None, primary="phq9", now=day(9))
    bad = replace(good, series={"phq9": [At(day(0), 20), At(day(0), 12)]})
    with pytest.raises(BadInput, match=r"two different scores at one time.*phq9\[1\].*person 4"):
        list(trajectories(knowledge, [good, good, good, bad], size=2))


# --- what the page calls better ---------------------------------------------------------------------------------------


def contested(caught: int, theirs: int, lead: float = 10.0, alarms: tuple[int, int] = (50, 50)) -> Contest:
    """Two rules on 1000 events; the first so many are caught, each some days ahead."""
    made = [
        Outcome(
            followed=2000,
            events=1000,
            caught=n,
            false_alarms=a,
            years=100,
            lead=np.where(np.arange(1000) < n, d + np.arange(1000) % 3, np.nan),
        )
        for n, d, a in ((caught, lead, alarms[0]), (theirs, 10.0, alarms[1]))
    ]
    return Contest(simple="a rule", levels=(0.3, 0.3), ours=made[0], theirs=made[1])


VERDICTS = [
    ("more caught than chance makes", contested(960, 900), "is better"),
    ("as many, no earlier", contested(902, 900), "is not better"),
    ("as many, a fifth of a day earlier", contested(902, 900, lead=10.2), "is not better"),
    ("as many, a day earlier", contested(900, 902, lead=11), "is better"),
    ("fewer, a day earlier", contested(860, 900, lead=11), "is not better"),
    ("more caught, more false alarms", contested(960, 900, alarms=(60, 50)), "not comparable"),
]


@pytest.mark.parametrize(("name", "of", "verdict"), VERDICTS, ids=[v[0] for v in VERDICTS])
def test_a_difference_within_chance_is_never_called_better(name, of, verdict):
    assert verdict in _verdict(of), name


def test_share_of_right_alarms():
    one = contested(900, 900).ours
    assert one.right == pytest.approx(900 / 950)
    assert math.isnan(replace(one, caught=0, false_alarms=0).right)


def test_a_sudden_relapse_happens_once_to_everybody(knowledge):
    wanted = next(c for c in knowledge.content["courses"]["cohort"] if c["id"] == "sudden relapse")
    still = {**wanted, "drift": 0, "gain": [0, 0], "baseline": [12, 0], "error": 0, "missing": 0}
    truth = cohort(knowledge, still, 1, people=40).truth
    jumps = np.diff(truth, axis=0)
    assert ((jumps > 0).sum(axis=0) == 1).all()
    assert jumps.max(axis=0).min() >= 6
    assert jumps.max() <= 14
