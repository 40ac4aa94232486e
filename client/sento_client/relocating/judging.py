"""The dry run of a plan: everything that can be known before anything is done, each thing in one line. Pure.

A line is good, a note (what is to be known, or cannot be told), open (somebody has still to do something, or it comes by itself) or wrong (the plan is not
carried out as it is, and why).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sento_client.governing.following import Followed
from sento_client.placement import findings
from sento_client.placement.findings import refused
from sento_client.placement.round_trips import RoundTrips, round_trips_of
from sento_client.placement.timeouts import pause_words, timeouts_for
from sento_client.relocating.deciding import SERVING, catching_up_words
from sento_client.relocating.looking import (
    Answers,
    members_of,
    of_this_ledger,
    site_seen,
    standing_acts,
)
from sento_client.relocating.making import voters_after
from sento_client.site_status.survivability import majority
from sento_client.site_status.wording import listed, to_go
from sento_proto.errors import Code
from sento_proto.governance.state import Governance
from sento_proto.relocation_plan import (
    RelocationPlan,
    RelocationRefused,
    Stage,
    Step,
    act_of,
    check_belongs,
    check_signed,
    check_unsigned,
    offices_of,
    stage_of,
)

MEMBERSHIP_S = 15
"""About as long as it takes, beside copying, until a learner was added and promoted, the lead moved, and the others left: some elections and some looks."""


class State(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    NOTE = "note"
    OPEN = "open"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `code`: why it is wrong; None otherwise."""

    item: str
    state: State
    words: str
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole dry run. `stage`: None where the plan is of another ledger or epoch."""

    stage: Stage | None
    lines: tuple[Line, ...]

    @property
    def wrong(self) -> tuple[Line, ...]:
        """What forbids to carry it out."""
        return tuple(line for line in self.lines if line.state is State.WRONG)

    @property
    def is_ready(self) -> bool:
        """Whether it can be carried out now, signatures included."""
        return all(line.state in (State.GOOD, State.NOTE) for line in self.lines)


def judge_plan(
    plan: RelocationPlan,
    followed: Followed,
    epoch: int,
    answers: Answers,
    now_ms: int,
    head_before: int | None,
) -> Verdict:
    """The dry run. `epoch`: the ledger's now; `head_before`: the most records known at a look a moment before this one."""
    governance = followed.governance
    try:
        check_belongs(plan, governance, epoch)
    except RelocationRefused as error:
        return Verdict(None, (Line("plan", State.WRONG, str(error), error.code),))
    stage = stage_of(plan, standing_acts(followed))
    before = _before(plan, followed, stage)
    own = of_this_ledger(governance, epoch, answers)
    lines = [
        _acts(plan, before, stage, followed, now_ms),
        _signatures(plan, before),
        *_placement(plan, before, round_trips_of(own)),
    ]
    if stage in (Stage.NOT_BEGUN, Stage.GIVEN):
        lines += _targets(plan, governance, own, head_before)
        lines.append(_staying(plan, governance, own))
        lines += _expectations(plan, governance, own)
    return Verdict(stage, tuple(lines))


def _before(plan: RelocationPlan, followed: Followed, stage: Stage) -> Governance:
    """The governance that the plan started from: who signed is judged by that one, also after its acts stand."""
    if stage in (Stage.NOT_BEGUN, Stage.STALE):
        return followed.governance
    give = act_of(plan, Step.GIVE).record_hash
    at = next((step.position for step in followed.steps if step.stored.record_hash == give), None)
    return followed.governance if at is None else followed.at(at)


def _acts(plan: RelocationPlan, before: Governance, stage: Stage, followed: Followed, now_ms: int) -> Line:
    if stage is Stage.STALE:
        words = "Another officers' act stands since the plan was made. Make it anew with sento relocate plan."
        return Line("acts", State.WRONG, words, Code.STALE)
    if stage is Stage.OVERTAKEN:
        words = (
            "The plan's first act stands and another officers' act came behind it, so neither the retirement nor the way back fits. "
            "Let the officers decide anew with sento govern propose."
        )
        return Line("acts", State.WRONG, words, Code.STALE)
    if stage is Stage.UNDONE:
        return Line(
            "acts",
            State.WRONG,
            "The plan was backed out. Make a new one with sento relocate plan.",
            Code.PLAN_NOT_FIT,
        )
    if stage is not Stage.NOT_BEGUN:
        done = "the new votes are given" if stage is Stage.GIVEN else "the former votes are retired"
        return Line(
            "acts", State.GOOD, f"It was begun: {done}. sento relocate run goes on from where it stands."
        )
    try:
        check_unsigned(plan, before, followed.position + 1, now_ms)
    except RelocationRefused as error:
        return Line("acts", State.WRONG, str(error), error.code)
    return Line("acts", State.GOOD, "Its three acts fit the ledger as it is, and nothing was done yet.")


