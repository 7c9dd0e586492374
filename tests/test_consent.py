"""Consent: what the form says, that every change of it is a new version, and where consent stands."""

from __future__ import annotations

import copy
import re
import tomllib
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adjunct.base import BadInput
from adjunct.knowledge import Knowledge
from adjunct.knowledge.lint import overstated, unfilled
from adjunct.planning.consent import Capacity, Event, Given, Status, TaughtBack, Withdrawn, events_of, form, state
from adjunct.sheet import how_sure

KNOWLEDGE = Knowledge.load()
CONTENT = KNOWLEDGE.content["consent"]
TREATMENTS = ("ketamine-iv", "ketamine-im", "ketamine-sc", "esketamine-nasal")
V, W = "ketamine-iv/us/1-aaaa", "ketamine-iv/us/2-bbbb"


def section(treatment: str, name: str, **where: str) -> str:
    sheet = form(KNOWLEDGE, treatment, **where).sheet
    return "\n".join(line.text for part in sheet.parts if part.id == name for line in part.lines)


# --- the form ---------------------------------------------------------------------------------------------------------

LICENCE = [  # treatment, where, said, never said
    ("ketamine-iv", "US", "off-label", "this spray is approved"),
    ("ketamine-im", "ES", "off-label", "this spray is approved"),
    ("ketamine-sc", "", "off-label", "this spray is approved"),
    ("esketamine-nasal", "US", "In the United States", "European Union"),
    ("esketamine-nasal", "us", "alone or with an antidepressant", "European Union"),
    ("esketamine-nasal", "ES", "not approved there on its own", "United States"),
    ("esketamine-nasal", "eu", "SSRI or SNRI", "United States"),
    ("esketamine-nasal", "NZ", "differs from country to country", "United States"),
    ("esketamine-nasal", "", "differs from country to country", "European Union"),
]


@pytest.mark.parametrize(("treatment", "region", "said", "unsaid"), LICENCE)
def test_the_form_says_what_is_approved_where(treatment: str, region: str, said: str, unsaid: str) -> None:
    text = section(treatment, "licence", region=region)
    assert said in text
    assert unsaid not in text


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_what_masked_trials_showed_is_told_with_its_interval(treatment: str, language: str) -> None:
    """KARMA-Dep 2: MADRS -3.16 (95% CI -8.54 to 2.22). Lii 2023: -5.82 (-13.3 to 1.64)."""
    text = section(treatment, "works", language=language)
    point = {"en": ".", "es": ","}[language]
    assert all(number.replace(".", point) in text for number in ("3.16", "8.54", "2.22", "5.82", "13.3", "1.64"))
    assert {"en": "functional unblinding", "es": "desenmascaramiento funcional"}[language] in text
    assert {"en": "not been shown to prevent suicide", "es": "No se ha demostrado que evite el suicidio"}[
        language
    ] in text


SAYS = [  # section, words that a person must find there
    ("effects", ("far away", "sleepy", "blood pressure", "Do not drive")),
    ("risks", ("craving", "bladder", "Liver", "Memory", "not known")),
    ("alternatives", ("ECT", "TMS", "lithium", "Psychotherapy", "No treatment")),
    ("choice", ("change your mind at any time", "do not lose any other care", "ask you again before the next dose")),
    ("elsewhere", ("tell us at each visit", "Please do not stop or skip anything suddenly")),
    ("privacy", ("only if you agree to exactly that",)),
]


@pytest.mark.parametrize("treatment", TREATMENTS)
@pytest.mark.parametrize(("name", "words"), SAYS)
def test_the_form_names_what_belongs_to_consent(treatment: str, name: str, words: tuple[str, ...]) -> None:
    text = section(treatment, name)
    assert [w for w in words if w not in text] == []


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_every_statement_has_its_source_and_how_sure_it_is(treatment: str) -> None:
    sheet = form(KNOWLEDGE, treatment, region="US", language="es").sheet
    told = [line for part in sheet.parts if part.id not in ("questions", "sign") for line in part.lines]
    assert all(line.sure and line.language == "es" for line in told)
    own = how_sure(KNOWLEDGE, "proposed", code="es")  # says itself where the line is from
    assert all(line.source for line in told if line.sure != own)
    assert not re.search(r"\{[a-z]", sheet.text())  # every place is filled


