"""One person's score with all that a reader needs: what is unknown and why, what it means, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson

from adjunct.base import YES, BadInput, Bools, shown
from adjunct.instruments.answers import Given, in_order, listed, read
from adjunct.instruments.model import TOTAL, Instrument, Item, Step
from adjunct.instruments.reading import spelling
from adjunct.instruments.scoring import UNSCORED, Int16s, Scores, chosen_forms, score_block
from adjunct.knowledge.entries import Locator

UNSCORABLE = "unscorable"
DECIMALS = 2
DANGER = ("suicide", "urgent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an alert says to the clinician (`says`) and to the person (`tell`), and which instrument to give next."""

    alert: str
    level: str
    says: str
    tell: str
    ask: str
    source: Locator
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A score as it may be shown. `total` is None where it cannot be computed; `reason` then says why.

    `bands` has the band under each form, where no form was given. `possible` is the total if every open item were
    answered least and most, `at_least` the band that is certain even so; both only where the total is not known.
    """

    instrument: str
    title: str
    version: int
    form: str
    total: float | None
    reason: str
    band: str | None
    band_says: str
    bands: Mapping[str, str | None]
    subscales: Mapping[str, float | str | None]
    alerts: tuple[str, ...]
    says: tuple[Said, ...]
    missing: tuple[str, ...]
    not_applicable: tuple[str, ...]
    refused: tuple[str, ...]
    possible: tuple[float, float] | None
    at_least: str | None
    range: tuple[float, float] | None
    unit: str
    direction: str
    recall: str
    confidence: str
    sources: tuple[Locator, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2).decode()


def score(
    instrument: Instrument,
    answers: Sequence[object] | Mapping[str, object],
    *,
    form: str | None = None,
    version: int | str | None = None,
) -> Score:
    """Score one person's answers, in printed order or by item id.

    `form` picks one of the instrument's forms; without it all are tried and must agree. `version` is the edition that
    was filled in: another one is refused. A wrong number of answers is `BadInput`, whose `advice` says what the
    answers that did arrive call for all the same.
    """
    fault, forms = "", tuple(instrument.plans)
    try:
        forms = chosen_forms(instrument, form)
    except BadInput as error:
        fault = str(error)
    if isinstance(answers, Mapping):
        answers, unnamed = in_order(instrument, answers)
    else:
        answers, unnamed = listed(instrument, answers)
    fault = fault or unnamed or _wrong_version(instrument, version) or _wrong_number(instrument, answers)
    if fault:
        raise BadInput(fault, advice=_advice(instrument, answers, forms))
    return _result(instrument, read(instrument, answers), forms)


def _wrong_version(instrument: Instrument, version: int | str | None) -> str:
    if version is None or str(version).strip() == str(instrument.version):
        return ""
    if instrument.form and spelling(str(version)) == spelling(instrument.form):
        return ""
    form = f" ({instrument.form})" if instrument.form else ""
    return (
        f"these are answers to version {shown(str(version))} of {instrument.title}, and known here is version "
        f"{instrument.version}{form}: score them with the edition they were given on"
    )


def _wrong_number(instrument: Instrument, answers: Sequence[object]) -> str:
    least, most = instrument.scored_items, len(instrument.items)
    if least <= len(answers) <= most or not most:
        return ""
    wanted = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"{instrument.title} takes {wanted} answers and {len(answers)} came: send one an item, - where one is missing"
    )


def _advice(instrument: Instrument, answers: Sequence[object], forms: Sequence[str]) -> tuple[str, ...]:
    """What the answers call for although they are refused.

    Where their number is wrong nobody knows which is missing, so they are read from both ends: doubt raises.
    """
    short = instrument.scored_items - len(answers)
    readings = (answers, [None] * short + list(answers) if short > 0 else answers[-instrument.scored_items :])
    said: dict[str, None] = {}
    for reading in readings:
        given = read(instrument, reading)
        scores = score_block(instrument, given.values, given.not_applicable, forms)
        said |= {s.tell or s.says: None for s in _said(instrument, scores, forms) if s.level in DANGER}
    return tuple(said)


def _result(instrument: Instrument, given: Given, forms: Sequence[str]) -> Score:
    said_na = given.not_applicable if given.not_applicable.any() else None
    scores = score_block(instrument, given.values.copy(), said_na, forms)
    refused, inapplicable = _marked(instrument, scores.refused), _marked(instrument, scores.not_applicable)
    absent = np.isnan(given.values[:, 0])
    missing = [i for i in instrument.items if absent[i.number - 1] and not i.extra and i not in inapplicable]
    total = _known(scores.total[0])
    band = _band(scores, scores.band)
    open_range, at_least = (None, None) if total is not None else _possible(instrument, given, scores, forms)
    plan = instrument.plans[forms[0]]
    return Score(
        instrument=instrument.id,
        title=instrument.title,
        version=instrument.version,
        form=forms[0] if len(forms) == 1 and forms[0] else instrument.form,
        total=total,
        reason=_reason(instrument, scores, [*missing, *inapplicable], refused),
        band=UNSCORABLE if instrument.has_total and total is None else band,
        band_says=next((b.says for b in plan.bands if b.name == band), ""),
        bands={name: _band(scores, column) for name, column in scores.bands.items()},
        subscales={
            s.id: _written(s, scores.subscales[s.id][0]) for s in plan.steps if s.show and s.id in scores.subscales
        },
        alerts=(
            *(name for name, truth in scores.alerts.items() if truth.values[0] == YES),
            *(f"value_not_allowed_item_{item.number}" for item in refused),
        ),
        says=_said(instrument, scores, forms),
        missing=tuple(item.id for item in missing),
        not_applicable=tuple(item.id for item in inapplicable),
        refused=tuple(item.id for item in refused),
        possible=open_range,
        at_least=at_least,
        range=instrument.range,
        unit=instrument.unit,
        direction=instrument.direction,
        recall=instrument.raw.get("recall", ""),
        confidence=instrument.confidence,
        sources=instrument.sources,
    )


def _marked(instrument: Instrument, marks: Bools | None) -> list[Item]:
    return [] if marks is None else [instrument.items[row] for row in np.flatnonzero(marks[:, 0])]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DECIMALS)


def _written(step: Step, value: float) -> float | str | None:
    known = _known(value)
    return known if known is None or step.out_of is None else f"{known:g}/{step.out_of:g}"


def _band(scores: Scores, column: Int16s) -> str | None:
    return None if column[0] == UNSCORED else scores.band_names[column[0]]


def _said(instrument: Instrument, scores: Scores, forms: Sequence[str]) -> tuple[Said, ...]:
    alerts = {alert.id: alert for form in forms for alert in instrument.plans[form].alerts}
    return tuple(
        Said(alert=a.id, level=a.level, says=a.says, tell=a.tell, ask=a.ask, source=a.source, status=a.status)
        for a in alerts.values()
        if scores.alerts[a.id].values[0] == YES
    )


def _reason(instrument: Instrument, scores: Scores, missing: Sequence[Item], refused: Sequence[Item]) -> str:
    """Why there is no total, or no band; empty where there are both."""
    if not instrument.has_total:
        return str(instrument.raw.get("no_score", f"{instrument.title} gives no total"))
    several = ", ".join(instrument.forms)
    if np.isnan(scores.total[0]):
        if refused:
            return f"not an answer that may stand there: {_listed(refused)}"
        if missing:
            return f"too little is answered; open: {_listed(missing)}"
        return f"the total depends on the form: say which ({several})" if scores.bands else "not computable from these"
    if instrument.bands and scores.band[0] == UNSCORED:
        if len({int(column[0]) for column in scores.bands.values()}) > 1:
            return f"the band depends on the form: say which ({several})"
        return f"no band without: {_listed(missing)}" if missing else "no band is published for this"
    return ""


def _listed(items: Sequence[Item]) -> str:
    return ", ".join(f"item {item.number} ({item.label})" for item in items)


# --- what is still possible -------------------------------------------------------------------------------------------


def _possible(
    instrument: Instrument, given: Given, scores: Scores, forms: Sequence[str]
) -> tuple[tuple[float, float] | None, str | None]:
    """The total with every open item answered least and most, and the band that is certain even so.

    Only where more on an item never means less of the total, and where each open item has a least and a most.
    """
    if len(forms) > 1:
        return None, None
    needed, rising = _made_of(TOTAL, {step.id: step for step in instrument.plans[forms[0]].steps})
    absent = np.isnan(given.values) if scores.refused is None else np.isnan(given.values) | scores.refused
    inapplicable = np.zeros_like(absent) if scores.not_applicable is None else scores.not_applicable
    needed_rows = [item.number - 1 for item in instrument.items if item.id in needed]
    left = [instrument.items[row] for row in needed_rows if absent[row, 0]]
    if not left or not rising or inapplicable[needed_rows].any() or not all(item.allowed for item in left):
        return None, None
    values = np.repeat(given.values, 2, axis=1)
    for item in left:
        values[item.number - 1] = [item.allowed[end(item.points)] for end in (np.nanargmin, np.nanargmax)]
    ends = score_block(instrument, values, None, forms)
    low, high = (_known(total) for total in ends.total)
    return None if low is None or high is None else (low, high), _certain_band(instrument, ends)


def _certain_band(instrument: Instrument, ends: Scores) -> str | None:
    """The band that holds at either end; where more is worse, the one of the least total, unless that says nothing."""
    least, most = ends.band
    if UNSCORED in (least, most) or instrument.direction == "neither":
        return None
    says_something = least == most if instrument.direction == "better" else least < len(ends.band_names) - 1
    return ends.band_names[least] if says_something else None


def _made_of(name: str, steps: Mapping[str, Step]) -> tuple[set[str], bool]:
    """The items below a score, and whether it can only rise with them."""
    if name not in steps:
        return {name}, name != TOTAL
    step = steps[name]
    rising = step.how not in ("hours", "share") and step.times * step.over >= 0
    rising &= bool(np.all(np.diff(step.results) >= 0))
    found: set[str] = set()
    for part in step.of:
        below, up = _made_of(part, steps)
        found |= below
        rising &= up
    return found, rising
