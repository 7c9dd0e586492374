"""Record + knowledge -> Assessment. Every rule is weighed; the worst finding leads, the others are still listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from adjunct.assessment.exposure import exposures
from adjunct.assessment.gaps import open_questions
from adjunct.assessment.lines import contacts, law
from adjunct.assessment.result import ACTIONS, SEVERITIES, URGENCIES, Assessment, Cited, Finding, Gap, Reason
from adjunct.base import NO, UNKNOWN, YES, Verdict, worst
from adjunct.knowledge import Knowledge
from adjunct.knowledge.columns import Outcome
from adjunct.knowledge.entries import NONE, Locator, Rule
from adjunct.knowledge.language import EFFECT
from adjunct.record import Record

OF_SUBSTANCES = ("substance", "last_use", "allergy", "duplicate_substance")


class _Weighed(NamedTuple):
    """One rule's outcome over all readings of the record."""

    rule: Rule
    number: int
    fired: tuple[int, ...]  # the readings in which it holds
    is_open: bool


def assess(record: Record, knowledge: Knowledge, *, treatment: str) -> Assessment:
    """Weigh every rule in force for this treatment and phase over all that is known of one person."""
    outcome = knowledge.program(record.phase).run(record.events)
    weighed = _weigh(record.phase, treatment, knowledge, outcome)
    today = record.now.date()
    findings = [_finding(w, record, knowledge, outcome, treatment, today) for w in _leading(weighed)]
    legal, legal_gaps = law(record, knowledge)
    if legal:  # the dated row of the place says more than the note that laws differ
        findings = [f for f in findings if f.kind != "legal"]
    findings = sorted([*findings, *legal], key=_first_things_first)
    waiting = [(w.rule, w.number) for w in weighed if w.is_open]
    gaps = open_questions(waiting, record, knowledge, outcome, findings, legal_gaps)
    open_ = any(g.blocks for g in gaps)
    verdict = worst(Verdict[f.verdict] for f in findings)
    if open_:
        verdict = max(verdict, Verdict.CAUTION if record.phase == "during" else Verdict.DEFER)
    return Assessment(
        knowledge={"version": knowledge.version, "as_of": knowledge.as_of},
        question=treatment,
        phase=record.phase,
        verdict=verdict.name,
        complete=not open_,
        headline=_headline(verdict, findings, gaps, record, knowledge, treatment),
        findings=tuple(findings),
        gaps=tuple(gaps),
        contacts=contacts(record, knowledge, findings),
        at=record.now.iso(),
        patient=record.patient,
    )


def _weigh(phase: str, treatment: str, knowledge: Knowledge, outcome: Outcome) -> list[_Weighed]:
    """The rules in force that hold under some reading, or that are open and ask."""
    in_force, asks = knowledge.in_force(phase, treatment)
    truths = outcome.truths[in_force]
    strongest = truths.max(axis=1, initial=NO)
    speaking = np.flatnonzero((strongest == YES) | ((strongest == UNKNOWN) & asks))
    rules, alone = knowledge.rule_list, truths.shape[1] == 1
    weighed = []
    for number, row in zip(in_force[speaking].tolist(), truths[speaking].tolist(), strict=True):
        if alone:
            fired: tuple[int, ...] = (0,) if row[0] == YES else ()
        else:
            fired = tuple(person for person, truth in enumerate(row) if truth == YES)
        weighed.append(_Weighed(rules[number], number, fired, not fired))
    return weighed


def _leading(weighed: Sequence[_Weighed]) -> Iterator[_Weighed]:
    """The rules that hold and that no more specific one replaces, reading by reading.

    A rule that holds only if an ambiguous entry is one thing must not hide what is found if it is another.
    """
    replaced: dict[str, set[int]] = {}
    for w in weighed:
        for other in w.rule.instead_of if w.fired else ():
            replaced.setdefault(other, set()).update(w.fired)
    for w in weighed:
        left = tuple(person for person in w.fired if person not in replaced.get(w.rule.id, ()))
        if left:
            yield w if left == w.fired else w._replace(fired=left)


def _first_things_first(finding: Finding) -> tuple[int, ...]:
    """What to do first: the verdict it forces, then how soon, how strong, how severe."""
    return (
        -Verdict[finding.verdict],
        -URGENCIES.index(finding.urgency),
        -ACTIONS.index(finding.action),
        -SEVERITIES.index(finding.severity),
    )