def test_statements_stand_on_sources_that_exist_and_their_numbers_on_facts() -> None:
    sections = {s["id"] for s in CONTENT["section"]}
    for entry in CONTENT["statement"]:
        source = KNOWLEDGE.sources[entry["source"]["id"]]
        assert entry["section"] in sections
        assert set(entry.get("regions", ["us"])) <= {*CONTENT["region"], "elsewhere"}
        assert entry["status"] == "proposed" or (source.read_as != "not-read" and source.kind != "project-default")
        places = [set(KNOWLEDGE.places(text)) for text in entry["text"].values()]
        assert places[0] == places[1] <= set(KNOWLEDGE.facts), entry["id"]
        for text in entry["text"].values():
            assert unfilled(text, ()) == [], entry["id"]
            assert list(overstated(text, "", KNOWLEDGE, hedge=False)) == [], entry["id"]


def test_the_printed_form_has_a_place_for_each_signature() -> None:
    sign = next(p for p in form(KNOWLEDGE, "ketamine-iv", language="es").sheet.parts if p.id == "sign")
    assert len(sign.rows) == 3
    assert all(len(row) == len(sign.head) for row in sign.rows)


def test_teach_back_is_read_by_a_person() -> None:
    """What a good answer contains is for who asks; the person does not read the answers before the questions."""
    one = form(KNOWLEDGE, "ketamine-iv", language="es")
    good = [q["good"] for q in CONTENT["question"]]
    assert one.record.reader == "clinician"
    assert all(text in one.record.text() for text in good)
    assert not any(text in one.sheet.text() for text in good)
    assert "score is never capacity" in one.record.text()


@pytest.mark.parametrize("bad", [{"treatment": "none"}, {"treatment": "ketamine-iv", "language": "xx"}])
def test_there_is_no_form_for_what_does_not_exist(bad: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="there are"):
        form(KNOWLEDGE, **bad)


def test_the_version_is_of_the_words_and_not_of_the_language_read() -> None:
    versions = {t: form(KNOWLEDGE, t, region="US").version for t in TREATMENTS}
    assert len(set(versions.values())) == len(TREATMENTS)
    assert form(KNOWLEDGE, "ketamine-iv", region="us", language="es").version == versions["ketamine-iv"]
    assert form(KNOWLEDGE, "esketamine-nasal", region="DE").version != versions["esketamine-nasal"]


def edited(change: Any) -> Knowledge:
    content = {
        **KNOWLEDGE.content,
        "consent": copy.deepcopy(CONTENT),
        "facts": copy.deepcopy(KNOWLEDGE.content["facts"]),
    }
    change(content)
    return Knowledge(content)


def _statement(content: Any, name: str) -> Any:
    return next(s for s in content["consent"]["statement"] if s["id"] == name)


