"""The pages about exposure: every model with its sources, and what was predicted beside what was measured.

The misses stand first. Nothing is fitted here: the cross-validated rows are read from `exposure/fit.toml`, the models
are run on the tables they were published with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adjunct.knowledge import Knowledge
from adjunct.knowledge.book.markdown import code, listed, page, plain, source, table
from adjunct.pharmacology.interaction import interact
from adjunct.pharmacology.simulation.tables import ORDER, TableCheck, all_checks

DIGITS = 3  # significant digits of a ratio or a concentration
TWOFOLD = 2
FITTED = "fit, cross-validated"
SOLVERS = (
    "The engine is exact: `test_kinetics.py` holds it to arithmetic of 50 digits, and to three independent solvers "
    "(SciPy's matrix exponential, LSODA and DOP853, `test_solvers.py`) within their own tolerances. The six ketamine "
    "parameter sets of opentiva 1.1.2 give the same concentrations here to nine digits at twelve times of an infusion "
    "each (`test_opentiva.py`), Kamp 2020 at 70 kg only: away from it its flows are scaled here with the exponent 0.75."
)

ABOUT_MODELS = (
    "Each answers only for the people, routes and doses it was made from. *Read* says how far its paper was read; a "
    "gap is what cannot be rebuilt, or was not published."
)
ABOUT_KETAMINE = (
    "Itraconazole, a strong CYP3A inhibitor, did nothing to oral S-ketamine; grapefruit juice raised it threefold. No "
    "one set of shares gives both, and none was tuned to: both misses stand."
)
ABOUT_FIGURES = (
    "GMFE is the geometric mean fold error. Guest limits narrow from twofold to 1.25-fold as the observed ratio nears "
    "1. *Class table*: every potency from its class alone. *Curated*: potencies and shares as researched, before any "
    "fit; some of them rest on the studies scored here, so only the cross-validated fit is a fair score."
)


def pages(knowledge: Knowledge) -> dict[str, str]:
    """`models.md` and `validation.md`, as Markdown."""
    checks = sorted(all_checks(knowledge), key=lambda c: (ORDER.index(c.status), c.model))
    return {"models.md": _models(knowledge, checks), "validation.md": _validation(knowledge, checks)}


# --- models -----------------------------------------------------------------------------------------------------------


def _models(knowledge: Knowledge, checks: Sequence[TableCheck]) -> str:
    entries = sorted(knowledge.models.values(), key=lambda e: (e["drug"], e["id"]))
    blocks = [f"{len(entries)} published models. {ABOUT_MODELS}"]
    for entry in entries:
        own = [c for c in checks if c.model == entry["id"]]
        met = sum(c.status == "ok" for c in own)
        routes = ", ".join(r["name"] for r in entry.get("route", ())) or "none: no curve can be drawn"
        blocks += [
            f"## {entry['id']}",
            plain(entry["title"]),
            listed(
                (
                    f"Source: {source(entry['source'], knowledge)}, {plain(entry['locator'])}; {entry['status']}",
                    f"Read: {entry['read_as']}, {plain(entry['read_note'])}",
                    f"People: {plain(entry['population'])}",
                    f"Routes: {routes}",
                    f"Published figures rebuilt: {met} of {len(own)}",
                    *(f"Gap: {plain(text)}" for text in entry.get("gaps", ())),
                    *(f"Erratum: {plain(text)}" for text in entry.get("errata", ())),
                )
            ),
            table(
                ("parameter", "value", "unit", "place", "varies between people"),
                (_parameter(p, entry) for p in entry.get("parameter", ())),
            ),
        ]
    return page("Models", *blocks)


def _parameter(parameter: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, ...]:
    known: dict[str, Mapping[str, Any]] = {v["parameter"]: v for v in entry.get("variability", ())}
    varies = known.get(parameter["name"], {})
    spread = ", ".join(f"{k} {varies[k]:g}" for k in ("cv", "sd", "sd_log") if k in varies)
    return (
        code(parameter["name"]),
        f"{parameter['value']:g}",
        code(parameter["unit"]),
        plain(parameter["locator"]),
        f"{varies['form']}, {spread}" if varies else "not published",
    )


# --- validation -------------------------------------------------------------------------------------------------------


def _validation(knowledge: Knowledge, checks: Sequence[TableCheck]) -> str:
    fit = knowledge.content["fit"]
    rows = [_Row(knowledge, entry) for entry in fit["row"]]
    missed = [r for r in rows if r.fold > TWOFOLD]
    return page(
        "Validation",
        "What the models and the interaction method predict, beside what was published. The misses stand first; "
        "nothing was left out. Interactions are predicted by fits that had not seen the study's own reference.",
        "## Misses: interactions more than twofold off",
        _ratios(sorted(missed, key=lambda r: -r.fold)),
        "## Misses: ketamine by mouth",
        ABOUT_KETAMINE,
        _ratios([r for r in rows if r.victim.startswith(("esketamine", "noresketamine"))]),
        "## Misses: published figures of models that cannot be rebuilt",
        _checks(c for c in checks if c.status != "ok"),
        "## Kratom tea",
        _tea(knowledge),
        "## Interactions: how good",
        ABOUT_FIGURES,
        "The fit ships: it beats the class table." if fit["ships"] else "The fit does not ship.",
        _figures(fit["figure"]),
        "### By mechanism",
        _by(rows, lambda r: r.mechanism),
        "### By route",
        _by(rows, lambda r: r.route),
        "## Interactions: every study",
        _ratios(sorted(rows, key=lambda r: (r.victim, r.perpetrators))),
        "## Models: every published figure",
        SOLVERS,
        _checks(c for c in checks if c.status == "ok"),
    )


class _Row:
    """One study: what was measured, what a fit without its reference predicts."""

    def __init__(self, knowledge: Knowledge, entry: Mapping[str, Any]) -> None:
        seen = knowledge.observed_ratios[entry["id"]]
        self.victim, self.perpetrators = seen["victim"], seen["perpetrators"].replace("+", " + ")
        self.route, self.regimen, self.phenotype = seen["victim_route"], seen["regimen"], seen["phenotype"]
        self.mechanism = _mechanism(seen["mechanism"])
        self.source = source(seen["source"], knowledge)
        self.observed = float(seen["auc_ratio"])
        self.predicted, self.low, self.high = entry["predicted"], entry["low"], entry["high"]
        self.fold = max(self.predicted / self.observed, self.observed / self.predicted)
        self.guest = entry["guest"]

    def cells(self) -> tuple[str, ...]:
        who = f"{self.victim} ({', '.join(p for p in (self.route, self.phenotype) if p)})"
        return (
            plain(who),
            plain(f"{self.perpetrators}, {self.regimen}"),
            _short(self.observed),
            f"{_short(self.predicted)} ({_short(self.low)}\u2013{_short(self.high)})",
            _short(self.fold),
            "yes" if self.fold <= TWOFOLD else "**no**",
            "yes" if self.guest else "**no**",
            "yes" if self.low <= self.observed <= self.high else "**no**",
            self.source,
        )


def _mechanism(text: str) -> str:
    """The first enzyme that a study's own words name."""
    enzyme = next(
        (word for word in text.replace("(", " ").replace("/", " ").split() if word.startswith("CYP")), "other"
    )
    return f"{enzyme} {'induction' if 'induc' in text else 'inhibition'}" if enzyme != "other" else enzyme