def _signatures(plan: RelocationPlan, before: Governance) -> Line:
    try:
        offices = offices_of(plan, before)
    except RelocationRefused as error:
        return Line("signatures", State.WRONG, str(error), error.code)
    people, needed = before.officers.people, before.officers.threshold
    try:
        check_signed(plan, before)
    except RelocationRefused:
        waiting = [name for name in people if name not in offices]
        have = f"{len(offices)} of {needed} officers signed" + (f" ({listed(offices)})" if offices else "")
        return Line(
            "signatures", State.OPEN, f"{have}; {listed(waiting, 'or')} or their deputies may sign too."
        )
    return Line("signatures", State.GOOD, f"Signed by {listed(offices)}; {needed} are needed.")


def _placement(plan: RelocationPlan, before: Governance, trips: RoundTrips) -> Iterator[Line]:
    voters = voters_after(before, plan.target_sites, plan.retire)
    found = findings(tuple(before.sites.values()), voters, trips)
    wrong = refused(found, plan.accepts)
    for one in wrong:
        yield Line(one.name, State.WRONG, f"{one.words} {one.remedy}", Code.PLACEMENT_REFUSED)
    for one in found:
        if one not in wrong:
            yield Line(one.name, State.GOOD, f"Accepted by the officers: {one.words}")
    if not found:
        yield Line("placement", State.GOOD, f"{listed(voters)} share nothing that one event could take.")


def _targets(
    plan: RelocationPlan, governance: Governance, own: Answers, head_before: int | None
) -> Iterator[Line]:
    for site in plan.target_sites:
        status = own.get(site)
        if status is None:
            words = f"{site} does not answer this computer, or not for this ledger and epoch. Start it, and see that it is reached from here."
            yield Line(f"target:{site}", State.WRONG, words, Code.UNREACHABLE)
            continue
        if status.state != SERVING:
            yield Line(f"target:{site}", State.OPEN, f"{site} is {status.state}: {status.explanation}")
            continue
        lacks = catching_up_words(site_seen(status), head_before)
        if lacks:
            yield Line(f"target:{site}", State.OPEN, f"{site} answers; {lacks}.")
        else:
            yield Line(f"target:{site}", State.GOOD, f"{site} answers, serves, and has all records.")
        if not status.election_ms:
            words = (
                f"Whether {site} has an [ordering] table cannot be told from here: look at its node.toml. Without one it raises an alarm once it is given the "
                "vote, nobody is retired, and sento relocate back-out leads back."
            )
            yield Line(f"ordering:{site}", State.NOTE, words)


def _staying(plan: RelocationPlan, governance: Governance, own: Answers) -> Line:
    voters = governance.voting_sites
    serving = [site for site in voters if site in own and own[site].state == SERVING]
    needed = majority(len({*voters, *plan.target_sites}))
    words = f"{len(serving)} of {len(voters)} voting sites serve"
    if len(serving) < majority(len(voters)):
        return Line(
            "majority",
            State.WRONG,
            f"{words}: without a majority no act can be ordered. See sento status; if the majority is gone, the runbook is recover.",
            Code.NO_ORDERING,
        )
    away = [site for site in voters if site not in serving and site not in plan.retire]
    if away and not all((members_of(own) or {}).get(site) for site in plan.target_sites):
        return Line(
            "majority",
            State.OPEN,
            f"{words}; the ordering log adds no member while one that votes is down. Bring {listed(away)} back, or name it among those to be retired.",
        )
    if len(serving) < len(voters):
        dead = [site for site in voters if site not in serving]
        return Line(
            "majority",
            State.NOTE,
            f"{words}; {listed(dead)}, away for half a minute, would be retired first, so that the new ones can join: behind that there is no backing out.",
        )
    if len(serving) < needed:
        return Line(
            "majority",
            State.OPEN,
            f"{words}; while the new ones vote too, {needed} are needed, so writing may stand still until a target has caught up.",
        )
    return Line("majority", State.GOOD, f"{words}; {needed} are needed while the new ones vote too.")


def _expectations(plan: RelocationPlan, governance: Governance, own: Answers) -> Iterator[Line]:
    trips = round_trips_of(own)
    after = voters_after(governance, plan.target_sites, plan.retire)
    longest_us = trips.longest({*after, *governance.voting_sites})
    elections = [status.election_ms for status in own.values() if status.election_ms]
    yield Line("pause", State.NOTE, pause_words(longest_us, max(elections, default=None)))
    after_us = trips.longest(after)
    if after_us is not None:
        wanted = timeouts_for(after_us)
        yield Line(
            "timeouts",
            State.NOTE,
            f"Round trips of up to {after_us / 1000:.1f} ms between the later voters call for timeouts of {wanted.heartbeat_ms} and {wanted.election_ms} ms.",
        )
    copying_s = max((own[site].sync.time_to_go_s for site in plan.target_sites if site in own), default=0)
    yield Line(
        "duration",
        State.NOTE,
        f"Expected duration: {to_go(copying_s + MEMBERSHIP_S * (len(plan.targets) + len(plan.retire)))}, of which copying {to_go(copying_s)}.",
    )
