"""HL7 v2 results of monitors (ORU^R01), as IHE PCD-01 shapes them: framing, reading, answering and writing.

A monitor sends one message a few times a minute or a second; each result is an OBX segment with a code of IEEE 11073 or
LOINC. What cannot be trusted is named in the report, never dropped: a message that ends in the middle of a row, another
type of message, training data, another character set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import hl7  # type: ignore[import-untyped]

from adjunct.base import MS_PER_SECOND, BadInput, shown
from adjunct.devices.report import COUNTS, DOUBT, MDC, NONE, Moment, Report, Row, Words
from adjunct.knowledge import Knowledge
from adjunct.session.model import Event

START, END, CR = b"\x0b", b"\x1c\r", "\r"
EXPECTED = ("ORU", "R01")
UTF8 = ("", "UNICODE UTF-8", "UTF-8", "ASCII")
LATIN1 = ("8859/1", "8859/15")
PRODUCTION = ("", "P")
VALUE, FLAGS, STATUS, PATIENT = 5, 8, 11, 3  # fields of OBX and PID; a whole OBX reaches its status
_HEADER = re.compile(r"MSH([!-/:-@\[-`{-~])([!-/:-@\[-`{-~]{2,5})\1")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(\.\d{1,6})?)?)?([+-]\d{4})?", re.ASCII)
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
    message = hl7.parse(text)
    first, rows = message[0], [s for s in message if str(s[0]) == "OBX"]
    faults += _about_message(first, body)
    if rows and not text.endswith(CR) and rows[-1] is message[-1]:
        if not _text(rows[-1], STATUS) and len(rows[-1]) <= STATUS + 1:
            faults.append("the last row is not whole: the message was cut off; send it again")
            rows = rows[:-1]
        elif len(rows[-1]) > STATUS + 1:
            del rows[-1][-1]  # nothing says that its last field is whole
    default = next((_moment(_text(s, 7)) for s in message if str(s[0]) == "OBR" and _text(s, 7)), None)
    people = tuple(_parts(rep)[0] for s in message if str(s[0]) == "PID" and len(s) > PATIENT for rep in s[PATIENT])
    return _report(first, tuple(filter(None, people)), default, rows, words, faults)


def _about_message(header: Any, body: bytes) -> list[str]:
    """What is wrong with all of a message, from its header."""
    faults = []
    kind, charset, use = _at(header, 9), _text(header, 18), _at(header, 11)[0]
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
    sent, app = _moment(_text(header, 7)), _at(header, 3)
    device = app[0] or (app[1] if len(app) > 1 else "")
    found: list[Row] = []
    silent, unknown = [], []
    for number, row in enumerate(rows, 1):
        named = _at(row, 18)
        device = next(filter(None, named[:3]), device)
        code, place = _at(row, 3), f"OBX {number}"
        value = next(filter(None, (words.alerts.get(c) for c in (*code[:2], *_at(row, VALUE)[:2]))), None)
        at = _moment(_text(row, 14)) or default or sent
        if value is not None and (value.value is None or not value.measure):
            silent.append((device, value.measure, value.says))
        elif value is not None:
            found.append(Row(value.measure, len(rows), value.value, COUNTS, at, device, place))
        elif (known := _known(code, words)) is None:
            unknown.append(code[0])
        elif (result := _result(row, *known, at, device, place, words)).means == NONE and result.value is None:
            silent.append((device, known[0], "no value"))
        else:
            found.append(result)
    kind = "^".join(_at(header, 9)[:2])
    sender = "|".join(("^".join(app), _text(header, 4)))
    control = _text(header, 10)
    return Report(sender, control, kind, patient, sent, tuple(found), tuple(silent), tuple(unknown), tuple(faults))


def _known(code: tuple[str, ...], words: Words) -> tuple[str, int] | None:
    """The measure of a code, in its first or its alternate form."""
    forms = ((code[i], code[i + 2]) for i in range(0, len(code) - 2, 3))
    return next((words.codes[system, c] for c, system in forms if (system, c) in words.codes), None)


def _result(row: Any, measure: str, rank: int, at: Moment | None, device: str, place: str, words: Words) -> Row:
    status, text = _text(row, STATUS), _text(row, VALUE).strip()
    means = words.said.get(("hl7", status), DOUBT)
    flags = {words.flags.get(_parts(flag)[0], COUNTS) for flag in row[FLAGS]} if len(row) > FLAGS else set()
    if not text or text in words.absent:
        return Row(measure, rank, None, NONE if means in (COUNTS, DOUBT) else means, at, device, place)
    value, why, odd = words.amount(measure, text, _at(row, 6))
    if means in (NONE, DOUBT) or flags & {NONE, DOUBT}:
        why = why or f"the monitor itself does not vouch for this {measure}: look at the probe and the screen"
        means = DOUBT
    return Row(measure, rank, value, means, at, device, place, why, odd)


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
    if not found or not found[4]:
        return None
    year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
    offset = found[8]
    try:
        zone = timezone(_offset(offset)) if offset else UTC
        moment = datetime(year, month, day, hour, minute, int(found[6] or 0), tzinfo=zone)
        ms = round(moment.timestamp() * MS_PER_SECOND) + round(float(found[7] or 0) * MS_PER_SECOND)
    except (ValueError, OverflowError):
        return None
    return Moment(ms, bool(offset), _offset(offset) if offset else timedelta(0))


def _offset(text: str) -> timedelta:
    length = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    return -length if text.startswith("-") else length


# --- answering and writing --------------------------------------------------------------------------------------------


def acknowledgement(raw: bytes, code: str, received: int, why: str = "") -> bytes:
    """The answer to a message: AA taken, AE an error in it, AR not read. `why` goes to the log of the sender."""
    text = raw.removeprefix(START).removesuffix(END).decode("latin-1")
    header: Any = hl7.parse(text)[0] if _HEADER.match(text) else ()
    fields = {n: "^".join(_at(header, n)) for n in (3, 4, 5, 6, 10, 11, 12)}  # names of both sides, id, use, version
    trigger = [*_at(header, 9), ""][1]
    when = stamp(received, timedelta(0))
    use, version = fields[11] or "P", fields[12] or "2.6"
    ends = f"{fields[5]}|{fields[6]}|{fields[3]}|{fields[4]}"
    answer = f"MSH|^~\\&|{ends}|{when}||ACK^{trigger}^ACK|{fields[10]}|{use}|{version}"
    return f"{answer}{CR}MSA|{code}|{fields[10]}|{escaped(why)}{CR}".encode()


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
