"""How fast exposure is, as ratios in one run: whole curves and summaries of a three-compartment infusion, and memory.

The strongest alternatives that run are installed in an environment of their own (`.venv-peers`, git-ignored) and get
the same people and times: openpkpd's ADVAN11 where Python 3.12 is to be had, a JAX closed form, and SciPy's LSODA.
Their curves must be ours. Nothing here is a test.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from adjunct.knowledge import Knowledge
from adjunct.pharmacology.exposure import simulate
from adjunct.pharmacology.interaction import interact
from adjunct.pharmacology.kinetics import Flow, Input, System
from adjunct.pharmacology.population import summaries

ROOT = Path(__file__).parent
PEERS = ROOT / "peers"
ENVIRONMENT = ROOT.parent / ".venv-peers"
PEOPLE, POINTS = 100_000, 1441
OPENPKPD_PEOPLE, LSODA_PEOPLE = 4000, 200  # these go one by one: their speed does not depend on how many there are
DOSE_MG, OVER_H, STEP_H = 35.0, 2 / 3, 1 / 60
BLOCK = 256  # people whose curves fit the second-level cache
TYPICAL = {"k10": 0.4381, "k12": 0.5921, "k21": 0.2470, "k13": 0.5900, "k31": 0.0146}  # per minute
SMALLEST_SHOWN = 1e-6  # of the peak: below it the peers' tolerances are all that is compared


def main() -> None:
    """Print one line a measurement: what, measured, limit, kept or not."""
    people = _people(PEOPLE)
    ours, curves = _curves(people)
    print(f"three-compartment infusion, {PEOPLE:,} people x {POINTS} points, two threads:")
    _line("  ours, people/s", ours / 1e3, "k/s", None, True)
    beaten = _against("openpkpd_advan11.py", "openpkpd", OPENPKPD_PEOPLE, people, curves, ours, 100)
    _against("jax_closed_form.py", "jax", PEOPLE, people, curves, ours, None if beaten else 20)
    _against("lsoda.py", "scipy", LSODA_PEOPLE, people, curves, ours, None if beaten else 2000)
    rate = _summaries()
    _line("summaries only, people/s", rate / 1e6, "M/s", 2.0, rate >= 2e6)
    _line("1 M people, percentiles: memory", _memory(), "MB", 500, _memory() < 500)
    knowledge = Knowledge.load()
    for what, call in (
        ("simulate ketamine, all models", lambda: simulate(knowledge, "ketamine", dose="0.5 mg/kg", over="40 min", route="iv", weight_kg=70, age_a=40)),
        ("interact, observed and predicted", lambda: interact(knowledge, "S-ketamine", ["clarithromycin"])),
        ("interact, kratom tea", lambda: interact(knowledge, "midazolam", ["kratom-leaf"], predict=True)),
    ):
        seconds = _seconds(call)
        _line(f"{what}, warm", seconds, "s", 0.3, seconds <= 0.3)
