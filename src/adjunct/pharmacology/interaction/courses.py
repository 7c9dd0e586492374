"""Floor 2: what a perpetrator's regimen says, in the words that studies and people use.

>>> course("250 mg BID 6 d").phases
(Phase(amount=500.0, unit='mg', days=6.0),)
>>> course("200 mg single, 12 h before").gap_h
12.0
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from adjunct.base import BadInput, shown

DAYS = {"d": 1, "day": 1, "days": 1, "wk": 7, "week": 7, "weeks": 7, "mo": 30, "month": 30, "months": 30, "h": 1 / 24}
PER_DAY = {
    "qd": 1, "od": 1, "daily": 1, "once": 1, "nightly": 1, "qhs": 1,
    "bid": 2, "bd": 2, "twice": 2, "tid": 3, "tds": 3, "three times": 3, "qid": 4, "qds": 4,
    "four times": 4,
}  # fmt: skip
TO_MG = {"mg": 1, "g": 1000, "mcg": 0.001, "ug": 0.001, "\u00b5g": 0.001}
HOURS_A_DAY = 24
HINT = "write for example '20 mg daily, 9 d', '250 mg BID 6 d' or '2 g single dose'"

_AMOUNT = re.compile(
    r"(?<![\w.])(?P<low>\d+(?:\.\d+)?)(?:\s*(?:-|to|\u2013)\s*(?P<high>\d+(?:\.\d+)?))?\s*(?P<unit>mg|mcg|ug|\u00b5g|ml|g)\b"
    r"(?!\s*/\s*kg)(?P<daily>\s*/\s*(?:d|day)\b)?",
    re.IGNORECASE,
)
_OFTEN = re.compile(
    r"(?P<weekly>(?:(?P<times>once|twice|\d\s*x)\s*(?:a\s+|per\s+|/\s*)?)?(?:weekly|week\b|wk\b))|every other day|"
    r"(?P<word>three times|four times|\b(?:qd|od|bid|bd|tid|tds|qid|qds|daily|nightly|qhs|twice|once)\b)"
    r"(?:/(?P<other>qd|bid|tid))?|(?P<counted>\d)\s*x\s*(?:/\s*|a\s+|per\s+)?d|\b(?:q|every)\s*(?P<hours>\d+)\s*h",
    re.IGNORECASE,
)
_LASTING = re.compile(
    r"(?<![\w./])(\d+(?:\.\d+)?)\s*\+?\s*-?\s*(days?|d|weeks?|wk|months?|mo)\b(?!\s*(?:before|after))", re.IGNORECASE
)
_DOSES = re.compile(r"(?:x\s*)?(\d+)(?:\s*-\s*(\d+))?\s*doses\b", re.IGNORECASE)
_GAP = re.compile(r"(\d+(?:\.\d+)?)\s*h\s*(?:before|earlier|apart)", re.IGNORECASE)
_STOPPED = re.compile(r"stopped\s+(\d+(?:\.\d+)?)\s*(h|d|days?|wk|weeks?)\b", re.IGNORECASE)
_REPEATED = re.compile(
    r"\b(qd|od|bid|bd|tid|tds|qid|qds|daily|weekly|twice|every|chronic|steady|repeated|times a day|times a week)\b|"
    r"/\s*(?:d|day|wk|week)\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"(?:^|[\s(])-\s*\d")
_BARE = re.compile(r"\s*\d+(?:\.\d+)?\s*")
_NO_TIME = re.compile(
    r"\b(?:q|every|for|x)?\s*(?<![\d.])0+(?:\.0+)?\s*(?:h|hours?|d|days?|wk|weeks?|mo|months?)\b(?!\s*(?:before|after|apart|earlier))",
    re.IGNORECASE,
)
_NO_DOSE = re.compile(
    r"\b(?:nan|inf(?:inity)?)\b|\d\s*kg\b|\d\s*(?:mg|mcg|ug|\u00b5g|g)\s*/\s*(?:ml|l)\b|\d[eE][+-]?\d", re.IGNORECASE
)
_KNOWN_WORD = re.compile(
    r"\d|\b(?:chronic|steady|single|repeated|daily|weekly|once|dose|doses|dosing|smok\w*|contracept\w*|extract|tea|glass|"
    r"juice|day|week|usual|known|seen|recorded|together|hyperforin|patients?|moderate|regular|strength|mitragynine|"
    r"unknown|not|stated|standard|therap\w*|treat\w*|maintenance|long|short|term|titrat\w*|low|high|max\w*|full|clinical|"
    r"various|variable|prescribed|needed|night|morning|bedtime|evening|tablets?|capsules?|oral\w*|use\w*|labell?ed)\b|"
    + _OFTEN.pattern,
    re.IGNORECASE,
)
_HOUR = re.compile(r"\b(morning|noon|midday|afternoon|evening|night|bedtime)\b", re.IGNORECASE)
_ONE_TEA = re.compile(
    r"\b(?:a|an|one|1|of|the|as|in|with|by|mouth|for|about|x\s*1|1\s*x|single|once|only|dose|cup|tea|leaf|leaves|kratom|"
    r"powder|mitragynine|oral(?:ly)?|together|earlier|at|and)\b|\bh\s*(?:before|earlier|apart)\b",
    re.IGNORECASE,
)
_PRODUCT = re.compile(r"(high|low)[\s-]hyperforin", re.IGNORECASE)
_BRACKET = re.compile(r"\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of treatment at one daily amount; `days` None: to steady state."""

    amount: float
    unit: str  # mg or ml
    days: float | None


