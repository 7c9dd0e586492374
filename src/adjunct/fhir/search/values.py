r"""The value side of a search parameter: `ge2026-01`, `5.4|http://unitsofmeasure.org|mg`, `Patient/17`, `a\,b`.

Every reader takes the text and the parameter as the client wrote it (`at`), and refuses what it cannot read: a value
that is not understood is never left out of a search.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from http import HTTPStatus as Status
from typing import Literal, NoReturn, cast

from adjunct.fhir.criteria import Compare, QuantityIs, RefersTo, Span, TextIs, TokenIs, UriIs
from adjunct.fhir.definitions import UCUM, resource_types
from adjunct.fhir.indexing import canonical, cut, fold, interval, referred
from adjunct.fhir.outcome import Refusal

HALF = Decimal("0.5")
TENTH = Decimal("0.1")  # `ap`: of the number, or of the time between then and now, as R4 recommends

_PREFIXED = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_REFERENCE = re.compile(r"(?:([A-Za-z]{1,64})/)?([A-Za-z0-9\-.]{1,64})")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


def refuse(at: str, said: str, code: str = "invalid") -> NoReturn:
    """A 400 that names the parameter. `said` never repeats the value: it may be a person's name."""
    raise Refusal(Status.BAD_REQUEST, code, said, at)


def split(text: str, mark: str) -> list[str]:
    r"""The parts between marks that are not escaped, still escaped themselves.

    >>> split(r"a\,b,c\\,d", ",")
    ['a\\,b', 'c\\\\', 'd']
    """
    if "\\" not in text:
        return text.split(mark)
    parts = [""]
    for piece in re.findall(r"\\.|.", text, re.DOTALL):
        if piece == mark:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def plain(text: str) -> str:
    r"""Without the escapes of R4: backslash before comma, bar, dollar and backslash.

    >>> plain(r"a\,b\|c\$d\\e\f")
    'a,b|c$d\\e\\f'
    """
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


# --- what is counted and measured -------------------------------------------------------------------------------------


def number(text: str, at: str) -> Span:
    """A number as the interval that it stands for: 100 is whatever rounds to it, 100.0 a tenth of that.

    After a prefix that says more or less a number is exact, as R4 has it. (R4's own example for 1e2, [95, 105), does
    not follow from its rule; R5 gives what does, [50, 150).)

    >>> number("100", "x").low, round(number("100", "x").high, 9), number("gt100", "x")
    (99.5, 100.5, Span(compare='gt', low=100.0, high=100.0))
    """
    compare, low, high = _rounded(text, at)
    return _closed(compare, float(low), float(high))


def _rounded(text: str, at: str) -> tuple[Compare, Decimal, Decimal]:
    compare, written = _prefixed(text)
    if not _NUMBER.fullmatch(written) or not math.isfinite(float(written)):
        refuse(at, "not a number: write for example 5.4, 1e2 or ge100")
    value = Decimal(written)
    around = HALF.scaleb(cast(int, value.as_tuple().exponent))
    if compare in ("eq", "ne"):
        return compare, value - around, value + around
    if compare == "ap":
        around = max(around, abs(value) * TENTH)
        return compare, value - around, value + around
    return compare, value, value


def _closed(compare: Compare, low: float, high: float) -> Span:
    """Numbers of the record are points: an end that is outside is the next number."""
    match compare:
        case "eq" | "ne" | "ap":
            return Span(compare, low, math.nextafter(high, -math.inf))
        case "sa":
            return Span(compare, low, math.nextafter(high, math.inf))
        case "eb":
            return Span(compare, math.nextafter(low, -math.inf), high)
    return Span(compare, low, high)


