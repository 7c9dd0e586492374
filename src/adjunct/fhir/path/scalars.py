"""The functions of FHIRPath on one value: texts, numbers, conversions, and the bounds of what is written coarsely."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from adjunct.fhir.path.compiler import Code, Function, Invocation, Scope, bare, one, truth, whole
from adjunct.fhir.path.syntax import CALENDAR, PathError
from adjunct.fhir.path.times import boundary, written_as
from adjunct.fhir.path.values import MAX_INTEGER, Typed, amount, kind_of, number

MAX_DIGITS = 20  # that a boundary may be asked for
HALF = Decimal("0.5")


# --- one value --------------------------------------------------------------------------------------------------------


def _scalar(of: Callable[..., Any], result: str, wanted: type | tuple[type, ...]) -> Function:
    """A function of one value and plain arguments; without one of them there is no answer. A list is many answers."""

    def build(call: Invocation) -> Code:
        run, given = call.source.run, [call.compiler.code(argument, call.focus).run for argument in call.arguments]

        def run_scalar(here: Any, scope: Scope) -> list[Any]:
            value = one(run(here, scope))
            plain = [one(argument(here, scope)) for argument in given]
            if value is None or None in plain:
                return []
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise PathError("a FHIRPath function is called on a value of another type: correct the expression")
            try:
                found = of(value, *plain)
            except (TypeError, re.error, OverflowError):
                raise PathError("a FHIRPath function has an argument that it cannot use: correct it") from None
            except (ValueError, DecimalException):  # no such number, as a root of -1
                return []
            return [] if found is None else found if found.__class__ is list else [found]

        if result == "boolean":
            return truth(lambda here, scope: one(run_scalar(here, scope)))
        return Code(run_scalar, result)

    return build


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


def _replace_matches(text: str, pattern: str, by: str) -> str:
    if not pattern:
        return text
    group = re.sub(r"\$(\d+|\{\w+\})", lambda g: rf"\g<{g[1].strip('{}')}>", by.replace("\\", r"\\"))
    return re.sub(pattern, group, text, flags=re.DOTALL)


def _rounded(value: Any, digits: int = 0) -> Decimal:
    return Decimal(number(value)).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)


def _power(value: Any, exponent: Any) -> int | Decimal:
    found = Decimal(number(value)) ** Decimal(number(exponent))
    return int(found) if isinstance(value, int) and abs(found) <= MAX_INTEGER and found == int(found) else found


def _join(call: Invocation) -> Code:
    values = bare(call.source)
    between = call.argument().run if call.arguments else None

    def run(here: Any, scope: Scope) -> list[Any]:
        given = one(between(here, scope)) if between else None
        separator = "" if given is None else given
        texts = [v.value for v in values(here, scope)]
        if not all(isinstance(text, str) for text in (*texts, separator)):
            raise PathError("FHIRPath join() takes texts: use select(toString())")
        return [separator.join(texts)]  # of nothing it is the empty text: so the cases of SQL on FHIR want it

    return Code(run, "string")


# --- conversion -------------------------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?", re.ASCII)
_QUANTITY = re.compile(r"([+-]?\d{1,18}(?:\.\d{1,18})?)\s*(?:'(?P<code>[^']+)'|(?P<word>[a-z]+))?", re.ASCII)
_TRUTHS = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True)
_TRUTHS |= dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False)


def _to_boolean(typed: Typed) -> Any:
    return _TRUTHS.get(str(typed.value).lower())


def _to_integer(typed: Typed) -> Any:
    text = str(int(typed.value) if isinstance(typed.value, bool) else typed.value)
    return int(text) if _INTEGER.fullmatch(text) else None


def _to_decimal(typed: Typed) -> Any:
    if kind_of(typed.type) == "number":
        return Decimal(number(typed.value))
    text = str(int(typed.value) if isinstance(typed.value, bool) else typed.value)
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def _to_string(typed: Typed) -> Any:
    value = typed.value
    match kind_of(typed.type):
        case "boolean":
            return "true" if value else "false"
        case "number":
            return f"{number(value):f}" if isinstance(value, float | Decimal) else str(value)
        case "quantity" if "value" in value:
            unit = f"'{value['code']}'" if "code" in value else value.get("unit", "")
            return f"{number(value['value'])} {unit}".strip()
        case "object" | "quantity":
            return None
    return value


def _to_quantity(typed: Typed) -> Any:
    kind = kind_of(typed.type)
    if kind in ("number", "quantity"):
        return typed.value if kind == "quantity" else amount(number(typed.value), "1")
    found = _QUANTITY.fullmatch(str(typed.value)) if kind == "text" else None
    if found is None:
        return None
    word = (found["word"] or "").removesuffix("s")
    return amount(Decimal(found[1]), found["code"] or word or "1") if word in ("", *CALENDAR) else None


def _to_moment(wanted: str) -> Callable[[Typed], Any]:
    def convert(typed: Typed) -> Any:
        form = written_as(typed.value)
        if form == wanted or (form == "date" and wanted == "dateTime"):
            return typed.value
        return typed.value.partition("T")[0] if form == "dateTime" and wanted == "date" else None

    return convert


def _conversion(convert: Callable[[Typed], Any], result: str) -> Function:
    def build(call: Invocation) -> Code:
        values = bare(call.source)

        def run(here: Any, scope: Scope) -> list[Any]:
            found = values(here, scope)
            one(found)
            value = convert(found[0]) if found else None
            return [] if value is None else [value]

        return Code(run, result)

    return build


def _converts(convert: Callable[[Typed], Any]) -> Function:
    def build(call: Invocation) -> Code:
        values = bare(call.source)

        def test(here: Any, scope: Scope) -> bool | None:
            found = values(here, scope)
            one(found)
            return convert(found[0]) is not None if found else None

        return truth(test)

    return build


def _boundary(*, high: bool) -> Function:
    """The least or greatest value that a date or number of this precision may stand for."""

    def build(call: Invocation) -> Code:
        values = bare(call.source)
        wanted = call.argument().run if call.arguments else None

        def run(here: Any, scope: Scope) -> list[Any]:
            found = values(here, scope)
            one(found)
            digits = whole(wanted(here, scope)) if wanted else None
            value = _bound(found[0], high, digits) if found else None
            return [] if value is None else [Typed(found[0].type, value)]

        return Code(run, "")

    return build


def _bound(typed: Typed, high: bool, digits: int | None) -> Any:
    match kind_of(typed.type):
        case "moment" | "time":
            return boundary(typed.value, typed.type, high=high, digits=digits)
        case "number":
            value = Decimal(number(typed.value))
            half = HALF.scaleb(int(value.as_tuple().exponent))
            bound = value + half if high else value - half
            if digits is None:
                return bound
            if not 0 <= digits <= MAX_DIGITS:
                return None
            return bound.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_CEILING if high else ROUND_FLOOR)
        case "quantity" if "value" in typed.value:
            return {**typed.value, "value": _bound(Typed("decimal", typed.value["value"]), high, digits)}
    raise PathError("FHIRPath boundaries are of dates, times and numbers: correct the expression")


_NUMBER = (int, float, Decimal)
# Each with the least and greatest number of its arguments.
SCALARS: dict[str, tuple[Function, int, int]] = {
    "startsWith": (_scalar(str.startswith, "boolean", str), 1, 1),
    "endsWith": (_scalar(str.endswith, "boolean", str), 1, 1),
    "contains": (_scalar(lambda text, part: part in text, "boolean", str), 1, 1),
    "matches": (_scalar(lambda text, p: bool(re.search(p, text, re.DOTALL)), "boolean", str), 1, 1),
    "matchesFull": (_scalar(lambda text, p: bool(re.fullmatch(p, text, re.DOTALL)), "boolean", str), 1, 1),
    "replaceMatches": (_scalar(_replace_matches, "string", str), 2, 2),
    "replace": (_scalar(str.replace, "string", str), 2, 2),
    "indexOf": (_scalar(str.find, "integer", str), 1, 1),
    "substring": (_scalar(_substring, "string", str), 1, 2),
    "length": (_scalar(len, "integer", str), 0, 0),
    "upper": (_scalar(str.upper, "string", str), 0, 0),
    "lower": (_scalar(str.lower, "string", str), 0, 0),
    "trim": (_scalar(str.strip, "string", str), 0, 0),
    "split": (_scalar(str.split, "string", str), 1, 1),
    "toChars": (_scalar(list, "string", str), 0, 0),
    "join": (_join, 0, 1),
    "htmlChecks": (_scalar(lambda _text: True, "boolean", str), 0, 0),
    "abs": (_scalar(lambda value: abs(number(value)), "decimal", _NUMBER), 0, 0),
    "ceiling": (_scalar(lambda value: math.ceil(number(value)), "integer", _NUMBER), 0, 0),
    "floor": (_scalar(lambda value: math.floor(number(value)), "integer", _NUMBER), 0, 0),
    "truncate": (_scalar(lambda value: math.trunc(number(value)), "integer", _NUMBER), 0, 0),
    "round": (_scalar(_rounded, "decimal", _NUMBER), 0, 1),
    "sqrt": (_scalar(lambda value: Decimal(number(value)).sqrt(), "decimal", _NUMBER), 0, 0),
    "power": (_scalar(_power, "decimal", _NUMBER), 1, 1),
    "lowBoundary": (_boundary(high=False), 0, 1),
    "highBoundary": (_boundary(high=True), 0, 1),
}
for _name, _convert, _result in (
    ("Boolean", _to_boolean, "boolean"),
    ("Integer", _to_integer, "integer"),
    ("Decimal", _to_decimal, "decimal"),
    ("String", _to_string, "string"),
    ("Quantity", _to_quantity, "Quantity"),
    ("Date", _to_moment("date"), "date"),
    ("DateTime", _to_moment("dateTime"), "dateTime"),
    ("Time", _to_moment("time"), "time"),
):
    SCALARS[f"to{_name}"] = (_conversion(_convert, _result), 0, 0)
    SCALARS[f"convertsTo{_name}"] = (_converts(_convert), 0, 0)
