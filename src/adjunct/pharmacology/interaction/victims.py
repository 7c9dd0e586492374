"""Floor 2: who is changed. A name as people write it -> what clears it, what it turns into, which of it acts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adjunct.base import BadInput, shown
from adjunct.knowledge import Knowledge
from adjunct.knowledge.entries import fold
from adjunct.pharmacology import CannotPredict
from adjunct.pharmacology.interaction.mechanism import GUT_ENZYME, Clearance, Metabolite

OTHER = "other"
NAMES_KEPT = 1024
HANDS = ("levo", "dextro", "dex", "lev", "es", "ar", "s-", "r-", "plus-", "minus-")  # of non-proprietary names
_SUFFIX = re.compile(r"\s*\((?:metabolite|from [^)]*)\)\s*$|-from-[a-z0-9-]+")
_FROM = re.compile(r"\(from ([^)]+)\)")
_METABOLITE = "(metabolite)"
_MOIETY = re.compile(r"\s*\(?\bactive moiety\b\)?\s*(?:of\s+)?")
_HAND = re.compile(r"^\(?(?:r|s|\+|-|r,s|\+/-)\)?-(?=[a-z]{4})")


@dataclass(frozen=True, slots=True)
class Part:
    """One acting substance of a moiety: its weight in the effect, its share of the exposure before."""

    id: str
    weight: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Victim:
    """What is measured (`analyte`), and in whom it arises: itself, or the parent it is formed from."""

    analyte: str
    parent: Clearance  # what is given
    metabolite: Metabolite | None  # the analyte, when it is formed from what is given
    others: tuple[Metabolite, ...]  # everything else that is formed
    moiety: str
    parts: tuple[Part, ...]
    entry: Mapping[str, Any]  # as the knowledge says it; empty when only the class is known
    substance: str
    whole: bool = False  # the moiety is asked for: parent and metabolites together
    doubt: str = ""  # why it stands for what was asked for

    @property
    def formed(self) -> Mapping[str, Metabolite]:
        """Every metabolite of which it is known what clears it."""
        every = (*self.others, self.metabolite) if self.metabolite is not None else self.others
        return {m.id: m for m in every if m.clearance is not None}

    @property
    def cleared_by(self) -> frozenset[str]:
        """Every enzyme that clears what is given, or what is measured."""
        asked = self.metabolite.clearance if self.metabolite is not None else None
        formed = [m.clearance for m in self.formed.values()] if self.whole else [asked]
        every = (self.parent, *(c for c in formed if c is not None))
        return frozenset(e for clearance in every for e, share in clearance.shares.items() if share)

    @property
    def active(self) -> tuple[str, ...]:
        """Metabolites that act too."""
        return tuple(m["id"] for m in _formed(self.entry) if m.get("active"))

    @property
    def measured(self) -> str:
        """What the ratio is of."""
        return self.moiety if self.whole else self.analyte


class Victims:
    """Every victim of one edition of the knowledge, found by any of its names."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.names = dict(self._names())
        self.moieties = {fold(v["moiety"]["name"]): v["id"] for v in knowledge.victims.values() if v.get("moiety")}
        self.parents = {m["id"]: v["id"] for v in reversed(list(knowledge.victims.values())) for m in _formed(v)}
        self.unknown = knowledge.number("ddi.unknown.share")
        self._found: dict[str, Victim] = {}

    def _names(self) -> Iterator[tuple[str, str]]:
        for victim in self.knowledge.victims.values():
            for name in (victim["id"], *victim.get("names", ())):
                yield fold(name), victim["id"]
                yield _words(name), victim["id"]
        for victim in self.knowledge.victims.values():
            yield fold(victim["id"]), victim["id"]  # an id outranks a name of something else

    def find(self, name: str) -> Victim:
        """The victim of this name. BadInput: no such thing. CannotPredict: known, but nobody knows what clears it."""
        if name not in self._found:
            if len(self._found) >= NAMES_KEPT:  # names come from outside: what is kept has an end
                self._found.clear()
            self._found[name] = self._read(name)
        return self._found[name]

    def same(self, taken: str, victim: Victim) -> bool:
        """Is what is taken the victim under another name: an isomer, its mixture, what it forms or is formed from?"""
        given = victim.parent.id
        formed = set(self._formed_ids(given))
        formed |= {b for n in formed if n not in self._formed_ids(b := self.base(n))}  # not another maker of the same
        own = {self.base(n) for n in (given, victim.analyte, victim.substance)} | formed
        makes = {n for n in self._formed_ids(taken) if n in (given, victim.analyte)}
        return bool(makes or own & {taken, self.base(taken)})

    def base(self, name: str) -> str:
        """The mixture that an isomer belongs to, by the names of isomers: esketamine and arketamine are ketamine."""
        known = str(self.knowledge.victims.get(name, {}).get("substance", name))
        known = self.names.get(fold(known), known)
        for hand in HANDS:
            mixed = known.removeprefix(hand)
            if mixed != known and (mixed in self.knowledge.victims or mixed in self.knowledge.substances):
                return mixed
        return known

    def _formed_ids(self, name: str) -> Iterator[str]:
        """What is formed from a substance; the parts of a plant are what it forms too."""
        held = self.names.get(fold(name), name)
        if held != name:
            yield held
        for formed in _formed(self.knowledge.victims.get(held, {})):
            yield formed["id"]

    def _read(self, name: str) -> Victim:
        if not name.strip():
            raise BadInput("no victim: name the medicine whose exposure is asked for", "victim")
        if _MOIETY.search(fold(name)) or fold(name) in self.moieties:
            return self._whole(name)
        plain = _SUFFIX.sub("", _SUFFIX.sub("", fold(name)))
        key = next((self.names[k] for k in (fold(name), plain, _words(plain)) if k in self.names), None)
        formed = _METABOLITE in fold(name)
        origin = _FROM.search(fold(name))
        racemate = _HAND.sub("", plain)
        if key is None and racemate != plain:
            mixed = self.find(fold(name).replace(plain, racemate))
            return replace(mixed, doubt=f"{name} is not known apart from {mixed.analyte}, by class the same is assumed")
        if key is None:
            key = self._substance(plain, name)
        if origin or formed or (key in self.parents and not self._is_given(key)):
            parent = self.find(origin[1]).parent.id if origin else self.parents.get(key)
            if parent is None:
                raise CannotPredict(
                    f"cannot predict {name}: it is a metabolite, and the medicine it is formed from is not in the "
                    "knowledge; ask for that medicine",
                    "victim",
                )
            return self._formed_from(key, parent)
        return self._given(key)

    def _whole(self, name: str) -> Victim:
        """Parent and metabolites together, asked for by their moiety's name or as "active moiety"."""
        key = self.moieties.get(fold(name))
        if key is None:
            first, *_ = _MOIETY.sub("", fold(name)).split(" + ")
            key = self.find(first).parent.id
        found = self._given(key)
        known = {m.id for m in found.others if m.clearance is not None} | {key}
        if not found.parts or not {p.id for p in found.parts} <= known:
            raise CannotPredict(f"cannot predict the active moiety of {key}: its parts are not all known", "victim")
        return replace(found, whole=True)

    def _is_given(self, key: str) -> bool:
        substance = self.knowledge.substances.get(key)
        return substance is not None and not any("metabolite" in c for c in substance.classes)

    def _substance(self, plain: str, name: str) -> str:
        found = self.knowledge.substances_by_name.get(plain) or ((plain,) if plain in self.knowledge.substances else ())
        if not found:
            raise BadInput(
                f"unknown victim {shown(name)}: check the spelling, or use its non-proprietary name", "victim"
            )
        mixed = self.knowledge.substances[found[0]].components if len(found) == 1 else found
        if mixed:
            parts = " or ".join(mixed)
            raise BadInput(f"{shown(name)} is a combination: ask for {parts}", "victim")
        return found[0]

    def _given(self, key: str) -> Victim:
        entry = self.knowledge.victims.get(key, {})
        formed = tuple(self._metabolite(key, m) for m in _formed(entry))
        moiety, parts = self._parts(entry)
        return Victim(key, self.clearance(key), None, formed, moiety, parts, entry, entry.get("substance", key))

    def _formed_from(self, key: str, parent: str) -> Victim:
        whole = self._given(parent)
        asked = [m for m in whole.others if m.id == key]
        if not asked:
            raise CannotPredict(
                f"cannot predict {key} formed from {parent}: the knowledge does not say how it is formed", "victim"
            )
        others = tuple(m for m in whole.others if m.id != key)
        return Victim(key, whole.parent, asked[0], others, whole.moiety, whole.parts, whole.entry, whole.substance)

    def _metabolite(self, parent: str, entry: Mapping[str, Any]) -> Metabolite:
        known = entry["id"] in self.knowledge.victims
        formed = entry.get("formed_by", {})
        if not formed:
            raise CannotPredict(f"the pathway that makes {entry['id']} from {parent} is unknown", "victim")
        return Metabolite(entry["id"], formed, self.clearance(entry["id"]) if known else None)

    def _parts(self, entry: Mapping[str, Any]) -> tuple[str, tuple[Part, ...]]:
        moiety = entry.get("moiety")
        if not moiety:
            return "", ()
        baseline = moiety.get("baseline", {})
        even = 1 / len(moiety["of"])
        parts = [Part(i, float(w), float(baseline.get(i, even))) for i, w in moiety["of"].items()]
        return moiety["name"], tuple(parts)

    def clearance(self, key: str) -> Clearance:
        """What clears a substance: as curated, else as the list of substances has it."""
        entry = self.knowledge.victims.get(key)
        if entry is not None:
            return Clearance(
                id=key,
                shares=self._mapped(entry["pathways"]),
                share_sd=entry.get("sd", {}),
                gut=entry.get("gut_availability"),
                extraction=entry.get("hepatic_extraction"),
                availability=entry.get("oral_availability"),
                poor=entry.get("poor", {}),
                rated=True,
            )
        substance = self.knowledge.substances[key]
        if substance.pathways.get(OTHER, 0) >= self.unknown or not substance.pathways:
            raise CannotPredict(
                f"cannot predict {key}: which enzymes or organs clear it is not in the knowledge", "victim"
            )
        shares = self._mapped(substance.pathways)
        gut = self.knowledge.number("ddi.unrated.gut_availability") if shares.get(GUT_ENZYME, 0) else 1.0
        return Clearance(key, shares, {}, gut, None, None, {}, False)

    def _mapped(self, pathways: Mapping[str, float]) -> Mapping[str, float]:
        """Pathways under the names the method knows, adding up to 1; what is missing is `other`."""
        names: Mapping[str, str] = self.knowledge.content["method"]["pathway_names"]
        shares: dict[str, float] = {}
        for pathway, share in pathways.items():
            name = names.get(pathway, pathway)
            shares[name] = shares.get(name, 0) + float(share)
        total = sum(shares.values())
        if total < 1:
            shares[OTHER] = shares.get(OTHER, 0) + 1 - total
        return {p: s / max(total, 1) for p, s in shares.items()}


def _formed(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = entry.get("metabolites", ())
    return found


def _words(name: str) -> str:
    """A name without the order of its parts: "tramadol-plus" is "plus-tramadol"."""
    return " ".join(sorted(re.split(r"[\s-]+", fold(name))))
