"""The rule book: every rule with its sentences, its expression, its evidence and the cases that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from adjunct.knowledge.book.markdown import anchor, cited, code, filled, link, listed, page, plain, table
from adjunct.knowledge.entries import NONE, TREATMENTS, Rule
from adjunct.knowledge.language import PHASES
from adjunct.knowledge.load import Knowledge

GIVES = {"yes": "holds", "no": "does not hold", "unknown": "unknown"}
SILENT = {"defer": "blocks until it is known", "ask": "asks", "ignore": "says nothing"}
CASES = ("case", "what is known", "phase", "comes out as")


def rules(knowledge: Knowledge) -> str:
    """Every rule, file by file."""
    by_file: dict[str, list[Rule]] = defaultdict(list)
    for rule in knowledge.rule_list:
        by_file[rule.file].append(rule)
    replaced = _replaced_by(knowledge)
    blocks = [_introduction(knowledge), _overview(by_file)]
    for file in sorted(by_file):
        blocks.append(f"## {anchor('file', stem(file))}{plain(_named(file))}")
        blocks.extend(_rule(rule, knowledge, replaced.get(rule.id, ())) for rule in by_file[file])
    return page("Rules", *blocks)


def stem(file: str) -> str:
    """The name of a rule file without folder and ending."""
    return PurePosixPath(file).stem


def _named(file: str) -> str:
    return stem(file).replace("_", " ").capitalize()


def _introduction(knowledge: Knowledge) -> str:
    certainty = knowledge.wording["certainty"]
    heads = ("word", "meaning")
    words = [(f"grade {g}", plain(m)) for g, m in certainty["grade"].items()]
    words += [(s.replace("_", " "), plain(m)) for s, m in certainty["status"].items() if "{" not in m]
    return (
        "A rule holds, does not hold, or stays unknown; an unknown never counts as a no. Each number in a sentence is "
        f"linked to the {link('fact', 'facts.md')} it comes from. Grades speak about the conclusion, the status about "
        "what was read.\n\n" + table(heads, words)
    )


def _overview(by_file: Mapping[str, Sequence[Rule]]) -> str:
    rows = [
        (
            link(code(r.id), "", "rule", r.id),
            plain(r.title),
            r.verdict.name if r.verdict else "",
            r.action,
            r.grade,
            r.status,
        )
        for file in sorted(by_file)
        for r in by_file[file]
    ]
    return table(("rule", "title", "verdict", "action", "grade", "status"), rows)


def _replaced_by(knowledge: Knowledge) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for rule in knowledge.rule_list:
        for other in rule.instead_of:
            found[other].append(rule.id)
    return found


def _rule(rule: Rule, knowledge: Knowledge, replaced_by: Sequence[str]) -> str:
    facts = listed(
        [
            f"**Clinician:** {filled(rule.says, knowledge)}",
            "**Person:** " + ("not shown" if rule.quiet else filled(rule.tell, knowledge)),
            f"**Asked when unknown:** {filled(rule.ask, knowledge)}" if rule.ask else "",
            f"**Why:** {filled(rule.why, knowledge)}" if rule.why else "",
            f"**Asked in:** {_phases(rule)}, for {_treatments(rule)}",
            f"**Comes to:** {_conclusion(rule)}",
            f"**When unknown:** {_when_unknown(rule)}",
            "**No override**" if rule.hard else "",
            f"**Certainty:** grade {rule.grade}, {rule.status}: {plain(certainty(rule, knowledge))}",
            f"**Sources:** {'; '.join(cited(s, knowledge) for s in rule.sources)}",
            f"**Disputed by:** {'; '.join(cited(s, knowledge) for s in rule.disputed)}" if rule.disputed else "",
            f"**Names only:** {', '.join(code(n) for n in rule.involves)}" if rule.involves else "",
            f"**Stands instead of:** {_links(rule.instead_of, knowledge)}" if rule.instead_of else "",
            f"**Gives way to:** {_links(replaced_by, knowledge)}" if replaced_by else "",
        ]
    )
    heading = f"### {anchor('rule', rule.id)}{plain(rule.title)}\n\n{code(f'{rule.id}@{rule.version}')}"
    return f"{heading}\n\n{facts}\n\n```python\n{rule.text}\n```\n\n{table(CASES, [_case(c) for c in rule.cases])}"


def certainty(rule: Rule, knowledge: Knowledge) -> str:
    """How sure a rule is, in the words that a finding uses."""
    words = knowledge.wording["certainty"]
    default = rule.status == "proposed" and any(s.id == "project-default" for s in rule.sources)
    status = words["status"]["proposed_project_default" if default else rule.status]
    return f"{words['grade'][rule.grade]}; {status}"


def _phases(rule: Rule) -> str:
    return "every phase" if rule.phase == frozenset(PHASES) else ", ".join(p for p in PHASES if p in rule.phase)


def _treatments(rule: Rule) -> str:
    known = {frozenset((*TREATMENTS, NONE)): "every question", frozenset(TREATMENTS): "every ketamine treatment"}
    return known.get(rule.treatments, ", ".join(t for t in (*TREATMENTS, NONE) if t in rule.treatments))


def _conclusion(rule: Rule) -> str:
    verdict = f"{code(rule.verdict.name)}, " if rule.verdict else ""
    about = f"{rule.kind} about {code(rule.about)}"
    return f"{verdict}severity {rule.severity}, action {code(rule.action)}, {about}, {rule.urgency}"


def _when_unknown(rule: Rule) -> str:
    answers = {p: SILENT.get(rule.if_unknown[p], rule.if_unknown[p]) for p in PHASES if p in rule.phase}
    if len(set(answers.values())) == 1:
        return next(iter(answers.values()))
    return "; ".join(f"{phase}: {answer}" for phase, answer in answers.items())


def _links(names: Iterable[str], knowledge: Knowledge) -> str:
    return ", ".join(link(code(n), "", "rule", n) if n in knowledge.rules else code(n) for n in names)


def _case(case: Mapping[str, Any]) -> tuple[str, ...]:
    given = "; ".join(code(f"{concept} = {_values(values)}") for concept, values in case["given"].items())
    return plain(case["is"]), given or "nothing", plain(case.get("phase", "")), GIVES.get(case["gives"], case["gives"])


def _values(values: Any) -> str:
    return " + ".join(str(v) for v in values) if isinstance(values, list) else str(values)
