"""Knowledge that is missing, altered or out of date: a refusal that names the file, and help all the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import adjunct
from adjunct.assessment.result import Contact
from adjunct.base import AdjunctError, Refused
from adjunct.knowledge import Knowledge
from adjunct.knowledge.load import HERE
from bundles import NOW, cssrs, knowledge, person

ADJUNCT = str(Path(sys.executable).parent / "adjunct")
DATA_FILES = sorted(p.relative_to(HERE / "data").as_posix() for p in (HERE / "data").rglob("*") if p.is_file())
LATER = "2040-01-01T09:00:00+00:00"
EMERGENCY = "If somebody is in danger now, call your local emergency number"
ASKED = ("check", "sertraline 50 mg", "phenelzine 45 mg", "--at", NOW)
Edition = tuple[Path, Path]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was when these tests began."""
    knowledge()
    target = tmp_path_factory.mktemp("original") / "adjunct"
    shutil.copytree(HERE.parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: links, so a file must be replaced and never written into."""
    target = tmp_path / "package" / "adjunct"
    shutil.copytree(original, target, copy_function=os.link)
    return target


@pytest.fixture
def edition(package: Path) -> Edition:
    """Its knowledge: the files people write, and the compiled one."""
    return package / "knowledge" / "data", package / "knowledge" / "knowledge.json"


def replace(path: Path, change: Callable[[bytes], bytes]) -> None:
    content = change(path.read_bytes()) if path.exists() else change(b"")
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def refusal(data: Path, compiled: Path) -> str:
    with pytest.raises(Refused) as caught:
        Knowledge.load(data=data, compiled=compiled)
    assert caught.value.exit_code == 3
    return str(caught.value)


# --- the files that people write --------------------------------------------------------------------------------------


def test_an_untouched_copy_loads(edition: Edition) -> None:
    assert Knowledge.load(*edition).version == knowledge().version


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_missing_or_changed_file_is_refused_by_name(edition: Edition, name: str) -> None:
    path = edition[0] / name
    for change, state in (
        (lambda text: text + b"\n", "changed"),
        (lambda text: text[:-1], "changed"),
        (lambda _: b"", "changed"),
    ):
        whole = path.read_bytes()
        replace(path, change)
        said = refusal(*edition)
        assert name in said
        assert state in said
        replace(path, lambda _, whole=whole: whole)
    path.unlink()
    said = refusal(*edition)
    assert name in said
    assert "missing" in said


@pytest.mark.parametrize("name", ["extra.toml", "rules/extra.toml", "facts/deeper/extra.toml", "valuesets/extra.csv"])
def test_a_file_that_nobody_compiled_is_refused_by_name(edition: Edition, name: str) -> None:
    replace(edition[0] / name, lambda _: b"")
    said = refusal(*edition)
    assert name in said
    assert "not part of this edition" in said


def test_a_renamed_file_is_refused(edition: Edition) -> None:
    (edition[0] / "sets.toml").rename(edition[0] / "stes.toml")
    assert "sets.toml" in refusal(*edition)


def test_without_any_data_nothing_is_answered(edition: Edition) -> None:
    shutil.rmtree(edition[0])
    assert "missing" in refusal(*edition)


# --- the compiled file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 2, 100, 0.25, 0.5, 0.9, -1], ids=str)
def test_a_truncated_compiled_file_is_refused(edition: Edition, kept: float) -> None:
    replace(edition[1], lambda text: text[: int(kept * len(text)) if 0 < kept < 1 else int(kept)])
    assert "knowledge.json" in refusal(*edition)


@pytest.mark.parametrize(
    "content",
    [b"null", b"[]", b"{}", b'"x"', b'{"manifest": null}', b'{"manifest": []}', b'{"manifest": {}}', b"\x00" * 64],
)
def test_another_file_in_its_place_is_refused(edition: Edition, content: bytes) -> None:
    replace(edition[1], lambda _: content)
    refusal(*edition)


def test_a_missing_compiled_file_is_refused(edition: Edition) -> None:
    edition[1].unlink()
    assert "knowledge.json" in refusal(*edition)


def test_a_single_flipped_bit_anywhere_is_refused(edition: Edition) -> None:
    """Also where the text stays JSON: one bit makes 160 of 161, and nobody would see it in an answer."""
    dice, whole, accepted = random.Random(7), edition[1].read_bytes(), []
    for _ in range(40):
        place, bit = dice.randrange(len(whole)), dice.randrange(8)
        replace(edition[1], lambda _, p=place, b=bit: whole[:p] + bytes([whole[p] ^ 1 << b]) + whole[p + 1 :])
        try:
            Knowledge.load(*edition)
        except Refused:
            continue
        accepted.append(whole[place - 20 : place + 20])
    assert accepted == []


def test_an_altered_threshold_in_the_compiled_file_is_refused(edition: Edition) -> None:
    def loosened(text: bytes) -> bytes:
        content = json.loads(text)
        fact = next(f for f in content["facts"] if f["id"] == "bp.defer.systolic")
        fact["value"] += 100
        return json.dumps(content).encode()

    replace(edition[1], loosened)
    assert "knowledge.json" in refusal(*edition)


# --- compiling is all or nothing --------------------------------------------------------------------------------------

BROKEN = [
    ("rules/pairs.toml", lambda text: text + b"\n[[rule\n", "pairs.toml"),
    ("facts/core.toml", lambda text: b"\xff" + text, "core.toml"),
    ("names.csv", lambda text: text + b"one,two\n", "names.csv"),
    ("knowledge.toml", lambda _: None, "knowledge.toml"),
    ("rules/pairs.toml", lambda text: text.replace(b'when = "', b'when = "nothing_known(', 1), "pairs.toml"),
    ("sets.toml", lambda text: text + b'\n[[set]]\nid = "x"\nmembers = ["no-such-substance"]\n', "no-such-substance"),
]


@pytest.mark.parametrize(
    ("name", "damage", "named"), BROKEN, ids=["toml", "utf-8", "columns", "missing", "rule", "set"]
)
def test_a_broken_file_leaves_the_compiled_one_as_it_was(
    edition: Edition, name: str, damage: Callable[[bytes], Any], named: str
) -> None:
    data, compiled = edition
    before, path = compiled.read_bytes(), data / name
    damaged = damage(path.read_bytes())
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    with pytest.raises(AdjunctError, match=named):
        Knowledge.compile(data, compiled)
    assert compiled.read_bytes() == before
    assert [p.name for p in compiled.parent.iterdir() if p.suffix == ".tmp"] == []
    refusal(data, compiled)


def test_compiling_after_an_edit_makes_a_new_edition(edition: Edition) -> None:
    data, compiled = edition
    replace(data / "knowledge.toml", lambda text: text + b"\n# an edit\n")
    refusal(data, compiled)
    compiled.unlink()
    made = Knowledge.compile(data, compiled)
    assert made.version != knowledge().version
    assert Knowledge.load(data, compiled).version == made.version


# --- through the command ----------------------------------------------------------------------------------------------


def run(package: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR")}
    variables = {**kept, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([ADJUNCT, *arguments], input=given, capture_output=True, text=True, env=variables, timeout=60)


def refused(done: subprocess.CompletedProcess[str], *named: str) -> None:
    """Exit 3, one line that names the file, the emergency advice, and nothing like an answer."""
    assert "Traceback" not in done.stderr
    assert done.returncode == 3, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for name in named:
        assert name in done.stderr
    assert EMERGENCY in done.stdout
    assert "verdict" not in done.stdout
    assert "contraindicated" not in done.stdout.casefold()


def test_the_copied_package_is_what_answers(package: Path) -> None:
    done = run(package, *ASKED, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "contraindicated"


@pytest.mark.parametrize("name", ["rules/pairs.toml", "crisis_lines.csv", "substances/antidepressants.toml"])
def test_a_removed_data_file_is_exit_3_with_help(package: Path, name: str) -> None:
    (package / "knowledge" / "data" / name).unlink()
    refused(run(package, *ASKED), name, "missing", "reinstall")


@pytest.mark.parametrize("form", ["--json", "--fhir"])
def test_a_program_that_asks_gets_the_refusal_too(package: Path, form: str) -> None:
    (package / "knowledge" / "knowledge.json").unlink()
    refused(run(package, *ASKED, form), "knowledge.json")


def test_no_command_answers_on_altered_knowledge(package: Path, tmp_path: Path) -> None:
    replace(package / "knowledge" / "data" / "names.csv", lambda text: text + b"\n")
    record = json.dumps(person(age=40))
    refused(run(package, "assess", "-", "--for", "none", "--at", NOW, given=record), "names.csv", "changed")
    refused(run(package, "knowledge", "book", "--out", str(tmp_path)), "names.csv", "changed")
    done = run(package, "demo")
    assert done.returncode == 3
    assert "names.csv" in done.stderr
    assert run(package, "--help").returncode == 0


@pytest.mark.parametrize("name", ["ucum.csv", "ucum_aliases.csv"])
def test_a_missing_table_of_units_is_exit_3(package: Path, name: str) -> None:
    (package / name).unlink()
    done = run(
        package, "assess", "-", "--for", "none", "--at", NOW, given=json.dumps(person(measures={"systolic": 120}))
    )
    if done.returncode:
        refused(done)
    else:  # not needed for this record, so nothing was weighed without it
        assert name == "ucum_aliases.csv"


def test_a_broken_rule_file_stops_the_compiler_with_its_name_and_the_old_edition_stays(package: Path) -> None:
    compiled = package / "knowledge" / "knowledge.json"
    before = compiled.read_bytes()
    replace(package / "knowledge" / "data" / "rules" / "pairs.toml", lambda text: text + b"\n[[rule\n")
    refused(run(package, "knowledge", "compile"), "pairs.toml")
    assert compiled.read_bytes() == before


# --- out of date ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["US-TX", "US-AL"])
def test_an_expired_law_row_is_told_as_expired_and_says_nothing_of_the_law(place: str) -> None:
    now, later = (
        adjunct.check(["kratom powder 2 g"], jurisdiction=place, at=at, knowledge=knowledge()) for at in (NOW, LATER)
    )
    assert [f for f in now.findings if f.id.startswith("law-")]
    assert [f for f in later.findings if f.id.startswith("law-")] == []
    gaps = [g for g in later.gaps if g.fact.startswith("law")]
    assert gaps
    assert all(g.blocks and "too old" in g.why for g in gaps)
    assert not later.complete
    assert "incomplete" in later.headline["says"].casefold()


def test_an_expired_law_row_of_today_is_not_shown_either() -> None:
    rows = [
        r for r in knowledge().content["jurisdictions"] if r["topic"] == "legal-status" and "kratom" in r["substance"]
    ]
    old = [r["code"] for r in rows if r["review_by"] < NOW[:10] and len(r["code"]) == 2]
    assert old
    for code in old[:10]:
        said = adjunct.check(["kratom powder 2 g"], jurisdiction=code, at=NOW, knowledge=knowledge())
        assert [f.id for f in said.findings if f.id.startswith("law-")] == []
        assert any(g.blocks for g in said.gaps if g.fact.startswith("law"))


COUNTRIES = ["US", "GB", "DE", "ES", ""]


def lines(country: str, at: str) -> dict[str, Contact]:
    found = adjunct.check(["sertraline", "phenelzine"], country=country, at=at, knowledge=knowledge()).contacts
    return {c.name: c for c in found}


@pytest.mark.parametrize("country", COUNTRIES)
def test_expired_lines_say_so_and_an_emergency_number_stays(country: str) -> None:
    review = {
        r["name"]: r["review_by"] for r in knowledge().content["crisis_lines"] if r["country_code"] in (country, "INT")
    }
    for at in (NOW, LATER):
        said = lines(country, at).values()
        assert any(c.purpose == "emergency" and c.contact in c.text for c in said)
        for contact in said:
            assert contact.expired is (review[contact.name] < at[:10]), contact
            assert not contact.expired or f"as of {contact.as_of}" in contact.text
    assert all(c.expired for c in said)


def test_an_old_line_does_not_read_like_a_current_one() -> None:
    compared = 0
    for country in COUNTRIES:
        now, later = lines(country, NOW), lines(country, LATER)
        for name in now.keys() & later.keys():
            if not now[name].expired:
                compared += 1
                assert later[name].text != now[name].text
    assert compared


def test_an_expired_crisis_line_is_still_shown_beside_a_suicide_finding() -> None:
    facts = cssrs(LATER, q1=True, q2=True, q3=True, q4=True, q5=True, q6=True, q6_recent=True)
    bundle = person(age=30, extra=facts, at=LATER)
    result = adjunct.assess(bundle, treatment="ketamine-iv", at=LATER, country="US", knowledge=knowledge())
    assert result.verdict == "ESCALATE"
    lines = [c for c in result.contacts if c.purpose == "suicide"]
    assert lines
    assert all(c.expired for c in lines)
    assert all("911" in c.text for c in lines)


def test_the_linter_judges_expiry_by_the_date_it_is_given(package: Path) -> None:
    done = run(package, "knowledge", "check", "--as-of", "2040-01-01")
    assert done.returncode == 3
    assert "is past (2040-01-01)" in done.stdout
