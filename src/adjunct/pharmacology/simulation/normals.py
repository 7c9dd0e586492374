"""Standard normal numbers that depend on nothing but (seed, slot, person): no order, no block, no thread changes one.

A counter-based generator (Philox, 10 rounds; Salmon and others 2011, doi:10.1145/2063384.2063405) gives one 64-bit
word a person; the word becomes a uniform number inside (0, 1), and that its normal quantile by Wichura's algorithm
AS 241 (1988, doi:10.2307/2347330; relative error about 1e-16).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from adjunct.base import Floats

WORDS = 4  # 64-bit words that one step of the generator's counter yields
DROPPED_BITS = np.uint64(12)  # of 64: 52 bits and a half make an odd multiple of 2**-53, exact and never 0 or 1
STEP = 2.0**-52
HALF = 0.5
BLOCK = 8192  # numbers worked on at a time, so that they stay in the cache
CENTRE: Final = 0.425  # AS 241: within this distance from one half the central fraction holds
CENTRE_SQUARED = 0.180625
SPLIT = 5.0  # AS 241: where the far tail begins
NEAR = 1.6
CENTRAL = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (
        5226.495278852854561,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
)  # highest power first: above the line, below the line
TAIL = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)  # highest power first: above the line, below the line
FAR_TAIL = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.2426609473880784386e-3,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)  # highest power first: above the line, below the line


def normals(seed: int, slot: int, first: int, count: int) -> Floats:
    """Standard normals of `count` people from number `first`, for one slot (a parameter) under one seed.

    >>> bool((normals(1, 0, 0, 10)[4:] == normals(1, 0, 4, 6)).all())
    True
    """
    words = _words(seed, slot, first, count)
    found = np.empty(count)
    scratch = np.empty((2, min(count, BLOCK)))
    for start in range(0, count, BLOCK):
        part = words[start : start + BLOCK]
        _quantiles(part, found[start : start + BLOCK], scratch[0, : len(part)], scratch[1, : len(part)])
    return found


def _words(seed: int, slot: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    step, skipped = divmod(first, WORDS)
    key = np.array([seed, slot], dtype=np.uint64)
    words: npt.NDArray[np.uint64] = np.random.Philox(key=key, counter=step).random_raw(skipped + count)[skipped:]
    return words


def _quantiles(words: npt.NDArray[np.uint64], out: Floats, r: Floats, den: Floats) -> None:
    """Normal quantiles of the words, into `out`; `r` and `den` are room to work in."""
    q = (words >> DROPPED_BITS).view(np.int64).astype(np.float64)
    q += HALF
    q *= STEP
    q -= HALF
    np.multiply(q, q, out=r)
    np.subtract(CENTRE_SQUARED, r, out=r)
    np.maximum(r, 0.0, out=r)
    _polynomial(CENTRAL[0], r, out)
    _polynomial(CENTRAL[1], r, den)
    out *= q
    out /= den
    outside = np.flatnonzero(np.abs(q) > CENTRE)
    if len(outside):
        out[outside] = _tails(q[outside])


def _tails(q: Floats) -> Floats:
    r = np.sqrt(-np.log(HALF - np.abs(q)))
    found = _fraction(TAIL, r - NEAR)
    far = np.flatnonzero(r > SPLIT)
    if len(far):
        found[far] = _fraction(FAR_TAIL, r[far] - SPLIT)
    return np.copysign(found, q)


def _fraction(terms: tuple[tuple[float, ...], ...], r: Floats) -> Floats:
    top, bottom = np.empty_like(r), np.empty_like(r)
    _polynomial(terms[0], r, top)
    _polynomial(terms[1], r, bottom)
    top /= bottom
    return top


def _polynomial(terms: tuple[float, ...], r: Floats, out: Floats) -> None:
    """Horner's rule, highest power first, in place."""
    np.multiply(r, terms[0], out=out)
    for term in terms[1:-1]:
        out += term
        out *= r
    out += terms[-1]
