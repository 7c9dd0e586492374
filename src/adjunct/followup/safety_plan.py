"""A person's safety plan: six functions in our own words, every version kept, readable and printable at any hour.

A new version never deletes the old one and says who wrote it and why. Two versions written from the same one are both
kept, and said to be two, until somebody writes one from both. Section titles, hints and page words are data:
`followup/workflow.toml`, `safety_plan`. Instants are milliseconds since 1970 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from typing import Any

from adjunct.assessment.result import Contact
from adjunct.base import BadInput, iso, shown
from adjunct.followup.cover import DEFAULT_LANGUAGE, Told
from adjunct.knowledge import Knowledge

LONGEST_LINE = 500  # layout: one entry is a line or two on paper
DATE = len("2026-11-22")
NUMBER = re.compile(r"(?<![\w.+-])\+?\d[\d \-/]*\d(?![\w-]|[.:]\w)")
MESSAGE = re.compile(r"(?<!call or )\btext\b[^;,]*$|\bpor mensaje al $", re.IGNORECASE)  # before a number
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
LEAST_DIGITS = 6  # layout: a shorter number among a person's own words is a time or a house, not a telephone
JOINERS = "\u200c\u200d"  # layout: they belong to words of some languages, and to signs


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One writing of the plan. `sections`: entries by function id; `after`: the versions it was written from."""

    id: str
    at: int
    by: str
    reason: str
    sections: Mapping[str, tuple[str, ...]]
    after: tuple[str, ...] = ()
    language: str = DEFAULT_LANGUAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All versions ever written, by time and id."""

    versions: tuple[Version, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The plan as it stands: the latest version, and the others written at the same time as it, if any."""

    version: Version
    others: tuple[Version, ...] = ()

    @property
    def conflict(self) -> bool:
        return bool(self.others)

    @property
    def written(self) -> tuple[Version, ...]:
        """All that counts, latest first."""
        return (self.version, *self.others)


def add(plan: Plan, version: Version, knowledge: Knowledge) -> Plan:
    """The plan with one more version; the same one sent twice is one.

    Raises `BadInput` without author or reason, for a section that is not one of the six, for another version under a
    known id, and for an entry that is empty or too long for a line.
    """
    known = {s["id"] for s in _sections(knowledge)}
    if not version.by.strip() or not version.reason.strip():
        raise BadInput("a safety plan says who wrote it and why: give author and reason", "safety_plan")
    for name, entries in version.sections.items():
        if name not in known:
            raise BadInput(f"no such section: {shown(name)}; use one of {', '.join(sorted(known))}", "safety_plan")
        if not all(entry.strip() and len(entry) <= LONGEST_LINE for entry in entries):
            raise BadInput(f"an entry is empty or longer than {LONGEST_LINE} characters: shorten it", name)
    earlier = next((v for v in plan.versions if v.id == version.id), None)
    if earlier is not None and earlier != version:
        raise BadInput("this id already names another version, which is kept: send a new id", "safety_plan")
    if earlier is not None:
        return plan
    return replace(plan, versions=tuple(sorted((*plan.versions, version), key=lambda v: (v.at, v.id))))


def readable(plan: Plan, version: Version, knowledge: Knowledge) -> Plan:
    """The plan with what can be read of a version that `add` refuses: in a bad hour a part is better than nothing.

    It replaces nothing, so that it stands beside what was there.
    """
    sections = {}
    for section in _sections(knowledge):
        entries = [e.strip() for e in version.sections.get(section["id"], ()) if e.strip()]
        if entries:
            sections[section["id"]] = tuple(
                e if len(e) <= LONGEST_LINE else e[: LONGEST_LINE - 1] + "\u2026" for e in entries
            )
    if not sections:
        return plan
    names, number = {v.id for v in plan.versions}, 1
    while (name := version.id if number == 1 else f"{version.id}#{number}") in names:
        number += 1
    part = replace(
        version,
        id=name,
        by=version.by.strip() or "?",
        reason=version.reason.strip() or "?",
        sections=sections,
        after=(),
    )
    return add(plan, part, knowledge)


