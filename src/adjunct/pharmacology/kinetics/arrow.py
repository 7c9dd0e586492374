"""The exponential modes of a hub with spokes: one central compartment that exchanges with each of the others.

A mammillary system answers a dose into its hub with a sum of decaying exponentials, all of positive weight: the dose
splits into modes, `share[i]` of it leaves with `rate[i]`, and the hub holds the sum of what is left. The rates are the
eigenvalues of an arrow matrix. A general eigen-solver finds them to within rounding of the largest; here each is found
to within rounding of itself, because the slowest is the terminal half-life and the fastest may be a million times it.

For hub loss k, outward rates o[j], and spokes that return at b[j] and lose at l[j], with poles p[j] = b[j] + l[j], the
rates x are the zeros of

    f(x) = k - x + sum_j o[j] * (l[j] - x) / (p[j] - x)

in which nothing large is subtracted from anything large. f falls between each pair of neighbouring poles from +inf to
-inf, so each gap holds one rate; it is sought as an offset from the nearer pole (from 0 for a slow first rate), which
keeps p[j] - x accurate however close the two are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from adjunct.base import Bools, Floats

THREE = 3  # rates of a hub with two spokes
CLOSE = 2.0**-27  # relative step after which one more quadratic step is below rounding
MOST_ROUNDS = 200


def modes(loss: Floats, out: Floats, back: Floats, lost: Floats) -> tuple[Floats, Floats]:
    """Rates (1/h) and shares, both (spokes + 1, people), of a hub with elimination `loss` (people,).

    `out`, `back` and `lost` are (spokes, people): hub to spoke, spoke to hub, spoke to anywhere else. A mode that does
    not show in the hub has share 0 (two spokes of equal rates, or a spoke that is not exchanged with).
    """
    if not len(out):
        return loss[None, :], np.ones_like(loss)[None, :]
    with np.errstate(all="ignore"):  # poles at infinity, zero shares and underflow are all meant
        search, origin, void = _search(*_poles(loss, out, back, lost))
        offset = search.roots()
        spread = np.ones_like(offset)
        for delta, strength in zip(search.delta, search.strength, strict=True):
            apart = delta - offset
            apart *= apart
            spread += np.divide(strength, apart, out=apart)
        rate, share = origin + offset, np.reciprocal(spread, out=spread)
        if void.any():
            rate, share = np.where(void, 1, rate), np.where(void, 0, share)
        return rate, share


def _poles(loss: Floats, out: Floats, back: Floats, lost: Floats) -> tuple[Floats, ...]:
    """Hub loss, and per pole in rising order: position, outward rate, o*l and o*b.

    A spoke that is not both left and come back from is no pole: it goes to inf, and what enters it is lost to the hub.
    """
    pole, through, strength = back + lost, out * lost, out * back
    alone = strength <= 0
    if alone.any():
        loss = loss + np.where(alone, out, 0).sum(axis=0)
        pole = np.where(alone, np.inf, pole)
        out, through, strength = (np.where(alone, 0, each) for each in (out, through, strength))
    rows = _sorted(np.stack([pole, out, through, strength]))
    return loss, *rows


def _sorted(rows: Floats) -> Floats:
    """The poles of each person in rising order: a transposition network, as there are few spokes and many people."""
    spokes = rows.shape[1]
    for end in range(spokes - 1, 0, -1):
        for low in range(end):
            wrong = rows[0, low] > rows[0, low + 1]
            if wrong.any():
                pair = rows[:, low : low + 2]
                rows[:, low : low + 2] = np.where(wrong, pair[:, ::-1], pair)
    return rows


@dataclass(frozen=True, slots=True)
class _Search:
    """One unknown rate in each gap between poles, as an offset from `origin`. Arrays are (gaps, people)."""

    lead: Floats  # k - origin
    near: Floats  # o * b of the pole at the origin; 0 if the origin is no pole
    side: Floats  # 1 if the gap is above its origin, else -1
    low: Floats  # the half of the gap that holds the rate, from the origin
    high: Floats
    offset: Floats
    arrived: Bools
    delta: Floats  # (poles, gaps, people): p[j] - origin
    above: Floats  # (poles, gaps, people): o[j] * (l[j] - origin)
    out: Floats  # (poles, gaps, people): o[j]
    strength: Floats  # (poles, gaps, people): o[j] * b[j]

    def step(self) -> _Search:
        """Apart from the pole at the origin f is nearly straight: solve slope*x + level + near/x = 0."""
        offset, near = self.offset, self.near
        value, slope = self.lead - offset, near / (offset * offset)
        slope -= 1
        for delta, above, out, strength in zip(self.delta, self.above, self.out, self.strength, strict=True):
            apart = delta - offset
            term = above - offset * out
            term /= apart
            value += term
            apart *= apart
            slope -= np.divide(strength, apart, out=apart)
        positive = value > 0
        low, high = np.where(positive, offset, self.low), np.where(positive, self.high, offset)
        level = self.side * (value - near / offset - slope * offset)
        large = np.sqrt(level * level - 2 * (2 * slope * near)) + np.abs(level)
        new = self.side * np.where(level > 0, large / (-2 * slope), 2 * near / large)
        close = np.abs(new - offset) <= CLOSE * np.abs(offset)
        inside = np.minimum(np.maximum(new, low), high)
        new = np.where(close | (inside == new) & (new != 0), inside, (low + high) / 2)
        new = np.where(self.arrived, offset, new)
        return replace(self, low=low, high=high, offset=new, arrived=self.arrived | close)

    def stragglers(self) -> _Search:
        """Those who have not arrived, in one row."""
        left = ~self.arrived
        shape = self.delta.shape
        rows = {
            name: getattr(self, name)[left] for name in ("lead", "near", "side", "low", "high", "offset", "arrived")
        }
        poles = {n: np.broadcast_to(getattr(self, n), shape)[:, left] for n in ("delta", "above", "out", "strength")}
        return _Search(**rows, **poles)

    def roots(self) -> Floats:
        """The offset of each rate. Nobody's steps depend on who else is looked for."""
        search = self.step()
        found = search.offset
        where = np.arange(found.size).reshape(found.shape)
        for _ in range(MOST_ROUNDS):
            if search.arrived.all():
                break
            where, search = where[~search.arrived], search.stragglers().step()
            found.flat[where] = search.offset
        return found


