"""What the suicide-risk workflow asks of whom, until when: the steps of `due.py`, and the list a clinic works from."""

from __future__ import annotations

from collections.abc import Iterable

from adjunct.due import Done, Due, Step, Window, due
from adjunct.due import State as Standing
from adjunct.followup.cover import Cover
from adjunct.followup.risk import Clock
from adjunct.followup.workflow import FAILED, Concern, State, actions_of, confirming, moment
from adjunct.knowledge import Knowledge

DOMAIN = "suicide"
CONFIRM = "acknowledged"
DECIDE = "decision"
FINISHED = (Standing.DONE, Standing.WAITING)


def steps(state: State, cover: Cover) -> tuple[Step, ...]:
    """Everything the open concerns ask for, done or not, each with its owner and its window."""
    found: list[Step] = []
    for concern in state.concerns:
        found.extend(_asked(concern, cover, state.knowledge))
        if concern.closed is None:
            found.extend(_confirmed(concern, cover, state.knowledge))
    found.extend(_unreachable(state, cover))
    return tuple(found)


def done(state: State, cover: Cover) -> tuple[Done, ...]:
    """The acts behind `steps`, each naming the step it covers."""
    found: list[Done] = []
    for concern in state.concerns:
        for action, _ in actions_of(concern, state.knowledge):
            act = concern.done.get(action["id"])
            if act is not None:
                found.append(
                    Done(what=action["what"], at=act.at, step=f"{concern.id}/{action['id']}", reference=act.event)
                )
        if concern.acknowledged is not None:
            act = concern.acknowledged
            names = (step.id for step in _confirmed(concern, cover, state.knowledge))
            found.extend(Done(what=CONFIRM, at=act.at, step=name, reference=act.event) for name in names)
    for failed in (a for a in state.acts if a.kind == FAILED):
        later = (a for a in state.acts if a.kind in (DECIDE, "contact") and a.at >= failed.at)
        first = min(later, key=lambda a: (a.at, a.event), default=None)
        if first is not None:
            found.append(Done(what=DECIDE, at=first.at, step=f"unreachable:{failed.event}", reference=first.event))
    return tuple(found)


def worklist(state: State, cover: Cover, *, now: int) -> tuple[Due, ...]:
    """What is open, due or overdue at `now`: a risk that was never closed on top, then the strictest clock first."""
    clocks = {c.id: max((list(Clock).index(k) for k in c.clocks), default=-1) for c in state.concerns}
    top = {
        f"{c.id}/{a['id']}" for c in state.concerns for a, _ in actions_of(c, state.knowledge) if a.get("top", False)
    }
    waiting = [d for d in due(steps(state, cover), done(state, cover), now=now) if d.state not in FINISHED]
    strictest = max((clocks[c.id] for c in state.open), default=-1)

    def turn(item: Due) -> tuple[bool, int, int, str]:
        unreached = item.step.what == DECIDE
        clock = strictest if unreached else clocks.get(item.step.id.rpartition("/")[0], -1)
        return item.step.id not in top, -clock, item.step.window.due, item.step.id

    return tuple(sorted(waiting, key=turn))


def _asked(concern: Concern, cover: Cover, knowledge: Knowledge) -> Iterable[Step]:
    """The actions of a concern. Once it is closed only its contacts go on, unless the outcome ends them."""
    evaluated = concern.done.get("evaluate")
    outcomes = {o["id"]: o for o in knowledge.content["workflow"]["outcome"]}
    ended = evaluated is not None and not outcomes[evaluated.note].get("contacts", True)
    for action, since in actions_of(concern, knowledge):
        if concern.closed is not None and (action["what"] != "contact" or ended):
            continue
        day_end = cover.day_end(since)
        opens, at, late = (moment(action[key], since, day_end, knowledge) for key in ("opens", "due", "overdue"))
        yield Step(
            id=f"{concern.id}/{action['id']}",
            what=action["what"],
            title=action["title"],
            domain=DOMAIN,
            owner=cover.owner(action["owner"]),
            window=Window(opens=opens, due=at, overdue=max(at, late)),
            basis=action["overdue"] if action["overdue"] in knowledge.facts else action["source"]["id"],
        )


def _confirmed(concern: Concern, cover: Cover, knowledge: Knowledge) -> Iterable[Step]:
    """One step for each of the chain, the next opening when the one before has not confirmed in time.

    The first opens at receipt, attended or not; out of hours the person on call is asked at once, if there is one, and
    of an alarm that nobody confirmed before the clinic closed, when it closes. Steps that had not opened when somebody
    confirmed never come to be.
    """
    texts, within = knowledge.content["workflow"]["acknowledge"], confirming(knowledge)
    clock = max((c for c in concern.clocks if c in within), key=list(Clock).index, default=None)
    if clock is None:
        return
    since = concern.clocks[clock]
    fact = within[Clock.HIGH] if concern.urgent else within[clock]
    first, later = (moment(name, since, since, knowledge) - since for name in (fact, texts["every"]))
    page = cover.attended_until(since) or since
    if cover.on_call and (concern.acknowledged is None or concern.acknowledged.at >= page):
        yield _confirm(concern, "on-call", cover.on_call, texts["on_call"], (page, page + first), fact)
    opens = since
    for number, owner in enumerate(cover.chain or (cover.owner("prescriber"),)):
        if concern.acknowledged is not None and opens > concern.acknowledged.at:
            return
        title = texts["escalated"] if number else texts["title"]
        late = opens + (later if number else first)
        yield _confirm(concern, str(number), owner, title, (opens, late), texts["every"] if number else fact)
        opens = late


def _confirm(concern: Concern, name: str, owner: str, title: str, times: tuple[int, int], basis: str) -> Step:
    opens, late = times
    return Step(
        id=f"{concern.id}/acknowledge-{name}",
        what=CONFIRM,
        title=title,
        domain=DOMAIN,
        owner=owner,
        window=Window(opens=opens, due=opens, overdue=late),
        basis=basis,
    )


def _unreachable(state: State, cover: Cover) -> Iterable[Step]:
    """After each contact that failed while a strict clock runs, a named person decides what comes next."""
    settings = state.knowledge.content["workflow"]["unreachable"]
    strict = [c for c in state.concerns if {Clock.HIGH, Clock.MODERATE, Clock.ASK} & set(c.clocks)]
    for act in state.acts:
        if act.kind == FAILED and any(
            c.received <= act.at and (c.closed is None or c.closed.at > act.at) for c in strict
        ):
            late = moment(settings["within"], act.at, act.at, state.knowledge)
            yield Step(
                id=f"unreachable:{act.event}",
                what=DECIDE,
                title=settings["title"],
                domain=DOMAIN,
                owner=cover.owner(settings["owner"]),
                window=Window(opens=act.at, due=act.at, overdue=late),
                basis=settings["within"],
            )
