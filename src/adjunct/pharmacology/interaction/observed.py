"""Floor 2: exposure ratios measured in people, found by pair, route, regimen and phenotype."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.pharmacology.interaction.courses import Course, courses
from adjunct.pharmacology.interaction.victims import Victim, Victims

CONFIDENCE = ("high", "medium", "low")
SAME_DOSE = 0.02  # daily doses this close, on the log scale, are one dose, written with other digits
NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Observation:
    """One study arm."""

    auc_ratio: float
    low: float | None
    high: float | None
    interval_kind: str
    cmax_ratio: float | None
    source: Mapping[str, str]
    route: str
    regimen: str
    phenotype: str
    n: int | None
    confidence: str
    note: str
    single: bool

    def plain(self) -> dict[str, Any]:
        return {
            "auc_ratio": self.auc_ratio,
            "low": self.low,
            "high": self.high,
            "interval_kind": self.interval_kind or None,
            "cmax_ratio": self.cmax_ratio,
            "source": dict(self.source),
            "victim_route": self.route,
            "regimen": self.regimen,
            "phenotype": self.phenotype or None,
            "n": self.n,
            "confidence": self.confidence,
            "note": self.note,
        }


class Observed:
    """All measured ratios of one edition of the knowledge."""

    def __init__(self, knowledge: Knowledge, victims: Victims) -> None:
        self.knowledge = knowledge
        phenotypes = knowledge.content["method"]["phenotype"]
        self.like = {p["name"]: p.get("like", p["name"]) for p in phenotypes}
        self.few_days = knowledge.number("ddi.same.days")
        self.rows: dict[tuple[str, str, frozenset[str]], list[Mapping[str, str]]] = {}
        for row in knowledge.observed_ratios.values():
            name = f"{row['victim']} (from {row['analyte_of']})" if row.get("analyte_of") else row["victim"]
            found = victims.find(name)
            key = (found.analyte, found.parent.id, frozenset(row["perpetrators"].split("+")))
            self.rows.setdefault(key, []).append(row)

    def of(
        self,
        victim: Victim,
        perpetrators: Sequence[str],
        *,
        route: str,
        regimen: str | None,
        asked: Sequence[Course],
        usual: float | None,
        phenotype: Mapping[str, str],
        lag_h: float | None,
    ) -> tuple[list[Observation], list[Observation]]:
        """What was measured for just this question, the nearest first, and what was measured otherwise for the pair.

        `usual` is the reference amount of the (only) perpetrator: without a regimen the study nearest to it leads.
        """
        meant: list[tuple[tuple[float, ...], Observation]] = []
        otherwise: list[tuple[tuple[float, ...], Observation]] = []
        matters = victim.cleared_by
        for row in self.rows.get((victim.analyte, victim.parent.id, frozenset(perpetrators)), ()):
            read = courses(row["regimen"], row["perpetrators"].split("+"))
            order = {name: n for n, name in enumerate(row["perpetrators"].split("+"))}
            own = [read[order[name]] for name in perpetrators]
            same = (
                row["victim_route"] == route
                and self._same_person(row["phenotype"], phenotype, matters)
                and (lag_h is None or not own[0].single or lag_h == (own[0].gap_h or 0))
                and (
                    not any(c.stopped_h for c in own)  # measured after the end: an answer only to that question
                    if regimen is None
                    else fold(regimen) == fold(row["regimen"]) or _same_course(asked, own, self.few_days)
                )
            )
            observation = self._observation(row, own)
            rank = (
                float(regimen is None or fold(regimen) != fold(row["regimen"])),
                *self._rank(observation, own, usual),
            )
            (meant if same else otherwise).append((rank, observation))
        return [o for _, o in sorted(meant, key=_first)], [o for _, o in sorted(otherwise, key=_first)]

    def _same_person(self, row: str, asked: Mapping[str, str], matters: frozenset[str]) -> bool:
        """Silence in a study, or about a person, is read as a normal metaboliser.

        An enzyme that has no part in clearing the victim makes no difference between people.
        """
        theirs = dict(self._phenotypes(row))
        return all(
            theirs.get(e, NORMAL) == self.like.get(asked.get(e, NORMAL), asked.get(e, NORMAL))
            for e in {*theirs, *asked} & matters
        )

    def _phenotypes(self, row: str) -> Iterator[tuple[str, str]]:
        for part in filter(None, row.split(";")):
            enzyme, _, word = part.partition("=")
            yield enzyme.strip(), self.like.get(word.strip(), word.strip())

    def _observation(self, row: Mapping[str, str], own: Sequence[Course]) -> Observation:
        source = self.knowledge.sources.get(row["source"])
        return Observation(
            auc_ratio=float(row["auc_ratio"]),
            low=_number(row["low"]),
            high=_number(row["high"]),
            interval_kind=row["interval_kind"],
            cmax_ratio=_number(row["cmax_ratio"]),
            source={
                "id": row["source"],
                "citation": source.citation if source is not None else row["source"],
                "locator": row.get("locator", ""),
            },
            route=row["victim_route"],
            regimen=row["regimen"],
            phenotype=row["phenotype"],
            n=int(row["n"]) if row["n"] else None,
            confidence=row["confidence"],
            note=row["note"],
            single=all(c.single for c in own),
        )

    @staticmethod
    def _rank(observation: Observation, own: Sequence[Course], usual: float | None) -> tuple[float, ...]:
        dose = own[0].per_day if len(own) == 1 else None
        away = abs(math.log(dose / usual)) if dose and usual else 0.0
        return (
            float(observation.single),
            round(away, 1),
            float(CONFIDENCE.index(observation.confidence)),
            float(observation.low is None),
            -float(observation.n or 0),
        )


def _first(pair: tuple[tuple[float, ...], Observation]) -> tuple[float, ...]:
    return pair[0]


def _same_course(asked: Sequence[Course], row: Sequence[Course], few_days: float) -> bool:
    """The same daily amount of the same thing, single or repeated alike, going on or stopped as long ago.

    Days past the first few make no difference; where no length is said there were many.
    """
    for a, b in zip(asked, row, strict=True):
        lengths = {min(math.inf if c.days is None else c.days, few_days) for c in (a, b)}
        if a.stopped_h != b.stopped_h or (len(lengths) > 1 and not a.single):
            return False
        if a.single != b.single or a.component != b.component or (a.single and (a.gap_h or 0) != (b.gap_h or 0)):
            return False
        if a.per_day is None or b.per_day is None or a.phases[-1].unit != b.phases[-1].unit:
            return False
        if abs(math.log(a.per_day / b.per_day)) > SAME_DOSE:
            return False
    return True


def _number(text: str) -> float | None:
    return float(text) if text else None