def _search(
    loss: Floats, pole: Floats, out: Floats, through: Floats, strength: Floats
) -> tuple[_Search, Floats, Bools]:
    """Where to look in each gap; the origin of its offsets; and whether it lies beyond the last pole that counts."""
    none = np.zeros_like(loss)[None]
    most = loss + out.sum(axis=0)
    left, right = np.concatenate([none, pole]), np.concatenate([pole, none + np.inf])
    last, void = np.isinf(right), np.isinf(left)
    right = np.where(last, 2 * np.maximum(most, left), right)  # above any rate (Gershgorin)
    if void.any():
        left, right = np.where(void, 0, left), np.where(void, 1, right)
    middle = (left + right) / 2
    value = loss - middle
    for p, o, q in zip(pole, out, through, strict=True):
        term = q - middle * o
        term /= p - middle
        value += term
    from_right = (value > 0) & ~last
    origin = np.where(from_right, right, left)
    delta = pole[:, None] - origin
    if through.any():  # o * (l - origin), in the one of two forms that subtracts less
        returned, kept = (np.where(out > 0, each / out, 0)[:, None] for each in (strength, through))
        near_by = (kept > 0) & (returned + np.abs(delta) < kept + origin)
        above = np.where(near_by, delta - returned, kept - origin) * out[:, None]
    else:
        above = -origin * out[:, None]
    low, high = np.where(from_right, middle, left) - origin, np.where(from_right | last, right, middle) - origin
    offset = (low + high) / 2
    if len(right) == THREE:
        guess = _cubic(most, pole, strength) - origin
        offset = np.where((guess > low) & (guess < high), guess, offset)
    lead, near = loss - origin, np.where(from_right, np.concatenate([strength, none]), np.concatenate([none, strength]))
    closed = (lead == 0) & (near == 0) & ~above.any(axis=0)  # nothing is ever lost: the first rate is 0
    offset[closed] = 0
    return (
        _Search(
            lead=lead,
            near=near,
            side=np.where(from_right, -1.0, 1.0),
            low=low,
            high=high,
            offset=offset,
            arrived=void | closed | (low == high),  # nothing is sought between two equal poles
            delta=delta,
            above=above,
            out=out[:, None],
            strength=strength[:, None],
        ),
        origin,
        void,
    )


def _cubic(most: Floats, pole: Floats, strength: Floats) -> Floats:
    """Three rates from the cubic, right to within rounding of the largest: where to start for two spokes."""
    middle = (most + pole[0] + pole[1]) / THREE
    hub, first, second = most - middle, pole[0] - middle, pole[1] - middle
    width = np.sqrt((hub * hub + first * first + second * second + 2 * (strength[0] + strength[1])) / (2 * THREE))
    turned = (hub * first * second - strength[0] * second - strength[1] * first) / (2 * width * width * width)
    angle = np.arccos(np.clip(turned, -1, 1)) / THREE
    along, across = width * np.cos(angle), width * np.sin(angle) * np.sqrt(THREE)
    return np.stack([middle - along - across, middle - along + across, middle + 2 * along])
