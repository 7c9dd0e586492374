"""What a change between two scores is called, for one scale: its file joined with what holds for all scales.

Response, remission, reliable change, the important difference (which is another number, and never the same one),
clinically significant change. Every figure carries its definition with the numbers filled in, its source and how sure
that is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from adjunct.base import UNKNOWN, BadInput, shown
from adjunct.instruments.change import PERCENT, above, at_least, clinical_cut, reliable_change_index
from adjunct.instruments.model import TOTAL, Instrument
from adjunct.knowledge.conditions import Columns, Condition, condition
from adjunct.knowledge.entries import Locator, fold
from adjunct.knowledge.load import Knowledge

DIGITS = 2
STATUSES = ("proposed", "reported", "verified", "")  # weakest first; the last is plain arithmetic, nobody's claim
TWICE = "outcome.relapse.twice"
CLINIC, NORM = "patients", "general population"


def number_text(value: float) -> str:
    """As it stands in a definition.

    >>> number_text(6.0978), number_text(9.0)
    ('6.1', '9')
    """
    return f"{round(value, DIGITS):g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its definition, sources and status; NaN with `why` where it is not known."""

    id: str
    name: str
    value: float
    unit: str
    definition: str
    sources: tuple[Locator, ...] = ()
    status: str = STATUSES[-1]
    because: tuple[str, ...] = ()  # references of the scores
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement(Figure):
    """Whether something holds: 0 no, 1 unknown, 2 yes. `value` met `limit` or not; `chosen`: the variant in use."""

    holds: int
    variant: str = ""
    limit: float = math.nan
    chosen: bool = True


