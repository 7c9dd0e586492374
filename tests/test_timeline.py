"""Washouts, tails and switches: from the last use on record to the end, without a date where none is on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adjunct.base import MS_PER_DAY, Instant, instant
from adjunct.fhir import read_bundle
from adjunct.planning.model import Fact
from adjunct.planning.timeline import timeline
from adjunct.record import Record, from_bundle
from adjunct.sheet import LANGUAGES
from bundles import LOCAL, NOW, SUBJECT, knowledge, person

NOW_MS = instant(NOW).ms
ZONE = "America/Chicago"


def at(days_ago: float) -> str:
    return Instant(NOW_MS - round(days_ago * MS_PER_DAY)).iso()


def entry(
    substance: str,
    *,
    start: str = "2025-01-01",
    end: str = "",
    text: str = "",
    view: str = "MedicationStatement",
    given: str = "",
    status: str = "",
    number: int = 0,
) -> dict[str, Any]:
    """One line of a medicine list; `given`: the moment of an administration."""
    coding = {"coding": [{"system": LOCAL, "code": substance}]} if substance else {}
    found: dict[str, Any] = {
        "resourceType": view,
        "id": f"{substance or 'item'}-{number}",
        "status": status or ("completed" if end or given else "active"),
        "subject": SUBJECT,
        "medicationCodeableConcept": {**coding, "text": text or substance},
    }
    if given:
        return found | {"effectiveDateTime": given}
    return found | {"effectivePeriod": {"start": start} | ({"end": end} if end else {})}


def record_of(*entries: Mapping[str, Any]) -> Record:
    bundle = read_bundle(person(extra=entries, reviewed=True, reconciled=True))
    return from_bundle(bundle, knowledge(), now=instant(NOW), phase="follow-up")


def bars(*entries: Mapping[str, Any], treatment: str = "esketamine-nasal", language: str = "en") -> tuple[Fact, ...]:
    return timeline(record_of(*entries), knowledge(), treatment=treatment, zone=ZONE, language=language)


def bar(found: tuple[Fact, ...], begins: str) -> Fact | None:
    return next((f for f in found if f.id.startswith(begins)), None)


WASHOUTS = [  # pharmacology notes 5.1: medicine, what waits, days
    ("fluoxetine", "washout.fluoxetine.maoi", "an MAO inhibitor", 35),
    ("vortioxetine", "washout.vortioxetine.maoi", "an MAO inhibitor", 21),
    ("venlafaxine", "washout.snri.maoi", "an MAO inhibitor", 7),
    ("duloxetine", "washout.duloxetine.maoi", "an MAO inhibitor", 5),
    ("sertraline", "washout.antidepressant.maoi", "an MAO inhibitor", 14),
    ("st-johns-wort", "washout.antidepressant.maoi", "an MAO inhibitor", 14),
    ("bupropion", "washout.bupropion.maoi", "an MAO inhibitor", 14),
    ("phenelzine", "washout.maoi.antidepressant:phenelzine:a-", "a serotonergic antidepressant", 14),
    ("phenelzine", "washout.maoi.pressor", "a stimulant", 14),
    ("moclobemide", "washout.moclobemide.antidepressant", "a serotonergic antidepressant", 1),
    ("rasagiline", "washout.maoi.antidepressant:rasagiline", "an antidepressant", 14),
    ("oxycodone", "washout.opioid.naltrexone", "naltrexone", 10),
    ("methadone", "washout.moud.naltrexone", "naltrexone", 14),
    ("kratom-leaf", "washout.kratom.naltrexone", "naltrexone", 14),
    ("naltrexone", "washout.naltrexone.opioid", "an opioid", 3),
    ("sumatriptan", "washout.triptan.ergot", "ergotamine", 1),
    ("disulfiram", "washout.disulfiram.alcohol", "alcohol", 14),
]


@pytest.mark.parametrize(("substance", "fact", "other", "days"), WASHOUTS)
def test_a_washout_runs_from_the_last_use_to_its_end(substance: str, fact: str, other: str, days: int) -> None:
    end = at(0.5)
    found = bar(bars(entry(substance, end=end)), fact)
    assert found is not None
    assert (found.opens, found.closes) == (instant(end).ms, instant(end).ms + days * MS_PER_DAY)
    assert other in found.title
    assert found.involves == (substance,)
    assert found.reference == f"MedicationStatement/{substance}-0"
    assert found.source in knowledge().sources


@pytest.mark.parametrize(
    ("days_ago", "shown"),
    [(13.9, True), (14, True), (14 + 1 / 86400, False), (400, False)],  # below, at, a second above, long over
)
def test_a_bar_that_is_over_is_gone(days_ago: float, shown: bool) -> None:
    assert (bar(bars(entry("sertraline", end=at(days_ago))), "washout") is not None) == shown


def test_a_current_medicine_has_a_length_and_no_dates() -> None:
    found = bar(bars(entry("fluoxetine")), "washout")
    assert found is not None
    assert (found.opens, found.closes) == (None, None)
    assert "5 weeks from its last dose" in found.says
    assert "no date" in found.says


def test_an_undated_stop_has_no_end_and_says_so() -> None:
    undated = entry("fluoxetine", status="stopped")
    del undated["effectivePeriod"]
    found = bar(bars(undated), "washout")
    assert found is not None
    assert (found.opens, found.closes) == (None, None)
    assert "not dated" in found.says
    assert "Ask when" in found.says


def test_a_partial_date_makes_the_bar_as_long_as_it_may_be() -> None:
    """Stopped "in October": from its first day to five weeks after its last one."""
    found = bar(bars(entry("fluoxetine", end="2026-10")), "washout")
    assert found is not None
    assert found.opens == instant("2026-10-01T00:00:00-06:00").ms
    assert found.closes == instant("2026-11-01T00:00:00-06:00").ms - 1 + 35 * MS_PER_DAY
    assert "between Thursday 1 October 2026 and" in found.says


def test_stopped_in_the_month_that_still_runs_is_at_the_latest_now() -> None:
    found = bar(bars(entry("sertraline", end="2026-11")), "washout")
    assert found is not None
    assert found.closes == NOW_MS + 14 * MS_PER_DAY


def test_one_current_list_is_enough() -> None:
    found = bar(bars(entry("sertraline", end=at(3)), entry("sertraline", number=1)), "washout")
    assert found is not None
    assert found.closes is None
    assert "taken now" in found.says


def test_of_several_stops_the_last_counts() -> None:
    found = bar(bars(entry("sertraline", end=at(9)), entry("sertraline", end=at(2), number=1)), "washout")
    assert found is not None
    assert found.closes == instant(at(2)).ms + 14 * MS_PER_DAY


def test_kratom_without_a_form_is_told_of_as_each() -> None:
    found = bar(bars(entry("", text="kratom")), "washout.kratom.naltrexone")
    assert found is not None
    assert {"kratom-leaf", "kratom-extract", "7-hydroxymitragynine"} <= set(found.involves)
    assert "If the entry means" not in found.says  # the length is the same for each


# --- depots, implants, patches ----------------------------------------------------------------------------------------


def test_the_tail_of_a_depot_runs_from_the_day_it_was_given() -> None:
    """Extended-release naltrexone: four weeks, then 28 days; only then do the days before an opioid begin."""
    given = at(20)
    found = bars(entry("naltrexone", text="Vivitrol", view="MedicationAdministration", given=given))
    tail, washout = bar(found, "tail:"), bar(found, "washout.naltrexone.opioid")
    assert tail is not None
    assert washout is not None
    assert (tail.opens, tail.closes) == (instant(given).ms, instant(given).ms + 56 * MS_PER_DAY)
    assert washout.closes == instant(given).ms + 59 * MS_PER_DAY
    assert "only when its own interval and tail are over" in washout.says
    assert tail.status == "proposed"


@pytest.mark.parametrize(("days_ago", "shown"), [(55, True), (56, True), (57, False)])
def test_a_tail_ends(days_ago: float, shown: bool) -> None:
    dose = entry("naltrexone", text="Vivitrol", view="MedicationAdministration", given=at(days_ago))
    assert (bar(bars(dose), "tail:") is not None) == shown


def test_monthly_buprenorphine_counts_for_months_before_naltrexone() -> None:
    dose = entry("buprenorphine", text="Sublocade", view="MedicationAdministration", given=at(90))
    found = bar(bars(dose), "washout.moud.naltrexone")
    assert found is not None
    assert found.closes is not None
    assert found.closes > NOW_MS + 90 * MS_PER_DAY  # a tablet would have counted for 14 days only


def test_a_depot_without_a_date_has_a_length_and_says_that_the_day_is_missing() -> None:
    found = bar(bars(entry("naltrexone", text="Vivitrol")), "tail:")
    assert found is not None
    assert (found.opens, found.closes) == (None, None)
    assert "not on record" in found.says
    assert "4 weeks" in found.says


# --- switching --------------------------------------------------------------------------------------------------------


def test_discontinuation_may_look_like_relapse_for_some_weeks() -> None:
    found = bar(bars(entry("paroxetine", end=at(5))), "switch.discontinuation")
    assert found is not None
    assert found.closes == instant(at(5)).ms + 28 * MS_PER_DAY
    assert "relapse" in found.title
    assert "takes no alert" in found.says
    assert bar(bars(entry("paroxetine", end=at(29))), "switch.discontinuation") is None
    assert bar(bars(entry("paroxetine")), "switch.discontinuation") is None
    assert bar(bars(entry("bupropion", end=at(5))), "switch.discontinuation") is None


def test_an_mao_inhibitor_is_never_stopped_abruptly() -> None:
    found = bar(bars(entry("tranylcypromine")), "switch.maoi-no-abrupt-stop")
    assert found is not None
    assert found.tell.startswith("Please do not stop tranylcypromine suddenly")


@pytest.mark.parametrize("substance", ["lorazepam", "kratom-leaf", "7-hydroxymitragynine", "clonidine", "pregabalin"])
def test_what_brings_withdrawal_is_not_stopped_for_a_visit(substance: str) -> None:
    found = bar(bars(entry(substance)), "switch.withdrawal")
    assert found is not None
    assert "do not stop" in found.tell


@pytest.mark.parametrize(("days_ago", "shown"), [(41, True), (42, True), (43, False)])
def test_a_new_antidepressant_makes_the_outcome_harder_to_read(days_ago: float, shown: bool) -> None:
    found = bar(bars(entry("sertraline", start=at(days_ago))), "switch.recent-start")
    assert (found is not None) == shown


def test_what_concerns_the_outcome_needs_a_treatment() -> None:
    ids = {f.id for f in bars(entry("sertraline", start=at(10)), treatment="none")}
    assert not any("recent-start" in i or "change-during-course" in i for i in ids)
    assert any(i.startswith("washout") for i in ids)


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_filled_and_nothing_is_a_dose_or_an_order_to_stop(language: str) -> None:
    substances = ["sertraline", "phenelzine", "methadone", "naltrexone", "kratom-leaf", "lorazepam", "sumatriptan"]
    for end in ("", at(0.2)):
        for fact in bars(*(entry(s, end=end) for s in substances), language=language):
            assert "{" not in fact.title + fact.says + fact.tell
            assert " mg" not in fact.says + fact.tell
            assert "stop taking" not in fact.says + fact.tell
            assert "deje de tomar" not in fact.tell
            assert fact.status in ("verified", "reported", "proposed")
    spanish = bar(bars(entry("sertraline"), language="es"), "washout")
    assert spanish is not None
    assert "un inhibidor de la MAO" in spanish.tell
    assert "14 días" in spanish.tell


def test_the_other_medicine_has_a_name_in_every_language() -> None:
    content = knowledge().content
    for row in (*content["context"]["washout"], *content["timeline"]["washout"]):
        assert row["before"] in content["timeline"]["other"]["es"], row["before"]
        assert row["set"] in knowledge().sets
        assert row["fact"] in knowledge().facts
    for row in content["timeline"]["switch"]:
        assert {*row["sets"], *row.get("without", ())} <= set(knowledge().sets)
        assert row["source"]["id"] in knowledge().sources


@given(
    stops=st.lists(
        st.tuples(st.sampled_from(["sertraline", "fluoxetine", "phenelzine", "methadone"]), st.floats(0.01, 60)),
        max_size=5,
    )
)
def test_dated_bars_are_not_over_and_stand_in_order(stops: list[tuple[str, float]]) -> None:
    found = bars(*(entry(s, end=at(d), number=n) for n, (s, d) in enumerate(stops)))
    dated = [f for f in found if f.closes is not None]
    assert [f.closes for f in dated] == sorted(f.closes for f in dated if f.closes is not None)
    assert all(f.opens is not None and f.closes is not None and f.opens <= NOW_MS <= f.closes for f in dated)
    assert list(found[: len(dated)]) == dated
    assert len({f.id for f in found}) == len(found)
