"""The knowledge itself, and a lint that must notice each way of breaking it.

`tests/cases/rule_ids.txt` names every rule with its version. After a reviewed change write it anew:
`python tests/test_knowledge.py`.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from adjunct.knowledge import Knowledge, lint, load, schema
from adjunct.knowledge.compiled import COLUMNS, FOLDER, SINGLE, TABLES, FileError, compile_knowledge, manifest, sealed

DATA = load.HERE / "data"
RULE_IDS = Path(__file__).parent / "cases" / "rule_ids.txt"
Content = dict[str, Any]
Break = Callable[[Content], object]


@cache
def content() -> Content:
    read: Content = orjson.loads(compile_knowledge(DATA))
    return read


@cache
def knowledge() -> Knowledge:
    return Knowledge(content())


# --- the edition ------------------------------------------------------------------------------------------------------


def test_the_knowledge_has_no_fault() -> None:
    steps: list[tuple[int, int]] = []
    assert lint.check(content(), progress=lambda done, total: steps.append((done, total))) == []
    assert steps[-1] == (len(content()["rules"]), len(content()["rules"]))


def rule_ids() -> str:
    return "".join(sorted(f"{rule['file']} {rule['id']}@{rule['version']}\n" for rule in content()["rules"]))


def test_no_rule_came_or_went_unnoticed() -> None:
    """Emptying a rule file, or raising a version in passing, shows here."""
    assert rule_ids().splitlines() == RULE_IDS.read_text(encoding="utf-8").splitlines(), (
        "rules changed: review them, then `python tests/test_knowledge.py`"
    )


def test_every_rule_file_holds_rules() -> None:
    files = {path.relative_to(DATA).as_posix() for path in (DATA / "rules").glob("*.toml")}
    assert files == {line.split()[0] for line in RULE_IDS.read_text(encoding="utf-8").splitlines()}
    assert files == {rule["file"] for rule in content()["rules"]}


@pytest.mark.parametrize("part", [*TABLES, *COLUMNS, "valuesets"])
def test_no_part_is_empty(part: str) -> None:
    assert content()[part]


def test_every_fact_that_code_asks_for_exists() -> None:
    asked = set()
    for path in load.HERE.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="number"), args=[ast.Constant(value=str(name))]):
                    asked.add(name)
    assert asked
    assert asked <= set(knowledge().facts)


def test_every_rule_is_cited_and_shown_by_cases_on_both_sides() -> None:
    for rule in knowledge().rule_list:
        assert rule.sources, rule.id
        assert {"no"} < {case["gives"] for case in rule.cases}, rule.id


def test_kratom_is_never_named_in_a_sentence_about_stopping() -> None:
    kratom = [s for s in knowledge().substances.values() if "kratom" in s.classes]
    assert kratom
    assert all(s.protected_stop for s in kratom)


# --- the schemas ------------------------------------------------------------------------------------------------------

KINDS = sorted({*schema.WHOLE.values(), *schema.ROWS.values()})


def test_there_is_one_schema_a_kind_of_file() -> None:
    assert sorted(path.stem for path in schema.HERE.glob("*.json")) == KINDS
    assert set(schema.WHOLE) == set(SINGLE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_valid_and_refuses_what_it_does_not_name(kind: str) -> None:
    faults = [e.message for e in schema.validator(kind).iter_errors({"smuggled": None})]
    assert faults


# --- what the lint must see -------------------------------------------------------------------------------------------

RULE: Content = {
    "id": "too-high",
    "version": 1,
    "title": "Too high",
    "says": "Do not start at {test.limit} or more.",
    "tell": "Your blood pressure is high. We wait.",
    "phase": ["pre-dose"],
    "for": ["ketamine"],
    "when": "latest(systolic, within='30 min') >= fact('test.limit')",
    "verdict": "DEFER",
    "severity": "high",
    "action": "defer",
    "kind": "condition",
    "about": "bp",
    "urgency": "today",
    "if_unknown": "defer",
    "ask": "Measure it.",
    "grade": "D",
    "status": "proposed",
    "sources": [{"id": "project-default", "locator": "test"}],
    "why": "A default.",
    "cases": [
        {"is": "below", "given": {"systolic": "159 mm[Hg], 10 min ago"}, "gives": "no"},
        {"is": "at", "given": {"systolic": "160 mm[Hg], 10 min ago"}, "gives": "yes"},
        {"is": "above", "given": {"systolic": "180 mm[Hg], 10 min ago"}, "gives": "yes"},
        {"is": "unknown", "given": {}, "gives": "unknown"},
    ],
    "file": "rules/test.toml",
}
FACT: Content = {
    "id": "test.limit",
    "value": 160,
    "unit": "mm[Hg]",
    "source": "project-default",
    "locator": "test",
    "grade": "D",
    "status": "proposed",
    "valid_from": "2026-11-21",
    "review_by": "2027-11-21",
    "file": "facts/test.toml",
}
CLAIM: Content = {
    "claim_id": "S9-99",
    "document": "test",
    "topic": "test",
    "kind": "fact",
    "claim": "It cures.",
    "grade": "D",
    "verdict": "unsupported",
    "correct_statement": "No trial was found.",
    "sources": "project-default",
    "verification": "test",
    "software_action": "none",
    "acts_on": "docs/reference/claims.md",
}


def little() -> Content:
    """The real content with one rule, one fact and one claim of our own: quick, and free to be broken."""
    whole = content()
    facts = [f for f in whole["facts"] if f["id"].startswith("load.weight.")]
    names = [{**whole["names"][0], "text": s["id"], "substance": s["id"]} for s in whole["substances"]]
    small = {**whole, "rules": [RULE], "facts": [*facts, FACT], "claims": [CLAIM], "names": names, "crisis_lines": []}
    small |= {"jurisdictions": [], "derive": {"derive": []}, "manifest": {}}
    small["concepts"] = [c for c in whole["concepts"] if c["kind"] != "derived"]
    return small


@cache
def baseline() -> frozenset[str]:
    return frozenset(lint.check(little()))


def faults_after(change: Break, *, as_of: str | None = None) -> list[str]:
    broken = little()
    for part in ("rules", "facts", "claims"):
        broken[part] = copy.deepcopy(broken[part])
    change(broken)
    return [line for line in lint.check(broken, as_of=as_of) if line not in baseline()]


def rule(**change: Any) -> Break:
    return lambda c: c["rules"][0].update(change)


def fact(**change: Any) -> Break:
    return lambda c: c["facts"][-1].update(change)


def without(part: str, key: str) -> Break:
    return lambda c: c[part][-1].pop(key)


def with_row(part: str, number: int, **change: Any) -> Break:
    def change_row(c: Content) -> None:
        rows = list(c[part])
        rows[number] = {**rows[number], **change}
        c[part] = rows

    return change_row


def case(number: int, **change: Any) -> Break:
    return lambda c: c["rules"][0]["cases"][number].update(change)


def only_cases(*numbers: int) -> Break:
    return lambda c: c["rules"][0].update(cases=[RULE["cases"][n] for n in numbers])


BREAKS: dict[str, tuple[Break, str]] = {
    "a value without a source": (without("facts", "source"), "test.limit: 'source' is a required property"),
    "a value with an empty source": (fact(source=""), "fact test.limit: source '' is not defined"),
    "an unresolved source": (fact(source="nobody"), "fact test.limit: source 'nobody' is not defined"),
    "an unresolved source of a rule": (rule(sources=[{"id": "nobody", "locator": "1"}]), "source 'nobody' is not"),
    "no source of a rule": (rule(sources=[]), "too-high: no source"),
    "a value surer than its source": (fact(status="verified"), "verified, but its source was not read"),
    "a rule surer than its sources": (rule(status="reported"), "reported, but every source of it"),
    "a locator left out": (fact(locator=""), "no locator"),
    "an unknown unit": (fact(unit="furlong"), "unknown unit 'furlong'"),
    "a unit that does not fit": (fact(unit="kg"), "does not measure this"),
    "no case at the limit": (only_cases(0, 2, 3), "cases must hold below, at, above and unknown"),
    "no unknown case": (only_cases(0, 1, 2), "cases must hold below, at, above and unknown"),
    "no cases": (only_cases(), "cases must hold below, at, above and unknown"),
    "cases that never hold": (
        lambda c: c["rules"][0].update(cases=[{**RULE["cases"][0], "is": i} for i in ("present", "absent", "unknown")]),
        "never show it holding",
    ),
    "a case that comes out otherwise": (case(1, gives="no"), "case 'at'"),
    "a limit that moved": (fact(value=170), "expected yes, came out no"),
    "a comparison turned round": (rule(when=RULE["when"].replace(">=", ">")), "case 'at'"),
    "a case of an unknown concept": (case(0, given={"sistolic": "1"}), "unknown concept 'sistolic'"),
    "a case with an unknown answer": (case(0, given={"consent": "perhaps"}), "neither a number with a unit nor"),
    "a case with an unknown substance": (case(0, given={"substance": "unobtainium"}), "is no substance"),
    "a case at no time": (case(0, given={"systolic": "159 mm[Hg], lately"}), "not a time"),
    "a set that nobody holds": (rule(when="any(substance, in_='no-such-set')"), "no such value set"),
    "an answer that is unknown": (rule(when="latest(consent) == 'perhaps'"), "'perhaps' is no answer of consent"),
    "an unknown concept": (rule(when="any(sistolic)"), "unknown concept 'sistolic'"),
    "an unknown fact": (rule(when="latest(systolic) >= fact('no.fact')"), "no fact 'no.fact'"),
    "a number in an expression": (rule(when="latest(systolic) >= 160"), "compare with fact('id')"),
    "an expression that does not parse": (rule(when="latest(systolic"), "not an expression"),
    "an unknown effect": (rule(when="load('telepathy') >= fact('test.limit')"), "no substance has the effect"),
    "a place that no fact fills": (rule(says="At {no.fact} or more, wait."), "the place {no.fact}, which no fact"),
    "a number in the prose": (rule(says="Do not start at 160 or more."), "says has the number '160'"),
    "a number in what the person reads": (rule(tell="Wait 30 minutes."), "tell has the number '30'"),
    "no sentence for the person": (rule(tell=""), "needs says (clinician) and tell (person)"),
    "a forbidden word": (rule(tell="This is safe."), "the wording 'safe' is never used"),
    "a forbidden word in a question": (rule(ask="Is it legal?"), "the wording 'legal' is never used"),
    "praise of kratom": (rule(tell="Kratom helps."), "'kratom helps' is never used"),
    "a rule beyond its grade": (rule(why="It is proven."), "'proven' says more than grade D allows"),
    "an unknown verdict": (rule(verdict="MAYBE"), "verdict: 'MAYBE' is not one of"),
    "an unknown action": (rule(action="ponder"), "action 'ponder' is not one of"),
    "an inform that decides": (rule(action="inform"), "an inform does not change the verdict"),
    "an emergency that does not escalate": (rule(action="emergency"), "'ESCALATE' was expected"),
    "an unknown phase": (rule(phase=["night"]), "unknown phase"),
    "an unknown treatment": (rule(**{"for": ["tea"]}), "unknown treatment"),
    "a long title": (rule(title="T" * 61), "is too long"),
    "a misspelt key": (rule(severty="high"), "'severty' was unexpected"),
    "a key left out": (without("rules", "grade"), "'grade' is a required property"),
    "a date that is none": (fact(review_by="next year"), "does not match"),
    "a rule that replaces nobody": (rule(instead_of=["nobody"]), "instead_of names the unknown rule 'nobody'"),
    "a rule that replaces itself": (
        lambda c: c["rules"][0].update(instead_of=[c["rules"][0]["id"]]),
        "instead_of comes round to the rule itself",
    ),
    "a name for an unknown set": (rule(involves=["no-such-set"]), "involves names the unknown set"),
    "an id used twice": (lambda c: c["facts"].append(copy.deepcopy(FACT)), "the id is also used in facts/test.toml"),
    "a claim beyond its grade": (
        with_row("claims", 0, correct_statement="It improves mood, no doubt."),
        "S9-99: 'improves' says more than grade D allows",
    ),
    "a claim of grade D without a doubt": (with_row("claims", 0, correct_statement="It is so."), "needs a word"),
    "a claim without a source": (with_row("claims", 0, sources=""), "S9-99: no source"),
    "a claim with an unknown source": (with_row("claims", 0, sources="nobody"), "source 'nobody' is not defined"),
    "a claim that nothing acts on": (with_row("claims", 0, acts_on=""), "says nowhere what the software does"),
    "a claim that acts on a lost file": (with_row("claims", 0, acts_on="rules/lost.toml"), "which does not exist"),
    "a claim that acts by a lost rule": (with_row("claims", 0, acts_on="rule:lost"), "the rule lost, which does not"),
    "a concept with a lost value set": (with_row("concepts", 0, codes="lost_set"), "no value set 'lost_set'"),
    "a concept with an unknown unit": (with_row("concepts", 0, unit="furlong"), "unknown unit 'furlong'"),
    "a concept without a question": (with_row("concepts", 0, ask=""), "no question that would fill it"),
    "a code of no concept": (with_row("valuesets", 0, set="orphan"), "belongs to no concept"),
    "a code of no system": (with_row("valuesets", 0, system="loinc"), "is no code system address"),
    "a substance with an unknown source": (with_row("substances", 0, sources=["nobody"]), "'nobody' is not defined"),
    "a substance without a source": (with_row("substances", 0, sources=[]), "no source"),
    "a combination of nothing": (with_row("substances", 0, components=["nothing"]), "unknown component 'nothing'"),
    "an effect of unknown weight": (
        with_row("substances", 0, effects=[{"tag": "sedative", "weight": "huge"}]),
        "'huge' is not one of",
    ),
    "a name of nothing": (with_row("names", 0, substance="nothing"), "unknown substance 'nothing'"),
    "a derived fact that nothing makes": (
        with_row("concepts", 1, kind="derived", id="made_by_nobody"),
        "derived, but nothing works it out",
    ),
    "a derivation of nothing": (
        lambda c: c.update(derive={"derive": [{"concept": "lost", "how": "mean", "of": ["systolic"]}]}),
        "derive.toml, lost: no such concept",
    ),
    "an unknown arithmetic": (
        lambda c: c.update(derive={"derive": [{"concept": "systolic", "how": "guess", "of": ["systolic"]}]}),
        "'guess' is not one of",
    ),
    "a forbidden word in composed text": (
        lambda c: c.update(wording={**c["wording"], "stop": {"all": "It is risk-free."}}),
        "wording.toml: the wording 'risk-free'",
    ),
}


def test_what_is_broken_below_was_whole_before() -> None:
    assert [line for line in baseline() if "test" in line or "S9-99" in line or "systolic" in line] == []


@pytest.mark.parametrize(("change", "line"), BREAKS.values(), ids=BREAKS)
def test_the_lint_sees(change: Break, line: str) -> None:
    found = faults_after(change)
    assert any(line in fault for fault in found), found


def test_a_fact_expires_by_the_date_that_is_asked_about() -> None:
    assert faults_after(fact(review_by="2027-11-21"), as_of="2027-11-21") == []
    found = faults_after(fact(review_by="2027-11-21"), as_of="2027-11-22")
    assert "facts/test.toml, fact test.limit: review_by 2027-11-21 is past (2027-11-22)" in found


def test_a_name_with_a_digit_is_no_number() -> None:
    reviewed = [re.compile(e["pattern"]) for e in content()["knowledge"]["lint_numbers"]["allow"]]
    assert lint.unfilled("PHQ-9 item 9, CYP3A4, 7-OH and a 12-lead ECG", reviewed) == []
    assert lint.unfilled("PHQ-9 above 9", reviewed) == ["9"]


def test_a_reviewed_pattern_has_a_reason_and_is_needed() -> None:
    texts = [r.get(k, "") for r in content()["rules"] for k in ("says", "tell", "why")]
    for entry in content()["knowledge"]["lint_numbers"]["allow"]:
        assert entry["why"]
        assert any(re.search(entry["pattern"], t) for t in texts), f"{entry['pattern']} is not used any more"


def test_a_lint_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jsonschema", None)
    assert list(schema.faults(little())) == [
        "the shapes were not checked: install jsonschema (part of the `test` extra)"
    ]


# --- loading is all or nothing ----------------------------------------------------------------------------------------


def copied(tmp_path: Path) -> tuple[Path, Path]:
    """A small knowledge folder on disk, and its compiled file."""
    data, compiled = tmp_path / "data", tmp_path / "knowledge.json"
    data.mkdir()
    (data / "a.toml").write_text("x = 1\n", encoding="utf-8")
    compiled.write_bytes(sealed(orjson.dumps({**content(), "manifest": manifest(data)})))
    return data, compiled


def test_the_same_files_load(tmp_path: Path) -> None:
    data, compiled = copied(tmp_path)
    assert Knowledge.load(data, compiled).version == knowledge().version


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data, compiled: (data / "a.toml").write_text("x = 2\n"), "a.toml is changed"),
        (lambda data, compiled: (data / "a.toml").unlink(), "a.toml is missing"),
        (lambda data, compiled: (data / "b.csv").write_text("x\n"), "b.csv is not part of this edition"),
        (lambda data, compiled: compiled.write_bytes(compiled.read_bytes()[:-1]), "missing or corrupt"),
        (lambda data, compiled: compiled.unlink(), "missing or corrupt"),
    ],
    ids=["changed", "missing", "added", "cut off", "not compiled"],
)
def test_a_different_file_is_refused(tmp_path: Path, harm: Callable[[Path, Path], object], said: str) -> None:
    data, compiled = copied(tmp_path)
    harm(data, compiled)
    with pytest.raises(load.Refused, match=said):
        Knowledge.load(data, compiled)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rules/test.toml", "[[rule]", "test.toml"),
        ("rules/test.toml", "[[fact]]\nid = 'x'\n", "expected only"),
        ("claims.csv", "a,b\n1\n", "wrong number of columns"),
    ],
    ids=["not TOML", "another table", "a short row"],
)
def test_a_file_that_does_not_parse_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    for file in (*(Path(FOLDER.get(n, "")) / f"{n}.toml" for n in SINGLE), *(Path(f"{n}.csv") for n in COLUMNS)):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("" if file.suffix == ".toml" else "a,b\n", encoding="utf-8")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=said):
        compile_knowledge(tmp_path)


if __name__ == "__main__":
    RULE_IDS.write_text(rule_ids(), encoding="utf-8")