@dataclass(frozen=True, slots=True)
class Support:
    """What a number of the knowledge base rests on."""

    sources: tuple[Locator, ...] = ()
    status: str = STATUSES[-1]

    def __add__(self, other: Support) -> Support:
        return Support(
            tuple(dict.fromkeys((*self.sources, *other.sources))), min(self.status, other.status, key=STATUSES.index)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to define a word, by name. `points` or `percent` or `when` says it."""

    name: str
    support: Support
    default: bool = False
    when: Condition | None = None
    points: float = math.nan
    percent: float = math.nan
    needs: float = -math.inf  # score before the first dose from which per cent means something
    strict: bool = False  # more than `points`, not from `points` on
    level: str = "unsaid"
    origin: str = ""  # the people whose numbers these are
    apart: str = TWICE  # fact: how far apart two ratings confirm a relapse

    def holds(self, total: Sequence[float]) -> list[int]:
        """Truth of the condition at each score."""
        assert self.when is not None
        return self.when.over(Columns({TOTAL: np.asarray(total, dtype=np.float64)})).tolist()

    def beyond(self, change: float) -> int:
        return above(change, self.points) if self.strict else at_least(change, self.points)


@cache
def _condition(text: str) -> Condition:
    return condition(text, (TOTAL,), "status of an instrument")


def chosen(variants: Sequence[Variant], wanted: str | None, kind: str) -> Variant | None:
    """The variant asked for by name, else the default one, else the first; None where there is none."""
    if wanted is None:
        return next((v for v in variants if v.default), variants[0] if variants else None)
    found = next((v for v in variants if fold(v.name) == fold(wanted)), None)
    if found is None:
        names = ", ".join(repr(v.name) for v in variants) or "none"
        raise BadInput(f"no variant of {kind} is called {shown(wanted)}: choose from {names}")
    return found


# --- one scale --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What an instrument's file says of change, joined with what holds for all scales. `wanted`: variants by name."""

    raw: Mapping[str, Any]
    knowledge: Knowledge
    wanted: Mapping[str, str] = field(default_factory=dict)
    form: str = ""

    @classmethod
    def of(
        cls,
        instrument: Instrument | Mapping[str, Any],
        knowledge: Knowledge,
        wanted: Mapping[str, str] | None = None,
        form: str = "",
    ) -> Scale:
        raw = instrument.raw if isinstance(instrument, Instrument) else instrument
        scale = cls(raw=raw, knowledge=knowledge, wanted=dict(wanted or {}), form=form)
        for kind in scale.wanted:
            if kind not in scale.variants:
                raise BadInput(f"nothing called {shown(kind)} has variants: choose from {', '.join(scale.variants)}")
            chosen(scale.variants[kind], scale.wanted[kind], kind)
        return scale

    @cached_property
    def outcomes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.knowledge.content["outcomes"]
        return found

    @cached_property
    def direction(self) -> str:
        return str(self.raw["direction"])

    @cached_property
    def id(self) -> str:
        return str(self.raw["id"])

    @cached_property
    def in_episodes(self) -> bool:
        """Whether it measures what comes and goes, so that relapse and recovery are words for it."""
        return self.direction != "neither" and self.raw["domain"] in self.outcomes["episode_domains"]

    @cached_property
    def unit(self) -> str:
        return str(self.raw.get("unit", "{score}"))

    @cached_property
    def range(self) -> tuple[float, float]:
        """Of the total; without bounds where the file gives none."""
        span = self.raw.get("range")
        return (float(span[0]), float(span[1])) if span else (-math.inf, math.inf)

    @cached_property
    def variants(self) -> Mapping[str, tuple[Variant, ...]]:
        return {
            "response": self._responses(),
            "remission": self._conditions("remission"),
            "recovery": tuple(self._recovery(entry) for entry in self.outcomes["recovery"]),
            "relapse": self._relapses(),
            "reliable_change": (
                *(self._index(c) for c in self._listed("change", "kind", "reliable")),
                *(self._published(c) for c in self._listed("change", "kind", "published-reliable")),
            ),
        }

    def variant(self, kind: str) -> Variant | None:
        """The variant of a word that is in use."""
        return chosen(self.variants[kind], self.wanted.get(kind), kind)

    def of_scale(self, rule: str) -> Mapping[str, Any] | None:
        """The entry of a table of `outcomes.toml` that names this instrument."""
        return next((r for r in self.outcomes[rule] if self.id in r["instruments"]), None)

    def _listed(self, table: str, key: str, value: str) -> list[Mapping[str, Any]]:
        return [e for e in self.raw.get(table, ()) if e[key] == value and e.get("form", self.form) == self.form]

    def _variant(self, entry: Mapping[str, Any]) -> Variant:
        return Variant(
            name=entry.get("name", ""),
            support=cited(entry),
            default=entry.get("default", False),
            points=entry.get("points", math.nan),
            percent=entry.get("percent", math.nan),
            needs=entry.get("needs_baseline", -math.inf),
            level=entry.get("level", "unsaid"),
            origin=entry.get("origin", ""),
        )

    def _responses(self) -> tuple[Variant, ...]:
        """As listed; one that gives no number of its own is the usual share, and where nobody published the least score
        before the first dose from which per cent means something, that is a share of the range."""
        usual = PERCENT * self.knowledge.number("outcome.response")
        support = self.fact_support("outcome.response")
        listed = [self._variant(s) for s in self._listed("status", "id", "response")]
        if not listed and self.id in self.outcomes["usual_response"]:
            listed = [Variant(name=self.words("half"), support=support)]
        filled = (
            replace(v, percent=usual, support=v.support + support)
            if math.isnan(v.points) and math.isnan(v.percent)
            else v
            for v in listed
        )
        return tuple(
            v if math.isnan(v.percent) or math.isfinite(v.needs) else replace(v, needs=self.least_for_percent)
            for v in filled
        )

    @cached_property
    def least_for_percent(self) -> float:
        return self.range[1] * self.knowledge.number("outcome.percent.least_share")

    def _conditions(self, status: str) -> tuple[Variant, ...]:
        return tuple(
            replace(self._variant(s), when=_condition(s["when"])) for s in self._listed("status", "id", status)
        )

    def _recovery(self, entry: Mapping[str, Any]) -> Variant:
        return Variant(
            name=entry["name"],
            support=self.fact_support(entry["fact"]),
            default=entry.get("default", False),
            points=self.knowledge.number(entry["fact"]),
        )

    def _relapses(self) -> tuple[Variant, ...]:
        """By score: the rule for this scale, then those that its file lists."""
        listed = self._conditions("relapse")
        rule = self.of_scale("relapse")
        if rule is None:
            return listed
        points, support = self.knowledge.number(rule["from"]), self.fact_support(rule["from"], rule["apart"])
        name = self.words("worse", n=number_text(points))
        return (Variant(name=name, support=support, default=True, points=points, apart=rule["apart"]), *listed)

    def _index(self, entry: Mapping[str, Any]) -> Variant:
        name = self.words("index", sd=number_text(entry["sd"]), r=f"{entry['r']:g}", kind=entry.get("r_kind", "?"))
        return replace(
            self._variant(entry),
            name=name,
            support=cited(entry) + self.fact_support("outcome.reliable.z"),
            points=reliable_change_index(entry["sd"], entry["r"], self.knowledge.number("outcome.reliable.z")),
            strict=True,
        )

    def _published(self, entry: Mapping[str, Any]) -> Variant:
        name = self.words("published", n=number_text(entry["points"]))
        return replace(self._variant(entry), name=name)

    @cached_property
    def important(self) -> tuple[Variant, ...]:
        """Least differences that matter; an entry with points and per cent is two."""
        return tuple(
            replace(self._variant(entry), **{key: entry[key], other: math.nan}, name=entry.get("origin", ""))
            for entry in self._listed("change", "kind", "important")
            for key, other in (("points", "percent"), ("percent", "points"))
            if key in entry
        )

    @cached_property
    def cut(self) -> tuple[float, Mapping[str, str], Support] | None:
        """The clinical cut, the two groups it lies between, and their sources; None without two norms."""
        groups = [
            next((n for n in self.raw.get("norm", ()) if n["group"].startswith(name)), None) for name in (CLINIC, NORM)
        ]
        clinic, norm = groups
        if clinic is None or norm is None:
            return None
        value = clinical_cut((clinic["mean"], clinic["sd"]), (norm["mean"], norm["sd"]))
        return value, {"clinic": clinic["group"], "norm": norm["group"]}, cited(clinic) + cited(norm)

    # --- saying

    def said(self, value: float) -> str:
        return self.words("unknown") if math.isnan(value) else number_text(value)

    def words(self, key: str, **words: str) -> str:
        return self.knowledge.say(self.outcomes["words"][key], **words)

    def why(self, key: str, **words: str) -> str:
        """A reason for not knowing, in words."""
        return self.knowledge.say(self.outcomes["why"][key], **words)

    def fact_support(self, *facts: str) -> Support:
        found = Support()
        for name in facts:
            fact = self.knowledge.facts[name]
            found += Support((Locator(fact.source, fact.locator),), fact.status)
        return found

    @cached_property
    def _definitions(self) -> Mapping[str, Mapping[str, Any]]:
        return {e["id"]: e for table in ("figure", "judgement") for e in self.outcomes[table]}

    def _support(self, entry: Mapping[str, Any]) -> Support:
        sources = tuple(Locator(s["id"], s.get("locator", "")) for s in entry.get("sources", ()))
        return self.fact_support(*entry["facts"]) + Support(sources, entry.get("status", STATUSES[-1]))

    def figure(
        self,
        id_: str,
        value: float,
        words: Mapping[str, str],
        *,
        unit: str = "",
        why: str = "",
        because: Iterable[str] = (),
    ) -> Figure:
        """A number with its definition filled in; the reason is kept only where the number is not known."""
        entry = self._definitions[id_]
        support = self._support(entry)
        return Figure(
            id=id_,
            name=entry["name"],
            value=value,
            unit=unit or self.unit,
            definition=self.knowledge.say(entry["definition"], **words),
            sources=support.sources,
            status=support.status,
            because=tuple(because),
            why=why if math.isnan(value) else "",
        )

    def judge(
        self,
        id_: str,
        holds: int,
        words: Mapping[str, str] | None = None,
        *,
        variant: Variant | None = None,
        value: float = math.nan,
        limit: float = math.nan,
        unit: str = "",
        support: Support | None = None,
        why: str = "",
        because: Iterable[str] = (),
        chosen: bool = True,
    ) -> Judgement:
        """A judgement with its definition filled in; the reason is kept only where the answer is unknown."""
        entry = self._definitions[id_]
        held = self._support(entry) + (support or Support()) + (variant.support if variant else Support())
        name, origin = (variant.name, variant.origin) if variant else ("", "")
        common = {"title": self.raw["title"], "variant": name, "limit": number_text(limit)}
        filled = common | {"origin": f"; {origin}" if origin and origin != name else ""} | dict(words or {})
        return Judgement(
            id=id_,
            name=entry["name"],
            holds=holds,
            value=value,
            limit=limit,
            unit=unit or self.unit,
            variant=name,
            chosen=chosen,
            definition=self.knowledge.say(entry["definition"], **filled),
            sources=held.sources,
            status=held.status,
            because=tuple(because),
            why=why if holds == UNKNOWN else "",
        )


def cited(entry: Mapping[str, Any]) -> Support:
    """The source and status of one entry of an instrument file."""
    source = entry.get("source", {})
    found = (
        Locator(source, entry.get("locator", ""))
        if isinstance(source, str)
        else Locator(source.get("id", ""), source.get("locator", ""), source.get("says", ""))
    )
    return Support((found,) if found.id else (), entry.get("status", STATUSES[0]))


def together(parts: Iterable[Judgement]) -> Support:
    """What a judgement rests on that is made of others."""
    found = Support()
    for part in parts:
        found += Support(part.sources, part.status)
    return found
