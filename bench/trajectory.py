"""How fast trajectories are: one person with 200 scores, many people in one call, and the strongest peers as ratios.

Peers: statsmodels' state-space filter and smoother in C (one setting at a time, in an environment of its own,
`.venv-peers`), and the same filter as a plain loop over the same grid in numpy, one person and one setting after
another. All get the same scores; the loop's result must be ours. Nothing here is a test.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from adjunct.followup.block import Person, block, read, settings
from adjunct.followup.expected import scales
from adjunct.followup.signals import signals
from adjunct.followup.trajectory import trajectories, trajectory
from adjunct.knowledge import Knowledge

PEERS = Path(__file__).parent / "peers"
ENVIRONMENT = Path(__file__).parent.parent / ".venv-peers"
DAY = 86_400_000
POINTS, LIMIT_MS, CALLS = 200, 20.0, 300
PEOPLE, EACH = 4096, 30


def main() -> None:
    knowledge = Knowledge.load()
    series = _series(POINTS)
    doses = [int(d) * DAY for d in np.linspace(3, 380, 20)]
    now = 401 * DAY

    def one() -> object:
        return trajectory(knowledge, series, doses, route="iv", primary="phq9", now=now)

    one()
    times = np.array([_timed(one) for _ in range(CALLS)]) * 1e3
    p50, p99 = np.percentile(times, [50, 99])
    _line(f"one person, {POINTS} scores: p50", p50, "ms")
    _line(f"one person, {POINTS} scores: p99", p99, "ms", LIMIT_MS)
    found = trajectory(knowledge, series, doses, route="iv", primary="phq9", now=now)
    _line("its signals", min(_timed(lambda: signals(knowledge, found)) for _ in range(20)) * 1e3, "ms")
    loop, worst = _loop(knowledge, series, doses, now)
    filtered = min(_timed(lambda: _filtered(knowledge, series, doses, now)) for _ in range(20))
    _line("filter and smoother of that person, all settings", filtered * 1e3, "ms")
    _line("  the same as a plain loop", loop * 1e3, "ms")
    _line("  ratio", loop / filtered, "x")
    _line("  largest difference of a mean", worst, "points", 1e-6)
    peer = _statsmodels(knowledge)
    if peer is not None:
        _line("  statsmodels, all settings", peer * 1e3, "ms")
        _line("  ratio to statsmodels", peer / filtered, "x")
    _many(knowledge)


def _many(knowledge: Knowledge) -> None:
    people = _people(PEOPLE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    done = sum(len(rows.columns["severity"]) for rows in trajectories(knowledge, people))
    seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    _line(f"{done:,} people x {EACH} scores in one call", done / seconds, "people/s")
    _line("  so 100,000 people take", 100_000 * seconds / done, "s")
    _line("  memory above the input", grown / 1024, "MB", 500)


def _series(count: int) -> dict[str, list[SimpleNamespace]]:
    dice = np.random.default_rng(1)
    level = 12 + np.cumsum(dice.normal(0, 0.6, count))
    values = np.clip(np.rint(level + dice.normal(0, 2.2, count)), 0, 27)
    return {"phq9": [SimpleNamespace(at=2 * i * DAY, value=float(v)) for i, v in enumerate(values)]}


def _people(count: int) -> list[Person]:
    dice = np.random.default_rng(2)
    doses = [int(d) * DAY for d in (7, 10, 14, 17, 21, 24)]
    return [
        Person(
            series={"phq9": [SimpleNamespace(at=7 * i * DAY, value=float(v)) for i, v in enumerate(row)]},
            doses=doses,
            route="iv",
            primary="phq9",
            now=7 * EACH * DAY,
        )
        for row in dice.integers(0, 28, (count, EACH))
    ]


def _filtered(knowledge: Knowledge, series: dict[str, list[SimpleNamespace]], doses: list[int], now: int) -> object:
    person = Person(series=series, doses=doses, route="iv", primary="phq9", now=now)
    return block(knowledge, [read(knowledge, person, scales(knowledge))], settings(knowledge))


def _loop(
    knowledge: Knowledge, series: dict[str, list[SimpleNamespace]], doses: list[int], now: int
) -> tuple[float, float]:
    """The textbook filter and smoother, three states as first written down, a setting after another."""
    person = Person(series=series, doses=doses, route="iv", primary="phq9", now=now)
    one = read(knowledge, person, scales(knowledge))
    ours, grid = block(knowledge, [one], settings(knowledge)), settings(knowledge)
    start = time.perf_counter()
    means = np.stack([_textbook(one, grid.drift[c], grid.noise[c], grid.loss_d[c]) for c in range(len(grid.weight))], 1)
    return time.perf_counter() - start, float(np.abs(means - ours.whole.mean[:, :, 0]).max())


def _textbook(one: object, drift: float, noise: float, loss_d: float) -> np.ndarray:
    scale, course = one.scale, one.course  # type: ignore[attr-defined]
    g, sd = course.gain, 2 * scale.sd
    size = scale.typical if one.baseline is None else one.baseline.value  # type: ignore[attr-defined]
    x = np.array([scale.typical, 0.0, g * scale.typical])
    p = np.zeros((3, 3))
    p[0, 0], p[0, 2], p[2, 0] = sd**2, g * sd**2, g * sd**2
    p[2, 2] = (g * sd) ** 2 + (course.spread * max(size, scale.sd)) ** 2
    h, kept, last = np.array([1.0, 1.0, 0.0]), [], None
    fill = 1 - np.exp(-1 / course.pace)
    jump = np.eye(3)
    for at, kind, point in one.steps:  # type: ignore[attr-defined]
        gap = 0 if last is None else (at - last) / DAY
        f = np.diag([1.0, np.exp(-gap / loss_d), 1.0]) @ jump
        before_x, before_p = f @ x, f @ p @ f.T + np.diag([(drift * scale.sd) ** 2 * gap, 0, 0])
        x, p = before_x, before_p
        if point is not None:
            k = p @ h / (h @ p @ h + (noise * point.error_sd) ** 2)
            x, p = x + k * (point.value - h @ x), p - np.outer(k, h @ p)
        kept.append((f, before_x, before_p, x, p))
        jump, last = np.eye(3), at
        if kind == 1:
            jump = np.array([[1, 0, 0], [0, 1 - fill, -fill], [0, 0, 1.0]])
    smooth, means = kept[-1][3], [h @ kept[-1][3]]
    for t in range(len(kept) - 2, -1, -1):
        f, before_x, before_p, _, _ = kept[t + 1]
        gain = kept[t][4] @ f.T @ np.linalg.pinv(before_p, hermitian=True)
        smooth = kept[t][3] + gain @ (smooth - before_x)
        means.append(h @ smooth)
    return np.array(means[::-1])


def _statsmodels(knowledge: Knowledge) -> float | None:
    """Seconds that statsmodels takes to filter and smooth the same scores once for each setting."""
    python = ENVIRONMENT / "trajectory" / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "statsmodels"]
            subprocess.run(install, check=True, capture_output=True, timeout=600)
        grid = settings(knowledge)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as sent:
            values = [p.value for p in _series(POINTS)["phq9"]]
            triples = [grid.drift.tolist(), grid.noise.tolist(), grid.loss_d.tolist()]
            json.dump({"values": values, "settings": triples}, sent)
            sent.flush()
            run = [str(python), str(PEERS / "statsmodels_trajectory.py"), sent.name]
            return float(subprocess.run(run, check=True, capture_output=True, text=True, timeout=300).stdout)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"  statsmodels: not measured ({type(error).__name__})")
        return None


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _line(what: str, value: float, unit: str, limit: float | None = None) -> None:
    verdict = "" if limit is None else f"  limit {limit:g}  {'kept' if value <= limit else 'MISSED'}"
    print(f"{what:<58}{value:>12.4g} {unit}{verdict}")


if __name__ == "__main__":
    main()
