"""A protocol as FHIR R4: one PlanDefinition, an ActivityDefinition for each kind of act, and its settings.

| in the protocol | becomes |
|---|---|
| goals | `goal`, measured by an instrument |
| a phase of so many visits | an action group; each visit follows the one before, within its window (`offsetRange`) |
| a phase that goes on | one action with its rhythm (`timingTiming`) |
| a choice between phases, `when` of an entry | `condition` of kind applicability |
| prerequisites, tasks, reviews | actions before or after the visits, each with its ActivityDefinition |
| stops and missed visits | actions with a named event as trigger: a clinician decides, nothing happens by itself |
| settings | parameters of a Library, with default, bounds, source and how sure |

No dosage stands in any of them: what label or trial says is text for clinicians.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adjunct.base import convert
from adjunct.instruments import instrument
from adjunct.knowledge import Knowledge
from adjunct.planning.model import Setting
from adjunct.planning.protocols import (
    LAST,
    Entry,
    Missed,
    Phase,
    PhaseFact,
    Prerequisite,
    Protocol,
    Review,
    Stop,
    Task,
    bounds,
    words,
)
from adjunct.publish.frame import KNOWLEDGE, LIBRARY_TYPE, Frame, Json, coding, sentences
from adjunct.publish.questionnaire import UCUM, number

PROTOCOL = "urn:adjunct:protocol"
PLAN_TYPE = "http://terminology.hl7.org/CodeSystem/plan-definition-type"
RULES = "text/x-adjunct-rule"
ENGLISH = "en"
ACTORS = {"person": "patient", "supporter": "related-person"}  # every other owner is a practitioner
PROPOSED = "this project's default"


def protocol_to_fhir(
    known: Protocol,
    knowledge: Knowledge,
    *,
    now_iso: str,
    values: Mapping[str, Setting] | None = None,
    language: str = ENGLISH,
    software_version: str | None = None,
) -> Json:
    """A protocol, with a clinic's settings if given, as a collection Bundle. `now_iso` needs its offset."""
    return _Export(known, values or known.settings, knowledge, language).bundle(now_iso, software_version)


