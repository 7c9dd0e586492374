"""How fast exposure is, as ratios in one run: whole curves and summaries of a three-compartment infusion, and memory.

The strongest alternatives that run are installed in an environment of their own (`.venv-peers`, git-ignored) and get
the same people and times: openpkpd's ADVAN11 where Python 3.12 is to be had, a JAX closed form, and SciPy's LSODA.
Their curves must be ours. Nothing here is a test.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adjunct.knowledge import Knowledge
from adjunct.pharmacology.interaction import interact
from adjunct.pharmacology.kinetics import Flow, Input, System
from adjunct.pharmacology.simulation import simulate
from adjunct.pharmacology.simulation.models import Person, model
from adjunct.pharmacology.simulation.population import Population

PEERS = Path(__file__).parent / "peers"
ENVIRONMENT = Path(__file__).parent.parent / ".venv-peers"
PEOPLE, POINTS, THREADS = 100_000, 1441, 2
ONE_BY_ONE = {"openpkpd": 4000, "scipy": 100}  # these take one person after another, however many there are
DOSE_MG, OVER_H, STEP_H = 35.0, 2 / 3, 1 / 60
BLOCK = 50_000  # people a call: fewer, and the calls cost more than the arithmetic
SUMMARY_PEOPLE, SUMMARY_BLOCK = 1_000_000, 16_384
TYPICAL = {"k10": 0.4381, "k12": 0.5921, "k21": 0.2470, "k13": 0.5900, "k31": 0.0146}  # per minute
VOLUME_L, SPREAD = 4.41, 0.3
COMPARED = 1e-3  # of a person's peak: below it the peers' own tolerances are all that would be compared
RATIOS = {"openpkpd": 100, "jax": 20, "scipy": 2000}

People = Mapping[str, np.ndarray]


def main() -> None:
    """Print one line a measurement: what, measured, limit, kept or not."""
    if sys.argv[1:] == ["memory"]:
        print(_million())
        return
    people = _people(PEOPLE)
    ours, curves = _curves(people)
    print(f"three-compartment infusion, {PEOPLE:,} people x {POINTS} points, {THREADS} threads:")
    _line("  ours", ours / 1e3, "k people/s")
    found = {peer: _peer(peer, people, curves) for peer in RATIOS}
    first = found["openpkpd"] is not None
    for peer, speed in found.items():
        if speed is not None:
            _line(f"  {peer}", speed / 1e3, "k people/s")
            limit = RATIOS[peer] if first == (peer == "openpkpd") else None
            _line(f"  ratio to {peer}", ours / speed, "x", limit, least=True)
    _line("summaries only", _summaries() / 1e6, "M people/s", 2, least=True)
    memory = float(subprocess.run([sys.executable, __file__, "memory"], capture_output=True, check=True).stdout)
    _line("1 M people, percentiles: memory", memory, "MB", 500)
    _calls()


def _people(count: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(1)
    varied = {name: 60 * rate * np.exp(dice.normal(0, SPREAD, count)) for name, rate in TYPICAL.items()}
    return varied | {"v1": VOLUME_L * np.exp(dice.normal(0, SPREAD, count))}


def _system(people: People, who: slice) -> System:
    k = {name: rates[who] for name, rates in people.items()}
    flows = (("c", None, "k10"), ("c", "p", "k12"), ("p", "c", "k21"), ("c", "q", "k13"), ("q", "c", "k31"))
    return System.of(("c", "p", "q"), [Flow(a, b, k[rate]) for a, b, rate in flows])


DOSE = (Input("c", 0.0, np.array(DOSE_MG), OVER_H),)


def _curves(people: People) -> tuple[float, np.ndarray]:
    """People a second, every point of every curve written, some people at a time; and the first curves."""

    def work(thread: int) -> None:
        for first in range(thread * BLOCK, PEOPLE, THREADS * BLOCK):
            who = slice(first, first + BLOCK)
            for _ in _system(people, who).grids(DOSE, STEP_H, POINTS, "c", volume_l=people["v1"][who]):
                pass

    seconds = _best(lambda: _on_threads(work), 5)
    curves = _system(people, slice(0, 100)).grid(DOSE, STEP_H, POINTS, "c") / people["v1"][:100, None]
    return PEOPLE / seconds, curves


def _summaries() -> float:
    people = _people(SUMMARY_PEOPLE)

    def work(thread: int) -> None:
        for first in range(thread * SUMMARY_BLOCK, SUMMARY_PEOPLE, THREADS * SUMMARY_BLOCK):
            system = _system(people, slice(first, first + SUMMARY_BLOCK))
            system.peak(DOSE, "c", 24.0)
            system.auc(DOSE, "c", None)
            system.terminal_rate_h("c", DOSE)

    return SUMMARY_PEOPLE / _best(lambda: _on_threads(work), 5)


def _on_threads(work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def _million() -> float:
    """Peak memory in MB while the percentiles of a million different people are taken at two hours' worth of times."""
    chosen = model(Knowledge.load(), "Fanta_2015_esketamine")
    route = chosen.routes["iv"]
    person = Person(weight_kg=70.0, age_a=40.0)
    course = chosen.course(DOSE_MG / 2, route, over_h=OVER_H, weight_kg=70.0)
    many = Population(chosen, person, route, course, 1_000_000, 1, threads=THREADS)
    many.curves(["esketamine"], np.linspace(0, 2, 25))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _calls() -> None:
    knowledge = Knowledge.load()
    calls: dict[str, Callable[[], object]] = {
        "simulate ketamine, every model": lambda: simulate(
            knowledge, "ketamine", dose="0.5 mg/kg", over="40 min", route="iv", weight_kg=70.0
        ),
        "simulate esketamine spray": lambda: simulate(
            knowledge, "PerezRuixo_2021_esketamine", dose="56 mg", route="nasal", weight_kg=70.0
        ),
        "interact, oral": lambda: interact(knowledge, "S-ketamine", ["clarithromycin"], predict=True),
        "interact, kratom tea": lambda: interact(knowledge, "midazolam", ["kratom-leaf"], predict=True),
    }
    for what, call in calls.items():
        _line(f"{what}, warm", _best(call, 7), "s", 0.3)


