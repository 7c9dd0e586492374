"""Tables of the page about the treatment day: alarms, what is due when, readiness, the discharge gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adjunct.knowledge import Knowledge
from adjunct.knowledge.book.markdown import anchor, code, filled, link, listed, plain, source, table
from adjunct.knowledge.entries import TREATMENTS
from adjunct.session.alarms import LEVELS

SIDES = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
READY = (
    "Asked at every visit, or only where a rule waits for the answer. *Holds*: while it is open no dose is given "
    "without a named prescriber's reason; *hard*: also not with one."
)
GATE = (
    "All must hold; no reason and no signature opens one. What is hard cannot be examined away either. A predicted "
    "level is no part of it."
)


def sure(status: str, name: str, knowledge: Knowledge) -> str:
    """How sure, in words; a proposal says whose it is."""
    words = knowledge.wording["certainty"]["status"]
    own = f"{status}_{name.replace('-', '_')}"
    return f"{status}: {words.get(own, words[status])}"


def limit(fact: str, knowledge: Knowledge) -> str:
    """A number with its unit, linked to its fact."""
    return filled("{" + fact + "}", knowledge)


def cited(entry: Mapping[str, Any], knowledge: Knowledge) -> tuple[str, str]:
    """Where it stands and how sure it is; `entry` names its source as a table or as two keys."""
    where = entry["source"]
    name, locator = (where["id"], where["locator"]) if isinstance(where, Mapping) else (where, entry.get("locator", ""))
    place = f"{source(name, knowledge)}, {plain(locator)}" if locator else source(name, knowledge)
    return place, sure(entry["status"], name, knowledge)


def kind_of(field: Mapping[str, Any], knowledge: Knowledge) -> str:
    """What a field takes: its kind, its unit, what is believed, its choices."""
    concept = knowledge.concepts.get(field.get("concept", field["id"]))
    parts = [field["kind"]]
    if "unit" in field:
        parts.append(code(field["unit"]))
    elif field["kind"] in ("measure", "score") and concept is not None:
        parts += [code(concept.unit)] if field["kind"] == "measure" else []
        parts += ["{:g} to {:g}".format(*concept.plausible)] if concept.plausible else []
    parts += [", ".join(code(c) for c in field["choices"])] if "choices" in field else []
    return ": ".join((parts[0], ", ".join(parts[1:]))) if parts[1:] else parts[0]


# --- alarms -----------------------------------------------------------------------------------------------------------


def alarms(knowledge: Knowledge) -> Iterator[str]:
    """Every alarm with its limits, signs, first actions, turns and silence."""
    data = knowledge.content["alarms"]
    names = {c["id"]: _condition(c, data["short"], knowledge) for c in data["condition"]}
    names |= {s["id"]: filled(s["title"], knowledge).lower() for s in data["sign"]}
    ranked = sorted(data["alarm"], key=lambda a: -LEVELS.index(a["level"]))
    yield "## Alarms"
    yield (
        "A severe value raises its alarm at the first reading; a delay (*for ...*) belongs to milder bands only. Only "
        "what is impossible (saturation over 100, diastolic at or over systolic) is an artefact: it prompts for the "
        "probe, counts as no data, and neither raises nor ends another alarm. A rate of zero and a flat trace are "
        "alarms. *Hard*: no dose after it in this session, whoever asks."
    )
    yield table(
        ("alarm", "level", "when", "asks for the dose"),
        (
            (
                link(plain(a["title"]), "", "alarm", a["id"]),
                a["level"],
                "; or ".join(" and ".join(names[c] for c in together) for together in a["any"]),
                ", ".join((*([a["dose"]] if a["dose"] else []), *(["**hard**"] if a["hard"] else []))),
            )
            for a in ranked
        ),
    )
    yield "### Limits"
    yield "An alarm ends when the value is back over its limit by the margin shown, else when it is just back over it."
    yield table(
        ("holds when", "ends after", "place of the limit", "how sure"),
        (
            (
                names[c["id"]],
                limit(c["clear"], knowledge) if "clear" in c else "",
                *_fact_cited(c["limit"], knowledge),
            )
            for c in data["condition"]
        ),
    )
    yield "### Signs"
    yield "What a person at the chair records as `event`, present or absent. It lasts until somebody says it is over."
    yield table(
        ("sign", "what", "raised too by a yes to"),
        (
            (code(s["id"]), filled(s["title"], knowledge), ", ".join(code(r) for r in s.get("raised_by", ())))
            for s in data["sign"]
            if not s.get("internal")
        ),
    )
    yield "### What to do first"
    for alarm in ranked:
        yield from _first(alarm, knowledge)
    yield "### Whose turn it is, and how long a sound may rest"
    yield (
        "Counted while nobody has acknowledged. To acknowledge stops the clock and not the alarm. A silence ends at "
        "its time, and any new alarm breaks it."
    )
    yield table(
        ("level", "turns", "longest silence"),
        (
            (
                e["level"],
                ", ".join(
                    f"{t['to']} after {limit(t['after'], knowledge)}" if "after" in t else f"{t['to']} at once"
                    for t in e["turns"]
                ),
                limit(data["silence"][e["level"]], knowledge),
            )
            for e in data["escalation"]
        ),
    )
    yield "### The monitor itself"
    rows = (
        (data["no_data"], f"no value of a tied monitor for {limit(data['no_data']['after'], knowledge)}"),
        (data["probe"], "an impossible value"),
        (data["unassigned"], "a value that would raise an alarm, of a monitor that nobody has tied to a person"),
    )
    yield table(("what", "when", "first"), ((e["title"], when, " ".join(e["first"])) for e, when in rows))


def _condition(entry: Mapping[str, Any], short: Mapping[str, str], knowledge: Knowledge) -> str:
    name, by = short.get(entry["measure"], entry["measure"]), f"{SIDES[entry['is']]} {limit(entry['limit'], knowledge)}"
    match entry.get("of"):
        case "rise":
            words = f"{name} over the person's own by {by}"
        case "change":
            words = f"{name} against the person's own {by}"
        case "fall" | "climb" as way:
            done = "fallen" if way == "fall" else "climbed"
            words = f"{name} {done} by {by} within {limit(entry['within'], knowledge)}"
        case _:
            words = f"{name} {by}"
    return f"{words} for {limit(entry['delay'], knowledge)}" if "delay" in entry else words


def _fact_cited(name: str, knowledge: Knowledge) -> tuple[str, str]:
    fact = knowledge.facts[name]
    return f"{source(fact.source, knowledge)}, {plain(fact.locator)}", sure(fact.status, fact.source, knowledge)


def _first(alarm: Mapping[str, Any], knowledge: Knowledge) -> Iterator[str]:
    yield f"#### {anchor('alarm', alarm['id'])}{plain(alarm['title'])}"
    yield "\n".join(f"{n}. {filled(text, knowledge)}" for n, text in enumerate(alarm["first"], 1))
    yield listed(
        (
            f"**The person hears:** {plain(alarm['tell']['en'])}" if "tell" in alarm else "",
            *(f"**If it lasts:** {filled(p['says'], knowledge)} To {p['to']}." for p in alarm.get("persist", ())),
            f"**Covers:** {', '.join(code(c) for c in alarm['covers'])}" if alarm.get("covers") else "",
            f"**Rule:** {link(code(alarm['rule']), 'rules.md', 'rule', alarm['rule'])}" if "rule" in alarm else "",
        )
    )


# --- what is due ------------------------------------------------------------------------------------------------------


def due(knowledge: Knowledge) -> Iterator[str]:
    """What is looked at and done when, by route."""
    data = knowledge.content["monitoring"]
    length = {name: limit(fact, knowledge) for name, fact in data["length"].items()}
    titles = {c["id"]: c["title"] for c in data["check"]}
    yield "## What is due when"
    yield (
        "A check is done by values taken inside its window, and by nothing else. A fixed time counts from "
        f"{length['early']} before it and is overdue {length['grace']} after it; one that nothing follows is a gap "
        f"after {length['closes']}. No field is ever filled in beforehand."
    )
    yield table(
        ("check", "what", "done by"),
        (
            (code(c["id"]), plain(c["title"]), (" and " if "all" in c else " or ").join(map(code, _names(c))))
            for c in data["check"]
        ),
    )
    yield "### Before the dose"
    yield (
        "From check-in on, and again when a value is older than its concept allows. What readiness asks at every visit "
        "is due as well."
    )
    yield table(
        ("for", "checks", "basis"),
        ((_for(b), _checks(b, titles), _basis(b["basis"], knowledge)) for b in data["before"]),
    )
    yield "### From the start and from the end of the dose"
    yield table(
        ("for", "when", "checks", "basis", "times: how sure"),
        (
            (_for(r), _times(r, knowledge), _checks(r, titles), _basis(r["basis"], knowledge), _proven(r, knowledge))
            for r in data["round"]
        ),
    )
    alarm, pressure = data["alarm"], data["alarm"]["pressure"]
    again = limit(pressure["every"], knowledge)
    reasons, basis = " or ".join(map(code, pressure["alarms"])), _basis(pressure["basis"], knowledge)
    yield "### While an alarm stands"
    yield listed(
        (
            f"{_checks(alarm, titles)}: every {length['alarm_every']}. {_basis(alarm['basis'], knowledge)}",
            f"{titles[pressure['check']]} again after {again} while {reasons} stands. {basis}",
        )
    )
    yield "### Acts"
    yield table(
        ("act", "who", "overdue after", "basis"),
        (
            (filled(a["title"], knowledge), a["owner"], limit(a["grace"], knowledge), _basis(a["basis"], knowledge))
            for a in data["act"]
        ),
    )
    yield "From the earliest moment at which somebody may leave, what the gate still lacks is due too."


def _names(check: Mapping[str, Any]) -> Sequence[str]:
    names: Sequence[str] = check.get("all") or check["any"]
    return names


def _for(entry: Mapping[str, Any]) -> str:
    return "all" if set(entry["treatments"]) == set(TREATMENTS) else ", ".join(map(code, entry["treatments"]))


def _checks(entry: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    return "; ".join(plain(titles[c]) for c in entry["checks"])


def _basis(basis: Mapping[str, Any], knowledge: Knowledge) -> str:
    return f"{source(basis['id'], knowledge)}, {plain(basis['locator'])}"


def _times(entry: Mapping[str, Any], knowledge: Knowledge) -> str:
    anchored = f"after the {entry['from']}"
    parts = [f"{', '.join(limit(f, knowledge) for f in entry['at'])} {anchored}"] if "at" in entry else []
    if "every" in entry:
        every = f"every {limit(entry['every'], knowledge)}"
        if "after" in entry:
            every += f" from {limit(entry['after'], knowledge)} {anchored}"
        elif not parts:
            every += f" {anchored}"
        until = entry.get("until", "")
        ends = {"": "as long as the person is here", "end": "while the dose goes on"}
        parts.append(f"{every}, {ends[until] if until in ends else 'until ' + limit(until, knowledge)}")
    if "settled" in entry:
        parts.append(f"none once CADSS-6 was {limit(entry['settled'], knowledge)} or less, or a clinician says so")
    return "; ".join(parts)


def _proven(entry: Mapping[str, Any], knowledge: Knowledge) -> str:
    names = [*entry.get("at", ()), *([entry["every"]] if "every" in entry else [])]
    return ", ".join(dict.fromkeys(knowledge.facts[n].status for n in names))


# --- readiness and the gate -------------------------------------------------------------------------------------------


def readiness(knowledge: Knowledge) -> Iterator[str]:
    """What is asked before the dose, and what a clinic may set."""
    data = knowledge.content["readiness"]
    yield f"## {anchor('of', 'readiness')}Readiness"
    yield READY
    yield table(
        ("item", "kind", "question", "why it is asked", "for", "asked", "holds", "place", "how sure"),
        (
            (
                code(i["id"]),
                kind_of(i, knowledge),
                filled(i.get("ask") or _asked(i["id"], knowledge), knowledge),
                filled(i["why"], knowledge),
                _for(i),
                "at every visit" if i["each"] == "visit" else "where a rule waits",
                "**hard**" if i["hard"] else "yes" if i["blocks"] else "",
                *cited(i, knowledge),
            )
            for i in data["item"]
        ),
    )
    yield "### What a clinic may set"
    yield "In its file, under `[protocol]`, within the bounds; a value outside them is refused by name."
    yield table(
        ("setting", "what", "if nothing is set", "bounds", "leads to"),
        (
            (
                code(s["id"]),
                plain(s["title"]),
                limit(s["fact"], knowledge),
                f"{s['least']:g} to {s['most']:g}",
                s["verdict"],
            )
            for s in data["setting"]
        ),
    )


def _asked(name: str, knowledge: Knowledge) -> str:
    concept = knowledge.concepts[name]
    words: str = concept.ask or concept.title
    return words


def gate(knowledge: Knowledge) -> Iterator[str]:
    """What must hold before somebody leaves, what it asks, and what follows a walk-out."""
    data = knowledge.content["discharge"]
    yield f"## {anchor('of', 'discharge')}The discharge gate"
    yield GATE
    yield table(
        ("criterion", "what holds somebody back", "hard", "place", "how sure"),
        (row for c in data["criterion"] for row in _criterion(c, knowledge)),
    )
    standing = ", ".join(map(code, data["standing"]))
    yield f"The gate is closed while an alarm of level {' or '.join(data['levels'])} stands, or one of: {standing}."
    yield "### What it asks"
    yield table(
        ("item", "kind", "question", "why it is asked", "place", "how sure"),
        (
            (
                code(i["id"]),
                kind_of(i, knowledge),
                filled(i["ask"], knowledge),
                filled(i["why"], knowledge),
                *cited(i, knowledge),
            )
            for i in data["item"]
        ),
    )
    yield "### When somebody walks out"
    yield "Never a discharge, and never refused: a person is free to go. It leaves work."
    yield table(
        ("duty", "what", "who", "within", "place", "how sure"),
        (
            (
                plain(d["title"]),
                filled(d["says"], knowledge),
                d["owner"],
                "stands by itself" if d.get("holds") else limit(d["within"], knowledge),
                *cited(d, knowledge),
            )
            for d in data["duty"]
        ),
    )


def _criterion(entry: Mapping[str, Any], knowledge: Knowledge) -> Iterator[tuple[str, ...]]:
    if "rules" not in entry:
        hard = "**hard**" if entry["hard"] else ""
        yield plain(entry["title"]), filled(entry["says"], knowledge), hard, *cited(entry, knowledge)
    for name in entry.get("rules", ()):
        rule = knowledge.rules[name]
        words = f"{filled(rule.says, knowledge)} ({link(code(name), 'rules.md', 'rule', name)})"
        first = rule.sources[0]
        place = f"{source(first.id, knowledge)}, {plain(first.locator)}"
        proven = sure(rule.status, first.id, knowledge)
        yield plain(entry["title"]), words, "**hard**" if rule.hard else "", place, proven
