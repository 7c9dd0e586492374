"""`adjunct score`, `questionnaire`, `follow`, `safety-plan`, `triage` as people and programs meet them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adjunct.base import AdjunctError
from adjunct.cli import app

Json = dict[str, Any]
DANA = "examples/dana-course.json"
AT = ("--at", "2026-11-22T09:00:00-06:00")


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given)


def answered(*arguments: str, given: str | None = None) -> Json:
    done = run(*arguments, "--json", given=given)
    assert done.exit_code == 0, (done.stderr, done.exception)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def refused(*arguments: str) -> AdjunctError:
    done = run(*arguments)
    assert isinstance(done.exception, AdjunctError), (done.stdout, done.exception)
    assert "\n" not in str(done.exception)
    return done.exception


# --- score ------------------------------------------------------------------------------------------------------------


def test_the_item_nine_alarm_is_raised_whatever_the_total_is() -> None:
    found = answered("score", "phq-9", "--answers", "1,2,1,0,2,1,0,0,1")
    assert (found["total"], found["band"]) == (8, "mild")
    assert found["alerts"] == ["suicide_item"]
    assert found["says"][0]["tell"]


@pytest.mark.parametrize("text", ["1,1,1,1,0,1,0,0,-", "1;1;1;1;0;1;0;0;-", " 1, 1,1,1,0,1,0,0,"])
def test_answers_may_stand_with_commas_or_semicolons_and_gaps(text: str) -> None:
    found = answered("score", "PHQ9", "--answers", text)
    assert found["missing"] == ["i9"]
    assert found["total"] == pytest.approx(5.625, abs=0.01)
    assert "suicide_item_missing" in found["alerts"]
    assert "prorated" in found["alerts"]


def test_a_wrong_number_of_answers_is_refused_and_still_tells_what_they_call_for() -> None:
    error = refused("score", "phq-9", "--answers", "1,1,1,1,0,1,0,3")
    assert "9" in str(error)
    assert refused("score", "phq-9", "--answers", "0,0,0,0,0,0,0,0,0,0,3").advice  # read from both ends


def test_an_unknown_instrument_names_what_comes_close() -> None:
    assert "PHQ-9" in str(refused("score", "phq-8", "--answers", "1")) or "phq9" in str(
        refused("score", "phq-8", "--answers", "1")
    )


def test_another_edition_is_refused_by_both_names() -> None:
    assert "2" in str(refused("score", "phq-9", "--answers", "1,1,1,1,0,1,0,0,0", "--version", "2"))


@pytest.mark.parametrize("more", [(), ("--answers", "1", "--table", "t.csv"), ("--table", "t.csv")])
def test_score_asks_for_one_person_or_a_table_with_a_place_to_go(more: tuple[str, ...]) -> None:
    assert "--answers" in str(refused("score", "phq-9", *more)) or "--out" in str(refused("score", "phq-9", *more))


def test_a_score_as_fhir_refers_to_its_answers() -> None:
    done = run("score", "phq-9", "--answers", "1,2,1,0,2,1,0,0,1", "--fhir", *AT, "--patient", "Patient/7")
    resources = [e["resource"] for e in json.loads(done.stdout)["entry"]]
    response = next(r for r in resources if r["resourceType"] == "QuestionnaireResponse")
    (total,) = [r for r in resources if r["resourceType"] == "Observation" and r.get("derivedFrom")]
    assert total["derivedFrom"][0]["reference"].endswith(response["id"])
    assert total["valueQuantity"]["value"] == 8
    assert total["subject"]["reference"] == "Patient/7"


def test_incomplete_answers_as_fhir_have_a_reason_instead_of_a_value() -> None:
    done = run("score", "phq-9", "--answers", "1,2,-,-,-,1,0,0,1", "--fhir", *AT)
    resources = [e["resource"] for e in json.loads(done.stdout)["entry"]]
    (total,) = [r for r in resources if r["resourceType"] == "Observation" and r.get("derivedFrom")]
    assert "valueQuantity" not in total
    assert total["dataAbsentReason"]


# --- tables -----------------------------------------------------------------------------------------------------------

HEAD = "id,i1,i2,i3,i4,i5,i6,i7,i8,i9\n"


def scored(tmp_path: Path, text: str) -> list[Json]:
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(text, encoding="utf-8")
    done = run("score", "phq-9", "--table", str(table), "--out", str(out))
    assert done.exit_code == 0, done.exception
    return list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))


def test_a_table_is_scored_row_by_row_as_one_person_is(tmp_path: Path) -> None:
    rows = ["a,1,2,1,0,2,1,0,0,1", "b,3,3,3,3,3,3,3,3,3", "c,-,,1,1,1,1,1,1,0", "d,1,1,9,x,1,1,1,1,2"]
    found = scored(tmp_path, HEAD + "\n".join(rows) + "\n")
    for row, line in zip(found, rows, strict=True):
        one = answered("score", "phq-9", "--answers", line.partition(",")[2])
        assert row["total"] == ("" if one["total"] is None else f"{one['total']:g}") or float(
            row["total"]
        ) == pytest.approx(one["total"], abs=0.01)
        assert row["band"] == ("" if one["total"] is None else one["band"])
        assert "suicide_item" in one["alerts"] or "suicide_item" not in row["alerts"]
        assert row["not_read"].split() == one["refused"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("id,i1\na,1\n", "9 answers"), (HEAD + "a,1,2\n", "line 2"), ("", "9 answers")],
    ids=["too narrow", "a short row", "empty"],
)
def test_a_table_that_does_not_fit_is_refused_and_nothing_is_written(tmp_path: Path, text: str, said: str) -> None:
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(text, encoding="utf-8")
    assert said in str(refused("score", "phq-9", "--table", str(table), "--out", str(out)))
    assert not list(tmp_path.glob("out*"))


def test_a_table_says_how_many_alarm_even_where_it_is_refused(tmp_path: Path) -> None:
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(HEAD + "a,1,2,1,0,2,1,0,0,1\nb,0,0,0,0,0,0,0,0,0\n", encoding="utf-8")
    assert "1 raise an alarm" in run("score", "phq-9", "--table", str(table), "--out", str(out)).stderr
    rows = "a,1,2,1,0,2,1,0,0,1\n" * 50_000
    table.write_text(HEAD + rows + "b,0\n", encoding="utf-8")
    error = refused("score", "phq-9", "--table", str(table), "--out", str(out))
    assert "50000 rows" in error.advice[0]


COURSE = """id,at,what,value
a,2026-08-01T09:00:00Z,phq9,20
a,2026-08-03T09:00:00Z,dose,iv
a,2026-08-06T09:00:00Z,phq9,14
b,2026-08-01T09:00:00Z,phq9,18
b,2026-08-09T09:00:00Z,phq9,
"""


def test_many_courses_go_into_one_table(tmp_path: Path) -> None:
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(COURSE, encoding="utf-8")
    done = run("follow", str(table), "--out", str(out), "--at", "2026-08-10T09:00:00Z")
    assert done.exit_code == 0, done.exception
    first, second = csv.DictReader(io.StringIO(out.read_text(encoding="utf-8")))
    assert (first["id"], second["id"]) == ("a", "b")
    assert float(first["low95"]) < float(first["severity"]) < float(first["high95"])
    assert second["gain"] == ""  # nobody knows a gain before a dose


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,when\n", "columns"),
        (COURSE + "a,2026-08-09T09:00:00Z,phq9,3\n", "together"),
        (COURSE + "c,2026-08-09,phq9,3\n", "instant"),
        (COURSE + "c,2026-08-09T09:00:00Z,phq9,low\n", "not a score"),
    ],
    ids=["other columns", "a person apart", "no time", "no number"],
)
def test_a_table_of_courses_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text(text, encoding="utf-8")
    assert said in str(refused("follow", str(table), "--out", str(out), "--at", "2026-08-10T09:00:00Z"))
    assert not list(tmp_path.glob("out*"))


# --- questionnaires ---------------------------------------------------------------------------------------------------


def test_a_free_instrument_is_a_questionnaire_with_its_wording() -> None:
    found = json.loads(run("questionnaire", "phq-9").stdout)
    assert found["item"][0]["text"].startswith("Little interest")
    assert found["code"][0]["code"] == "44249-1"
    assert found["item"][0]["answerOption"][3]["extension"][0]["valueDecimal"] == 3
    assert found["copyright"]


def test_wording_that_is_not_free_is_refused_and_labels_are_offered(tmp_path: Path) -> None:
    assert "--text" in str(refused("questionnaire", "madrs"))
    labels = json.loads(run("questionnaire", "madrs", "--labels").stdout)
    assert len([i for i in labels["item"] if i["type"] == "choice"]) == 10
    own = tmp_path / "madrs.toml"
    own.write_text('notice = "(c) ours"\n[item]\n' + "".join(f'i{n} = "Wording {n}"\n' for n in range(1, 11)))
    loaded = json.loads(run("questionnaire", "madrs", "--text", str(own)).stdout)
    assert (loaded["item"][9]["text"], loaded["copyright"]) == ("Wording 10", "(c) ours")
    own.write_text('[item]\ni1 = "Wording"\n')
    assert "i2" in str(refused("questionnaire", "madrs", "--text", str(own)))


def test_without_a_name_all_instruments_are_listed() -> None:
    said = run("questionnaire").stdout
    assert "phq9" in said
    assert "madrs" in said


# --- triage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("he does not wake up", "emergency"),
        ("no se despierta", "emergency"),
        ("il ne se réveille pas", "emergency"),
        ("sie wacht nicht auf", "emergency"),
        ("my pee is dark and my eyes are yellow", "same-day"),
        ("thank you, see you on Tuesday", "none"),
    ],
)
def test_a_message_gets_its_level_in_four_languages(text: str, level: str) -> None:
    assert answered("triage", text)["level"] == level


def test_a_message_may_come_from_standard_input() -> None:
    assert answered("triage", "-", given="I have chest pain")["level"] == "emergency"


def test_nothing_found_is_no_all_clear() -> None:
    found = answered("triage", "thank you, see you on Tuesday")
    assert found["flags"] == []
    assert "no assessment" in found["tell"].lower() or "not" in found["tell"].lower()


def test_a_language_that_is_not_spoken_still_answers_with_the_advice() -> None:
    error = refused("triage", "I have chest pain", "--language", "tlh")
    assert "en" in str(error)
    assert error.advice


# --- follow and the safety plan ---------------------------------------------------------------------------------------


def test_a_course_is_followed_from_a_record() -> None:
    found = answered("follow", DANA, *AT, "--country", "US")
    assert found["courses"]["phq9"]["latest"]["value"] == 13
    assert {a["id"].partition(":")[0] for a in found["alerts"]} >= {"risk", "phq9"}
    assert found["surveillance"]["exposure"]["doses"] == 9


def test_a_course_is_drawn_with_its_table_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "course.svg"
    done = run("follow", DANA, *AT, "--plot", str(target), "--json")
    assert done.exit_code == 0, done.exception
    assert target.read_text(encoding="utf-8").startswith("<svg")
    assert target.with_suffix(".csv").is_file()


def test_the_safety_plan_is_one_command_away(tmp_path: Path) -> None:
    said = run("safety-plan", DANA, *AT, "--country", "US").stdout
    assert "988" in said
    page = tmp_path / "plan.html"
    done = run("safety-plan", DANA, *AT, "--country", "US", "--page", str(page))
    assert done.exit_code == 0, done.exception
    assert "<script" not in page.read_text(encoding="utf-8")
    assert len(answered("safety-plan", DANA, *AT)["versions"]) == 2


def test_two_answers_at_once_are_refused() -> None:
    assert "--json" in str(refused("score", "phq-9", "--answers", "1,1,1,1,1,1,1,1,1", "--json", "--fhir"))