@dataclass(frozen=True, slots=True)
class Course:
    """A regimen as read. No phase: the dose was not said, so the usual one is meant."""

    text: str
    phases: tuple[Phase, ...]
    single: bool
    repeated: bool  # said in so many words; neither: not said
    gap_h: float | None  # how long before the victim the last dose was
    component: str  # what the amount is of, when it is not the product ("hyperforin", "mitragynine")
    grade: str  # "high" or "low" in that component
    days: float | None
    stopped_h: float = 0.0  # since the last dose, where the regimen says so ("stopped 2 wk before")

    @property
    def steady(self) -> bool:
        return not self.single and self.days is None

    @property
    def per_day(self) -> float | None:
        """The amount of the last day."""
        return self.phases[-1].amount if self.phases else None


USUAL = Course("", (), False, False, None, "", "", None)


def courses(regimen: str | None, perpetrators: Sequence[str]) -> list[Course]:
    """One course for each perpetrator: "20 mg QD + 200 mg QD 5 d" names them in order."""
    if regimen is None or not regimen.strip():
        return [USUAL] * len(perpetrators)
    parts = [p for p in re.split(r"\s\+\s", regimen) if p.strip()]
    if len(parts) == 1:
        if len(perpetrators) > 1 and _AMOUNT.search(regimen):
            raise BadInput(
                f"one dose for {len(perpetrators)} perpetrators: {shown(regimen)}; join theirs with ' + ' in order",
                "regimen",
            )
        return [course(regimen)] * len(perpetrators)
    if len(parts) != len(perpetrators):
        raise BadInput(f"{len(parts)} regimens for {len(perpetrators)} perpetrators: {shown(regimen)}", "regimen")
    read = [course(p) for p in parts]
    lasting = read[-1].days
    return [
        c if c.days is not None or c.single else Course(c.text, _lasting(c.phases, lasting), False, c.repeated, c.gap_h,
                                                        c.component, c.grade, lasting)
        for c in read
    ]  # fmt: skip


def _lasting(phases: tuple[Phase, ...], days: float | None) -> tuple[Phase, ...]:
    return tuple(Phase(p.amount, p.unit, days if p.days is None else p.days) for p in phases)


