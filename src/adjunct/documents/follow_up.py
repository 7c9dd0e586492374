"""The page about follow-up: what the bands and the signals are worth, measured on simulated people with a known truth.

The misses stand first. Nothing is fitted to the people it is judged on; a comparison that is lost is listed as lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from adjunct.followup.cohorts import cohort
from adjunct.followup.expected import Course, course_by
from adjunct.followup.measured import (
    SHIPPED,
    Contest,
    Coverage,
    Outcome,
    Pool,
    ReviewCheck,
    Seen,
    both,
    contest,
    coverage,
    review_check,
)
from adjunct.knowledge import Knowledge
from adjunct.knowledge.book.markdown import listed, page, plain, source, table

PROMISED = (0.90, 0.98)  # what 95 % bands should hold, by the issue
LIKE = 1.1  # rates of false alarms within this factor count as equal: the level was chosen on other people
NEAR = 0.1  # how far a share may lie from what was promised or published before it is called a miss
LATER_D = 0.5  # leads nearer than this are called equal

WARNING = (
    "**Simulated people are not patients.** These figures show whether the arithmetic keeps its promises when its "
    "beliefs hold, and how far it fails when one of them is wrong. They do not show that any belief fits a clinic. "
    "The beliefs and the levels of the signals were chosen while looking at other simulated people; these people were "
    "drawn anew afterwards, and nothing but the stated rates of false alarms was changed since."
)
CONTESTS: Mapping[str, tuple[str, ...]] = {
    "nonresponse": ("last fall below a quarter", "amber of the expected course", "red of the expected course"),
    "relapse": (
        "last score at the relapse threshold",
        "last rise at the reliable change",
        "EWMA above the remission",
    ),
    "half gain": (
        "last score at the relapse threshold",
        "last rise at the reliable change",
        "EWMA above the remission",
    ),
}
ABOUT = {
    "nonresponse": "True event: the true severity at the end of the series lies less than a quarter below the true "
    "baseline. Asked at each score from the second dose on.",
    "relapse": "True event: after a first score in remission, the true severity rises to the relapse threshold and "
    "stays there for a week. An alarm is right from {before_d} days before to {after_d} days after; a lead below zero "
    "is too late.",
    "half gain": "True event: after the first reliable gain, half of the best true gain is lost for a week. An alarm "
    "is right from {before_d} days before to {after_d} days after.",
}
TITLES = {
    "nonresponse": "Not on track",
    "relapse": "Early warning: relapse",
    "half gain": "Early warning: loss of half of the gain",
}


def pages(knowledge: Knowledge) -> dict[str, str]:
    """`follow-up.md`, as Markdown."""
    content = knowledge.content["courses"]
    plan, cohorts = content["simulation"], content["cohort"]
    first, second = ([cohort(knowledge, c, int(t)) for c in cohorts] for t in plan["threads"])
    chosen_on, judged_on = ([Seen.of(knowledge, made) for made in some] for some in (first, second))
    held = [coverage(knowledge, seen) for seen in judged_on]
    pools = {w: (Pool.of(knowledge, chosen_on, w), Pool.of(knowledge, judged_on, w)) for w in CONTESTS}
    contests = {w: [contest(*pools[w], w, simple) for simple in rules] for w, rules in CONTESTS.items()}
    shipped = {name: both(*pools[what], rule) for name, (what, rule) in SHIPPED.items()}
    reviews = [review_check(knowledge, made) for made in zip(first, second, strict=True)]
    anchors = list(_anchors(knowledge))
    misses = [
        *_bands_missed(held),
        *_contests_lost(contests),
        *_rates_missed(knowledge, shipped),
        *_reviews_missed(reviews),
        *_anchors_missed(anchors),
    ]
    people = plan["people"] * len(cohorts)
    return {
        "follow-up.md": page(
            "Follow-up: what the bands and signals are worth",
            WARNING,
            f"{people} simulated people in {len(cohorts)} cohorts: PHQ-9, six infusions, then weekly scores until day "
            f"{plan['weekly_until']}; twice, so that a level chosen on one half is judged on the other.",
            "## Misses",
            listed(misses) if misses else "Nothing that is promised below was missed.",
            "## Cohorts",
            listed(f"*{c['id']}*: {plain(c['says'])}" for c in cohorts),
            "## Bands",
            "Share of true values inside, in percent. A 95 % band should hold 90 to 98.",
            _coverage_table(held),
            *(part for what in CONTESTS for part in _contest_parts(plan, what, contests[what], pools[what])),
            "## The signals as they ship",
            "At the levels of the facts. A false alarm is the start of an alarm that no true event follows in time; "
            "person-years count only while the question is open, for the first three signals the weeks of the series: "
            "there the rate a year says little, and the last two columns more. *For 100 people*: false alarms for 100 "
            "people followed, for the early warnings over half a year. *Right*: share of the alarms that an event "
            "follows.",
            _shipped_table(knowledge, shipped),
            "## Interval review",
            "Foretold at the end of the series for people without further doses. The interval promises the true day "
            "a half of the time, a quarter before it and a quarter after it.",
            _review_table(reviews),
            "## Expected courses beside the published series",
            "*Implied*: the share with a fall of half or more that gain, pace and residual SD of the course imply.",
            table(("course", "doses", "implied", "published", "n", "source", "what it is"), (a.row for a in anchors)),
        )
    }


# --- bands ------------------------------------------------------------------------------------------------------------


def _coverage_table(held: Sequence[Coverage]) -> str:
    head = (
        "cohort",
        "true, smoothed",
        "true, as known then",
        "next score",
        "true, 4 weeks ahead",
        "50 % band",
        "scores",
    )
    return table(
        head,
        (
            (c.cohort, *(_percent(x) for x in (c.smoothed, c.then, c.coming, c.forecast, c.half)), str(c.scores))
            for c in held
        ),
    )


def _bands_missed(held: Sequence[Coverage]) -> Iterator[str]:
    least, most = PROMISED
    for c in held:
        for name, share in (
            ("true severity", c.smoothed),
            ("true severity as known then", c.then),
            ("next score", c.coming),
            ("forecast", c.forecast),
        ):
            if not least <= share <= most:
                why = "too narrow" if share < least else "too wide"
                yield f"95 % band of the {name}, cohort *{c.cohort}*: holds {_percent(share)} %, {why}."


# --- rules ------------------------------------------------------------------------------------------------------------


def _contest_parts(
    plan: Mapping[str, Any], what: str, found: Sequence[Contest], pools: Sequence[Pool]
) -> Iterator[str]:
    yield f"## {TITLES[what]}"
    about = ABOUT[what].format_map(plan)
    yield f"{about} {found[0].ours.events} events in {_count(pools)} people followed."
    head = (
        "rule",
        "level",
        "caught, %",
        "false alarms a person-year",
        "right, %",
        "lead, days",
        "lead where both caught, days",
    )
    rows = []
    for c in found:
        ours, theirs = c.both_d
        rows.append((c.simple, "", *_figures(c.theirs), _days(theirs)))
        rows.append(
            ("model's chance, beside it", " and ".join(f"{p:.2f}" for p in c.levels), *_figures(c.ours), _days(ours))
        )
    yield table(head, rows)
    yield listed(f"{c.simple}: {_verdict(c)}" for c in found)


def _shipped_table(knowledge: Knowledge, found: Mapping[str, Outcome]) -> str:
    head = (
        "signal",
        "caught, %",
        "false alarms a person-year",
        "stated with the signal",
        "lead, days",
        "for 100 people",
        "right, %",
    )
    rates = stated(knowledge)
    return table(
        head,
        (
            (
                f"`{n}`",
                _percent(o.sensitivity),
                f"{o.false_alarms_a:.1f}",
                f"{rates[n]:.1f}",
                _days(o.lead_d),
                _percent(o.false_alarms / o.followed),
                _percent(o.right),
            )
            for n, o in found.items()
        ),
    )


def stated(knowledge: Knowledge) -> dict[str, float]:
    """The rate of false alarms that each signal states beside itself."""
    entries = knowledge.content["courses"]["signal"]
    return {e["id"]: knowledge.number(e["false_alarms"]) for e in entries if "false_alarms" in e}


def _rates_missed(knowledge: Knowledge, found: Mapping[str, Outcome]) -> Iterator[str]:
    rates = stated(knowledge)
    for name, o in found.items():
        if abs(o.false_alarms_a - rates[name]) > NEAR:
            yield f"`{name}` states {rates[name]:.1f} false alarms a person-year; measured {o.false_alarms_a:.1f}."


def _figures(o: Outcome) -> tuple[str, str, str, str]:
    return _percent(o.sensitivity), f"{o.false_alarms_a:.1f}", _percent(o.right), _days(o.lead_d)


def _verdict(c: Contest) -> str:
    """The comparison in words; better needs no more false alarms, and more caught or as many and an earlier alarm, by
    more than chance alone makes."""
    if c.ours.false_alarms_a > LIKE * c.theirs.false_alarms_a:
        return "not comparable: the level chosen on other people gave more false alarms on these."
    more, (ours, theirs) = c.ours.sensitivity - c.theirs.sensitivity, c.both_d
    differ = abs(more) > 2 * c.by_chance
    earlier = ours - theirs > max(LATER_D, 2 * c.days_by_chance)
    better = more > 0 if differ else earlier
    caught = f"{more:+.0%} caught" if differ else f"as many caught ({more:+.1%}, within chance)"
    verdict = "the model is better" if better else "the model is not better"
    return f"{verdict}: {caught.replace('%', ' points')}, {ours - theirs:+.1f} days of lead where both caught."


def _lost(c: Contest) -> bool:
    return "not" in _verdict(c)


def _contests_lost(contests: Mapping[str, Sequence[Contest]]) -> Iterator[str]:
    for what, found in contests.items():
        for c in found:
            ours, theirs = c.both_d
            if _lost(c):
                yield f"{TITLES[what]}, against *{c.simple}*: {_verdict(c)}"
            elif theirs - ours > LATER_D:
                yield (
                    f"{TITLES[what]}, against *{c.simple}*: the model catches more, but where both caught it was "
                    f"{theirs - ours:.1f} days later."
                )


def _count(pools: Sequence[Pool]) -> int:
    return sum(math.isfinite(d) for pool in pools for d in pool.start)


# --- interval review --------------------------------------------------------------------------------------------------


def _review_table(found: Sequence[ReviewCheck]) -> str:
    head = ("cohort", "people", "before, %", "inside, %", "after, %")
    return table(
        head, ((r.cohort, str(r.people), *(_percent(x) for x in (r.before, r.between, r.after))) for r in found)
    )


def _reviews_missed(found: Sequence[ReviewCheck]) -> Iterator[str]:
    for r in found:
        if r.before > 1 / (2 + 2) + NEAR:
            yield (
                f"Interval review, cohort *{r.cohort}*: half of the gain was lost before the interval in "
                f"{_percent(r.before)} % instead of 25 %: it comes too late."
            )
        elif r.between < 1 / 2 - NEAR:
            yield f"Interval review, cohort *{r.cohort}*: the interval held {_percent(r.between)} % instead of 50 %."


# --- expected courses -------------------------------------------------------------------------------------------------


class _Anchor:
    """What a course implies beside one published share."""

    def __init__(self, knowledge: Knowledge, course: Course, anchor: Mapping[str, Any]) -> None:
        half = knowledge.number("outcome.response")
        left = course.share_left(anchor["after_doses"])
        self.implied = NormalDist().cdf((half - left) / course.residual)
        self.published: float = anchor["share"]
        self.name = f"{course.title}, {anchor['after_doses']} doses"
        self.row = (
            course.title,
            str(anchor["after_doses"]),
            f"{_percent(self.implied)} %",
            f"{_percent(self.published)} %",
            str(anchor["n"]),
            f"{source(anchor['source'], knowledge)} ({anchor['status']})",
            plain(anchor["says"]),
        )


def _anchors(knowledge: Knowledge) -> Iterator[_Anchor]:
    for entry in knowledge.content["courses"]["course"]:
        course = course_by(knowledge, entry["routes"][0])
        assert course is not None
        yield from (_Anchor(knowledge, course, a) for a in course.anchors)


def _anchors_missed(anchors: Sequence[_Anchor]) -> Iterator[str]:
    for a in anchors:
        if abs(a.implied - a.published) > NEAR:
            yield (
                f"Expected course, {a.name}: it implies a response of {_percent(a.implied)} %, the published series "
                f"had {_percent(a.published)} %."
            )


def _percent(share: float) -> str:
    return f"{share:.0%}".removesuffix("%") if math.isfinite(share) else "none"


def _days(days: float) -> str:
    return str(round(days)) if math.isfinite(days) else "none"
