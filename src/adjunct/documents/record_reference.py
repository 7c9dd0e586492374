"""The page about the record store: what can be asked, in which words, up to which limits, and what is not checked.

Made from what answers requests: the CapabilityStatement, the definitions of R4, the rules of validation. What it says
of an interaction, a setting or a modifier stands here; one without a sentence stops the making of the page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from adjunct.fhir import definitions, profiles, wire
from adjunct.fhir.criteria import MOST_INCLUDED
from adjunct.fhir.indexing import KEPT
from adjunct.fhir.rest.call import Rules
from adjunct.fhir.rest.metadata import statement
from adjunct.fhir.rest.operations import offered
from adjunct.fhir.rest.single import PATCH_LIMIT
from adjunct.fhir.search.conditions import MODIFIERS, MOST_CONDITIONS, MOST_STEPS, MOST_VALUES, REFUSED
from adjunct.fhir.search.query import MOST_RULES, MOST_SORTS
from adjunct.fhir.validation import OWN, unchecked
from adjunct.knowledge.book.markdown import code, plain, table

MADE = "<!-- Made by `make docs` from what answers requests. Change that, not this page. -->"
FEW = 6  # types that are named; of more only the number is told

ABOUT = (
    "FHIR R4 (4.0.1) over HTTP, JSON only, below `/fhir`. What it means: [The record](../explanation/the-record.md). "
    "How to run it: [Serve a record](../how-to/serve-a-record.md). A running server says the same at `/fhir/metadata`."
)
INTERACTIONS: Mapping[str, tuple[str, str]] = {
    "read": ("GET Type/id", "304 with `If-None-Match` or `If-Modified-Since`; `_summary`, `_elements`"),
    "vread": ("GET Type/id/_history/version", "that version, byte for byte as it was stored"),
    "update": (
        "PUT Type/id · PUT Type?criteria",
        "creates under a chosen id; 412 where `If-Match` does not match, or where there is one and `If-None-Match: *`",
    ),
    "patch": (
        "PATCH Type/id · PATCH Type?criteria",
        "JSON Patch (RFC 6902) or JSON Merge Patch (RFC 7396); in a Bundle only JSON Patch, as a Binary",
    ),
    "delete": (
        "DELETE Type/id · DELETE Type?criteria",
        "a version that says it is gone; criteria must find one or none",
    ),
    "history-instance": ("GET Type/id/_history", "newest first, deletions among them; `_since`, `_count`"),
    "history-type": ("GET Type/_history", "the same of all of a type"),
    "create": (
        "POST Type · POST Type?criteria",
        "under an id of the server; nothing new where `If-None-Exist`, or criteria in the address, find one",
    ),
    "search-type": (
        "GET Type?... · POST Type/_search",
        "also in a compartment: `GET Patient/id/Type?...`, `Patient/id/*`",
    ),
    "transaction": ("POST / with a Bundle", "all or nothing, references between entries resolved"),
    "batch": ("POST / with a Bundle", "each entry for itself"),
    "search-system": ("GET /?... · POST /_search", "of all types, or those in `_type`"),
    "history-system": ("GET /_history", "of the whole record"),
}
OPERATIONS: Mapping[str, str] = {
    "$validate": "every issue of a resource, against `profile` too; stores nothing; always 200",
    "$everything": "a person's compartment with whom and what it names; `_since`, `_type`, `_count`",
    "$assess": "the answer of `adjunct assess`: `treatment`, `phase`, `at`, `country`, `keep`",
    "$export": "Bulk Data, asynchronous: `_since`, `_type`, `patient`, `_outputFormat`",
    "$export-status": "whether an export is done, and its files; DELETE cancels it",
    "$export-file": "one file of an export",
}
MODIFIER: Mapping[str, str] = {
    "not": "none of the values; what has no value matches too",
    "text": "a display or text that begins so",
    "in": "a code of this value set: of R4, or a ValueSet in the record that lists its codes",
    "of-type": "an identifier of this type: `system|code|value`",
    "missing": "`true`: without a value; `false`: with one",
    "exact": "with case and accents",
    "contains": "anywhere in the text",
    "below": "this URL or one that goes on after it",
    "above": "this URL or a beginning of it",
    "identifier": "a reference that names its target by `system|value`",
    "[type]": "the type that the reference leads to: `subject:Patient=17`",
}
RESULTS: Mapping[str, str] = {
    "_sort": "parameters with commas between them, `-` for descending; what has no value comes last",
    "_count": "resources on a page; 0 only counts",
    "_total": "`none`, `estimate`, `accurate`; an estimate is accurate here",
    "_include, _revinclude": (
        "`Type:parameter`, `Type:parameter:Target`, `Type:*`; `:iterate` goes on from there. `_include=*` takes all "
        "references of what is searched; `_revinclude=*` is refused: name the types"
    ),
    "_summary, _elements": "`true`, `text`, `data`, `count`; names of elements. What is left is tagged SUBSETTED",
    "_type": "types, where the address names none",
    "_cursor": "made by the server in the link to the next page; good for that search only",
    "_format": "JSON or nothing",
}
SETTINGS: Mapping[str, str] = {
    "database": "`sqlite:///FILE` or `postgresql://USER@HOST/NAME`",
    "host": "an address of this computer; any other is refused",
    "port": "0 takes any that is free",
    "log_level": "debug, info, warning, error",
    "body_bytes": "of a request; more is 413",
    "request_seconds": "then 503, or 504 where a write may still be stored",
    "stop_seconds": "for requests in flight after SIGTERM or Ctrl+C",
    "threads": "requests that work at once; with SQLite a read by id and a small create or update need none",
    "waiting": "requests that may wait for a thread; more are 503 at once",
    "gzip_from": "bytes of an answer from which it is compressed, if the client takes it",
}


def pages(rules: Rules, settings: Mapping[str, object]) -> dict[str, str]:
    """`record-store.md`. `rules` of a server with all its operations; `settings`: every setting with its default."""
    blocks = ("# The record store", MADE, ABOUT, *_asked(rules), *_searched(), *_limits(rules, settings), *_validated())
    return {"record-store.md": "\n\n".join(blocks) + "\n"}


def _asked(rules: Rules) -> Iterator[str]:
    rest = statement(rules)["rest"][0]
    offers = [each["code"] for each in (*rest["resource"][0]["interaction"], *rest["interaction"])]
    yield "## What can be asked"
    yield f"Of each of the {len(rest['resource'])} resource types of R4:"
    yield table(
        ("interaction", "request", "what"), ((one, code(INTERACTIONS[one][0]), INTERACTIONS[one][1]) for one in offers)
    )
    yield "Operations:"
    yield table(
        ("operation", "of", "methods", "what"),
        (
            (
                code(name),
                ", ".join(of.types) or ("any type" if level != "system" else "the record"),
                ", ".join(of.methods),
                OPERATIONS[name],
            )
            for (level, name), of in sorted(offered(rules).items(), key=lambda each: (each[0][1], each[0][0]))
        ),
    )
    yield (
        "`Prefer: return=minimal|representation|OperationOutcome` says what a write answers, `Prefer: respond-async` "
        "begins an export."
    )


def _searched() -> Iterator[str]:
    every = definitions.resource_types()
    served = sum(len(definitions.parameters(name)) for name in every)
    yield "## Search"
    yield (
        f"{served} parameters, as R4 and US Core define them, {len(definitions.parameters('Resource'))} of them for "
        "every type. A comma between values is *or*, a parameter twice is *and*; a backslash takes the meaning of "
        "`,` `|` `$` `\\` away. Dates, numbers and quantities take the prefixes `eq ne gt lt ge le sa eb ap`. "
        "A date is the interval that its precision says, a number whatever rounds to it; an amount with a UCUM code "
        "finds the same amount in other units. Texts are compared without case and accents, by their first "
        f"{KEPT} characters. Chains (`subject:Patient.name`), `_has` and includes go on through references; to go on "
        "through a canonical address is refused: search by the address."
    )
    yield (
        "**What is not known is refused**, with 400: a filter that is dropped in silence widens the answer. With "
        "`Prefer: handling=lenient` an unknown parameter is ignored, and the answer names it. A value that cannot be "
        "read is refused always."
    )
    yield table(
        ("parameter of type", "modifiers"),
        ((kind, ", ".join(f"`:{m}`" for m in some) or "none") for kind, some in MODIFIERS.items()),
    )
    yield table(
        ("modifier", "what it finds"),
        ((code(f":{m}"), MODIFIER[m]) for m in dict.fromkeys(m for some in MODIFIERS.values() for m in some)),
    )
    yield table(
        ("modifier that is refused", "why"), ((f"`:{m}` of a {kind}", plain(why)) for (kind, m), why in REFUSED.items())
    )
    yield "How to answer:"
    yield table(
        ("parameter", "what"), ((", ".join(map(code, names.split(", "))), says) for names, says in RESULTS.items())
    )
    yield "### Parameters of R4 that are not served"
    lacking: dict[tuple[str, str], list[str]] = defaultdict(list)
    for kind in sorted(every):
        for name, why in definitions.unserved(kind).items():
            lacking[name, why].append(kind)
    yield table(
        ("parameter", "of", "why"),
        ((code(name), _of(kinds), plain(why)) for (name, why), kinds in sorted(lacking.items())),
    )


def _of(kinds: list[str]) -> str:
    return ", ".join(kinds) if len(kinds) <= FEW else f"{len(kinds)} types"


def _limits(rules: Rules, settings: Mapping[str, object]) -> Iterator[str]:
    yield "## Settings"
    yield (
        "On the command line where there is an option, as `ADJUNCT_...` in the environment, or by these names in a "
        "TOML file (`--config`, `ADJUNCT_CONFIG`): the first of these that says something counts. A name that is not "
        "listed is an error."
    )
    yield table(
        ("setting", "environment", "unless told otherwise", "what"),
        ((code(n), code(f"ADJUNCT_{n.upper()}"), code(value), SETTINGS[n]) for n, value in settings.items()),
    )
    yield "## Limits that are fixed"
    yield table(
        ("what", "limit"),
        (
            ("resources on a page, unless `_count` says otherwise", str(rules.page)),
            ("resources on a page at most", str(rules.page_limit)),
            ("entries of a batch or transaction", str(rules.entry_limit)),
            ("operations of a JSON Patch", str(PATCH_LIMIT)),
            ("conditions of one search, those of chains included", str(MOST_CONDITIONS)),
            ("values of one search, the codes of value sets included", str(MOST_VALUES)),
            ("steps of a chain", str(MOST_STEPS)),
            ("references to include by", str(MOST_RULES)),
            ("resources that one page includes; with more it is refused", str(MOST_INCLUDED)),
            ("parameters to sort by", str(MOST_SORTS)),
            ("levels of objects and lists in JSON", str(wire.MAX_DEPTH)),
        ),
    )


def _validated() -> Iterator[str]:
    own = ", ".join(code(key) for key in sorted(OWN))
    yield "## Validation"
    yield (
        "Every write is checked: names of elements, how often each may stand, JSON types and formats, required "
        "bindings, types that a reference may lead to, contained resources, and every invariant of R4 as compiled "
        f"FHIRPath ({own} in code of their own). An error refuses the write, with the code and place of every issue; a "
        "warning does not. **Valid is not true**: no check knows whether the code, the value or the person is the "
        "right one. Outside a transaction it is not looked up whether a reference leads to something."
    )
    yield "What R4 requires and is not checked:"
    yield table(
        ("value set or rule", "first met at", "why"),
        ((code(what), code(at), plain(why)) for what, at, why in unchecked()),
    )
    yield "### Profiles"
    yield (
        "Checked where a resource claims one in `meta.profile`, or where `$validate` is asked for it. A claim of a "
        "profile that is not known here is a warning."
    )
    yield table(
        ("profile", "what it narrows"),
        ((code(each.url), code(each.base.rpartition("/")[2])) for _, each in sorted(profiles.known().items())),
    )
