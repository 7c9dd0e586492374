"""The picture of one person's course and its table twin: what is known, what is missing, what is only predicted."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import altair
import pytest

import adjunct
from adjunct.base import MS_PER_DAY, BadInput, instant
from adjunct.documents.course import BLACK, BLUE, ORANGE, SOFT, _Picture, described, draw
from adjunct.documents.course_table import Row, rows, table
from adjunct.followup import FollowUp
from adjunct.instruments.ratings import LeftOut, Measured
from bundles import LOCAL, NOW, SUBJECT, UCUM, knowledge, number, observation, person

SVG = "{http://www.w3.org/2000/svg}"
NOW_MS = instant(NOW).ms
CLINIC = {"cover": {"zone": "America/Chicago", "chain": ["Dr. Adams"]}}
Json = dict[str, Any]


def ago(days: float) -> str:
    return instant(NOW).__class__(NOW_MS - round(days * MS_PER_DAY), instant(NOW).offset).iso()


def score(concept: str, value: float | None, days: float, n: str = "") -> Json:
    found: Json = observation({"system": LOCAL, "code": concept}, ago(days))
    if value is None:
        found["dataAbsentReason"] = {"coding": [{"code": "not-performed"}]}
    else:
        found = number(concept, value, "{score}", ago(days))
    return {**found, "id": f"{concept.replace('_', '-')}-{days:g}{n}".replace(".", "-")}


def filled(days: float, answers: str) -> Json:
    """A PHQ-9 as it was filled in."""
    return {
        "resourceType": "QuestionnaireResponse",
        "id": f"qr-{days:g}",
        "status": "completed",
        "subject": SUBJECT,
        "authored": ago(days),
        "questionnaire": "urn:adjunct:questionnaire:phq9|1",
        "item": [{"linkId": f"i{n}", "answer": [{"valueInteger": int(a)}]} for n, a in enumerate(answers, start=1)],
    }


def dose(days: float) -> Json:
    return {
        "resourceType": "MedicationAdministration",
        "id": f"adm-{days:g}".replace(".", "-"),
        "status": "completed",
        "subject": SUBJECT,
        "effectiveDateTime": ago(days),
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": "ketamine"}], "text": "ketamine"},
        "dosage": {"route": {"text": "Intravenous"}, "dose": {"value": 40, "unit": "mg", "system": UCUM, "code": "mg"}},
    }


def medicine(substance: str, start: float, end: float | None = None) -> Json:
    period = {"start": ago(start)[:10]} | ({} if end is None else {"end": ago(end)[:10]})
    return {
        "resourceType": "MedicationStatement",
        "id": f"m-{substance}-{start:g}",
        "status": "active" if end is None else "completed",
        "subject": SUBJECT,
        "effectivePeriod": period,
        "medicationCodeableConcept": {"coding": [{"system": LOCAL, "code": substance}], "text": substance},
    }


def said(concept: str, days: float) -> Json:
    return {**observation({"system": LOCAL, "code": concept}, ago(days), valueBoolean=True), "id": f"o-{concept[:4]}"}


def followed(*resources: Mapping[str, Any], settings: Mapping[str, Any] = CLINIC, **more: Any) -> FollowUp:
    bundle = person(age=41, sex="F", extra=resources)
    return adjunct.follow(bundle, at=NOW, country="US", settings=settings, knowledge=knowledge(), **more)


SCORES = (
    (99, 18),
    (94, 15),
    (90, 12),
    (87, 9),
    (83, 7),
    (77, 6),
    (70, 4),
    (56, 4),
    (42, 5),
    (28, 6),
    (14, 9),
    (10, 14),
)
RECORD = (
    *(dose(d) for d in (98, 95, 91, 88, 84, 81, 56, 28)),
    *(score("phq9", v, d) for d, v in SCORES),
    score("phq9", None, 21),
    filled(3, "221122101"),
    *(score("gad7", v, d) for d, v in ((99, 14), (84, 9), (3, 10))),
    *(score("who5_percent", v, d) for d, v in ((99, 20), (3, 40))),
    medicine("sertraline", 400),
    medicine("fluoxetine", 300, 90),
    said("life_event", 40),
    said("kratom_reduced", 12),
    {**number("sleep_hours", 3.5, "h", ago(20)), "id": "sleep"},
)


@pytest.fixture(scope="module")
def person_() -> FollowUp:
    return followed(*RECORD)


@pytest.fixture(scope="module")
def svg(person_: FollowUp, tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    return drawn(person_, tmp_path_factory.mktemp("course"))


def drawn(result: FollowUp, folder: Path) -> ElementTree.Element:
    picture, _ = draw(result, folder / "f.svg")
    return ElementTree.fromstring(picture.read_text(encoding="utf-8"))


def words(svg: ElementTree.Element) -> list[str]:
    """Every line of every text."""
    return [line for node in svg.iter(f"{SVG}text") for line in node.itertext()]


def marks(svg: ElementTree.Element, role: str, **attributes: str) -> list[ElementTree.Element]:
    groups = [g for g in svg.iter(f"{SVG}g") if role in g.get("class", "").split()]
    paths = [path for group in groups for path in group.iter(f"{SVG}path")]
    return [p for p in paths if all(p.get(name.replace("_", "-")) == value for name, value in attributes.items())]


def listed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def of(result: FollowUp, kind: str) -> list[Row]:
    return [row for row in rows(result) if row.kind == kind]


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_it_is_named_for_who_cannot_see_it(svg: ElementTree.Element, person_: FollowUp) -> None:
    assert svg.get("role") == "img"
    title, desc = (child.text or "" for child in list(svg)[:2])
    assert (title, desc) == described(person_)
    assert title == "PHQ-9 and what stands beside, as of 21 Nov 2026 09:00 (America/Chicago)"
    assert "To act on: " in desc
    assert "PHQ-9: 18 before the first dose, 12 points on 18 Nov" in desc
    assert "sets no date by itself" in desc
    assert "graphics-" not in ElementTree.tostring(svg, encoding="unicode")  # one picture, not a hundred


def test_a_few_doses_have_a_line_each(svg: ElementTree.Element, person_: FollowUp) -> None:
    lines = [line for line in svg.iter(f"{SVG}line") if line.get("opacity") == str(SOFT)]
    assert len(lines) == len(of(person_, "dose")) == 8


def test_every_score_is_a_dot_and_no_line_joins_them(svg: ElementTree.Element, person_: FollowUp) -> None:
    circles = [p for p in marks(svg, "mark-symbol", fill=BLACK) if "A" in (p.get("d") or "")]
    key = 1
    assert len(circles) - key == len(of(person_, "score")) == len(SCORES) + 1 + 3 + 2
    assert marks(svg, "mark-line", stroke=BLACK) == []


def test_a_missing_score_is_marked_and_never_a_number(svg: ElementTree.Element, person_: FollowUp) -> None:
    (missing,) = of(person_, "missing")
    assert missing.value is None
    assert missing.note
    assert "Score missing" in words(svg)
    curve = [row.at for row in of(person_, "estimate")]
    assert missing.at not in curve  # no value was made up for it


def test_what_lies_after_today_is_set_apart_and_called_a_prediction(
    svg: ElementTree.Element, person_: FollowUp
) -> None:
    assert {"today", "prediction, no further dose", "prediction of the same, without a further dose"} <= set(words(svg))
    assert max(row.at for row in of(person_, "estimate")) <= NOW_MS
    assert min(row.at for row in of(person_, "prediction")) == NOW_MS
    dashes = {p.get("stroke-dasharray") or "" for p in marks(svg, "mark-line", stroke=BLUE)}
    assert dashes == {"1,0", "6,3", "2,2"}  # estimate, prediction, edges of its bands: told apart without colour


def test_the_expected_course_is_a_line_of_its_own_and_says_on_what_it_rests(
    svg: ElementTree.Element, person_: FollowUp
) -> None:
    (line,) = marks(svg, "mark-line", stroke=ORANGE)
    assert line.get("stroke-dasharray") == "10,4"
    assert "expected: ketamine infusions; published series; band 1 SD" in words(svg)
    expected = of(person_, "expected")
    path = person_.trajectory
    assert path is not None
    assert [row.value for row in expected] == [j.expected for j in path.judgements]
    assert all("crtce-mcintyre" in row.source for row in expected)
    assert ["beyond the published series" in row.note for row in expected] == [False] * 6 + [True] * 2


def test_thresholds_name_their_source(svg: ElementTree.Element, person_: FollowUp) -> None:
    found = {(row.of, row.what): row.source for row in of(person_, "threshold")}
    assert set(found) == {
        ("phq9", "remission: 4 or less"),
        ("phq9", "response: 9 or less"),
        ("phq9", "relapse, once well: 10 or more"),
        ("gad7", "remission: 7 or less"),
        ("gad7", "response: 7 or less"),
        ("who5", "target: 51 or more"),
    }
    assert all(found.values())
    assert {what for _, what in found} <= {text.partition(" project")[0] for text in words(svg)} | set(
        _first_lines(svg)
    )


def _first_lines(svg: ElementTree.Element) -> list[str]:
    """The first line of every text of several lines."""
    return [span.text or "" for node in svg.iter(f"{SVG}text") for span in list(node)[:1]]


def test_a_definition_that_the_clinic_chose_moves_the_line() -> None:
    chosen = {**CLINIC, "variants": {"phq9": {"remission": "below 10 (NHS recovery)"}}}
    found = [r.what for r in of(followed(score("phq9", 15, 3), settings=chosen), "threshold")]
    assert "remission: 9 or less" in found


def test_alarms_and_signals_have_words_not_colour_alone(svg: ElementTree.Element, person_: FollowUp) -> None:
    shown = words(svg)
    assert any(text.startswith("ACT: ") and "since" in text for text in shown)  # above the picture
    for row in (*of(person_, "alert"), *of(person_, "signal")):
        start = f"{row.of.upper()}: {row.what.removeprefix('Early warning: ')[:30]}"
        assert any(text.startswith(start) for text in shown), row
    (item,) = of(person_, "suicide-item")
    assert item.value == 1
    assert "Suicidal thoughts: item above 0" in shown


@pytest.mark.parametrize(
    "lane",
    [
        "Doses given", "Half of the gain may be lost (see below)", "sertraline", "fluoxetine",
        "Washout after fluoxetine", "Life event: yes", "Hours slept", "3.5 h", "Kratom or 7-OH cut down",
        "Withdrawal, acute", "Possible withdrawal",
    ],
)  # fmt: skip
def test_what_else_happened_is_a_lane_of_words(lane: str, svg: ElementTree.Element) -> None:
    assert lane in words(svg)


def test_the_review_is_information_and_no_schedule(svg: ElementTree.Element, person_: FollowUp) -> None:
    (review,) = of(person_, "review")
    assert review.unit == "d from now"
    assert "with half of the chance between" in review.note
    assert "it sets no date by itself" in " ".join(words(svg))


def test_the_other_instruments_stand_below_with_their_own_sense(svg: ElementTree.Element) -> None:
    titles = [[span.text for span in node] for node in svg.iter(f"{SVG}text") if len(node) > 1]
    assert ["GAD-7", "points, higher is worse"] in titles
    assert ["WHO-5", "points, higher is better"] in titles


def test_days_are_those_of_the_clinic() -> None:
    late = score("phq9", 15, 3 + 14 / 24)  # 17 November 19:00 in Chicago
    for zone, day, local in (
        ("America/Chicago", "17 Nov", "2026-11-17T19:00-06:00"),
        ("Asia/Tokyo", "18 Nov", "2026-11-18T10:00+09:00"),
    ):
        result = followed(late, settings={"cover": {"zone": zone}})
        assert f"15 points on {day}" in described(result)[1]
        assert [line["from"] for line in listed(table(result)) if line["kind"] == "score"] == [local]
        assert f"({zone})" in described(result)[0]


# --- little on record, and much ---------------------------------------------------------------------------------------


def test_no_dose_no_expectation(tmp_path: Path) -> None:
    result = followed(score("phq9", 15, 9), score("phq9", 14, 2))
    found = words(drawn(result, tmp_path))
    assert "No dose is on record: no course is expected." in found
    assert of(result, "expected") == of(result, "review") == []
    assert not any("expected:" in text for text in found)


def test_one_score_is_a_dot_with_what_can_be_said(tmp_path: Path) -> None:
    result = followed(score("phq9", 15, 3))
    drawn(result, tmp_path)
    (first, *_) = of(result, "estimate")
    assert first.band is not None
    assert first.band[0] < 15 < first.band[3]


def test_of_a_prediction_no_more_is_drawn_than_there_is_past(tmp_path: Path) -> None:
    """The day of the review may lie months ahead; the table has it all, the picture as much as has been."""
    result = followed(*(dose(d) for d in (50, 47, 43)), *(score("phq9", v, d) for d, v in ((51, 20), (40, 8), (2, 7))))
    path = result.trajectory
    assert path is not None
    far = replace(result, trajectory=replace(path, review=replace(path.review, day=150, why="")))
    drawn_until = _Picture(altair, far, rows(far)).until
    assert 45 < (drawn_until - NOW_MS) / MS_PER_DAY < 60
    assert max(row.at for row in of(far, "prediction")) > drawn_until


def test_without_a_course_the_scores_stand_and_the_reason_is_said(tmp_path: Path) -> None:
    result = followed(score("gad7", 15, 3), dose(5))
    found = words(drawn(result, tmp_path))
    assert any(text.startswith("No course: no total of PHQ-9") for text in found)
    assert "prediction, no further dose" not in found
    assert [row.value for row in of(result, "score")] == [15]


@pytest.mark.parametrize("record", [(), (dose(3),), (said("life_event", 3),)])
def test_without_any_score_it_says_so(record: tuple[Json, ...], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no score of any questionnaire is on record") as error:
        draw(followed(*record), tmp_path / "f.svg")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_only_missing_scores_are_still_drawn_as_missing(tmp_path: Path) -> None:
    result = followed(score("phq9", None, 5), score("phq9", None, 3))
    svg = drawn(result, tmp_path)
    assert [row.value for row in rows(result) if row.of == "phq9" and row.kind == "missing"] == [None, None]
    assert any(text.startswith("No course: ") for text in words(svg))


def test_scores_that_contradict_each_other_are_no_dots(tmp_path: Path) -> None:
    result = followed(score("phq9", 15, 3), score("phq9", 9, 3, "b"), score("phq9", 12, 9))
    path = result.trajectory
    assert path is not None
    assert [value for _, value in path.points] == [12]
    assert [row.value for row in of(result, "score")] == [12]
    assert [row.value for row in of(result, "conflict")] == [15, 9]
    assert "Scores that contradict each other" in words(drawn(result, tmp_path))


def test_a_score_of_the_future_is_not_used(tmp_path: Path) -> None:
    known = followed(score("phq9", 15, 3))
    tomorrow = NOW_MS + MS_PER_DAY
    course = replace(known.courses["phq9"], left_out=(LeftOut(reference="Observation/x", at=tomorrow, why="not yet"),))
    series = (*known.series["phq9"], Measured(tomorrow, 2, "Observation/x"))
    result = replace(known, series={"phq9": series}, courses={"phq9": course})
    assert [row.value for row in of(result, "score")] == [15]
    (future,) = of(result, "not-used")
    assert (future.value, future.note) == (2, "not yet")
    assert "Score not used" in words(drawn(result, tmp_path))


def test_a_long_course_stays_readable(tmp_path: Path) -> None:
    """200 scores, 60 doses, sleep every week: small dots, no line a dose, no words over words."""
    record = [dose(690 - n * 11.25) for n in range(60)]
    record += [score("phq9", 4 + n * 7 % 11, 705 - n * 3.5) for n in range(200)]
    record += [{**number("sleep_hours", 5, "h", ago(600 - n * 7)), "id": f"sl{n}"} for n in range(60)]
    svg = drawn(followed(*record), tmp_path)
    assert words(svg).count("5 h") < 5
    dots = [p for p in marks(svg, "mark-symbol", fill=BLACK) if "A" in (p.get("d") or "")]
    assert len(dots) >= 200
    assert [line for line in svg.iter(f"{SVG}line") if line.get("opacity") == str(SOFT)] == []
    assert (tmp_path / "f.svg").stat().st_size < 1_000_000


# --- the table --------------------------------------------------------------------------------------------------------


def test_the_table_has_every_mark_with_unit_and_source(person_: FollowUp) -> None:
    lines = listed(table(person_))
    assert Counter(line["kind"] for line in lines) == Counter(row.kind for row in rows(person_))
    for line in lines:
        if line["value"]:
            assert line["unit"], line
            assert line["source"], line
    scores = [line for line in lines if line["kind"] == "score" and line["of"] == "phq9"]
    assert [float(line["value"]) for line in scores] == [*(v for _, v in SCORES), 12]
    assert scores[-1]["source"].startswith("QuestionnaireResponse/")


def test_the_table_has_the_curves_of_the_model(person_: FollowUp) -> None:
    path = person_.trajectory
    assert path is not None
    lines = listed(table(person_))
    for kind, curve in (
        ("estimate", path.smoothed),
        ("prediction", path.forecast),
        ("predicted-score", path.coming_score),
    ):
        mine = [line for line in lines if line["kind"] == kind]
        for column, wanted in (("value", curve.middle), ("low95", curve.low95), ("high50", curve.high50)):
            assert [float(line[column]) for line in mine] == pytest.approx(list(wanted), rel=1e-5, abs=1e-5)


def test_no_cell_is_a_formula(person_: FollowUp) -> None:
    wild = [Row(kind="dose", of="context", what='=HYPERLINK("x")', at=NOW_MS, source="@x", note="+1")]
    (line,) = listed(table(person_, wild))
    assert (line["what"], line["source"], line["note"]) == ('\'=HYPERLINK("x")', "'@x", "'+1")


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_png_is_a_png_with_the_same_table(person_: FollowUp, tmp_path: Path) -> None:
    picture, twin = draw(person_, tmp_path / "f.png")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert twin.read_text(encoding="utf-8") == table(person_)


@pytest.mark.parametrize("missing", ["altair", "vl_convert"])
def test_without_the_extra_the_message_says_what_to_install(
    missing: str, person_: FollowUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadInput, match=rf"plots need {missing}: install adjunct\[plots\]"):
        draw(person_, tmp_path / "f.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["f.bmp", "f", ".svg"])
def test_another_kind_of_picture_is_refused(name: str, person_: FollowUp, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"written as \.svg or \.png"):
        draw(person_, tmp_path / name)


@pytest.mark.parametrize("where", ["no-such-folder/f.svg", "folder.png"])
def test_a_place_that_cannot_be_written_is_named(where: str, person_: FollowUp, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(BadInput, match="cannot be written") as error:
        draw(person_, tmp_path / where)
    assert where in str(error.value)


def test_words_of_a_record_cannot_break_the_picture(tmp_path: Path) -> None:
    hostile = {
        **medicine("sertraline", 40),
        "medicationCodeableConcept": {"text": "sertraline </text><script>x</script>"},
    }
    result = followed(score("phq9", 15, 3), hostile)
    text = ElementTree.tostring(drawn(result, tmp_path), encoding="unicode")
    assert not re.search(r"<[a-z0-9:]*script", text)