def current(plan: Plan) -> Current | None:
    """What counts now: the versions that no other was written from. If there are several, all are kept and shown."""
    replaced = {parent for v in plan.versions for parent in v.after if parent != v.id}
    heads = [v for v in plan.versions if v.id not in replaced] or list(plan.versions[-1:])
    if not heads:
        return None
    return Current(version=heads[-1], others=tuple(reversed(heads[:-1])))


def as_dict(plan: Plan) -> dict[str, Any]:
    """The whole plan as plain values, history included."""
    found = current(plan)
    return {
        "current": found.version.id if found else None,
        "conflict": [v.id for v in found.others] if found else [],
        "versions": [
            {
                "id": v.id,
                "at": v.at,
                "by": v.by,
                "reason": v.reason,
                "language": v.language,
                "after": list(v.after),
                "sections": {name: list(entries) for name, entries in v.sections.items()},
            }
            for v in plan.versions
        ],
    }


def text(plan: Plan, help_now: Told, knowledge: Knowledge, *, language: str = DEFAULT_LANGUAGE) -> str:
    """The plan as plain text, the numbers first."""
    words, lines = _words(knowledge, language), []
    lines += [words["title"], "", words["help"], words["help_alone"], *(f"  {c.text}" for c in help_now.contacts), ""]
    found = current(plan)
    if found is None:
        return "\n".join([*lines, words["no_plan"]])
    if found.conflict:
        lines += [_conflict(found, words, knowledge), ""]
    lines += [words["steps"], ""]
    for number, section in enumerate(_sections(knowledge), start=1):
        lines.append(f"{number}. {_in(section['title'], language)}")
        lines += [f"   - {entry}" for entry in _entries(found, section["id"], words, knowledge) or [words["empty"]]]
        lines.append("")
    return "\n".join([*lines, *_written(found, words, knowledge)])


def page(plan: Plan, help_now: Told, knowledge: Knowledge, *, language: str = DEFAULT_LANGUAGE) -> str:
    """The plan as one HTML page: read without script or network, in large type, printed on one or two A4 pages.

    `help_now`: what the person can call where they are (`cover.told`); its lines come first, with their dates.
    """
    words, found = _words(knowledge, language), current(plan)
    body = [f"<h1>{escape(words['title'])}</h1>", _help(help_now.contacts, words)]
    if found is None:
        body.append(f"<p>{escape(words['no_plan'])}</p>")
    else:
        if found.conflict:
            body.append(f'<p class="conflict" role="note">{escape(_conflict(found, words, knowledge))}</p>')
        body.append(f"<p>{escape(words['steps'])}</p>")
        body.append('<ol class="steps">')
        body += [_section(section, found, words, knowledge, language) for section in _sections(knowledge)]
        body.append("</ol>")
        body.append(f"<footer>{'<br>'.join(escape(line) for line in _written(found, words, knowledge))}</footer>")
    return _PAGE.format(
        lang=escape(_spoken(knowledge, language), quote=True), title=escape(words["title"]), body="\n".join(body)
    )


def _help(contacts: Sequence[Contact], words: Mapping[str, str]) -> str:
    rows = "\n".join(
        f"<li><strong>{_callable(line.contact, 2)}</strong><small>{escape(line.text)}</small></li>" for line in contacts
    )
    return (
        f'<section class="help" aria-labelledby="help"><h2 id="help">{escape(words["help"])}</h2>\n'
        f"<p>{escape(words['help_alone'])}</p>\n<ul>\n{rows}\n</ul></section>"
    )


def _callable(words: str, least: int) -> str:
    """Words as HTML, with what can be dialled or written to as a link; a number after "text" takes a message."""
    shown, end = [], 0
    for found in NUMBER.finditer(words):
        digits = re.sub(r"[^\d+]", "", found.group())
        if len(digits) < least or ISO_DATE.fullmatch(found.group()):
            continue
        before = words[end : found.start()]
        call = "sms" if MESSAGE.search(before) else "tel"
        shown += [escape(before), f'<a href="{call}:{digits}">{escape(found.group())}</a>']
        end = found.end()
    return "".join([*shown, escape(words[end:])])


