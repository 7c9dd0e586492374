"""Answers as real record systems send them, and what may go wrong at the doors: nothing is dropped without a word."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import adjunct
from adjunct.base import BadInput, instant
from adjunct.cli import app, tables
from adjunct.documents import writing
from adjunct.fhir import read_bundle
from adjunct.followup.person import series_of
from adjunct.followup.recorded import risk_events
from adjunct.followup.settings import checked
from adjunct.instruments import instrument
from adjunct.instruments.responses import recognised
from adjunct.knowledge import Knowledge
from adjunct.publish import follow_up_to_fhir, questionnaire
from adjunct.record import Record, from_bundle
from adjunct.record.values import Codes

Json = dict[str, Any]
KNOWLEDGE = Knowledge.load()
NOW = "2026-11-23T12:00:00+01:00"
MORNING = "2026-11-23T09:00:00+01:00"
PERSON = {"resourceType": "Patient", "id": "p"}
LOINC = "http://loinc.org"
EXTENSION = "http://hl7.org/fhir/StructureDefinition"
PHQ9 = [item["loinc"] for item in KNOWLEDGE.instruments["phq9"]["item"][:9]]
WORDS = ["Not at all", "Several days", "More than half the days", "Nearly every day"]
GERMAN = ["Überhaupt nicht", "An einzelnen Tagen", "An mehr als der Hälfte der Tage", "Beinahe jeden Tag"]
CODES = ["LA6568-5", "LA6569-3", "LA6570-1", "LA6571-9"]
ANSWERS = [1, 1, 1, 0, 1, 1, 0, 0, 1]  # total 6, item 9 at 1
CSSRS = {"q1": "93246-7", "q2": "93247-5", "q3": "93248-3", "q4": "93249-1", "q5": "93250-9", "q6": "93267-3"}


def coding(value: int) -> Json:
    return {"valueCoding": {"system": LOINC, "code": CODES[value], "display": WORDS[value]}}


def items(link: str = "/{code}", answer: Any = coding, answers: Any = ANSWERS, **more: Any) -> list[Json]:
    return [
        {"linkId": link.format(code=code, n=n), "answer": [answer(value)]}
        | {key: value.format(code=code) for key, value in more.items()}
        for n, (code, value) in enumerate(zip(PHQ9, answers, strict=True))
    ]


def response(answered: list[Json], **more: Any) -> Json:
    made = {
        "resourceType": "QuestionnaireResponse",
        "id": "r",
        "status": "completed",
        "subject": {"reference": "Patient/p"},
        "authored": MORNING,
        "item": answered,
    }
    return {key: value for key, value in (made | more).items() if value is not None}


def observation(code: str, **more: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": f"o{code}",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": MORNING,
    } | more


def bundle(*resources: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (PERSON, *resources)]}


def read(*resources: Json) -> tuple[list[Any], Record]:
    """The suicide alarms and screens of a record, by kind, and the record."""
    found = read_bundle(bundle(*resources))
    record = from_bundle(found, KNOWLEDGE, now=instant(NOW), phase="follow-up")
    return [e.data.get("kind") or e.data["answers"] for e in risk_events(found, record, KNOWLEDGE)], record


def alarms(*resources: Json) -> list[Any]:
    return read(*resources)[0]


def totals(*resources: Json) -> dict[str, list[float]]:
    return {n: [p.value for p in ps] for n, ps in series_of(read(*resources)[1], KNOWLEDGE).items()}


def problems(*resources: Json) -> str:
    return " | ".join(p.what for p in read(*resources)[1].problems)


# --- PHQ-9 as it comes ------------------------------------------------------------------------------------------------


def ordinal(value: int, name: str = "ordinalValue", kind: str = "valueDecimal") -> Json:
    return {"extension": [{"url": f"{EXTENSION}/{name}", kind: value}]}


def foreign(value: int) -> Json:
    return {"system": "http://ehr.example/answers", "code": f"phq-{value}", "display": GERMAN[value]}


def whole_ordinal(value: int) -> Json:
    return ordinal(value, kind="valueInteger")


def in_loinc(value: int) -> Json:
    return {"system": LOINC, "code": CODES[value]}


CONTAINED: Json = {
    "resourceType": "Questionnaire",
    "id": "q",
    "status": "active",
    "item": [
        {"linkId": f"q{n}", "code": [{"system": LOINC, "code": code}], "text": "...", "type": "choice"}
        for n, code in enumerate(PHQ9)
    ],
}
BY_NUMBER = items("q{n}")

WHOLE = {
    "LHC-Forms linkIds": response(items()),
    "bare codes": response(items("{code}")),
    "a path": response(items("/44249-1/{code}")),
    "with the number of a repetition": response(items("{code}.1")),
    "behind a name": response(items("phq9.{code}")),
    "in a group": response([{"linkId": "g", "item": items()}]),
    "a definition of LOINC": response(items("q{n}", definition="http://loinc.org/fhir/DataElement/{code}")),
    "LOINC's questionnaire": response(items(), questionnaire="http://loinc.org/q/44249-1"),
    "LOINC's questionnaire in some version": response(items(), questionnaire="http://loinc.org/q/44249-1|2.74"),
    "a contained questionnaire": response(BY_NUMBER, questionnaire="#q", contained=[CONTAINED]),
    "words": response(items(answer=lambda v: {"valueString": WORDS[v]})),
    "words in a coding without a code": response(items(answer=lambda v: {"valueCoding": {"display": WORDS[v]}})),
    "words behind their number": response(items(answer=lambda v: {"valueString": f"{v} - {WORDS[v]}"})),
    "words before their number": response(items(answer=lambda v: {"valueCoding": {"display": f"{WORDS[v]} (+{v})"}})),
    "German words with LOINC codes": response(items(answer=lambda v: {"valueCoding": foreign(v) | in_loinc(v)})),
    "an ordinal on the coding": response(items(answer=lambda v: {"valueCoding": foreign(v) | ordinal(v)})),
    "an ordinal on the answer": response(items(answer=lambda v: {"valueCoding": foreign(v)} | ordinal(v))),
    "a weight": response(items(answer=lambda v: {"valueCoding": foreign(v) | ordinal(v, "itemWeight")})),
    "an ordinal as integer": response(items(answer=lambda v: {"valueCoding": foreign(v) | whole_ordinal(v)})),
    "integers": response(items(answer=lambda v: {"valueInteger": v})),
    "decimals": response(items(answer=lambda v: {"valueDecimal": float(v)})),
    "quantities": response(items(answer=lambda v: {"valueQuantity": {"value": v}})),
    "with its total": response([*items(), {"linkId": "/44261-6", "answer": [{"valueDecimal": 6}]}]),
    "amended": response(items(), status="amended"),
    "a date only": response(items(), authored="2026-11-23"),
    "no date": response(items(), authored=None),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_phq9_is_read_and_its_item_9_alarms(name: str) -> None:
    assert alarms(WHOLE[name]) == ["phq9-item9"]
    assert totals(WHOLE[name]) == {"phq9": [6]}


def test_items_without_codes_are_known_by_the_publishers_wording() -> None:
    texts = [item["text"] for item in KNOWLEDGE.instruments["phq9"]["item"][:9]]
    sent = [
        item | {"text": f"{n}. {text.upper()}?"} for n, (item, text) in enumerate(zip(BY_NUMBER, texts, strict=True))
    ]
    assert alarms(response(sent)) == ["phq9-item9"]
    assert totals(response(sent)) == {"phq9": [6]}


@pytest.mark.parametrize("address", ["Questionnaire/q", "https://ehr.example/fhir/Questionnaire/q"])
def test_a_questionnaire_of_the_record_is_found_by_its_address(address: str) -> None:
    assert totals(CONTAINED, response(BY_NUMBER, questionnaire=address)) == {"phq9": [6]}


def test_linkids_of_another_form_are_not_ours() -> None:
    """Their i1 is our item 9: the code decides, not the name."""
    theirs = [item | {"linkId": f"i{n}"} for n, item in enumerate(reversed(CONTAINED["item"]), start=1)]
    sent = [{"linkId": f"i{n}", "answer": [{"valueInteger": int(n == 1)}]} for n in range(1, 10)]
    form = CONTAINED | {"url": "http://ehr.example/q", "item": theirs}
    assert alarms(form, response(sent, questionnaire="http://ehr.example/q")) == ["phq9-item9"]


# --- alarms from what is not whole ------------------------------------------------------------------------------------

OURS = "urn:adjunct:questionnaire:phq9|1"
ITEM_9 = "/44260-8"


def item_9(*answers: Json, link: str = ITEM_9) -> Json:
    return {"linkId": link, "answer": list(answers)}


EIGHT = items()[:8]
RAISED = {
    "item 9 alone": response([item_9(coding(1))]),
    "item 9 alone, in words nobody here knows": response([item_9({"valueCoding": {"display": GERMAN[1]}})]),
    "all items in words nobody here knows": response(items(answer=lambda v: {"valueString": GERMAN[v]})),
    "codes nobody here knows": response(items(answer=lambda v: {"valueCoding": {"code": f"at000{v}"}})),
    "above the highest answer": response([*EIGHT, item_9({"valueInteger": 4})]),
    "an attachment": response([*EIGHT, item_9({"valueAttachment": {"title": "scan"}})]),
    "stopped": response([item_9(coding(1))], status="stopped"),
    "in progress": response([item_9(coding(1))], status="in-progress"),
    "tomorrow": response(items(), authored="2026-11-24T09:00:00+01:00"),
    "two answers in a group": response([{"linkId": "g", "item": [*EIGHT, item_9(coding(0), coding(1))]}]),
    "two items in a group": response([{"linkId": "g", "item": [*EIGHT, item_9(coding(2)), item_9(coding(0))]}]),
    "under two names": response([item_9(coding(0), link="i9"), item_9(coding(2))], questionnaire=OURS),
    "ours, with linkIds that are not": response(items("q{n}"), questionnaire=OURS),
    "another item of the wrong shape": response([{"linkId": "/44250-9", "answer": "2"}, *items()[1:]]),
    "under a modifier": response([*EIGHT, item_9(coding(2)) | {"modifierExtension": [{"url": "x"}]}]),
    "LOINC's, half of it": response(items()[5:], questionnaire="http://loinc.org/q/44249-1"),
    "observed in words": observation("44260-8", valueString="Several days"),
    "observed in German": observation("44260-8", valueString=GERMAN[1]),
    "observed as true": observation("44260-8", valueBoolean=True),
    "observed under a modifier": observation("44260-8", valueInteger=0, modifierExtension=[{"url": "x"}]),
    "a component": observation("44249-1", component=[{"code": observation("44260-8")["code"], "valueInteger": 1}]),
    "a member inside": observation(
        "44249-1",
        hasMember=[{"reference": "#m"}],
        contained=[{**observation("44260-8", valueInteger=1), "id": "m"}],
    ),
}


@pytest.mark.parametrize("name", RAISED)
def test_an_answered_item_9_alarms_in_any_shape(name: str) -> None:
    assert alarms(RAISED[name]) == ["phq9-item9"]


NOT_RAISED = {
    "all zero": response(items(answers=[3] * 8 + [0])),
    "plainly no": response([*EIGHT, item_9({"valueBoolean": False})]),
    "left open": response(EIGHT, questionnaire=OURS),
    "observed as false": observation("44260-8", valueBoolean=False),
    "observed as absent": observation("44260-8", dataAbsentReason={"coding": [{"code": "asked-declined"}]}),
    "entered in error": response(items(), status="entered-in-error"),
}


@pytest.mark.parametrize("name", NOT_RAISED)
def test_what_is_no_answer_of_item_9_does_not_alarm(name: str) -> None:
    assert alarms(NOT_RAISED[name]) == []


def test_of_two_answers_neither_counts_and_a_contradicting_total_neither() -> None:
    assert totals(RAISED["two answers in a group"]) == {}
    (value,) = totals(response([*items(), {"linkId": "/44261-6", "answer": [{"valueInteger": 20}]}]))["phq9"]
    assert value != value


def test_a_code_and_words_that_contradict_each_other_are_no_answer() -> None:
    """Somebody counts from 1: their code 1 is not at all. Neither is believed, and somebody asks."""
    sent = response(items(answer=lambda v: {"valueCoding": {"code": str(v + 1), "display": WORDS[v]}}))
    assert totals(sent) == {}
    assert alarms(sent) == ["phq9-item9"]


def test_a_check_in_that_cannot_be_interpreted_alarms_and_one_in_groups_is_read() -> None:
    form = "urn:adjunct:questionnaire:check-in|1"
    code = {"system": "urn:adjunct:answer:check-in.suicide", "code": "no"}
    no: Json = {"linkId": "suicide", "answer": [{"valueCoding": code}]}
    yes = {"linkId": "suicide", "answer": [{"valueString": "yes"}]}
    assert alarms(response([no | {"modifierExtension": [{"url": "x"}]}], questionnaire=form)) == ["check-in"]
    assert alarms(response([{"linkId": "g", "item": [yes]}], questionnaire=form)) == ["check-in"]
    assert alarms(response([{"linkId": "g", "item": [no]}], questionnaire=form)) == []


# --- several instruments in one form ----------------------------------------------------------------------------------

SCREEN = [{"linkId": f"/{code}", "answer": [{"valueBoolean": True}]} for code in CSSRS.values()]


def test_a_screener_behind_a_phq9_is_read_as_well() -> None:
    found = alarms(response([*items(), *SCREEN]))
    assert "phq9-item9" in found
    said = {question: answer for event in found if isinstance(event, dict) for question, answer in event.items()}
    assert {q for q, answer in said.items() if answer == "yes"} == set(CSSRS)


def test_phq9_and_gad7_in_one_form_are_two_scores() -> None:
    gad = [i for i in KNOWLEDGE.instruments["gad7"]["item"] if not i.get("extra")]
    asked = [{"linkId": f"/{i['loinc']}", "answer": [coding(1)]} for i in gad]
    assert totals(response([*items(), *asked])) == {"phq9": [6], "gad7": [7]}


def test_a_phq9_that_lacks_an_item_is_neither_phq2_nor_silent() -> None:
    sent = response([item for n, item in enumerate(items()) if n != 4])
    assert recognised(sent, KNOWLEDGE, {}).whole == ()
    assert recognised(sent, KNOWLEDGE, {}).partly == ("phq9",)
    assert totals(sent) == {}
    assert "part of PHQ-9" in problems(sent)
    assert alarms(sent) == ["phq9-item9"]
    named = response(sent["item"], questionnaire="http://loinc.org/q/44249-1")
    assert totals(named) == {"phq9": [5.62]}  # 5 points in 8 items, prorated by the published rule


def test_the_official_example_asks_eight_items_and_is_said_to_lack_the_ninth() -> None:
    from fhir_corpora import examples_folder

    form = json.loads((examples_folder() / "Questionnaire-phq-9-questionnaire.json").read_text())
    asked = [item["linkId"] for item in form["item"] if item["type"] == "choice"]
    sent = response(
        [{"linkId": link, "answer": [coding(1)]} for link in asked[:8]], questionnaire=f"Questionnaire/{form['id']}"
    )
    assert totals(form, sent) == {"phq9": [9]}
    assert "item 9 (Thoughts of death or self-harm) was left open" in problems(form, sent)


# --- nothing without a word -------------------------------------------------------------------------------------------

SAID = {
    "items nobody knows": (response([{"linkId": "x1", "answer": [{"valueInteger": 3}]}]), "'x1'"),
    "an instrument of ours that there is not": (
        response([item_9(coding(1), link="i9")], questionnaire="urn:adjunct:questionnaire:phq99|1"),
        "'i9'",
    ),
    "another edition of ours": (response(items(), questionnaire="urn:adjunct:questionnaire:phq9|7"), "edition '7'"),
    "entered in error": (response(items(), status="entered-in-error"), "marked as entered in error"),
    "item 9 declined": (
        response([*EIGHT, {"linkId": ITEM_9, "extension": [{"url": f"{EXTENSION}/data-absent-reason"}]}]),
        "item 9 (Thoughts of death or self-harm) was left open",
    ),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_not_read_is_said(name: str) -> None:
    sent, said = SAID[name]
    assert said in problems(sent)


def test_our_own_forms_are_not_called_unknown() -> None:
    mood = response(
        [{"linkId": "mood", "answer": [{"valueInteger": 3}]}], questionnaire="urn:adjunct:questionnaire:check-in|1"
    )
    assert "not known here" not in problems(mood)


def test_a_coding_with_words_and_no_code_keeps_its_words() -> None:
    assert Codes.read({"display": "Several days"}).names == ("Several days",)
    assert Codes.read({"text": "Several days"}).names == ("Several days",)


# --- published --------------------------------------------------------------------------------------------------------


def test_a_record_that_names_its_resources_by_uuid_is_still_cited() -> None:
    name = "urn:uuid:7d9cbd1e-3b31-44b1-a1c5-1d86fa5e3f1{}"
    sent = {key: value for key, value in response(items()).items() if key != "id"}
    whole = bundle()
    whole["entry"] = [
        {"fullUrl": name.format(1), "resource": {"resourceType": "Patient"}},
        {"fullUrl": name.format(2), "resource": sent | {"subject": {"reference": name.format(1)}}},
    ]
    made = follow_up_to_fhir(adjunct.follow(whole, at=NOW, knowledge=KNOWLEDGE).to_dict(), patient_reference=None)
    cited = {"identifier": {"system": "urn:ietf:rfc:3986", "value": name.format(2)}}
    by_type = {e["resource"]["resourceType"]: e["resource"] for e in made["entry"]}
    assert by_type["RiskAssessment"]["basis"] == [cited]
    assert by_type["Observation"]["derivedFrom"] == [cited]


@pytest.mark.parametrize(
    "text",
    [
        {"item": 3},
        {"answers": 3},
        {"answers": {"severity": 3}},
        {"notice": 3},
        {"item": {"i1": 1}},
        {"item": {"i1": " "}},
    ],
)
def test_a_wording_of_the_wrong_kind_is_one_clear_error(text: Json) -> None:
    with pytest.raises(BadInput, match="words"):
        questionnaire(instrument(KNOWLEDGE, "madrs"), text=text)


# --- settings ---------------------------------------------------------------------------------------------------------

WRONG = [
    # settings, what the error names
    ({"cover": 1}, "settings.cover"),
    ({"cover": {"hours": 1}}, "settings.cover.hours"),
    ({"cover": {"hours": ["a"]}}, "settings.cover.hours"),
    ({"cover": {"hours": [{"day": "monday"}]}}, "opens is missing"),
    ({"cover": {"zone": 5}}, "settings.cover.zone"),
    ({"cover": {"chain": "abc"}}, "settings.cover.chain"),
    ({"cover": {"chain": [1]}}, "settings.cover.chain"),
    ({"cover": {"owners": {"prescriber": 1}}}, "settings.cover.owners"),
    ({"primary": 5}, "settings.primary"),
    ({"primary": "nope"}, "nope"),
    ({"checkins": "yes"}, "settings.checkins"),
    ({"variants": 3}, "settings.variants"),
    ({"variants": {"phq9": {"remission": 3}}}, "settings.variants.phq9.remission"),
    ({"variants": {"nope": {}}}, "nope"),
    ({"course": {"gain": True}}, "settings.course"),
    ({"course": {"gain": 0.5}}, "pace is missing"),
    ({"covers": {}}, "covers"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_wrong_setting_is_one_clear_error_with_its_place(settings: Json, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(settings, KNOWLEDGE)
    assert said in str(caught.value)
    assert "__init__" not in str(caught.value)


def test_dates_and_hours_as_toml_knows_them_are_settings() -> None:
    import tomllib

    given = tomllib.loads(
        '[cover]\nclosed = [2026-12-25]\nhours = [{day = "monday", opens = 08:00:00, closes = "17:00"}]'
    )
    found = checked(given, KNOWLEDGE)
    assert found["cover"] == {
        "closed": ["2026-12-25"],
        "hours": [{"day": "monday", "opens": "08:00", "closes": "17:00"}],
    }


@pytest.mark.parametrize("wrong", [{"settings": {"covers": {}}}, {"route": "by pigeon"}])
def test_a_wrong_option_does_not_keep_back_an_alarm(wrong: Json) -> None:
    with pytest.raises(BadInput) as caught:
        adjunct.follow(bundle(response(items())), at=NOW, country="US", knowledge=KNOWLEDGE, **wrong)
    assert caught.value.advice
    with pytest.raises(BadInput) as caught:
        adjunct.follow(bundle(response(items(answers=[1] * 8 + [0]))), at=NOW, knowledge=KNOWLEDGE, **wrong)
    assert not caught.value.advice


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _this_knowledge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adjunct, "_loaded", [KNOWLEDGE])


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(bundle(response(items()))))
    return path


def run(*arguments: object, words: bytes = b"") -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=words)


def test_a_file_name_as_text_is_said_to_be_one() -> None:
    with pytest.raises(BadInput, match="Path"):
        adjunct.follow("file.json")
    with pytest.raises(BadInput, match="not JSON: send"):
        adjunct.follow("no file")


def test_the_safety_plan_page_is_for_its_owner_only_and_replaces_nothing_half(record: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    assert run("safety-plan", record, "--at", NOW, "--page", page).exit_code == 0
    assert stat.S_IMODE(page.stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
    before = page.read_text()
    with pytest.raises(ZeroDivisionError), writing.written(page, "--page") as file:
        file.write(str(1 / 0))
    assert page.read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plan.html", "record.json"]


@pytest.mark.parametrize("target", ["", "no/plan.html"])
def test_a_page_that_cannot_be_written_is_one_clear_error(record: Path, tmp_path: Path, target: str) -> None:
    result = run("safety-plan", record, "--at", NOW, "--page", tmp_path / target)
    assert isinstance(result.exception, BadInput)
    assert "cannot be written" in str(result.exception)


def test_a_plot_replaces_no_other_table_and_the_answer_comes_all_the_same(record: Path, tmp_path: Path) -> None:
    table = tmp_path / "course.csv"
    table.write_text("id,at,what,value\n")
    result = run("follow", record, "--at", NOW, "--json", "--plot", tmp_path / "course.svg")
    assert isinstance(result.exception, BadInput)
    assert json.loads(result.stdout)["alerts"]
    assert table.read_text() == "id,at,what,value\n"
    table.unlink()
    for _ in range(2):  # its own earlier table it replaces
        assert run("follow", record, "--at", NOW, "--json", "--plot", tmp_path / "course.svg").exit_code == 0
    assert stat.S_IMODE((tmp_path / "course.svg").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR


def test_settings_that_cannot_be_read_keep_no_alarm_back(record: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("cover =")
    result = run("follow", record, "--at", NOW, "--country", "US", "--settings", tmp_path / "s.toml")
    assert isinstance(result.exception, BadInput)
    assert result.exception.advice


ROW = "a,1,2,1,0,2,1,0,0,1\n"
HEAD = "id," + ",".join(f"i{n}" for n in range(1, 10)) + "\n"


def test_a_table_is_not_replaced_by_its_own_answer(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(HEAD + ROW)
    with pytest.raises(BadInput, match="replace"):
        tables.score_table("phq9", table, table, form=None)
    assert table.read_text() == HEAD + ROW
    mine = tmp_path / "o.csv.part"
    mine.write_text("mine")
    tables.score_table("phq9", table, tmp_path / "o.csv", form=None)
    assert mine.read_text() == "mine"
    assert (tmp_path / "o.csv").read_text().splitlines()[1] == "a,8,mild,suicide_item,"


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST_LINE", 100)
    (tmp_path / "t.csv").write_text(HEAD + ROW + "x" * 101)
    with pytest.raises(BadInput, match="no table"):
        tables.score_table("phq9", tmp_path / "t.csv", tmp_path / "o.csv", form=None)
    assert not (tmp_path / "o.csv").exists()


def test_one_long_cell_does_not_make_every_cell_long(tmp_path: Path) -> None:
    import tracemalloc

    (tmp_path / "t.csv").write_text(HEAD + ROW * 2000 + f"b,{'x' * 100_000},0,0,0,0,0,0,0,0\n")
    tracemalloc.start()
    try:
        tables.score_table("phq9", tmp_path / "t.csv", tmp_path / "o.csv", form=None)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000  # 2000 cells of 100 kB each would be 800 MB
    finally:
        tracemalloc.stop()
    assert (tmp_path / "o.csv").read_text().splitlines()[-1].endswith(",i1")


def test_an_error_of_a_table_names_the_line_and_not_the_value(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,at,what,value\na,2026-11-01T09:00:00Z,phq9,suicidal\n")
    with pytest.raises(BadInput) as caught:
        tables.follow_table(tmp_path / "t.csv", tmp_path / "o.csv", at=NOW, level=None)
    assert "line 2" in str(caught.value)
    assert "suicidal" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "phq-9", "--table", "t.csv", "--out", "o.csv", "--json"),
        ("follow", "t.csv", "--out", "o.csv", "--country", "US"),
        ("follow", "t.csv", "--out", "o.csv", "--plot", "p.svg"),
        ("questionnaire", "check-in", "--labels"),
        ("questionnaire", "phq-9", "--labels", "--text", "t.toml"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(arguments: tuple[str, ...]) -> None:
    assert isinstance(run(*arguments).exception, BadInput)


def test_an_option_too_many_costs_nobody_an_alarm() -> None:
    result = run("score", "phq-9", "--answers", "1,2,1,0,2,1,0,0,1", "--out", "o.csv", "--json")
    assert result.exit_code == 0
    assert "suicide_item" in result.stdout


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_words_on_standard_input_are_read_in_the_encoding_they_come_in(encoding: str) -> None:
    result = run("triage", "-", "--json", words="Ich möchte mich töten".encode(encoding))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["level"] != "routine"
    assert json.loads(result.stdout)["hits"]


def test_a_special_file_is_written_to_as_it_is() -> None:
    writing.write(Path("/dev/null"), "page", "--page")
    assert not Path("/dev/null").is_file()


def test_a_cell_that_a_spreadsheet_would_run_is_made_inert() -> None:
    from adjunct.documents.course_table import _inert

    assert [_inert(cell) for cell in ("=1", " =1", "\t@x", "-x", "x=1")] == ["'=1", "' =1", "'\t@x", "'-x", "x=1"]


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    writing.write(tmp_path / "p.png", b"\x89PNG\r\n", "--plot")
    assert (tmp_path / "p.png").read_bytes() == b"\x89PNG\r\n"