# --- findings ---------------------------------------------------------------------------------------------------------


def _finding(
    w: _Weighed, record: Record, knowledge: Knowledge, outcome: Outcome, treatment: str, today: str
) -> Finding:
    rule = w.rule
    rows = dict.fromkeys(row for person in w.fired for row in outcome.because(w.number, person))
    reasons, text_only = _reasons(rows, record)
    involves = _involved(rows, rule, record, knowledge)
    fixed = _fixed(rule, knowledge)
    words = {"names": _and(knowledge, involves), "stop_sentence": stop_sentence(involves, knowledge)}
    return Finding(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        action=rule.action,
        kind=rule.kind,
        about=rule.about,
        urgency=rule.urgency,
        involves=involves,
        says=fixed.says.format_map(words),
        tell=fixed.tell.format_map(words),
        why=fixed.why.format_map(words),
        grade=rule.grade,
        status=rule.status,
        certainty=fixed.certainty + _overdue(rule, today, knowledge),
        sources=fixed.sources,
        disputed=fixed.disputed,
        because=reasons,
        rule=f"{rule.id}@{rule.version}",
        verdict=verdict_of(rule, record.phase, treatment, text_only=text_only).name,
        hard=rule.hard,
        lines=rule.lines,
        only_if=_only_if(w.fired, record),
        exposure=exposures(rule, involves, treatment, knowledge, record.intakes),
    )


class _Fixed(NamedTuple):
    """What a finding says whoever it is about; only names of substances are still to be filled in."""

    says: str
    tell: str
    why: str
    certainty: str
    sources: tuple[Cited, ...]
    disputed: tuple[Cited, ...]


@cache
def _fixed(rule: Rule, knowledge: Knowledge) -> _Fixed:
    words = {name: "{" + name + "}" for name in ("names", "stop_sentence")}
    by_default = any(s.id == "project-default" for s in rule.sources)
    return _Fixed(
        says=knowledge.say(rule.says, **words),
        tell="" if rule.quiet else knowledge.say(rule.tell, **words),
        why=knowledge.say(rule.why, **words),
        certainty=certainty(rule.grade, rule.status, knowledge, project_default=by_default),
        sources=tuple(_cited(s, knowledge) for s in rule.sources),
        disputed=tuple(_cited(s, knowledge) for s in rule.disputed),
    )


def verdict_of(rule: Rule, phase: str, treatment: str, *, text_only: bool) -> Verdict:
    """What one finding does to the verdict (design, section 5)."""
    own = rule.verdict or Verdict.ELIGIBLE
    about_treatment = NONE not in rule.treatments
    match rule.action:
        case "emergency":
            verdict = Verdict.ESCALATE
        case "contraindicated":
            verdict = max(own, Verdict.NOT_ELIGIBLE if about_treatment else Verdict.DEFER)
        case "avoid" | "defer" | "adjust" | "monitor":
            verdict = max(own, Verdict.CAUTION)
        case _:
            verdict = own
    if verdict is Verdict.NOT_ELIGIBLE and (treatment == NONE or text_only):
        verdict = Verdict.DEFER  # what was only matched by text asks; without a treatment nobody is ruled out of one
    if verdict is Verdict.DEFER and phase == "during":
        verdict = Verdict.CAUTION
    return verdict


def _reasons(rows: Iterable[int], record: Record) -> tuple[tuple[Reason, ...], bool]:
    sources = dict.fromkeys(int(record.events.source[row]) for row in rows)
    evidence = [record.evidence[s] for s in sources if s >= 0]
    reasons = dict.fromkeys(
        Reason(reference=e.reference, concept=e.concept, value=e.value, unit=e.unit, at=e.at) for e in evidence
    )
    return tuple(reasons), any(e.text_only for e in evidence)


def _involved(rows: Iterable[int], rule: Rule, record: Record, knowledge: Knowledge) -> tuple[str, ...]:
    """The substances among the rows that carried the rule."""
    events = record.events
    found = []
    for row in rows:
        concept = knowledge.concept_ids[events.concept[row]]
        if (concept in OF_SUBSTANCES or concept.startswith(EFFECT)) and events.code[row] >= 0:
            found.append(knowledge.code_ids[events.code[row]])
    names = dict.fromkeys(found)
    if rule.involves:
        wanted = frozenset().union(*(knowledge.sets[name] for name in rule.involves))
        names = {n: None for n in names if n in wanted}
    return tuple(names)


