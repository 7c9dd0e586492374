"""Every activity that the articles describe: what is true of it, how sure, and where a person meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adjunct.knowledge.book.markdown import anchor, code, filled, link, page, plain, source, table
from adjunct.knowledge.load import Knowledge

DOOR = re.compile(r"(selfcare|protocol|rule|instrument|command|sheet):([\w-]+)")
ACTIVITY = "activity"
LATER = "later:"
ENGLISH = "en"
# How a reader is told of a kind of door, and what it opens. What a person holds in the hand comes first.
KINDS = {
    "selfcare": "routine",
    "sheet": "page",
    "protocol": "course",
    "instrument": "questionnaire",
    "command": "command",
    "rule": "rule",
}


def doors(acts_on: str) -> tuple[tuple[str, str], ...]:
    """The doors that a row of `claims.csv` names, as (kind, id), those a person meets first.

    >>> doors("rule:chest-pain; wording.toml stop; selfcare:walk")
    (('selfcare', 'walk'), ('rule', 'chest-pain'))
    """
    found = dict.fromkeys((m[1], m[2]) for m in DOOR.finditer(acts_on))
    return tuple(sorted(found, key=lambda door: list(KINDS).index(door[0])))


def activities(knowledge: Knowledge) -> str:
    """The coverage of the articles' activities, and the activities of the routine with their limits."""
    rows = [row for row in knowledge.content["claims"] if row["kind"] == ACTIVITY]
    covered = [
        (
            link(code(row["claim_id"]), "claims.md", "claim", row["claim_id"]),
            plain(row["claim"]),
            plain(row["correct_statement"]),
            row["grade"],
            "<br>".join(_doors(row["acts_on"], knowledge)),
        )
        for row in rows
    ]
    own = sorted(knowledge.selfcare.values(), key=lambda entry: int(entry["order"]))
    return page(
        "Activities",
        f"The five articles name {len(rows)} activities. The second column quotes them and is not advice; the third "
        "says what is true. *Later* stands where a part of the software is still to come. Kratom is no activity here.",
        table(("claim", "as the article says it", "what is true", "grade", "where a person meets it"), covered),
        "## Activities of the routine",
        "Grades: for depression, and for what the activity adds after ketamine. A condition that is not known counts "
        "as the careful version, never as absent.",
        table(
            ("activity", "what is known", "for depression", "after ketamine", "steps", "limits", "sources"),
            [_activity(entry, knowledge) for entry in own],
        ),
    )


def _doors(acts_on: str, knowledge: Knowledge) -> Iterator[str]:
    for kind, names in _grouped(doors(acts_on)).items():
        yield f"{KINDS[kind]}: {', '.join(_named(kind, name, knowledge) for name in names)}"
    later = [part.strip() for part in acts_on.split(";") if part.strip().startswith(LATER)]
    if later:
        yield f"*{plain('; '.join(later))}*"


def _grouped(found: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for kind, name in found:
        groups.setdefault(kind, []).append(name)
    return groups


def _named(kind: str, name: str, knowledge: Knowledge) -> str:
    match kind:
        case "selfcare" if name in knowledge.selfcare:
            return link(plain(knowledge.selfcare[name]["title"][ENGLISH]), "", "activity", name)
        case "protocol" if name in knowledge.protocols:
            return plain(knowledge.protocols[name]["title"][ENGLISH])
        case "rule":
            return link(code(name), "rules.md", "rule", name)
        case "instrument" if name in knowledge.instruments:
            return plain(knowledge.instruments[name]["title"])
        case "command":
            return code(f"adjunct {name}")
    return plain(name)


def _activity(entry: Mapping[str, Any], knowledge: Knowledge) -> tuple[str, ...]:
    conditions = {c["id"]: c["title"] for c in knowledge.content["routine"]["condition"]}
    limits = (f"{plain(conditions[e['if']])}: {e['effect']}" for e in entry.get("limit", ()))
    return (
        anchor("activity", entry["id"]) + plain(entry["title"][ENGLISH]),
        filled(entry["clinician"], knowledge),
        entry["grade"],
        entry["after_grade"],
        "<br>".join(filled(step["text"][ENGLISH], knowledge) for step in entry["step"]),
        "<br>".join(limits),
        ", ".join(source(s["id"], knowledge) for s in (entry["source"], *entry.get("also", ())))
        + f" ({entry['status']})",
    )
