"""From compartments and flows to a cascade, in which amounts only move forward.

Compartments that exchange both ways form a block: a hub with spokes. Seen from its hub a block is its modes (arrow.py),
which decay apart; a dose in a spoke decays with that spoke's own rate into the modes, and what a spoke receives from
the hub comes from the modes. So each compartment is a sum of nodes of a cascade (cascade.py), and nothing goes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from adjunct.base import BadInput, Floats
from adjunct.pharmacology.kinetics.arrow import modes
from adjunct.pharmacology.kinetics.cascade import Cascade, Link

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A hub, the spokes it exchanges with (none for a lone compartment), and the modes of the hub."""

    hub: str
    spokes: tuple[str, ...]
    rates: Floats  # (modes, people), 1/h
    shares: Floats  # (modes, people): of a dose into the hub

    @property
    def members(self) -> frozenset[str]:
        return frozenset((self.hub, *self.spokes))


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Where amounts go, in mg that leave or arrive for each mg held and h; columns are (people,)."""

    names: tuple[str, ...]
    people: int
    arriving: Mapping[Pair, Floats]
    leaving: Mapping[tuple[str, str | None], Floats]

    def lost(self, name: str, within: Collection[Pair] = ()) -> Floats:
        """Rate at which a compartment loses, apart from flows `within` its block."""
        rates = (rate for pair, rate in self.leaving.items() if pair[0] == name and pair not in within)
        return sum(rates, np.zeros(self.people))

    def downstream(self) -> dict[str, set[str]]:
        """For each compartment, itself and all that its content can come to."""
        found = {name: {name} for name in self.names}
        for _ in self.names:
            for source, to in self.arriving:
                found[source] |= found[to]
        return found

    def blocks(self, whole: Collection[Pair]) -> tuple[Block, ...]:
        """The strongly connected parts, upstream first; only `whole` flows, which lose nothing, may go both ways."""
        downstream = self.downstream()
        parts: dict[frozenset[str], None] = {}
        for name in sorted(self.names, key=lambda name: -len(downstream[name])):
            parts[frozenset(other for other in downstream[name] if name in downstream[other])] = None
        return tuple(self._block([name for name in self.names if name in part], whole) for part in parts)

    def _block(self, listed: list[str], whole: Collection[Pair]) -> Block:
        """One part as a hub with spokes; of two that exchange, the one listed first is the hub."""
        inside = {pair for pair in self.arriving if set(pair) <= set(listed)}
        if not inside <= set(whole):
            raise BadInput("what is exchanged both ways can be neither converted nor only probed", ", ".join(listed))
        hubs = [name for name in listed if all(name in pair for pair in inside)]
        if not hubs:
            raise BadInput("compartments that exchange must be one hub and spokes around it", ", ".join(listed))
        hub = hubs[0]
        spokes = tuple(name for name in listed if name != hub)
        out, back, lost = (
            np.array(columns).reshape(len(spokes), self.people)
            for columns in (
                [self.leaving[hub, spoke] for spoke in spokes],
                [self.leaving[spoke, hub] for spoke in spokes],
                [self.lost(spoke, inside) for spoke in spokes],
            )
        )
        return Block(hub, spokes, *modes(self.lost(hub, inside), out, back, lost))


@dataclass(frozen=True, slots=True, eq=False)
class Unfolded:
    """A graph as a cascade, for doses into some compartments and a view of others."""

    cascade: Cascade
    entries: Mapping[str, tuple[tuple[int, Floats], ...]]  # where a dose goes: nodes, and its share in each
    views: Mapping[str, tuple[int, ...]]  # a compartment is the sum of these nodes; absent if nothing reaches it
    taps: Mapping[str, int]  # nodes that hold a rate, mg/h, which runs into a compartment; they come first
    area: int | None  # a node that nothing leaves: what the compartments held, over time

    def entered(self, into: str, amount_mg: Floats) -> Floats:
        """(people, nodes): a bolus among the nodes."""
        people, nodes = self.cascade.rates.shape
        entered = np.zeros((people, nodes), order="F")
        for node, share in self.entries.get(into, ()):
            entered[:, node] = share * amount_mg
        return entered

    def marked(self, name: str) -> Floats:
        """(1, nodes): 1 for the nodes that a compartment is the sum of."""
        marked = np.zeros((1, self.cascade.rates.shape[1]))
        marked[:, list(self.views[name])] = 1
        return marked


def unfold(
    graph: Graph,
    blocks: Iterable[Block],
    *,
    dosed: Collection[str],
    tapped: Collection[str],
    watched: Collection[str],
    area: bool = False,
) -> Unfolded:
    """The cascade of what doses into `dosed` and rates into `tapped` bring to `watched`, and if asked to its `area`."""
    downstream = graph.downstream()
    fed = {name for dose in dosed for name in downstream[dose]}
    alive = {name for name in fed if not downstream[name].isdisjoint(watched)}
    flows = {pair: rate for pair, rate in graph.arriving.items() if alive.issuperset(pair)}
    one, none = np.ones(graph.people), np.zeros(graph.people)
    rates: list[Floats] = []
    links: list[Link] = []
    entries: dict[str, tuple[tuple[int, Floats], ...]] = {}
    views: dict[str, tuple[int, ...]] = {}

    def node(rate: Floats) -> int:
        rates.append(rate)
        return len(rates) - 1

    taps = {name: node(none) for name in graph.names if name in alive and name in tapped}
    crossing = dict(flows)
    for block in (block for block in blocks if block.hub in alive):
        for pair in [pair for pair in crossing if block.members.issuperset(pair)]:
            del crossing[pair]
        filled = {to for (source, to) in flows if source not in block.members} | set(dosed)
        emptied = {source for (source, to) in flows if to not in block.members} | set(watched)
        before = {spoke: node(graph.lost(spoke)) for spoke in block.spokes if spoke in filled}
        hub = tuple((node(rate), share) for rate, share in zip(block.rates, block.shares, strict=True))
        after = {spoke: node(graph.lost(spoke)) for spoke in block.spokes if spoke in emptied}
        for mode, share in hub:
            links += [Link(n, mode, flows[spoke, block.hub] * share) for spoke, n in before.items()]
            links += [Link(mode, n, flows[block.hub, spoke]) for spoke, n in after.items()]
        entries |= {block.hub: hub} | {spoke: ((n, one),) for spoke, n in before.items()}
        views[block.hub] = tuple(mode for mode, _ in hub)
        views |= {s: tuple(part[s] for part in (before, after) if s in part) for s in before | after}
    for (source, to), rate in crossing.items():
        links += [Link(a, b, rate * share) for a in views[source] for b, share in entries[to]]
    for name, tap in taps.items():
        links += [Link(tap, b, share) for b, share in entries[name]]
    shown = {name: views[name] for name in watched if name in views}
    total = node(none) if area and shown else None
    if total is not None:
        links += [Link(n, total, one) for nodes in shown.values() for n in nodes]
    columns = np.array(rates).reshape(len(rates), graph.people)
    return Unfolded(Cascade(columns.T, tuple(links)), entries, shown, taps, total)  # a column lies whole in memory