class _Export:
    """One protocol with its settings on its way into FHIR."""

    def __init__(self, known: Protocol, values: Mapping[str, Setting], knowledge: Knowledge, language: str) -> None:
        self.known, self.values, self.knowledge, self.language = known, values, knowledge, language
        self.words = words(values, knowledge)
        self.url = f"{PROTOCOL}:{known.id}"
        self.activities: dict[str, Json] = {}

    def bundle(self, now: str, software: str | None) -> Json:
        content = [self.known.id, self.known.version, {n: [s.value, s.clinic] for n, s in self.values.items()}]
        self.frame = Frame.of(
            [*content, self.language],
            now=now,
            patient=None,
            knowledge=self.knowledge.version,
            as_of=self.knowledge.as_of,
            software=software,
        )
        plan = self.plan()
        return self.frame.bundle([plan, self.settings(), *self.activities.values()])

    def plan(self) -> Json:
        known, title = self.known, self.person(self.known.title)
        return self.frame.start("PlanDefinition", "plan", title) | {
            "url": self.url,
            "version": str(known.version),
            "name": "".join(part.capitalize() for part in known.id.split("-")),
            "title": title,
            "type": {"coding": coding(PLAN_TYPE, "clinical-protocol", "Clinical Protocol")},
            "status": "active",
            "experimental": False,
            "publisher": "Adjunct",
            "description": self.person(known.says),
            "usage": self.say(known.clinician),
            "library": [f"{KNOWLEDGE}|{self.knowledge.version}", f"{self.url}:settings"],
            "relatedArtifact": [self.citation(source) for source in self.sources()],
            "goal": [
                {
                    "id": goal.id,
                    "description": {"text": self.person(goal.title)},
                    "target": [{"measure": {"text": instrument(self.knowledge, goal.measure).title}}],
                }
                for goal in known.goals
            ],
            "action": [
                *map(self.phase, known.phases),
                *map(self.prerequisite, known.prerequisites),
                *map(self.task, known.tasks),
                *map(self.review, known.reviews),
                *(self.event("stop", stop, {"prescriber"}) for stop in known.stops),
                *(self.event("missed", rule, {rule.owner}) for rule in known.missed),
            ],
        }

    # --- visits -------------------------------------------------------------------------------------------------------

    def phase(self, phase: Phase) -> Json:
        made = self.action(phase.id, self.person(phase.title), "", {phase.owner})
        if phase.only_if:
            made["condition"] = [_condition(f"{phase.only_if[0]} = '{phase.only_if[1]}'")]
        activity = self.activity("visit", phase.id, "Appointment", self.person(phase.title), self.visit_text(phase))
        if phase.visits is None:
            assert phase.until is not None  # the schema: a number of visits, or an end
            made |= {"definitionCanonical": activity, "relatedAction": self.follows(phase, 1)}
            gap, end = (self.values[name] for name in (phase.gaps[0], phase.until))
            repeat = {"boundsDuration": _quantity(end), "frequency": 1, "period": number(gap.value)}
            return made | {"timingTiming": {"repeat": repeat | {"periodUnit": gap.unit}}}
        count = round(float(self.values[phase.visits].value))
        made["action"] = [
            self.action(
                _visit(phase, n), f"{self.person(phase.title)} ({n}/{count})", self.facts(phase, n), {phase.owner}
            )
            | {"definitionCanonical": activity, "relatedAction": self.follows(phase, n)}
            for n in range(1, count + 1)
        ]
        return made

    def follows(self, phase: Phase, n: int) -> list[Json]:
        """What a visit comes after, and within which days; the first visit of a course comes after nothing."""
        name = phase.lead if n == 1 else phase.gaps[(n - 2) % len(phase.gaps)]
        if name is None:
            return []
        phases = self.known.phases
        before = self.last(phases[phases.index(phase) - 1]) if n == 1 else _visit(phase, n - 1)
        related = {"actionId": before, "relationship": "after-start"}
        gap, early, late = (self.days(x) for x in (name, phase.early, phase.late))
        return [related | {"offsetRange": {"low": _days(gap - early), "high": _days(gap + late)}}]

    def last(self, phase: Phase) -> str:
        return phase.id if phase.visits is None else _visit(phase, round(float(self.values[phase.visits].value)))

    def visit_text(self, phase: Phase) -> str:
        """What holds for every visit of a phase."""
        lengths = {"dose or session": phase.duration, "stay after it, at least": phase.observe}
        lengths |= {"since the last dose, at least": phase.least_gap}
        said = [f"{title.capitalize()}: {self.words[name]}." for title, name in lengths.items() if name]
        return sentences([*said, *(self.fact(fact) for fact in phase.facts if not fact.visits)])

    def facts(self, phase: Phase, n: int) -> str:
        return sentences(self.fact(fact) for fact in phase.facts if n in fact.visits)

    def fact(self, fact: PhaseFact) -> str:
        only = f" If {fact.when}:" if fact.when else ""
        return f"{self.say(fact.title)}:{only} {self.say(fact.says)} ({self.basis(fact)})"

    # --- around the visits --------------------------------------------------------------------------------------------

    def prerequisite(self, rule: Prerequisite) -> Json:
        each = "before every visit" if rule.each == "visit" else "once, before the first visit"
        title = self.person(rule.title)
        made = self.action(f"before.{rule.id}", title, f"Done {each}. {self.basis(rule)}", {rule.owner}, rule.when)
        targets = [p.id for p in self.known.phases] if rule.each == "visit" else [self.known.phases[0].id]
        offset = _quantity(self.values[rule.due])
        made["relatedAction"] = [
            {"actionId": id_, "relationship": "before-start", "offsetDuration": offset} for id_ in targets
        ]
        return made | {"definitionCanonical": self.activity("before", rule.id, "Task", title, f"Done {each}.")}

    def task(self, rule: Task) -> Json:
        title = self.person(rule.title)
        each = "after every visit" if rule.after == "visit" else "counted from the first visit"
        made = self.action(f"task.{rule.id}", title, f"Done {each}. {self.basis(rule)}", {rule.owner}, rule.when)
        due = _quantity(self.values[rule.due])
        offset: Json = {"offsetDuration": due}
        if rule.opens is not None:
            low, high = (convert(self.values[x].value, self.values[x].unit, "d") for x in (rule.opens, rule.due))
            offset = {"offsetRange": {"low": _days(low), "high": _days(high)}}
        relation = "after-end" if rule.after == "visit" else "after-start"
        targets = [p.id for p in self.known.phases] if rule.after == "visit" else [self.known.phases[0].id]
        made["relatedAction"] = [{"actionId": id_, "relationship": relation} | offset for id_ in targets]
        if rule.every is not None:
            every = self.values[rule.every]
            repeat = {"frequency": 1, "period": number(every.value), "periodUnit": every.unit}
            made["timingTiming"] = {"repeat": repeat}
        return made | {"definitionCanonical": self.activity("task", rule.id, "Task", title, f"Done {each}.")}

    def review(self, rule: Review) -> Json:
        said = f"{self.say(rule.says)} ({self.basis(rule)})"
        made = self.action(f"review.{rule.id}", self.say(rule.title), said, {rule.owner})
        if "time" in rule.after:
            at = self.values[rule.after["time"]]
            related = {"actionId": self.known.phases[0].id, "relationship": "after-start"}
            made["relatedAction"] = [related | {"offsetDuration": _quantity(at)}]
            if rule.repeating:
                made["timingTiming"] = {
                    "repeat": {"frequency": 1, "period": number(at.value), "periodUnit": at.unit},
                }
        else:
            phase = next(p for p in self.known.phases if p.id == rule.after["phase"])
            visit = rule.after["visit"]
            id_ = self.last(phase) if visit == LAST else _visit(phase, visit)
            made["relatedAction"] = [{"actionId": id_, "relationship": "after-end"}]
        title = self.say(rule.title)
        return made | {"definitionCanonical": self.activity("review", rule.id, "Task", title, self.say(rule.says))}

    def event(self, kind: str, rule: Stop | Missed, owners: set[str]) -> Json:
        """A stop rule or a missed visit: what a clinician is told when it happens."""
        said = f"{self.say(rule.says)} ({self.basis(rule)})"
        made = self.action(f"{kind}.{rule.id}", self.say(rule.title), said, owners)
        made["textEquivalent"] = self.person(rule.tell)
        if isinstance(rule, Missed):
            made["trigger"] = [{"type": "named-event", "name": "visit-missed"}]
            made["condition"] = [_condition(text) for text in self.missed_when(rule)]
        else:
            made["trigger"] = [{"type": "named-event", "name": name} for name in rule.rules or (rule.id,)]
        return made

    def missed_when(self, rule: Missed) -> Iterator[str]:
        if rule.phases:
            yield f"phase in ({', '.join(rule.phases)})"
        if rule.worse != "any":
            yield f"worse = {rule.worse}"
        for sign, name in ((">", rule.gap_above), ("<=", rule.gap_upto)):
            if name:
                yield f"time since the last dose {sign} {self.words[name]}"
        if rule.count:
            yield f"missed in a row >= {self.words[rule.count]}"

    # --- parts --------------------------------------------------------------------------------------------------------

    def action(self, id_: str, title: str, says: str, owners: set[str], when: str = "") -> Json:
        people = [{"type": ACTORS.get(o, "practitioner"), "role": {"text": o}} for o in sorted(owners)]
        made: Json = {"id": id_, "title": title, "description": says, "participant": people}
        return made | ({"condition": [_condition(when, RULES)]} if when else {})

    def activity(self, kind: str, name: str, of: str, title: str, says: str) -> str:
        """The address of a kind of act, which is written the first time it is named."""
        role = f"{kind}.{name}"
        url = f"{self.url}:{role}"
        self.activities[role] = self.frame.start("ActivityDefinition", role, title) | {
            "url": url,
            "version": str(self.known.version),
            "name": "".join(part.capitalize() for part in role.replace(".", "-").split("-")),
            "title": title,
            "status": "active",
            "experimental": False,
            "description": says,
            "kind": of,
            "intent": "proposal",
            "code": {"coding": coding(self.url, role), "text": title},
        }
        return url

    def settings(self) -> Json:
        title = f"Settings of {self.known.id}"
        return self.frame.start("Library", "settings", title) | {
            "url": f"{self.url}:settings",
            "version": str(self.known.version),
            "name": "".join(part.capitalize() for part in f"{self.known.id}-settings".split("-")),
            "title": title,
            "status": "active",
            "type": {"coding": coding(LIBRARY_TYPE, "module-definition")},
            "parameter": [self.parameter(setting) for setting in self.values.values()],
        }

    def parameter(self, setting: Setting) -> Json:
        sure = PROPOSED if setting.status == "proposed" else setting.status
        now = f"{self.words[setting.id]}, {'set by the clinic' if setting.clinic else 'the default'}; {bounds(setting)}"
        basis = f"{sure}; {self.cited(setting.source)}, {setting.locator}"
        return {
            "name": setting.id,
            "use": "in",
            "min": 0,
            "max": "1",
            "type": "Quantity" if setting.unit else "code",
            "documentation": f"{setting.title}: {now} ({basis}).",
        }

    def sources(self) -> list[str]:
        known = self.known
        rows = (*known.prerequisites, *known.tasks, *known.reviews, *known.stops, *known.missed)
        facts = (fact for phase in known.phases for fact in phase.facts)
        found = [known.source["id"], *(row.source["id"] for row in (*rows, *facts))]
        return list(dict.fromkeys([*found, *(s.source for s in self.values.values())]))

    def citation(self, id_: str) -> Json:
        source = self.knowledge.sources[id_]
        return {"type": "citation", "citation": source.citation} | ({"url": source.url} if source.url else {})

    def cited(self, id_: str) -> str:
        citation: str = self.knowledge.sources[id_].citation
        return citation.rstrip(".")

    def basis(self, entry: Entry) -> str:
        """Where it is from and how sure, in words."""
        sure = PROPOSED if entry.status == "proposed" else entry.status
        return f"{sure}; {self.cited(entry.source['id'])}, {entry.source['locator']}"

    def person(self, texts: Mapping[str, str]) -> str:
        return self.say(texts.get(self.language, texts[ENGLISH]))

    def say(self, text: str) -> str:
        return self.knowledge.say(text, **self.words)

    def days(self, name: str | None) -> float:
        return convert(self.values[name].value, self.values[name].unit, "d") if name else 0


def _visit(phase: Phase, n: int) -> str:
    return f"{phase.id}.{n}"


def _condition(expression: str, language: str = "text/plain") -> Json:
    return {"kind": "applicability", "expression": {"language": language, "expression": expression}}


def _quantity(setting: Setting) -> Json:
    return {"value": number(setting.value), "unit": setting.unit, "system": UCUM, "code": setting.unit}


def _days(value: float) -> Json:
    return {"value": number(value), "unit": "d", "system": UCUM, "code": "d"}