def _best(call: Callable[[], object], times: int) -> float:
    call()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


# --- peers ------------------------------------------------------------------------------------------------------------

NEEDS = {"openpkpd": ("openpkpd", "numpy"), "jax": ("jax", "numpy"), "scipy": ("scipy", "numpy")}
SCRIPTS = {"openpkpd": "openpkpd_advan11.py", "jax": "jax_closed_form.py", "scipy": "lsoda.py"}


def _peer(peer: str, people: People, ours: np.ndarray) -> float | None:
    """A peer's people a second on the same people; None where it cannot be installed. Its curves are compared."""
    python = _environment(peer)
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "people.npz"), Path(folder, "curves.npy")
        few = {name: rates[: ONE_BY_ONE.get(peer, PEOPLE)] for name, rates in people.items()}
        np.savez(given, **few, dose_mg=DOSE_MG, over_h=OVER_H, times_h=np.arange(POINTS) * STEP_H)
        said = subprocess.run([python, PEERS / SCRIPTS[peer], given, found], capture_output=True, check=True).stdout
        theirs = np.load(found)
    seen = ours[: len(theirs)]
    shown = seen > COMPARED * seen.max(axis=1, keepdims=True)
    apart = np.abs(theirs[shown] / seen[shown] - 1).max()
    print(f"  {peer} {json.loads(said)['version']}: its curves differ from ours by at most {apart:.1e}")
    return float(json.loads(said)["people_per_s"])


def _environment(peer: str) -> Path | None:
    """The Python of a peer's own environment, made once. openpkpd runs on 3.12 alone."""
    interpreter = _python_312() if peer == "openpkpd" else sys.executable
    if interpreter is None:
        print("  openpkpd: needs Python 3.12, which is not here; the other two stand in for it")
        return None
    python = ENVIRONMENT / peer / "bin" / "python"
    ready = ENVIRONMENT / peer / "ready"
    if not ready.exists():
        print(f"  installing {peer} ...", flush=True)
        subprocess.run([interpreter, "-m", "venv", "--clear", ENVIRONMENT / peer], check=True)
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS[peer]], capture_output=True)
        if done.returncode:
            print(f"  {peer}: cannot be installed here")
            return None
        ready.touch()
    return python


def _python_312() -> str | None:
    places = [shutil.which("python3.12"), *Path.home().glob(".pyenv/versions/3.12*/bin/python")]
    for place in places:
        if place and not subprocess.run([place, "--version"], capture_output=True).returncode:
            return str(place)
    return None


def _line(what: str, value: float, unit: str, limit: float | None = None, *, least: bool = False) -> None:
    kept = limit is None or (value >= limit if least else value <= limit)
    said = "" if limit is None else f"   limit {limit:g}: {'kept' if kept else 'MISSED'}"
    print(f"{what:36} {value:10.3g} {unit}{said}", flush=True)


if __name__ == "__main__":
    main()
