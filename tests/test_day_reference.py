"""The page about the treatment day: everything that is in the knowledge is on it, and every link leads somewhere."""

from __future__ import annotations

import json
import re

import pytest

from adjunct.devices.faults import Row
from adjunct.documents import day_reference
from adjunct.session.events import json_schema
from adjunct.session.model import Phase
from bundles import knowledge

ROWS = (
    Row(id="a", title="nothing", runs=3, hours=2.0, grave=1, mild=4, silent=2),
    Row(id="b", title="no pulse", runs=3, shown=3, at_once=1, late=1, never=1),
)


KNOWLEDGE = knowledge()


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return day_reference.pages(KNOWLEDGE, day_reference.Faults(7, ROWS, ROWS))


@pytest.fixture(scope="module")
def page(pages: dict[str, str]) -> str:
    return pages["treatment-day.md"]


LISTED = (
    ("events", "type"),
    ("alarms", "sign"),
    ("monitoring", "check"),
    ("readiness", "item"),
    ("readiness", "setting"),
    ("discharge", "item"),
    ("scenarios", "scenario"),
    ("stock", "entry"),
    ("forms", "form"),
)


@pytest.mark.parametrize(("part", "kind"), LISTED)
def test_everything_stands_on_the_page(part: str, kind: str, page: str) -> None:
    own = ("internal", "hidden")  # not for anybody who writes a log
    entries = [entry["id"] for entry in KNOWLEDGE.content[part][kind] if not any(entry.get(key) for key in own)]
    assert entries
    assert [name for name in entries if f"`{name}`" not in page] == []


def test_every_phase_is_explained() -> None:
    assert list(day_reference.PHASES) == list(Phase)


def test_every_alarm_has_its_row_its_first_actions_and_its_source(page: str) -> None:
    for alarm in KNOWLEDGE.content["alarms"]["alarm"]:
        assert f"(#alarm-{alarm['id']})" in page, "no row"
        block = page.split(f'<a id="alarm-{alarm["id"]}"></a>')[1].split("\n#")[0]
        assert block.count("\n1. ") == 1, "no first action"
    limits = page.split("### Limits")[1].split("###")[0]
    conditions = KNOWLEDGE.content["alarms"]["condition"]
    assert len(re.findall(r"^\| .+ \| (?:verified|reported|proposed): .+ \|$", limits, re.MULTILINE)) == len(conditions)


def test_every_criterion_of_the_gate_says_whose_it_is(page: str) -> None:
    gate = page.split('## <a id="of-discharge"></a>')[1].split("###")[0]
    for criterion in KNOWLEDGE.content["discharge"]["criterion"]:
        for rule in criterion.get("rules", [criterion["title"]]):
            assert rule in gate, rule


def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    places = set(re.findall(r'<a id="([^"]+)">', page))
    assert [to for to in re.findall(r"\]\(#([^)]+)\)", page) if to not in places] == []


def test_no_number_is_left_unfilled(page: str) -> None:
    assert re.findall(r"`\{[a-z_0-9]+\.[^}]*\}`", page) == []


def test_the_schema_beside_it_is_the_one_that_events_are_read_by(pages: dict[str, str]) -> None:
    assert json.loads(pages[day_reference.SCHEMA]) == json_schema(KNOWLEDGE)


def test_the_fault_table_hides_no_failure(page: str) -> None:
    assert "came late or never: **2**" in page
    assert "| no pulse | 3 | 3 | 1 | 1 | 1 | 0.0 |  |  |  |" in page, "nothing was heard: no rate, not a rate of zero"
    assert "| nothing | 3 | 0 | 0 | 0 | 0 | 2.0 | 0.5 | 2.0 | 1.0 |" in page


def test_as_many_sessions_as_there_are_pairs() -> None:
    content = KNOWLEDGE.content["scenarios"]
    assert day_reference.runs(KNOWLEDGE) == len(content["danger"]) * len(content["trouble"])
