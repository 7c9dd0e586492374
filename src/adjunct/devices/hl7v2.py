"""HL7 v2 results of monitors (ORU^R01), as IHE PCD-01 shapes them: framing, reading, answering and writing.

A monitor sends one message a few times a minute or a second; each result is an OBX segment with a code of IEEE 11073 or
LOINC. What cannot be trusted is named in the report, never dropped: a message that ends in the middle of a row, another
type of message, training data, another character set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import hl7  # type: ignore[import-untyped]

from adjunct.base import DAY, MS_PER_SECOND, BadInput, shown
from adjunct.devices.report import COUNTS, DOUBT, MDC, NONE, Moment, Report, Row, Words, called
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event

START, END, CR = b"\x0b", b"\x1c\r", "\r"
EXPECTED = ("ORU", "R01")
UTF8 = ("", "UNICODE UTF-8", "UTF-8", "ASCII")
LATIN1 = ("8859/1", "8859/15")
PRODUCTION = ("", "P")
FORM = 3  # a coded value is a code, its text and its system, and the same again
# Fields, as HL7 v2 numbers them.
MSH = {
    "app": 3,
    "site": 4,
    "to app": 5,
    "to site": 6,
    "time": 7,
    "type": 9,
    "control": 10,
    "use": 11,
    "version": 12,
    "charset": 18,
}
PID_IDS = 3
OBR_TIME = 7
OBX = {"code": 3, "value": 5, "unit": 6, "flags": 8, "status": 11, "time": 14, "device": 18}
_HEADER = re.compile(r"MSH([!-/:-@\[-`{-~])((?:(?!\1)[!-/:-@\[-`{-~]){2,5})\1")
_TIME = re.compile(r"(?P<day>\d{8})(?P<hour>\d{4}(?:\d\d(?:\.\d{1,6})?)?)(?P<zone>[+-]\d{4})?", re.ASCII)
_ESCAPED = re.compile(r"\\([FSTRE])\\")


# --- framing ----------------------------------------------------------------------------------------------------------


def framed(message: bytes) -> bytes:
    """A message as it goes over a wire (MLLP)."""
    return START + message + END


def frames(received: bytes) -> tuple[tuple[bytes, ...], bytes]:
    r"""Whole messages of what has come so far, still framed, and the rest that waits for its end.

    Bytes outside a frame and a message that a new one interrupts come out as pieces of their own, so nothing is lost.

    >>> frames(b"\x0bMSH|a\r\x1c\r\x0bMSH|b")
    ((b'\x0bMSH|a\r\x1c\r',), b'\x0bMSH|b')
    """
    found = []
    while (end := received.find(END)) >= 0:
        piece, received = received[: end + len(END)], received[end + len(END) :]
        start = piece.rfind(START)
        found += [part for part in (piece[:start], piece[start:]) if part] if start > 0 else [piece]
    return tuple(found), received


# --- reading ----------------------------------------------------------------------------------------------------------


def read(raw: bytes, words: Words) -> Report:
    """What a message says. `BadInput`: it is no HL7 v2 message at all."""
    whole = not raw.startswith(START) or raw.endswith(END)
    body = raw.removeprefix(START).removesuffix(END)
    faults = [] if whole else ["the message has no end: it was cut off on the way; send it again"]
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")  # every digit of every value reads the same
    text = text.replace("\r\n", CR).replace("\n", CR)
    if not (header := _HEADER.match(text)) or len({header[1], *header[2]}) <= len(header[2]):
        raise BadInput("not an HL7 v2 message: it does not begin with MSH and its separators; send whole messages")
    message = _parsed(text)
    first, rows = message[0], [s for s in message if str(s[0]) == "OBX"]
    faults += _about_message(first, body)
    if rows and not text.endswith(CR) and rows[-1] is message[-1]:
        if not _text(rows[-1], OBX["status"]) and len(rows[-1]) <= OBX["status"] + 1:
            faults.append("the last row is not whole: the message was cut off; send it again")
            rows = rows[:-1]
        elif len(rows[-1]) > OBX["status"] + 1:
            del rows[-1][-1]  # nothing says that its last field is whole
    default = next((_moment(_text(s, OBR_TIME)) for s in message if str(s[0]) == "OBR" and _text(s, OBR_TIME)), None)
    people = tuple(_parts(rep)[0] for s in message if str(s[0]) == "PID" and len(s) > PID_IDS for rep in s[PID_IDS])
    return _report(first, tuple(filter(None, people)), default, rows, words, faults)


def _parsed(text: str) -> Any:
    try:
        return hl7.parse(text)
    except (hl7.HL7Exception, AssertionError, IndexError, ValueError):  # separators that it cannot take
        raise BadInput("not an HL7 v2 message: it has separators of its own; send those of the standard") from None


def _about_message(header: Any, body: bytes) -> list[str]:
    """What is wrong with all of a message, from its header."""
    faults = []
    kind, charset, use = _at(header, MSH["type"]), _text(header, MSH["charset"]), _text(header, MSH["use"])
    if kind[:2] != EXPECTED:
        faults.append(f"a message of type {shown('^'.join(kind[:2]))}: only results (ORU^R01) are read; send those")
    if charset in UTF8:
        try:
            body.decode()
        except UnicodeDecodeError:
            faults.append("not UTF-8, as the message says: send UTF-8, or name the character set in MSH-18")
    elif charset not in LATIN1:
        faults.append(f"character set {shown(charset)} is not read: send UNICODE UTF-8")
    if use not in PRODUCTION:
        faults.append("marked as training or test data: send real data with MSH-11 P")
    return faults


def _report(
    header: Any, patient: tuple[str, ...], default: Moment | None, rows: Sequence[Any], words: Words, faults: list[str]
) -> Report:
    sent, app = _moment(_text(header, MSH["time"])), _at(header, MSH["app"])
    device = called(app[0] or (app[1] if len(app) > 1 else ""))
    found: list[Row] = []
    silent, unknown = [], []
    over = any((_text(row, OBX["code"]), _text(row, OBX["value"])) in words.over for row in rows)
    for number, row in enumerate(rows, 1):
        device = next(filter(None, map(called, _at(row, OBX["device"]))), device)
        code, place = _at(row, OBX["code"]), f"OBX {number}"
        named = (*code[:2], *_at(row, OBX["value"])[:2])
        alert = next((words.alerts[name] for name in named if name in words.alerts), None)
        at = _moment(_text(row, OBX["time"])) or default or sent
        if alert and over:
            unknown.append(code[0])
        elif alert and alert.value is not None:
            found.append(Row(alert.measure, len(rows), alert.value, COUNTS, at, device, place))
        elif alert:
            silent.append((device, alert.measure, alert.says))
        elif (known := _known(code, words)) is None:
            unknown.append(code[0])
        elif (result := _result(row, *known, at, device, place, words)).means == NONE and result.value is None:
            silent.append((device, known[0], "no value"))
        else:
            found.append(result)
    sender = "|".join(("^".join(app), _text(header, MSH["site"])))
    control = called(_text(header, MSH["control"]))
    return Report(sender, control, patient, sent, words.doubted(found), tuple(silent), tuple(unknown), tuple(faults))


def _known(code: tuple[str, ...], words: Words) -> tuple[str, int] | None:
    """The measure of a code, in its first or its alternate form."""
    forms = ((code[i], code[i + 2]) for i in range(0, len(code) - 2, FORM))
    return next((words.codes[system, c] for c, system in forms if (system, c) in words.codes), None)


def _result(row: Any, measure: str, rank: int, at: Moment | None, device: str, place: str, words: Words) -> Row:
    status, text = _text(row, OBX["status"]), _text(row, OBX["value"]).strip()
    means = words.said.get(("hl7", status), DOUBT)
    flagged = row[OBX["flags"]] if len(row) > OBX["flags"] else ()
    flags = {words.flags.get(_parts(flag)[0], COUNTS) for flag in flagged}
    if not text or text in words.absent:
        return Row(measure, rank, None, NONE if means in (COUNTS, DOUBT) else means, at, device, place)
    value, why, odd, looks = words.amount(measure, text, _at(row, OBX["unit"]))
    if means in (NONE, DOUBT) or flags & {NONE, DOUBT}:
        why = why or f"the monitor itself does not vouch for this {measure}: look at the probe and the screen"
        means = DOUBT
    return Row(measure, rank, value, means, at, device, place, why, odd, looks)


def _parts(field: Any) -> tuple[str, ...]:
    """The components of one repetition of a field."""
    return (_plain(field),) if isinstance(field, str) else tuple(_plain(str(c)) for c in field)


def _at(segment: Any, number: int) -> tuple[str, ...]:
    return _parts(segment[number][0]) if len(segment) > number and len(segment[number]) else ("",)


def _text(segment: Any, number: int) -> str:
    return _at(segment, number)[0]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda m: dict(zip("FSTRE", "|^&~\\", strict=True))[m[1]], text) if "\\" in text else text


def _moment(text: str) -> Moment | None:
    """A time of HL7 v2; one to the day is no time of a reading."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    zone = found["zone"]
    try:
        moment = datetime.fromisoformat(f"{found['day']}T{found['hour']}{zone or '+0000'}")
        _ = moment.astimezone(UTC) - DAY, moment.astimezone(UTC) + DAY  # its neighbours exist in every zone
        return Moment(round(moment.timestamp() * MS_PER_SECOND), bool(zone), moment.utcoffset() or timedelta(0))
    except (ValueError, OverflowError):
        return None


