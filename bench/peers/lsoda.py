"""SciPy's LSODA at rtol 1e-8, one person after another. Arguments: the people (.npz), where to put results."""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from scipy.integrate import solve_ivp


def solve(k10, k12, k21, k13, k31, v1, rate, over, times):
    matrix = np.array([[-(k10 + k12 + k13), k21, k31], [k12, -k21, 0.0], [k13, 0.0, -k31]])
    found, state = np.empty(len(times)), np.zeros(3)
    for inside, source, start, end in ((times <= over, rate, 0.0, over), (times > over, 0.0, over, times[-1])):
        force = np.array([source, 0.0, 0.0])
        out = solve_ivp(
            lambda _t, x, f=force: matrix @ x + f,
            (start, end),
            state,
            "LSODA",
            np.unique(np.append(times[inside], end)),
            rtol=1e-8,
            atol=1e-10,
            jac=lambda *_: matrix,
        )
        found[inside], state = out.y[0, : inside.sum()], out.y[:, -1]
    return found / v1


def main() -> None:
    people = np.load(sys.argv[1])
    rows = np.column_stack([people[n] for n in ("k10", "k12", "k21", "k13", "k31", "v1")])
    over, times = float(people["over_h"]), people["times_h"]
    rate = float(people["dose_mg"]) / over
    start = time.perf_counter()
    found = [solve(*row, rate, over, times) for row in rows]
    seconds = time.perf_counter() - start
    np.save(sys.argv[2], np.array(found[:100]))
    print(json.dumps({"people_per_s": len(rows) / seconds, "version": version("scipy")}))


main()
