"""Make `src/adjunct/ucum.csv`: the UCUM codes Adjunct reads, as dimension, factor and offset.

Every code below is composed here from exact fractions of its atoms, then checked against pint + ucumvert, which
parse UCUM independently. Those two take over a second to load and a millisecond a conversion; a table of a few
kilobytes takes neither, so they are build tools and never on the path of an answer.

    value in base units = value * factor + offset        base units: gram, mole, metre, second, kelvin

A dimension is a product of base dimensions with exponents, `M.L-3`. Four decisions go beyond UCUM, where UCUM would
let two things be compared that a clinician would not compare:

- a dose per body mass keeps both masses (`M.M-1`), so that a bare ratio or a score is never read as mg/kg;
- an arbitrary unit ([iU]) is its own dimension, as UCUM says of it and as pint does not;
- an equivalent (eq) is its own dimension: it is a mole only of a monovalent ion;
- a dose form ({tablet}, {puff}) and a standard drink are their own dimension: their content is not in the unit.

Usage: `python tools/ucum_table.py` writes the table, `--check` compares it and exits 1 when it differs.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
import sys
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "src" / "adjunct" / "ucum.csv"
ALIASES = TABLE.with_name("ucum_aliases.csv")

#: How far pint may lie from the exact composition. It uses the conventional 133.322387 Pa for a millimetre of mercury
#: where UCUM has 133.3220, the largest difference there is.
TOLERANCE = 1e-5

#: A dimension is written in this order; anything else (an arbitrary unit) comes before.
#: Mass and amount share a place, so that swapping N for M in one gives the other (`N.L-3`, `M.L-3`).
ORDER = ("M", "N", "M-1", "N-1", "L", "T", "K")

PREFIXES = {
    "k": Fraction(1000),
    "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
}
METRIC = {"g", "m", "s", "mol", "L", "Pa", "kat", "U", "[iU]", "[IU]", "eq", "osm", "bar", "cal_th"}

MINUTE, HOUR, DAY = Fraction(60), Fraction(3600), Fraction(86400)
LITRE = Fraction(1, 1000)
INCH = Fraction(254, 10000)
POUND = Fraction(45359237, 100000)
GALLON = 231 * INCH**3
PRESSURE = {"M": 1, "L": -1, "T": -2}

#: Atoms: exact size in base units, and dimension. UCUM 2.1, tables 1-18.
ATOMS: dict[str, tuple[Fraction, dict[str, int]]] = {
    "1": (Fraction(1), {}),
    "%": (Fraction(1, 100), {}),
    "[ppm]": (Fraction(1, 10**6), {}),
    "g": (Fraction(1), {"M": 1}),
    "[lb_av]": (POUND, {"M": 1}),
    "[oz_av]": (POUND / 16, {"M": 1}),
    "[gr]": (POUND / 7000, {"M": 1}),
    "[stone_av]": (POUND * 14, {"M": 1}),
    "mol": (Fraction(1), {"N": 1}),
    "m": (Fraction(1), {"L": 1}),
    "[in_i]": (INCH, {"L": 1}),
    "[ft_i]": (INCH * 12, {"L": 1}),
    "L": (LITRE, {"L": 3}),
    "[drp]": (LITRE / 1000 / 20, {"L": 3}),
    "[tsp_us]": (GALLON / 768, {"L": 3}),
    "[tbs_us]": (GALLON / 256, {"L": 3}),
    "[foz_us]": (GALLON / 128, {"L": 3}),
    "[cup_us]": (GALLON / 16, {"L": 3}),
    "[pt_us]": (GALLON / 8, {"L": 3}),
    "s": (Fraction(1), {"T": 1}),
    "min": (MINUTE, {"T": 1}),
    "h": (HOUR, {"T": 1}),
    "d": (DAY, {"T": 1}),
    "wk": (DAY * 7, {"T": 1}),
    "mo": (DAY * Fraction(36525, 1200), {"T": 1}),  # the mean Julian month and year
    "a": (DAY * Fraction(36525, 100), {"T": 1}),
    "Hz": (Fraction(1), {"T": -1}),
    "K": (Fraction(1), {"K": 1}),
    "Pa": (Fraction(1000), PRESSURE),  # in gram, metre and second
    "bar": (Fraction(10**8), PRESSURE),
    "m[Hg]": (Fraction(133_322_000), PRESSURE),
    "m[H2O]": (Fraction(9_806_650), PRESSURE),
    "U": (Fraction(1, 10**6) / MINUTE, {"N": 1, "T": -1}),  # a micromole a minute
    "kat": (Fraction(1), {"N": 1, "T": -1}),
    "[iU]": (Fraction(1), {"[iU]": 1}),
    "[IU]": (Fraction(1), {"[iU]": 1}),
    "eq": (Fraction(1), {"eq": 1}),
    "osm": (Fraction(1), {"osm": 1}),
    "[pH]": (Fraction(1), {"[pH]": 1}),
}
ATOMS |= {f"mm{of}": (ATOMS[f"m{of}"][0] / 1000, PRESSURE) for of in ("[Hg]", "[H2O]")}
ATOMS |= {f"cm{of}": (ATOMS[f"m{of}"][0] / 100, PRESSURE) for of in ("[Hg]", "[H2O]")}

#: Codes with an offset: size of a degree in kelvin, and the zero point in kelvin.
SCALES = {"Cel": (Fraction(1), Fraction(27315, 100)), "[degF]": (Fraction(5, 9), Fraction(45967, 180))}

#: Annotations that are dimensions of their own. Every other annotation is a remark, as in UCUM.
COUNTED = ("{tablet}", "{tbl}", "{capsule}", "{patch}", "{puff}", "{spray}", "{drink}", "{cigarette}")
SAME_COUNT = {"{tbl}": "{tablet}"}

CODES = """
1 % [ppm] {score} {ratio} {count} {#} {INR} {mult} {xULN} {index} {T-score} {answer}
kg g mg ug ng pg [lb_av] [oz_av] [stone_av] [gr]
mol mmol umol nmol pmol
m cm mm um km [in_i] [ft_i]
m2 cm2 kg/m2 g/m2 mg/m2
L dL cL mL uL m3 cm3 mm3 [drp] [tsp_us] [tbs_us] [foz_us] [cup_us] [pt_us]
s ms us ns min h d wk mo a
Pa kPa mm[Hg] cm[H2O] mm[H2O] mbar bar
K Cel [degF]
g/L g/dL g/mL mg/L mg/dL mg/mL ug/L ug/dL ug/mL ng/L ng/dL ng/mL pg/mL
mol/L mmol/L umol/L nmol/L pmol/L umol/dL nmol/mL
meq eq/L meq/L ueq/L meq/d osm/kg mosm/kg mosm/L [pH]
U kU U/L U/mL mU/L mU/mL kU/L uU/mL kat/L ukat/L nkat/L
[iU] [IU] k[iU] [iU]/L [IU]/L [iU]/dL [iU]/mL [IU]/mL m[iU]/L m[iU]/mL u[iU]/mL k[iU]/L [iU]/d [iU]/kg
m[IU]/L m[IU]/mL u[IU]/mL k[IU]/L [IU]/d
/s /min /h /d /wk /mo /a Hz {beats}/min {breaths}/min {times}/d {times}/wk {events}/wk {events}/mo
mg/d g/d ug/d mg/wk g/wk mg/h ug/h g/h mg/min ug/min ng/min mmol/d umol/d
mL/h mL/min L/min L/h mL/d L/d mL/min/{1.73_m2}
mg/kg g/kg ug/kg mmol/kg mg/kg/d mg/kg/h mg/kg/min ug/kg/h ug/kg/min ng/kg/min L/kg L/h/kg mL/kg mL/kg/h mL/kg/min
mg/mg mg/g ug/mg ng.h/mL ug.h/L
/L /uL 10*3/uL 10*6/uL 10*9/L 10*12/L {cells}/uL
{tablet} {tbl} {capsule} {patch} {puff} {spray} {drink} {cigarette}
{tablet}/d {capsule}/d {puff}/d {spray}/d {drink}/d {drink}/wk {cigarette}/d
""".split()


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    code: str
    dimension: str
    factor: float
    offset: float = 0.0


def atom(text: str) -> tuple[Fraction, dict[str, int]]:
    """Size and dimension of one atom, with its prefix if it carries one."""
    if text in ATOMS:
        return ATOMS[text]
    if text[0] in PREFIXES and text[1:] in METRIC:
        size, dimension = ATOMS[text[1:]]
        return PREFIXES[text[0]] * size, dimension
    raise ValueError(f"{text!r} is not an atom of this table: add it to ATOMS, with its exact size")


def compose(code: str) -> Line:
    """The row of one code: terms from left to right, each multiplied or divided in."""
    if code in SCALES:
        size, zero = SCALES[code]
        return Line(code, "K", float(size), float(zero))
    factor, exponents = Fraction(1), Counter[str]()
    for sign, term in re.findall(r"([./]?)((?:\[[^]]*\]|\{[^}]*\}|[^./\[{])+)", code):
        power = -1 if sign == "/" else 1
        annotation = re.search(r"\{[^}]*\}", term)
        unit = re.sub(r"\{[^}]*\}", "", term)
        if annotation and annotation[0] in COUNTED:
            exponents[SAME_COUNT.get(annotation[0], annotation[0])] += power
        if not unit:
            continue
        if ten := re.fullmatch(r"10\*(\d+)", unit):
            factor *= Fraction(10) ** (power * int(ten[1]))
            continue
        if raised := re.fullmatch(r"(.*[A-Za-z\]])(\d)", unit):
            unit, power = raised[1], power * int(raised[2])
        size, dimension = atom(unit)
        factor *= size**power
        for base, exponent in dimension.items():
            below = base in ("M", "N") and power < 0  # a mass per mass keeps both, so they have two counters
            exponents[f"{base}-1" if below else base] += abs(exponent * power) if below else exponent * power
    return Line(code, written(exponents), float(factor))


def written(exponents: Counter[str]) -> str:
    """The dimension as text: `M.L-3`, or `1` when there is none."""
    left = {base: power for base, power in exponents.items() if power}
    ranked = sorted(left, key=lambda base: (ORDER.index(base) if base in ORDER else -1, base))
    return ".".join(base if left[base] == 1 else f"{base}{left[base]}" for base in ranked) or "1"


def make() -> list[Line]:
    """The whole table, in the order of CODES."""
    twice = [code for code, times in Counter(CODES).items() if times > 1]
    if twice:
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return [compose(code) for code in CODES]


PINT_BASE = {"[mass]": "M", "[substance]": "N", "[length]": "L", "[time]": "T", "[temperature]": "K"}


def disagreements(lines: list[Line]) -> list[str]:
    """Where pint, reading the same codes through ucumvert, finds another size or another dimension."""
    from ucumvert import PintUcumRegistry

    registry = PintUcumRegistry()
    found = []
    for line in lines:
        if line.code == "[pH]" or re.fullmatch(r"\{[^}]*\}", line.code):  # a logarithm, or only a remark
            continue
        quantity = registry.from_ucum(line.code).to_base_units()
        dimension = Counter({PINT_BASE[base]: int(power) for base, power in quantity.dimensionality.items()})
        expected = float(quantity.magnitude) * 1000 ** dimension["M"]  # pint's base mass is the kilogram
        if plain(line.dimension) != {base: power for base, power in dimension.items() if power}:
            found.append(f"{line.code}: dimension {line.dimension}, pint has {dict(dimension)}")
        if not math.isclose(line.factor + line.offset, expected, rel_tol=TOLERANCE):
            found.append(f"{line.code}: size {line.factor + line.offset!r}, pint has {expected!r}")
    return found


def plain(dimension: str) -> dict[str, int]:
    """A dimension of this table as pint would see it: what is kept apart cancels or counts as one."""
    exponents = Counter[str]()
    for part in dimension.split("."):
        if known := re.fullmatch(r"(eq|osm|[A-Z])(-?\d+)?", part):
            exponents["N" if known[1] in ("eq", "osm") else known[1]] += int(known[2] or 1)
    return {base: power for base, power in exponents.items() if power}


def rendered(lines: list[Line]) -> str:
    """The CSV text of the table."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("code", "dimension", "factor", "offset"))
    writer.writerows((line.code, line.dimension, repr(line.factor), repr(line.offset)) for line in lines)
    return out.getvalue()


def lost_aliases(lines: list[Line]) -> list[str]:
    """Spellings that are UCUM codes themselves, or that stand for a code the table does not have."""
    codes = {line.code for line in lines}
    with ALIASES.open(encoding="utf-8", newline="") as rows:
        return [
            f"{r['text']} -> {r['code']}" for r in csv.DictReader(rows) if r["code"] not in codes or r["text"] in codes
        ]


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or with `--check` compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the table would change")
    check = parser.parse_args(arguments).check
    lines = make()
    wrong = disagreements(lines) + lost_aliases(lines)
    for each in wrong:
        print(each, file=sys.stderr)
    if wrong:
        return 1
    text = rendered(lines)
    if check:
        return int(TABLE.read_text(encoding="utf-8") != text)
    TABLE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