CHANGES = {
    "a word in English": lambda c: _statement(c, "bladder")["text"].update(en="Ketamine can damage the bladder."),
    "a word in Spanish": lambda c: _statement(c, "bladder")["text"].update(es="La ketamina puede dañar la vejiga."),
    "a number": lambda c: next(f for f in c["facts"] if f["id"] == "consent.masked.hospital.lower").update(value=3.2),
    "a statement less": lambda c: c["consent"]["statement"].remove(_statement(c, "ect")),
    "a question": lambda c: c["consent"]["question"][0]["text"].update(en="Why?"),
    "the number of the form": lambda c: c["consent"].update(version=2),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_of_what_is_read_is_a_new_version(what: str) -> None:
    assert form(edited(CHANGES[what]), "ketamine-iv").version != form(KNOWLEDGE, "ketamine-iv").version


def test_a_change_elsewhere_is_no_new_version() -> None:
    """What the spray's form says does not concern who is asked about the drip."""
    other = edited(lambda c: _statement(c, "licence-us")["text"].update(en="Other words."))
    assert form(other, "ketamine-iv", region="US").version == form(KNOWLEDGE, "ketamine-iv", region="US").version


# --- where consent stands ---------------------------------------------------------------------------------------------


def agreed(at: int = 10, version: str = V) -> Given:
    return Given(id=f"g{at}{version}", at=at, by="Dr Lee", version=version)


def able(at: int = 10, holds: Any = "yes") -> Capacity:
    return Capacity(id=f"c{at}{holds}", at=at, by="Dr Lee", version=V, holds=holds)


def back(at: int = 10, version: str = V, again: tuple[str, ...] = ()) -> TaughtBack:
    return TaughtBack(id=f"t{at}{version}{again}", at=at, by="N. Roy", version=version, again=again)


def out(at: int) -> Withdrawn:
    return Withdrawn(id=f"w{at}", at=at, by="N. Roy", version=V)


STATES = [  # why, events, status at 20 in a course that began at 5
    ("nothing recorded", [], Status.MISSING),
    ("all three", [agreed(), able(), back()], Status.VALID),
    ("given before this course", [agreed(4), able(), back()], Status.MISSING),
    ("given as the course begins", [agreed(5), able(), back()], Status.VALID),
    ("given now", [agreed(20), able(), back()], Status.VALID),
    ("given after now", [agreed(21), able(), back()], Status.MISSING),
    ("to an older version", [agreed(version=W), able(), back()], Status.ANOTHER_VERSION),
    ("to an older version, then to this one", [agreed(10, W), agreed(11), able(), back()], Status.VALID),
    ("taught back for another version", [agreed(), able(), back(version=W)], Status.TEACH_BACK_OPEN),
    ("capacity not recorded", [agreed(), back()], Status.CAPACITY_OPEN),
    ("capacity of an earlier course", [agreed(), able(4), back()], Status.CAPACITY_OPEN),
    ("capacity lacking", [agreed(), able(holds="no"), back()], Status.NO_CAPACITY),
    ("capacity unsure is not yes", [agreed(), able(holds="unsure"), back()], Status.NO_CAPACITY),
    ("capacity found later", [agreed(), able(9, "no"), able(12), back()], Status.VALID),
    ("capacity lost later", [agreed(), able(9), able(12, "no"), back()], Status.NO_CAPACITY),
    ("two findings at once", [agreed(), able(9, "no"), able(9), back()], Status.NO_CAPACITY),
    ("no teach-back", [agreed(), able()], Status.TEACH_BACK_OPEN),
    ("one question to explain again", [agreed(), able(), back(again=("home",))], Status.TEACH_BACK_OPEN),
    ("explained again", [agreed(), able(), back(again=("home",)), back(12)], Status.VALID),
    ("withdrawn", [agreed(), able(), back(), out(12)], Status.WITHDRAWN),
    ("withdrawn at the same instant", [agreed(12), able(12), back(12), out(12)], Status.WITHDRAWN),
    ("withdrawn before this course", [out(3)], Status.WITHDRAWN),
    ("given anew afterwards", [out(12), agreed(13), able(13), back(13)], Status.VALID),
    ("given anew, talk of before", [agreed(), able(), back(), out(12), agreed(13)], Status.CAPACITY_OPEN),
    ("withdrawal that has not happened yet", [agreed(), able(), back(), out(21)], Status.VALID),
]


@pytest.mark.parametrize(("why", "events", "status"), STATES, ids=[row[0] for row in STATES])
def test_where_consent_stands(why: str, events: list[Event], status: Status) -> None:
    assert state(events, V, now=20, course_start=5).status is status


def test_consent_is_valid_since_the_last_of_what_it_takes() -> None:
    events = [agreed(10), able(14), back(12)]
    assert state(events, V, now=20, course_start=5).since == 14
    assert state(events, V, now=13, course_start=5).since is None


@pytest.mark.parametrize("status", Status)
def test_every_state_has_words_for_both(status: Status) -> None:
    one = replace(state([], V, now=0, course_start=0), status=status)
    assert one.says(KNOWLEDGE)
    assert one.tell(KNOWLEDGE, "es").text != one.tell(KNOWLEDGE, "en").text
    assert one.tell(KNOWLEDGE, "es").language == "es"


def test_a_new_version_of_the_form_asks_again() -> None:
    old, new = (form(k, "ketamine-iv").version for k in (KNOWLEDGE, edited(CHANGES["a number"])))
    events = [agreed(version=old), able(), back(version=old)]
    assert state(events, old, now=20, course_start=0).valid
    found = state(events, new, now=20, course_start=0)
    assert found.status is Status.ANOTHER_VERSION
    assert "ask again before the next dose" in found.says(KNOWLEDGE)


TIMES = st.integers(0, 30)
EVENTS = st.lists(
    st.one_of(
        st.builds(agreed, TIMES, st.sampled_from([V, W])),
        st.builds(able, TIMES, st.sampled_from(["yes", "no", "unsure"])),
        st.builds(back, TIMES, st.sampled_from([V, W]), st.sampled_from([(), ("home",), ("sure", "why")])),
        st.builds(out, TIMES),
    ),
    max_size=12,
)


@given(EVENTS, st.randoms(), TIMES, TIMES)
@example([agreed(), replace(agreed(), id="h"), out(3), replace(out(3), id="x")], Random(2), 20, 0)
def test_the_order_of_arrival_changes_nothing(events: list[Event], random: Any, now: int, start: int) -> None:
    shuffled = [*events, *events[:2]]  # some arrive twice
    random.shuffle(shuffled)
    assert state(shuffled, V, now=now, course_start=start) == state(events, V, now=now, course_start=start)


@given(EVENTS, TIMES, TIMES)
def test_the_state_is_a_fold_of_what_has_happened(events: list[Event], now: int, start: int) -> None:
    past = [e for e in events if e.at <= now]
    assert state(events, V, now=now, course_start=start) == state(past, V, now=30, course_start=start)


@given(EVENTS, TIMES)
def test_a_withdrawal_wins_until_consent_is_given_anew(events: list[Event], at: int) -> None:
    found = state([*events, out(at)], V, now=30, course_start=0)
    if found.valid:
        assert found.given is not None
        assert found.given.at > at
        assert found.capacity is not None
        assert found.capacity.at > at


@given(EVENTS, TIMES)
def test_valid_means_that_everything_was_recorded_by_somebody(events: list[Event], start: int) -> None:
    """The obvious reading, event by event."""
    last = max((e.at for e in events if isinstance(e, Withdrawn)), default=-1)
    counts = [e for e in events if e.at >= start and e.at > last]
    newest = [
        e.holds
        for e in counts
        if isinstance(e, Capacity) and e.at == max(c.at for c in counts if isinstance(c, Capacity))
    ]
    talks = [e for e in counts if isinstance(e, TaughtBack) and e.version == V]
    open_ = [e for e in talks if e.at == max(t.at for t in talks) and e.again]
    wanted = (
        any(isinstance(e, Given) and e.version == V for e in counts)
        and bool(newest) and set(newest) == {"yes"} and bool(talks) and not open_
    )  # fmt: skip
    assert state(events, V, now=30, course_start=start).valid is wanted


# --- the order file ---------------------------------------------------------------------------------------------------

ORDER = """
[[consent.given]]
id = "1"
at = 2027-01-05T10:00:00+01:00
by = "Dr Lee"
version = "v"
[[consent.capacity]]
id = "2"
at = "2027-01-05T10:05:00+01:00"
by = "Dr Lee"
version = "v"
holds = "yes"
[[consent.taught_back]]
id = "3"
at = 2027-01-05T10:10:00+01:00
by = "N. Roy"
version = "v"
again = ["home"]
[[consent.withdrawn]]
id = "4"
at = 2027-01-06T08:00:00+01:00
by = "N. Roy"
version = "v"
"""


def test_an_order_file_is_read() -> None:
    one, two, three, four = events_of(tomllib.loads(ORDER)["consent"])
    assert one == Given(id="1", at=1799139600000, by="Dr Lee", version="v")
    assert two == Capacity(id="2", at=1799139900000, by="Dr Lee", version="v", holds="yes")
    assert isinstance(three, TaughtBack)
    assert three.again == ("home",)
    assert isinstance(four, Withdrawn)
    assert events_of({}) == ()


WRONG = [  # what is written instead, the place in the error, what it says
    ('"2"', "2", r"consent\.capacity\[0\]\.id", "write a text"),
    ('holds = "yes"', "", r"consent\.capacity\[0\]\.holds", "missing"),
    ('holds = "yes"', 'holds = "26/30"', r"consent\.capacity\[0\]\.holds", "as a named person found it"),
    ('holds = "yes"', 'holds = "yes"\nscore = 26', r"consent\.capacity\[0\]", "never by a score"),
    ('again = ["home"]', 'again = "home"', r"taught_back\[0\]\.again", "list of texts"),
    ('"2027-01-05T10:05:00+01:00"', "2027-01-05T10:05:00", r"capacity\[0\]\.at", "offset"),
    ('"2027-01-05T10:05:00+01:00"', "2027-01-05", r"capacity\[0\]\.at", "no instant"),
    ('by = "Dr Lee"\nversion = "v"\nholds', 'by = " "\nversion = "v"\nholds', r"capacity\[0\]\.by", "by is missing"),
    ("consent.withdrawn", "consent.revoked", r"consent\)", "known are given, withdrawn"),
    ("[[consent.withdrawn]]", "[consent.withdrawn]", r"consent\.withdrawn", r"write \[\[consent.withdrawn\]\]"),
    ('id = "4"', 'id = "1"', r"withdrawn\[0\]\.id", "used for something else"),
]


@pytest.mark.parametrize(("old", "new", "place", "says"), WRONG, ids=[f"{w[0]} -> {w[1]}" for w in WRONG])
def test_what_cannot_be_read_is_refused_with_its_place(old: str, new: str, place: str, says: str) -> None:
    assert old in ORDER
    with pytest.raises(BadInput, match=says) as caught:
        events_of(tomllib.loads(ORDER.replace(old, new))["consent"])
    assert re.search(place, str(caught.value))
    assert "26/30" not in str(caught.value)