# --- answering and writing --------------------------------------------------------------------------------------------


def acknowledgement(raw: bytes, code: str, received: int, why: str = "") -> bytes:
    """The answer to a message: AA taken, AE an error in it, AR not read. `why` goes to the log of the sender."""
    text = raw.removeprefix(START).removesuffix(END).decode("utf-8", "replace")
    header: Any = ()
    if _HEADER.match(text):
        with suppress(BadInput):
            header = _parsed(text)[0]
    at = {name: "^".join(map(escaped, _at(header, number))) for name, number in MSH.items()}
    trigger = [*_at(header, MSH["type"]), ""][1]
    ends = f"{at['to app']}|{at['to site']}|{at['app']}|{at['site']}|{stamp(received, timedelta(0))}"
    answer = f"MSH|^~\\&|{ends}||ACK^{trigger}^ACK|{at['control']}|{at['use'] or 'P'}|{at['version'] or '2.6'}"
    return f"{answer}{CR}MSA|{code}|{at['control']}|{escaped(why)}{CR}".encode()


def to_hl7(
    event: Event,
    knowledge: Knowledge,
    *,
    control: str = "",
    patient: str = "",
    sent: int | None = None,
    status: str = "R",
    units: Mapping[str, str] = {},
    silent: Iterable[str] = (),
) -> bytes:
    """A vitals event as the monitor `event.source` sends it. `silent`: measures for which it has no value."""
    words = Words.of(knowledge)
    when, device = stamp(event.at, event.offset), escaped(event.source)
    sending = stamp(event.at if sent is None else sent, event.offset)
    ident = escaped(control or event.id)
    segments = [
        f"MSH|^~\\&|{device}||||{sending}||ORU^R01^ORU_R01|{ident}|P|2.6|||NE|AL||UNICODE UTF-8|||IHE_PCD_001^IHE PCD",
        *([f"PID|||{escaped(patient)}^^^^MR"] if patient else []),
        f"OBR|1|||182777000^monitoring of patient^SCT|||{when}",
    ]
    given = [(m, f"{event.data[m]:.12g}", status) for m in words.canonical if m in event.data]
    for number, (measure, value, state) in enumerate([*given, *((m, "", "X") for m in silent)], 1):
        code, name = words.written[MDC][measure]
        unit = units.get(measure, words.canonical[measure])
        segments.append(
            f"OBX|{number}|NM|{code}^{name}^MDC|1.0.0.{number}|{value}|{unit}^{unit}^UCUM|||||{state}|||{when}||||{device}"
        )
    return CR.join((*segments, "")).encode()


def escaped(text: str) -> str:
    """A text that cannot be taken for a separator or a new segment."""
    marks = dict(zip("|^&~\\", "FSTRE", strict=True))
    return "".join(f"\\{marks[c]}\\" if c in marks else c if c.isprintable() else " " for c in text)


def stamp(ms: int, offset: timedelta) -> str:
    """An instant as HL7 v2 writes it, with milliseconds and its offset."""
    moment = datetime.fromtimestamp(ms // MS_PER_SECOND, tz=UTC).astimezone(timezone(offset))
    return f"{moment:%Y%m%d%H%M%S}.{ms % MS_PER_SECOND:03d}{moment:%z}"