def _only_if(fired: Sequence[int], record: Record) -> tuple[Mapping[str, Any], ...]:
    """Which readings of ambiguous entries a finding depends on; empty when it holds under every reading."""
    if len(fired) == len(record.worlds):
        return ()
    depends = []
    for reference in record.worlds[0]:
        every = dict.fromkeys(world[reference] for world in record.worlds)
        here = dict.fromkeys(record.worlds[i][reference] for i in fired)
        if len(here) < len(every):
            depends.append({"reference": reference, "is": list(here)})
    return tuple(depends)


def stop_sentence(involves: Sequence[str], knowledge: Knowledge) -> str:
    """What a person reads about a contraindicated pair; what must not be stopped abruptly is never named."""
    texts = knowledge.wording["stop"]
    protected = [s for s in involves if knowledge.substances[s].protected_stop]
    others = [s for s in involves if s not in protected]
    if not others:
        return str(texts["pair_both_protected"])
    names = f" {texts['joiner']} ".join(knowledge.substances[s].name for s in others)
    return str(texts["pair_one_protected" if protected else "pair_none_protected"]).replace("{names}", names)


def certainty(grade: str, status: str, knowledge: Knowledge, *, project_default: bool = False) -> str:
    """How sure we are, in words."""
    words = knowledge.wording["certainty"]
    key = "proposed_project_default" if status == "proposed" and project_default else status
    return f"{words['grade'][grade]}; {words['status'][key]}"


def _overdue(rule: Rule, today: str, knowledge: Knowledge) -> str:
    """A number past its review date is still used, and shown as due."""
    if not rule.review_by or rule.review_by >= today:
        return ""
    text: str = knowledge.wording["certainty"]["status"]["due_for_review"]
    return "; " + text.replace("{review_by}", rule.review_by)


def _cited(locator: Locator, knowledge: Knowledge) -> Cited:
    source = knowledge.sources[locator.id]
    return Cited(
        id=source.id,
        citation=source.citation,
        locator=locator.locator,
        read_as=source.read_as,
        url=f"https://doi.org/{source.doi}" if source.doi else source.url,
        says=knowledge.say(locator.says),
    )


def _and(knowledge: Knowledge, substances: Sequence[str]) -> str:
    names = [knowledge.substances[s].name for s in substances]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


# --- headline ---------------------------------------------------------------------------------------------------------


def _headline(
    verdict: Verdict,
    findings: Sequence[Finding],
    gaps: Sequence[Gap],
    record: Record,
    knowledge: Knowledge,
    treatment: str,
) -> Mapping[str, str]:
    texts = knowledge.wording["headline"]
    groups = [texts["none"]] if treatment == NONE else [texts.get(record.phase, {}), texts["assess"]]
    chosen = next(group[verdict.name] for group in groups if verdict.name in group)
    leading = [f for f in findings if Verdict[f.verdict] == verdict and verdict]
    lead = "; ".join(f.title for f in leading)
    asks = [g.ask.rstrip(".") for g in gaps if g.blocks]
    urgency = max((f.urgency for f in leading), key=URGENCIES.index, default=URGENCIES[0])
    words = {
        "checked": checked(record, knowledge),
        "treatment": treatment,
        "lead": lead,
        "open": "; ".join(dict.fromkeys([part for part in (lead, *asks) if part])),
        "urgency": knowledge.wording["urgency"][urgency],
    }
    prefix = texts["incomplete_prefix"] if asks else ""
    return {side: prefix + knowledge.say(chosen[side], **words) for side in ("says", "tell")}


def checked(record: Record, knowledge: Knowledge) -> str:
    """What was looked at, counted in words."""
    taken = [i for i in record.intakes if not i.denied]
    events = record.events
    other = len({int(s) for s, p in zip(events.source, events.person, strict=True) if p == 0}) - len(taken)
    parts = [f"{len(taken)} substance{'s' * (len(taken) != 1)}", f"{max(other, 0)} other recorded facts"]
    return f"{' and '.join(parts)}, with {len(knowledge.rules)} rules of {knowledge.as_of}"