def quantity(text: str, at: str) -> QuantityIs:
    """`5.4`, `5.4|system|code`, `5.4||code`. A UCUM code matches the same amount in whatever unit it was measured."""
    written, *unit = split(text, "|")
    if len(unit) not in (0, 2):
        refuse(at, "not a quantity: write number, number|system|code or number||code")
    compare, low, high = _rounded(written, at)
    system, code = (plain(part) for part in unit) if unit else ("", "")
    if system != UCUM or not code:
        return QuantityIs(_closed(compare, float(low), float(high)), system or None, code or None)
    ends = canonical(float(low), code), canonical(float(high), code)
    if ends[0] is None or ends[1] is None:
        refuse(at, "this unit is not known here, so nothing can be converted to it: write another UCUM code", "value")
    return QuantityIs(_closed(compare, ends[0][0], ends[1][0]), system, ends[0][1])


def _prefixed(text: str) -> tuple[Compare, str]:
    found = _PREFIXED.fullmatch(text)
    assert found  # it matches anything
    return cast(Compare, found[1] or "eq"), found[2]


# --- time -------------------------------------------------------------------------------------------------------------


def date(text: str, at: str, now: int) -> Span:
    """A date or time as the interval of moments that it may mean; what is said without an offset is read in UTC.

    `now` in ms: `ap` reaches a tenth of the time between then and now to both sides.
    """
    compare, written = _prefixed(text)
    meant = interval(written)
    if meant is None:
        hint = "; write + as %2B in an address" if " " in written else ""
        refuse(at, f"not a date: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+hh:mm{hint}")
    low, high = meant
    around = int(max(low - now, now - high, 0) * TENTH) if compare == "ap" else 0
    return Span(compare, low - around, high + around)


# --- what is named ----------------------------------------------------------------------------------------------------


def token(text: str, at: str) -> TokenIs:
    """`code`, `system|code`, `|code` (without a system), `system|` (any code of the system)."""
    parts = [plain(part) for part in split(text, "|")]
    if len(parts) == 1:
        return TokenIs(None, parts[0])
    if len(parts) > 2 or parts == ["", ""]:
        refuse(at, "not a code: write code, system|code, |code or system|")
    return TokenIs(parts[0], parts[1] or None)


def typed_identifier(text: str, at: str) -> TokenIs:
    """`system|code|value` of `:of-type`: the first two say what type of identifier it is."""
    parts = [plain(part) for part in split(text, "|")]
    if len(parts) != len(("system", "code", "value")) or not all(parts):
        refuse(at, "not a typed identifier: write system|code|value, the first two of the identifier's type")
    return TokenIs(parts[0], "|".join(parts[1:]))


def words(text: str, at: str, how: Literal["starts", "contains", "exact"] = "starts") -> TextIs:
    """A text; only `exact` minds case and accents."""
    asked = cut(plain(text)) if how == "exact" else fold(plain(text))
    if not asked:
        refuse(at, "no letter to look for: write some text")
    return TextIs(how, asked)


def uri(text: str, at: str, how: Literal["is", "below", "above"] = "is") -> UriIs:
    """A URI as it is written; `below` and `above` follow the slashes of a URL."""
    if how != "is" and plain(text).startswith("urn:"):
        refuse(at, "a URN has nothing above or below it: leave the modifier out")
    return UriIs(how, cut(plain(text)))


def reference(text: str, at: str, targets: Sequence[str], base: str) -> list[RefersTo]:
    """`id`, `Type/id`, or a URL: one of this server (`base`) is the same as what stands behind the base."""
    written = plain(text)
    local = written.removeprefix(f"{base}/") if base else written
    found = _REFERENCE.fullmatch(local)
    if not found:
        if not _ABSOLUTE.fullmatch(written):
            refuse(at, "not a reference: write id, Type/id or a URL, without a version")
        return [RefersTo("", referred(written)[1])]
    type_name = found[1] or (targets[0] if len(targets) == 1 else "")
    if type_name and type_name not in (targets or resource_types()):
        refuse(at, f"refers to {', '.join(targets)} only" if targets else "names no resource type of R4")
    local_one = RefersTo(type_name, found[2])
    return [local_one, RefersTo("", referred(written)[1])] if local != written else [local_one]