def _short(value: float) -> str:
    return f"{value:.{DIGITS}g}"


def _ratios(rows: Iterable[_Row]) -> str:
    heads = ("victim", "with", "observed", "predicted (90 %)", "fold", "in twofold", "in Guest", "covered", "source")
    return table(heads, (r.cells() for r in rows))


def _figures(figures: Sequence[Mapping[str, Any]]) -> str:
    heads = ("line", "by", "n", "GMFE", "in twofold", "in Guest", "wrong side", "covered", "high/low", "worst")
    lines = dict.fromkeys(f["line"] for f in figures)
    return table(heads, (_figure(f) for line in lines for f in figures if f["line"] == line))


def _figure(f: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        plain(f["line"]),
        plain(f["of"]),
        str(f["n"]),
        _short(f["gmfe"]),
        f"{f['within_2_fold']:.0%}",
        f"{f['within_guest']:.0%}",
        str(f["direction_misses"]),
        f"{f['covered']:.0%}",
        _short(f["median_width"]),
        _short(f["worst_fold"]),
    )


def _by(rows: Sequence[_Row], key: Any) -> str:
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return table(("group", "n", "GMFE", "in twofold", "in Guest"), _groups(groups))


def _groups(groups: Mapping[str, Sequence[_Row]]) -> Iterator[tuple[str, ...]]:
    for name, rows in sorted(groups.items(), key=lambda g: -len(g[1])):
        product = 1.0
        for row in rows:
            product *= row.fold ** (1 / len(rows))
        inside = sum(r.fold <= TWOFOLD for r in rows), sum(r.guest for r in rows)
        yield plain(name), str(len(rows)), _short(product), *(f"{n} of {len(rows)}" for n in inside)


def _tea(knowledge: Knowledge) -> str:
    found = interact(knowledge, "midazolam", ["kratom-leaf"], predict=True).to_dict()["predicted"]
    number = knowledge.number
    return (
        f"One tea of 2 g leaf with oral midazolam. Measured: {_short(number('kratom.midazolam.auc_ratio'))} "
        f"({knowledge.fact_text('kratom.midazolam.auc_ratio.interval')}). The static model had said "
        f"{_short(number('mitragynine.static_model.midazolam.auc_ratio'))}: refuted. The dynamic model, its "
        f"inputs fixed from the literature, says {_short(found['auc_ratio'])} "
        f"({_short(found['low'])}\u2013{_short(found['high'])}), of which the liver {_short(found['hepatic'])}."
    )


def _checks(checks: Iterable[TableCheck]) -> str:
    heads = ("model", "figure", "dose", "published", "here", "off by", "place", "note")
    return table(
        heads,
        (
            (
                code(c.model),
                plain(f"{c.analyte} {c.metric}"),
                plain(f"{c.dose} {c.route}".strip()),
                f"{c.published:g} {plain(c.unit)}",
                "" if c.predicted is None else f"{c.predicted:.{DIGITS + 1}g}",
                "" if c.percent is None else f"{c.percent:+.1f} %",
                plain(c.locator),
                plain(c.note or c.why),
            )
            for c in checks
        ),
    )
