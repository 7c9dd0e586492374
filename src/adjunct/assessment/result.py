"""The answer and its reasons as frozen values. `to_json()` is the contract that commands, pages and FHIR render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

SEVERITIES = ("low", "moderate", "high")
ACTIONS = ("inform", "monitor", "adjust", "defer", "avoid", "contraindicated", "emergency")
URGENCIES = ("routine", "soon", "today", "now")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A source as a reader may look it up."""

    id: str
    citation: str
    locator: str = ""
    read_as: str = ""
    url: str = ""
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One item of the record on which a finding rests."""

    reference: str
    concept: str
    value: str = ""
    unit: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause, with all that contributes to it."""

    id: str
    title: str
    severity: str
    action: str
    kind: str
    about: str
    urgency: str
    involves: tuple[str, ...]
    says: str
    tell: str
    why: str
    grade: str
    status: str
    certainty: str
    sources: tuple[Cited, ...]
    disputed: tuple[Cited, ...]
    because: tuple[Reason, ...]
    rule: str
    verdict: str
    hard: bool = False
    lines: tuple[str, ...] = field(default=(), repr=False)
    only_if: tuple[Mapping[str, Any], ...] = ()
    exposure: tuple[Mapping[str, Any], ...] = ()  # of a pharmacokinetic finding: ratio, interval, route, basis, a pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that is not known: why, what to ask, and whether the answer waits for it."""

    fact: str
    why: str
    ask: str
    blocks: bool
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A line to call, with the date at which somebody last looked."""

    purpose: str
    name: str
    contact: str
    hours: str
    as_of: str
    expired: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What was asked, what it comes to, why, and what is still open."""

    knowledge: Mapping[str, str]
    question: str
    phase: str
    verdict: str
    complete: bool
    headline: Mapping[str, str]
    findings: tuple[Finding, ...]
    gaps: tuple[Gap, ...]
    contacts: tuple[Contact, ...]
    items: tuple[Mapping[str, Any], ...] | None = None
    at: str = ""
    patient: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON shape of the contract; `items` only where somebody's own words were read."""
        content = asdict(self)
        del content["patient"]
        for finding in content["findings"]:
            del finding["lines"]
        if self.items is None:
            del content["items"]
        return content

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()
