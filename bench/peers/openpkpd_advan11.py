"""openpkpd's ADVAN11, one person after another, as its users run it. Arguments: people (.npz), results."""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from openpkpd.data.event_processor import DoseEvent
from openpkpd.pk.analytical import ADVAN11


def main() -> None:
    people = np.load(sys.argv[1])
    times = people["times_h"]
    doses = [DoseEvent(time=0.0, amount=float(people["dose_mg"]), rate=float(people["dose_mg"] / people["over_h"]))]
    names = ("K", "K12", "K21", "K13", "K31", "V1")
    rows = np.column_stack([people[n] for n in ("k10", "k12", "k21", "k13", "k31", "v1")])
    model = ADVAN11()
    model.solve(dict(zip(names, rows[0], strict=True)), doses, times)
    start = time.perf_counter()
    found = [model.solve(dict(zip(names, row, strict=True)), doses, times).ipred for row in rows]
    seconds = time.perf_counter() - start
    np.save(sys.argv[2], np.array(found[:100]))
    print(json.dumps({"people_per_s": len(rows) / seconds, "version": version("openpkpd")}))


main()
