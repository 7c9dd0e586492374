"""Tables of many people: read in blocks, answered in blocks, in the memory of one block, with progress on stderr.

The output is whole or not there: it is written beside its place and moved in when everything was read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adjunct.base import YES, BadInput, instant

if TYPE_CHECKING:
    from adjunct.instruments.model import Instrument, Item

ROWS = 50_000  # rows of a table in memory at once
LONGEST_LINE = 1_000_000  # characters: a longer line is no person, and is not held in memory
DOSE = "dose"


def score_table(name: str, source: Path, target: Path, *, form: str | None) -> str:
    """`id, answers ...` in; `id, total, band, alerts, not_read` out; returns how many rows alarm, in words.

    A row of another width stops everything; the refusal still tells how many rows before it alarm.
    """
    import adjunct
    from adjunct.instruments import instrument, score_many
    from adjunct.instruments.result import DANGER

    known = instrument(adjunct._knowledge(), name)
    columns_out = ("id", "total", "band", "alerts", "not_read")
    pressing = {a.id for plan in known.plans.values() for a in plan.alerts if a.level in DANGER}
    count = alarming = 0
    with (
        _alarms_first(lambda: alarming),
        _rows(source, target) as (header, rows, _),
        _written(target, columns_out) as write,
    ):
        order = _order(known, header, source.name)
        width = len(order)
        while block := list(islice(rows, ROWS)):
            columns = [_column(known.items[n], [row[place] for row in block]) for n, place in enumerate(order)]
            values, not_applicable, unread = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
            found = score_many(known, values, form=form, not_applicable=not_applicable)
            if found.refused is not None:
                unread |= found.refused[:width].T
            raised = {alert: column.values == YES for alert, column in found.alerts.items()}
            ids = [item.id for item in known.items[:width]]
            danger = [truth for alert, truth in raised.items() if alert in pressing]
            alarming += int(np.any(danger, axis=0).sum()) if danger else 0
            count += len(block)
            for n, row in enumerate(block):
                write(
                    (
                        row[0],
                        "" if np.isnan(found.total[n]) else f"{found.total[n]:g}",
                        found.band_names[found.band[n]] if found.band[n] >= 0 else "",
                        " ".join(alert for alert, truth in raised.items() if truth[n]),
                        " ".join(item for item, bad in zip(ids, unread[n], strict=True) if bad),
                    )
                )

    return f"{count} rows scored; {alarming} raise an alarm of suicide or urgency: see the column alerts"


@contextmanager
def _alarms_first(alarming: Callable[[], int]) -> Iterator[None]:
    """A refusal that still tells of the alarms in what had been read."""
    try:
        yield
    except BadInput as error:
        if not alarming():
            raise
        said = (
            f"{alarming()} rows that were read raise an alarm of suicide or urgency. Mend the table, and score it now."
        )
        raise BadInput(str(error), advice=(said,)) from None


def _order(known: Instrument, header: Sequence[str], at: str) -> list[int]:
    """The column of each item: by name where the header names the items, otherwise in printed order.

    A first line of answers is no header: the person in it would be lost without a word.
    """
    from adjunct.instruments.answers import places

    width = max(len(header) - 1, 0)
    if not known.items or not known.scored_items <= width <= len(known.items):
        said = f"{known.title} has {known.scored_items} answers after the id; this table has {width}"
        raise BadInput(said if known.items else f"{known.title} has no answers that can be scored", at)
    named = places(known)
    found = [named.get(name.casefold()) for name in header[1:]]
    if all(place in (None, n) for n, place in enumerate(found)):
        if all(map(_is_answer, known.items, header[1:])):
            raise BadInput("the first line reads as answers: put a header above it, such as id, then the items", at)
        return list(range(1, width + 1))
    if {*found} != {*range(width)}:
        items = ", ".join(item.id for item in known.items[:width])
        raise BadInput(f"the header names items, and not in this order or not each of them: {items}", at)
    return [found.index(n) + 1 for n in range(width)]


def _is_answer(item: Item, text: str) -> bool:
    from adjunct.instruments.answers import Gap, read_answer

    answer = read_answer(item, text)
    return answer is not Gap.REFUSED if isinstance(answer, Gap) else item.least <= answer <= item.most


def _column(item: Any, texts: Sequence[str]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """One item's answers: what was written, where it does not apply, where it cannot be read. Each spelling once."""
    from adjunct.instruments.answers import Gap, read_answer

    spelled = {text: n for n, text in enumerate(dict.fromkeys(texts))}
    where = np.fromiter((spelled[text] for text in texts), dtype=np.intp, count=len(texts))
    read = [read_answer(item, text) for text in spelled]
    values = np.array([math.nan if isinstance(answer, Gap) else answer for answer in read])
    na, bad = (np.array([answer is gap for answer in read]) for gap in (Gap.NOT_APPLICABLE, Gap.REFUSED))
    return values[where], na[where], bad[where]


