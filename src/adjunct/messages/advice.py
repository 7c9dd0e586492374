"""What the person reads back: the action first, then whom to call where they are, calm and short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adjunct.knowledge import Knowledge
from adjunct.knowledge.lines import expired, lines_for


def tell(
    knowledge: Knowledge,
    texts: Mapping[str, str],
    level: str,
    says: Sequence[str],
    *,
    suicide: bool,
    other: bool,
    country: str,
    today: str,
) -> str:
    """The answer for a level, in one language. Says never that all is well, and promises no call."""
    said = {**knowledge.wording["emergency"], **texts}  # English stands in wording.toml, other languages in their file
    numbers = {
        "emergency": _numbers(knowledge, "emergency", country) or said["unknown_country"],
        "crisis": _numbers(knowledge, "suicide", country) or said["unknown_country_crisis"],
        "poison": _numbers(knowledge, "poison", country) or said["unknown_country_poison"],
    }
    most = round(knowledge.number("messages.first_aid"))
    parts = []
    if level == "emergency":
        parts += ["call", *says[:most]]
        if suicide:
            parts.append("suicide_other" if other else "suicide")
        parts.append("stay" if other else "alone")
    elif level == "same-day":
        parts += ["suicide_today_other" if other else "suicide_today"] if suicide else ["today"]
        parts += says[:most]
    else:
        parts += [level, *says[:most]]
    lines = [knowledge.say(said[part], **numbers) for part in dict.fromkeys(parts)]
    lines = [lines[0], *_shorter(lines[1:], said, numbers["emergency"] in lines[0])]
    for purpose in ("emergency", *(("suicide",) if suicide else ()), *(("poison",) if "overdose" in parts else ())):
        lines += _dates(knowledge, said, purpose, country, today)
    return " ".join(dict.fromkeys(lines))


def _shorter(lines: Sequence[str], said: Mapping[str, str], given: bool) -> list[str]:
    """The long words for an unknown country are said once; later it is "the emergency number"."""
    out = []
    for line in lines:
        out.append(line.replace(said["unknown_country"], said["short"]) if given else line)
        given = given or said["unknown_country"] in line
    return out


def _rows(knowledge: Knowledge, purpose: str, country: str) -> list[Mapping[str, str]]:
    return [r for r in lines_for(purpose, country, knowledge) if country and r["country_code"] == country]


def _numbers(knowledge: Knowledge, purpose: str, country: str) -> str:
    rows = _rows(knowledge, purpose, country)
    if not rows:
        return ""
    return rows[0]["contact"] if purpose == "emergency" else f"{rows[0]['name']} ({rows[0]['contact']})"


def _dates(knowledge: Knowledge, said: Mapping[str, str], purpose: str, country: str, today: str) -> list[str]:
    """How old the number is that was just given, and whether it was ever confirmed."""
    return [
        knowledge.say(said["number_old" if expired(row["review_by"], today) else "number"], **row)
        + (f" {said['unverified']}" if row["verification"].startswith("U") else "")
        for row in _rows(knowledge, purpose, country)[:1]
    ]
