"""From what sites answered and which acts stand to what the next step is decided from. Pure; what must be remembered from look to look is given and given back.

Only answers of this ledger and of the plan's epoch count. Nothing here is kept between programs: a computer that begins in the middle waits one look longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sento_client.governing.following import Followed
from sento_client.relocating.deciding import SERVING, Seen, SiteSeen
from sento_proto.governance.state import Governance
from sento_proto.relocation_plan import RelocationPlan, Stage, Step, act_of, stage_of
from sento_proto.v1 import admin_pb2

Answers = Mapping[str, admin_pb2.StatusReply]


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the looks before. Times are of this computer's steady clock. `heard_ms`: when somebody last heard from each site; `head`: the most records known;
    `complete_since_ms`: since when all that may vote have members that vote."""

    head: int | None = None
    stage: Stage | None = None
    complete_since_ms: int | None = None
    heard_ms: Mapping[str, int] = field(default_factory=dict)


def of_this_ledger(governance: Governance, epoch: int, answers: Answers) -> dict[str, admin_pb2.StatusReply]:
    """The answers that count."""
    return {
        site: status
        for site, status in answers.items()
        if status.ledger_id == governance.ledger_id and status.epoch == epoch and site in governance.sites
    }


def standing_acts(followed: Followed) -> list[bytes]:
    """Record hashes of all acts, oldest first."""
    return [step.stored.record_hash for step in followed.steps if step.act is not None]


def head_of(answers: Answers) -> int:
    """The most records that any site is known to hold, by its own word or by what another last heard from it."""
    sizes = [max(status.applied_size, status.flushed_size) for status in answers.values()]
    sizes += [peer.size for status in answers.values() for peer in status.peers]
    return max(sizes, default=0)


def look(
    plan: RelocationPlan,
    followed: Followed,
    answers: Answers,
    steady_ms: int,
    wall_ms: int,
    memory: Memory,
) -> tuple[Seen, Memory]:
    """What is seen now, and what to remember of it."""
    governance = followed.governance
    own = of_this_ledger(governance, plan.epoch, answers)
    stage = stage_of(plan, standing_acts(followed))
    members = members_of(own)
    complete = members is not None and all(members.get(site) for site in governance.voting_sites)
    kept_ms = memory.complete_since_ms if stage is memory.stage else None
    complete_ms = (steady_ms if kept_ms is None else kept_ms) if complete else None
    heard_ms = {
        site: steady_ms if _heard(site, own) else memory.heard_ms.get(site, steady_ms)
        for site in governance.sites
    }
    seen = Seen(
        stage=stage,
        sites={site: site_seen(own.get(site), steady_ms - heard_ms[site]) for site in governance.sites},
        voters=governance.voting_sites,
        members=members,
        lead=lead_of(own),
        head_before=memory.head,
        complete_ms=0 if complete_ms is None else steady_ms - complete_ms,
        expired=wall_ms >= plan.expires_at_ms,
        overtaken_by=_meanwhile(plan, followed) if stage in (Stage.STALE, Stage.OVERTAKEN) else "",
    )
    return seen, Memory(max(head_of(own), memory.head or 0), stage, complete_ms, heard_ms)


def members_of(answers: Answers) -> dict[str, bool] | None:
    """Site -> whether its member votes, as the site that leads lists them, or another whose own member votes; None where none of these answers."""
    lists = [
        {member.site: member.votes for member in status.ordering_members if member.site}
        for status in sorted(answers.values(), key=lambda status: not status.is_lead)
        if any(member.site == status.site and member.votes for member in status.ordering_members)
        and (status.is_lead or status.state == SERVING)
    ]
    return lists[0] if lists else None


def lead_of(answers: Answers) -> str:
    """The site that leads: the one that says so itself; else the one that those who serve agree on. Empty while nobody knows."""
    claims = [site for site, status in answers.items() if status.is_lead and status.lead_site in ("", site)]
    if len(claims) == 1:
        return claims[0]
    named = {status.lead_site for status in answers.values() if status.state == SERVING}
    return named.pop() if len(named) == 1 and not claims else ""


def site_seen(status: admin_pb2.StatusReply | None, silent_ms: int = 0) -> SiteSeen:
    """What a site says of itself; None: it does not answer."""
    if status is None:
        return SiteSeen(silent_ms=silent_ms)
    return SiteSeen(
        state=status.state,
        flushed_size=status.flushed_size,
        awaited=status.payloads_awaited,
        joining=status.joining,
        alarms="; ".join(status.alarms),
        explanation=status.explanation,
    )


def _heard(site: str, answers: Answers) -> bool:
    """Whether this computer or any site that it hears reaches the site."""
    if site in answers:
        return True
    peers = [peer for status in answers.values() for peer in status.peers if peer.site == site]
    return any(peer.reachable for peer in peers)


def _meanwhile(plan: RelocationPlan, followed: Followed) -> str:
    """The acts behind the one that the plan expects, in words."""
    known = {plan.last_act, act_of(plan, Step.GIVE).record_hash}
    acts = [step for step in followed.steps if step.act is not None]
    places = [number for number, step in enumerate(acts) if step.stored.record_hash in known]
    behind = acts[places[-1] + 1 :] if places else acts[-1:]
    return "; ".join(f"position {step.position}: {' '.join(step.words)}" for step in behind)