def follow_table(source: Path, target: Path, *, at: str | None, level: float | None, primary: str = "phq9") -> None:
    """`id, at, what, value` in, the rows of a person together: `what` is an instrument, or `dose` with its route.

    Out comes a row a person: where the course stands and what may come. Unknown cells are empty.
    """
    import adjunct
    from adjunct.followup.block import Person
    from adjunct.followup.trajectory import trajectories
    from adjunct.instruments.ratings import Measured

    now = adjunct._instant(at).ms
    seen: set[str] = set()

    def people(rows: Iterator[list[str]]) -> Iterator[Person]:
        for who, group in groupby(rows, key=itemgetter(0)):
            if who in seen:
                raise BadInput("the rows of a person must stand together; one comes up again", source.name)
            seen.add(who)
            series: dict[str, list[Measured]] = {}
            doses: dict[int, str] = {}
            for _, when, what, value in group:
                moment = instant(when, line()).ms
                if what == DOSE:
                    doses[moment] = value
                else:
                    series.setdefault(what, []).append(Measured(at=moment, value=_value(value, line())))
            route = next(iter(doses.values())) if len(set(doses.values())) == 1 else None
            yield Person(series=series, doses=sorted(doses), route=route or None, primary=primary, now=now, id=who)

    with _rows(source, target, ("id", "at", "what", "value")) as (_, rows, line):
        blocks = trajectories(adjunct._knowledge(), people(rows), level=level)
        first = next(blocks, None)
        if first is None:
            raise BadInput("there is nobody in this table", source.name)
        with _written(target, ("id", *first.columns)) as write:
            for block in chain((first,), blocks):
                for n, who in enumerate(block.ids):
                    write((who, *(_cell(column[n]) for column in block.columns.values())))


def _value(text: str, at: str) -> float:
    if not text.strip():
        return math.nan  # a visit without a score
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise BadInput("a value is not a score: write a number, or nothing where there is none", at)
    return value


def _cell(value: float) -> str:
    return "" if math.isnan(value) else "beyond" if math.isinf(value) else f"{value:.4g}"


@contextmanager
def _rows(
    source: Path, target: Path, expected: Sequence[str] = ()
) -> Iterator[tuple[list[str], Iterator[list[str]], Callable[[], str]]]:
    """A CSV table's header, its rows, each as wide as the header, and where it is read; a bar shows that on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    try:
        if target.exists() and source.samefile(target):
            raise BadInput("the answer would replace the table that it is made from: name another file", "--out")
        size = source.stat().st_size
        file = source.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise BadInput(f"the table cannot be read ({error.strerror})", source.name) from None
    with file, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(source.name, total=size)

        def lines() -> Iterator[str]:
            while line := file.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise BadInput(f"a line has {LONGEST_LINE} characters or more: this is no table", source.name)
                bar.advance(task, len(line))
                yield line

        reader = csv.reader(lines(), strict=True)

        def rows() -> Iterator[list[str]]:
            for row in reader:
                if not row:
                    continue  # an empty line holds nobody
                if len(row) != len(header):
                    said = f"line {reader.line_num} has {len(row)} columns, the header {len(header)}"
                    raise BadInput(said, source.name)
                yield row

        try:
            header = [name.strip() for name in next(reader, [])]
            if expected and header != list(expected):
                raise BadInput(f"the columns must be {', '.join(expected)}", source.name)
            yield header, rows(), lambda: f"{source.name}, line {reader.line_num}"
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadInput(f"not a CSV table in UTF-8 ({error})", source.name) from None


@contextmanager
def _written(target: Path, header: Sequence[str]) -> Iterator[Callable[[Sequence[object]], Any]]:
    from adjunct.documents.writing import written

    with written(target, target.name) as file:
        writer = csv.writer(file)
        writer.writerow(header)
        yield writer.writerow