def course(text: str) -> Course:
    """Read one perpetrator's regimen. Words that are no dose, time or frequency are left alone."""
    if _NEGATIVE.search(text):
        raise BadInput(f"a negative amount in the regimen {shown(text)}; {HINT}", "regimen")
    if _BARE.fullmatch(text):
        raise BadInput(f"the regimen {shown(text)} has no unit; {HINT}", "regimen")
    if _NO_DOSE.search(text) or _NO_TIME.search(text) or not _KNOWN_WORD.search(text):
        raise BadInput(f"the regimen {shown(text)} says no dose and no time that can be read; {HINT}", "regimen")
    plain = _STOPPED.sub(" ", _BRACKET.sub(" ", text))
    single = bool(re.search(r"\bsingle\b(?![\s-]*(?:day|strength))|\bonce only\b|\bone dose\b", text, re.IGNORECASE))
    phases = [p for part in re.split(r"\bthen\b", plain, flags=re.IGNORECASE) if (p := _phase(part)) is not None]
    days = [p.days for p in phases]
    lasting = _length(plain)
    total = None if single else sum(d for d in days if d is not None) if any(days) else lasting
    component, grade = _component(text)
    gap, stopped = _GAP.search(text), _STOPPED.search(text)
    together = re.search(r"\btogether\b", text, re.IGNORECASE)
    repeated = not single and bool(total or _REPEATED.search(plain))
    return Course(
        text=text.strip(),
        phases=tuple(phases),
        single=single,
        repeated=repeated,
        gap_h=float(gap[1]) if gap else 0.0 if together else None,
        component=component,
        grade=grade,
        days=total,
        stopped_h=float(stopped[1]) * DAYS[stopped[2].lower()] * HOURS_A_DAY if stopped else 0.0,
    )


def _phase(part: str) -> Phase | None:
    found = list(_AMOUNT.finditer(part))
    if not found:
        return None
    amount = found[-1] if re.search(r"\bto\s+\d", part, re.IGNORECASE) else found[0]
    low, high = float(amount["low"]), float(amount["high"] or amount["low"])
    titrated = re.search(r"\btitrated\b", part, re.IGNORECASE)
    value = high if titrated else math.sqrt(low * high)  # a range across people: its middle; a titration: its end
    unit = amount["unit"].lower()
    if not 0 < value < math.inf:
        raise BadInput(f"not a dose: {shown(part.strip())}; {HINT}", "regimen")
    often = 1.0 if amount["daily"] else _per_day(part[amount.end() :])
    mg = unit != "ml"
    return Phase(value * often * (TO_MG[unit] if mg else 1), "mg" if mg else "ml", _length(part))


def is_one_tea(regimen: str | None) -> bool:
    """Does a regimen speak of one tea and nothing more? Silence does; any word of another day or hour does not."""
    if regimen is None or not regimen.strip():
        return True
    plain = _GAP.sub(" ", _BRACKET.sub(" ", regimen))
    amounts = _AMOUNT.findall(plain)
    units = sorted(unit.casefold() for _, _, unit, _ in amounts)
    if len(amounts) > 1 and not (units == ["g", "mg"] and "mitragynine" in plain.casefold()):  # leaf, and what it holds
        return False
    return not re.search(r"\w", _ONE_TEA.sub(" ", _AMOUNT.sub(" ", plain)))


def _per_day(text: str) -> float:
    found = _OFTEN.search(_LASTING.sub(" ", text))  # "for 2 weeks" says how long, not how often
    if not found:
        return max(1, len({hour.casefold() for hour in _HOUR.findall(text)}))
    if found["weekly"]:
        return (2 if (found["times"] or "")[:1].lower() in ("t", "2") else 1) / DAYS["wk"]
    if found["counted"]:
        return float(found["counted"])
    if found["hours"]:
        return HOURS_A_DAY / float(found["hours"])
    if not found["word"]:
        return 1 / 2
    often: float = PER_DAY[found["word"].lower()]
    return math.sqrt(often * PER_DAY[found["other"].lower()]) if found["other"] else often


def _length(text: str) -> float | None:
    """Days of treatment, where they are said."""
    doses = _DOSES.search(text)
    if doses:
        count = (float(doses[1]) + float(doses[2] or doses[1])) / 2
        return count / _per_day(text)
    if re.search(r"\bsingle[\s-]day\b", text, re.IGNORECASE):
        return 1
    found = _LASTING.findall(text)
    return sum(float(n) * DAYS[u.lower()] for n, u in found[-1:]) or None if found else None


def _component(text: str) -> tuple[str, str]:
    product = _PRODUCT.search(text)
    if "hyperforin" in text.casefold():
        return "hyperforin", product[1].lower() if product else ""
    return ("mitragynine", "") if "mitragynine" in text.casefold() else ("", "")