def _section(
    section: Mapping[str, Any], found: Current, words: Mapping[str, str], knowledge: Knowledge, language: str
) -> str:
    entries = _entries(found, section["id"], words, knowledge)
    rows = "\n".join(f"<li>{_callable(entry, LEAST_DIGITS)}</li>" for entry in entries)
    written = f"<ul>\n{rows}\n</ul>" if entries else f'<p class="empty">{escape(words["empty"])}</p>'
    title, hint = (escape(_in(section[key], language)) for key in ("title", "hint"))
    return f'<li><h2>{title}</h2>\n<p class="hint">{hint}</p>\n{written}</li>'


def _entries(found: Current, section: str, words: Mapping[str, str], knowledge: Knowledge) -> list[str]:
    """The entries of a section; where versions stand side by side, also what only the others say, with whose it is."""
    own = [_line(entry) for entry in found.version.sections.get(section, ())]
    added = [
        f"{_line(entry)} {knowledge.say(words['added'], by=_line(other.by))}"
        for other in found.others
        for entry in other.sections.get(section, ())
        if _line(entry) not in own
    ]
    return own + added


def _line(text: str) -> str:
    """One line of text: no entry can look like a section of its own, or turn the writing around."""
    return " ".join("".join(c if c.isprintable() or c in JOINERS else " " for c in text).split())


def _conflict(found: Current, words: Mapping[str, str], knowledge: Knowledge) -> str:
    return knowledge.say(words["conflict"], names=", ".join(dict.fromkeys(_line(v.by) for v in found.written)))


def _written(found: Current, words: Mapping[str, str], knowledge: Knowledge) -> list[str]:
    return [knowledge.say(words["version"], date=iso(v.at, timedelta(0))[:DATE], by=_line(v.by)) for v in found.written]


def _sections(knowledge: Knowledge) -> Sequence[Mapping[str, Any]]:
    sections: Sequence[Mapping[str, Any]] = knowledge.content["workflow"]["safety_plan"]["section"]
    return sections


def _spoken(knowledge: Knowledge, language: str) -> str:
    return language if language in knowledge.content["workflow"]["safety_plan"]["page"] else DEFAULT_LANGUAGE


def _words(knowledge: Knowledge, language: str) -> Mapping[str, str]:
    words: Mapping[str, str] = knowledge.content["workflow"]["safety_plan"]["page"][_spoken(knowledge, language)]
    return words


def _in(texts: Mapping[str, str], language: str) -> str:
    return texts.get(language, texts[DEFAULT_LANGUAGE])


_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; padding: 1rem; max-width: 42rem; font: 1.25rem/1.45 system-ui, sans-serif; }}
body {{ color: #1a1a1a; background: #fff; overflow-wrap: anywhere; }}
h1 {{ font-size: 2rem; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.3rem; margin: 0 0 .25rem; }}
ul {{ margin: .25rem 0; padding-left: 1.25rem; }}
p {{ margin: .25rem 0; }}
.help {{ border: 4px solid #9b1c1c; border-radius: .5rem; padding: .75rem 1rem; margin-bottom: 1rem; }}
.steps {{ padding-left: 1.6rem; }}
.steps > li {{ margin: .9rem 0; break-inside: avoid; }}
.help ul {{ list-style: none; padding: 0; }}
.help li {{ margin-top: .5rem; }}
.help strong {{ display: block; font-size: 1.3em; line-height: 1.2; }}
a {{ color: #0b3d91; }}
a:focus-visible {{ outline: 4px solid #0b3d91; outline-offset: 3px; }}
.hint, .empty, footer, small {{ color: #4a4a4a; font-size: 1.05rem; line-height: 1.3; }}
.conflict {{ border-left: 6px solid #7a4d00; padding-left: .75rem; }}
@page {{ size: A4; margin: 14mm; }}
@media print {{
  body {{ padding: 0; max-width: none; font-size: 13pt; line-height: 1.3; }}
  h1 {{ font-size: 20pt; }}
  h2 {{ font-size: 14pt; }}
  .hint, .empty, footer, small {{ font-size: 11pt; }}
  .help {{ break-inside: avoid; }}
  a {{ color: inherit; text-decoration: none; }}
}}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
