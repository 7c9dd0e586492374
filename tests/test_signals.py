"""What is raised from a trajectory, from when on, in which words, and what stays silent."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from adjunct.base import MS_PER_DAY
from adjunct.followup.expected import Judgement, scales
from adjunct.followup.signals import ewma, raised, signals
from adjunct.followup.trajectory import Chances, trajectory
from adjunct.knowledge import Knowledge

START = 1_700_000_000_000
SERIES = (0, 3, 7, 10, 14, 17)


@dataclass(frozen=True)
class At:
    at: int
    value: float
    reference: str = ""


def day(number: float) -> int:
    return START + int(number * MS_PER_DAY)


def scores(*pairs):
    return [At(day(d), v) for d, v in pairs]


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return Knowledge.load()


def found(knowledge, points, *, doses=SERIES, now=None, **changes):
    asked = {"route": "iv", "primary": "phq9"} | changes
    now = max(p.at for p in points) if now is None else now
    return trajectory(knowledge, {"phq9": points}, [day(d) for d in doses], now=now, **asked)


def raised_by(knowledge, points, **changes):
    return {s.id: s for s in signals(knowledge, found(knowledge, points, **changes))}


WELL = scores((-7, 18), (0, 18), (3, 13), (7, 10), (10, 8), (14, 6), (17, 4), (21, 3), (28, 3), (35, 4), (42, 3))
STUCK = scores((-7, 18), (0, 18), (3, 18), (7, 17), (10, 18), (14, 17), (17, 18), (20, 17))


# --- not on track -----------------------------------------------------------------------------------------------------


def test_a_good_course_raises_nothing_but_the_interval_review(knowledge):
    assert set(raised_by(knowledge, WELL)) == {"interval-review"}


def test_a_stuck_course_is_red_reviewed_and_stopped(knowledge):
    on = raised_by(knowledge, STUCK)
    assert on["off-course"].level == on["off-course-review"].level == on["course-review"].level == "red"
    assert on["off-course"].since == day(7)  # the score after dose 2, the first that is judged
    assert on["off-course-review"].since == day(14)  # amber after dose 2, red after doses 3 and 4
    assert "published series" in on["off-course"].says
    assert "10.2 was expected" in on["off-course"].says  # 18 x (1 - 0.45 x (1 - exp(-6 / 1.8)))


COURSE_REVIEW = [  # infusions: review from 3 doses on, stop review at 6, if the fall is below a quarter
    ("two doses", 2, 18, None),
    ("three doses", 3, 18, "amber"),
    ("five doses", 5, 18, "amber"),
    ("six doses", 6, 18, "red"),
    ("six doses, a fall of just a quarter", 6, 13.5, None),
    ("six doses, a fall of just less", 6, 13.6, "red"),
]


@pytest.mark.parametrize(("name", "doses", "last", "level"), COURSE_REVIEW)
def test_course_review_of_infusions(knowledge, name, doses, last, level):
    points = scores((0, 18), (SERIES[doses - 1] + 1, last))
    on = raised_by(knowledge, points, doses=SERIES[:doses])
    assert (on["course-review"].level if "course-review" in on else None) == level, name


TWICE_WEEKLY = (0, 3, 7, 10, 14, 17, 21, 24)


@pytest.mark.parametrize(("last", "level", "review"), [(27, "info", False), (29, "red", True)])
def test_esketamine_before_and_after_four_weeks(knowledge, last, level, review):
    points = scores((0, 18), (7, 18), (14, 18), (last, 18))
    on = raised_by(knowledge, points, doses=TWICE_WEEKLY, route="nasal")
    assert on["off-course"].level == level
    assert ("course-review" in on) is review
    assert ("54.9 %" in on["off-course"].says) is (level == "info")
    assert "off-course-review" not in on  # the other reds fell into the weeks of patience


def test_prediction_of_nonresponse_speaks_before_the_end_and_not_after_it(knowledge):
    on = raised_by(knowledge, STUCK[:6])
    assert on["nonresponse-predicted"].level == "amber"
    after = [*STUCK, *scores((60, 17), (67, 18))]
    assert "nonresponse-predicted" not in raised_by(knowledge, after, doses=SERIES)
    assert "nonresponse-predicted" not in raised_by(knowledge, after, doses=(*SERIES, 30))


def test_an_unknown_judgement_neither_raises_nor_ends_a_run(knowledge):
    silent = found(knowledge, STUCK)
    unknown = Judgement(
        dose=7, at=day(21), expected=None, amber=None, red=None, score=None, score_at=None, verdict="unknown"
    )
    longer = replace(silent, judgements=(*silent.judgements, unknown))
    ids = {s.id: s.since for s in signals(knowledge, longer)}
    assert ids["off-course"] == day(7)


# --- early warning ----------------------------------------------------------------------------------------------------


def at(score, number, remitted=True, relapse=0.0, half=0.0):
    return Chances(
        at=day(number), score=score, severity=0, remitted=remitted, relapse=relapse, half_gain=half, nonresponse=None
    )


def test_ewma_by_hand(knowledge):
    """z = 0.3 x + 0.7 z; scores 2, 4, 3 in remission, then 12: mean 3, SD 1, at least the error 5.5 x 0.4 = 2.2."""
    scale = scales(knowledge)["phq9"]
    seen = [at(s, i) for i, s in enumerate((2, 4, 3, 12, 12))]
    z = 2.0
    for score in (4, 3, 12):
        z = 0.3 * score + 0.7 * z
    over, mean, limit = ewma(knowledge, scale, seen)[3]
    assert mean == pytest.approx(z)
    assert limit == pytest.approx(3 + 2 * 5.5 * math.sqrt(1 - 0.84))
    assert over == pytest.approx(z - limit)
    assert raised(knowledge, scale, seen)["relapse-ewma"] == [False, False, False, False, True]


def test_ewma_takes_the_sd_of_the_scores_where_it_is_larger_than_the_error(knowledge):
    wide = replace(scales(knowledge)["phq9"], error_sd=0.1)
    _, _, limit = ewma(knowledge, wide, [at(s, i) for i, s in enumerate((0, 4, 2, 9))])[3]
    assert limit == pytest.approx(2 + 2 * 2.0)


def test_ewma_says_nothing_before_three_scores_in_remission_or_outside_it(knowledge):
    scale = scales(knowledge)["phq9"]
    assert not any(raised(knowledge, scale, [at(s, i) for i, s in enumerate((2, 4, 27, 27))])["relapse-ewma"])
    never = [at(s, i, remitted=False) for i, s in enumerate((2, 4, 3, 27, 27))]
    assert not any(raised(knowledge, scale, never)["relapse-ewma"])


@pytest.mark.parametrize(("chance", "on"), [(0.29, False), (0.3, True), (0.31, True), (None, False)])
def test_predicted_relapse_below_at_above_and_unknown(knowledge, chance, on):
    scale = scales(knowledge)["phq9"]
    assert raised(knowledge, scale, [at(5, 0, relapse=chance)])["relapse-predicted"] == [on]
    assert raised(knowledge, scale, [at(5, 0, remitted=False, relapse=chance)])["relapse-predicted"] == [False]


@pytest.mark.parametrize(("chance", "on"), [(0.39, False), (0.4, True), (None, False)])
def test_predicted_loss_of_half_of_the_gain(knowledge, chance, on):
    assert raised(knowledge, scales(knowledge)["phq9"], [at(5, 0, half=chance)])["half-gain-predicted"] == [on]


def test_a_relapse_is_foretold_and_named_rule_by_rule(knowledge):
    back = [*WELL, *scores((49, 6), (56, 8), (63, 9), (70, 9), (77, 9), (84, 9))]  # never at the threshold of 10
    on = raised_by(knowledge, back)
    assert {"relapse-ewma", "relapse-predicted"} <= set(on)
    assert "half-gain-predicted" not in on  # the middle between 18 and 3 is not near
    assert on["relapse-predicted"].since < on["relapse-ewma"].since
    assert "10 or more" in on["relapse-predicted"].says


def test_loss_of_half_of_the_gain_is_foretold(knowledge):
    on = raised_by(knowledge, [*WELL, *scores((49, 6), (56, 9), (63, 12))])
    assert on["half-gain-predicted"].since == day(63)


def test_a_warning_that_has_passed_is_off(knowledge):
    dip = [*WELL, *scores((49, 11), (56, 3), (63, 3), (70, 3), (77, 3))]
    assert "relapse-predicted" not in raised_by(knowledge, dip)


# --- what every signal carries ----------------------------------------------------------------------------------------


def test_every_signal_states_its_rule_its_rate_and_its_source(knowledge):
    back = [*STUCK, *scores((30, 4), (37, 4), (44, 4), (51, 3), (58, 11), (65, 13), (72, 14))]
    every = {**raised_by(knowledge, STUCK), **raised_by(knowledge, STUCK[:6]), **raised_by(knowledge, back)}
    assert set(every) == {e["id"] for e in knowledge.content["courses"]["signal"]}
    for signal in every.values():
        plain = signal.to_dict()
        assert plain["definition"]
        assert plain["tell"]
        assert plain["sources"]
        assert "{" not in plain["says"] + plain["definition"] + plain["tell"]
        assert "safe" not in (plain["says"] + plain["tell"]).lower()
    assert every["relapse-predicted"].false_alarms_per_person_year == pytest.approx(
        knowledge.number("trajectory.false_alarms.relapse")
    )
    assert every["course-review"].false_alarms_per_person_year is None


def test_the_interval_review_never_orders(knowledge):
    signal = raised_by(knowledge, WELL)["interval-review"]
    assert signal.level == "info"
    assert "never a schedule by itself" in signal.says
    assert "later than 180 days from now" in signal.says


def test_signals_stand_in_order_of_gravity(knowledge):
    levels = [s.level for s in signals(knowledge, found(knowledge, STUCK))]
    assert levels == sorted(levels, key=["red", "amber", "info"].index)


def test_no_score_raises_nothing(knowledge):
    assert signals(knowledge, found(knowledge, [], now=day(20))) == ()
