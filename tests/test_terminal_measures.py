"""Follow-up, scores, messages and safety plans on a terminal: what to do first, plain words, how sure last."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import adjunct
from adjunct.followup import FollowUp
from adjunct.followup.safety_plan import Plan, Version
from adjunct.instruments import instrument, score
from adjunct.messages import read_message
from adjunct.terminal import show_follow_up, show_instruments, show_message, show_safety_plan, show_score
from bundles import NOW, knowledge, number, person

EXAMPLE = Path(__file__).parent.parent / "src" / "adjunct" / "examples" / "dana-course.json"
WIDTH = 80
ESCAPE = "\x1b[31mred\x1b[0m\u202e"
Json = dict[str, Any]


def printed(show: Callable[..., None], *what: Any, width: int = WIDTH) -> str:
    """What stands on a terminal without colour; no line is wider than it."""
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)
    show(*what, console=console)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return text


def one_line(text: str) -> str:
    return " ".join(text.split())


def followed(*resources: Mapping[str, Any], **more: Any) -> FollowUp:
    return adjunct.follow(person(extra=resources), at=NOW, knowledge=knowledge(), **more)


@pytest.fixture(scope="module")
def dana() -> Json:
    return adjunct.follow(EXAMPLE, at="2026-11-21T08:30:00+01:00", country="DE", knowledge=knowledge()).to_dict()


# --- the follow-up of one person --------------------------------------------------------------------------------------


def test_it_is_read_from_the_most_urgent_to_how_sure(dana: Json) -> None:
    text = printed(show_follow_up, dana)
    heads = [line.split(" --")[0] for line in text.splitlines() if " ----" in line]
    assert heads == [
        "suicide risk", "scores", "what the course suggests", "due", "treatment so far", "what else happened",
        "not known", "how sure",
    ]  # fmt: skip
    first = text.index("ASK NOW")
    assert first < text.index("ACT") < text.index("suicide risk --")


def test_an_alarm_says_who_must_do_what_by_when_and_what_the_person_reads(dana: Json) -> None:
    top = one_line(printed(show_follow_up, dana).partition("suicide risk --")[0])
    assert "OVERDUE prescriber: Confirm that you have seen this and act on it (due 20 Nov 21:15)" in top
    assert "OVERDUE clinician: Ask the suicide screener today (due 20 Nov 21:15)" in top
    for alert in dana["alerts"]:
        assert f"For the person: {one_line(alert['tell'])}" in top
    assert top.count("Confirm that you have seen this") == 1  # once, not again in a sentence


def test_whom_to_call_is_shown_with_the_risk(dana: Json) -> None:
    risk = one_line(printed(show_follow_up, dana).partition("suicide risk --")[2].partition("scores --")[0])
    assert "not known: ask the suicide screener" in risk
    for contact in dana["risk"]["told"]["contacts"]:
        assert one_line(contact["text"]) in risk


@pytest.mark.parametrize(
    ("level", "least", "words"),
    [
        (
            "UNFINISHED",
            "MODERATE",
            "Level: unfinished: treated as HIGH until the screen is finished; at least moderate.",
        ),
        ("NONE", "UNKNOWN", "Level: none found by the last screen."),
        ("HIGH", "HIGH", "Level: HIGH."),
    ],
)
def test_a_level_says_what_is_proven(level: str, least: str, words: str, dana: Json) -> None:
    risk = {**dana["risk"], "level": level, "at_least": least}
    assert words in one_line(printed(show_follow_up, {**dana, "risk": risk}))


def test_each_instrument_has_its_line_with_unit_state_and_definitions(dana: Json) -> None:
    scores = one_line(printed(show_follow_up, dana).partition("scores --")[2].partition("what the course")[0])
    assert scores.lstrip("- ").startswith("PHQ-9: 20 before the first dose, 13 on 20 Nov, 7 points better (35 %)")
    assert "response: no (fall of half or more); remission: no (below 5); reliable change: yes" in scores
    assert "AUDIT-C: 2 before the first dose, no score since, the last known 2 of 21 Aug" in scores
    for course in dana["courses"].values():
        assert f"{course['title']}: " in scores
        if course["state"]:
            assert course["state"]["name"] in scores


def test_a_signal_says_how_often_it_is_wrong(dana: Json) -> None:
    part = one_line(printed(show_follow_up, dana).partition("what the course suggests --")[2].partition(" due --")[0])
    rated = [s for s in dana["signals"] if s["false_alarms_per_person_year"] is not None]
    assert rated
    for signal in rated:
        assert f"{signal['false_alarms_per_person_year']:g} false alarms in a year of a simulated person" in part
    assert "never a schedule by itself" in part


def test_what_is_due_stands_under_its_domain_in_the_time_of_the_question(dana: Json) -> None:
    due = printed(show_follow_up, dana).partition("due --")[2].partition("treatment so far --")[0]
    assert "OVERDUE  ASEX (sexual function), by person (since 24 Aug, never done)" in one_line(due).replace(
        "OVERDUE ASEX", "OVERDUE  ASEX"
    )
    assert due.index("side-effects") < due.index("ASEX") < due.index("check-in")
    assert "call the person, by clinician" in one_line(due)
    assert "Check-ins missed: 1, the last of 16 Nov." in due


def test_a_day_is_that_of_the_question_also_where_it_was_another_in_utc(dana: Json) -> None:
    step = {**dana["surveillance"]["due"][0], "state": "due", "due": "2026-11-19T23:30:00+00:00"}
    watched = {**dana["surveillance"], "due": [step]}
    assert "(since 20 Nov, never done)" in one_line(printed(show_follow_up, {**dana, "surveillance": watched}))


def test_the_exposure_is_a_sum_with_its_unit(dana: Json) -> None:
    text = one_line(printed(show_follow_up, dana))
    assert "9 doses; the last 15.9 d ago; lately 0.2 a week." in text
    assert "ketamine, intravenous: 9 times, 306 mg in all" in text


def test_with_nothing_on_record_nothing_is_called_well() -> None:
    text = one_line(printed(show_follow_up, followed().to_dict()))
    assert "Nothing on record asks for action at once. That is no all-clear." in text
    assert "No score is on record." in text
    assert "No dose is on record." in text
    assert "No course is estimated: no total of PHQ-9" in text
    assert " safe" not in text


def test_a_newest_score_that_is_not_known_is_said_and_the_last_known_dated() -> None:
    def rating(value: float | None, at: str) -> Json:
        found: Json = {**number("phq9", value or 0, "{score}", at), "id": f"phq9-{at[8:10]}"}
        if value is None:
            del found["valueQuantity"]
            found["dataAbsentReason"] = {"coding": [{"code": "not-performed"}]}
        return found

    result = followed(rating(15, "2026-11-01T09:00:00-06:00"), rating(None, "2026-11-15T09:00:00-06:00"))
    text = one_line(printed(show_follow_up, result.to_dict()))
    assert "the last known 15 of 1 Nov" in text
    assert "0 on" not in text


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ((-7, 7, 35), "13 on 20 Nov, 7 points better (35 %)"),
        ((1, -1, -5), "13 on 20 Nov, 1 point worse (5 %)"),
        ((0, 0, 0), "13 on 20 Nov, no change"),
        ((7, None, None), "13 on 20 Nov, change +7 points"),  # neither way is better
        ((None, None, None), "13 on 20 Nov"),
    ],
)
def test_a_change_says_its_way_in_words(figures: tuple[float | None, ...], words: str, dana: Json) -> None:
    names = ("raw_change", "improvement", "percent_change")
    changed = [{"id": n, "value": v} for n, v in zip(names, figures, strict=True)]
    course = {**dana["courses"]["phq9"], "figures": changed, "state": None, "last_known": None, "judgements": []}
    text = printed(show_follow_up, {**dana, "courses": {"phq9": course}})
    assert words in one_line(text).replace(f"{words}.", words)
    assert one_line(text).partition("20 before the first dose, ")[2].startswith(words)


def test_long_lists_are_cut_and_counted(dana: Json) -> None:
    gaps = [{"why": f"Gap {n}.", "ask": "Ask."} for n in range(20)]
    text = printed(show_follow_up, {**dana, "gaps": gaps, "problems": []})
    assert "Gap 5." in text
    assert "Gap 6." not in text
    assert "and 14 more gaps: --json" in text


def test_words_of_a_record_move_no_cursor(dana: Json) -> None:
    note = {"id": "x", "kind": "life-event", "from": None, "title": f"note {ESCAPE}"}
    problem = {"reference": f"Observation/{ESCAPE}", "what": ESCAPE, "ask": ESCAPE}
    alert = {"id": "a", "level": "red", "says": ESCAPE, "tell": ESCAPE, "since": dana["at"]}
    step = {**dana["risk"]["worklist"][0], "owner": ESCAPE, "title": ESCAPE}
    wild = {**dana, "context": [note], "problems": [problem], "alerts": [alert]}
    text = printed(show_follow_up, {**wild, "risk": {**dana["risk"], "worklist": [step]}})
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a date that is not known: note" in text


# --- the safety plan --------------------------------------------------------------------------------------------------


def test_the_plan_shows_the_numbers_first_then_its_own_words() -> None:
    import dataclasses

    plan = Plan(
        versions=(Version(id="a", at=0, by="D. W.", reason="first", sections={"signs": (f"I cancel choir {ESCAPE}",)}),)
    )
    text = printed(show_safety_plan, dataclasses.replace(followed(country="DE"), plan=plan))
    assert text.index("112") < text.index("I cancel choir")
    assert "written by D. W." in text
    assert "\x1b" not in text


# --- scores -----------------------------------------------------------------------------------------------------------


def scored(name: str, *answers: object, **more: Any) -> str:
    return one_line(printed(show_score, score(instrument(knowledge(), name), answers, **more), knowledge()))


def test_a_score_says_what_to_do_before_the_number_and_how_sure_after_it() -> None:
    text = scored("phq9", 1, 2, 1, 0, 2, 1, 0, 0, 1)
    total = "PHQ-9: 8 points (0 to 27, higher is worse, asked about: 2 wk): mild"
    assert text.startswith("SUICIDE ")
    assert text.index("Give next: C-SSRS screener") < text.index(total) < text.index("How sure: scoring verified.")
    assert "more sources: --json" in text


def test_an_incomplete_score_says_what_is_open_and_what_is_certain_all_the_same() -> None:
    text = scored("phq9", 3, 3, 3, 3, 3, None, None, None, None)
    assert "PHQ-9: no total" in text
    assert "open: item 6" in text
    assert "Whatever the open answers are: at least moderately severe." in text
    assert text.startswith("URGENT ")


@pytest.mark.parametrize(
    ("answers", "depends"),
    [((1, 1, 1), True), ((1, 2, 3), False)],  # 3 is positive for a woman only, 6 for everybody
)
def test_bands_by_form_are_named_only_where_they_differ(answers: tuple[int, ...], depends: bool) -> None:
    assert ("The band depends on the form: " in scored("auditc", *answers)) is depends


def test_every_instrument_is_listed_with_where_its_wording_is() -> None:
    text = printed(show_instruments, knowledge(), width=100)
    for name in knowledge().instruments:
        assert f" {name} " in text
    assert "here" in text
    assert "your licensed" in text


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_message_is_answered_first_and_nothing_is_cleared() -> None:
    text = one_line(printed(show_message, read_message(knowledge(), "I want to die", country="US")))
    assert text.startswith(("SAME-DAY ", "EMERGENCY "))
    assert "\u201cwant to die\u201d" in text
    assert "Give next: cssrs" in text
    assert text.endswith("A list of words, read by a machine: it raises, it never clears.")


def test_a_message_without_a_flag_is_no_all_clear() -> None:
    text = one_line(printed(show_message, read_message(knowledge(), "The bus was late.", country="US")))
    assert text.startswith("NOTHING RECOGNISED ")
    assert "it never clears" in text
