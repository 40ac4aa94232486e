"""What a relocation does next, from its plan and from what is seen. Pure.

    give ─► each target: learner ─► caught up by our own check ─► votes ─► the lead moves ─► retire ─► each retired member leaves ─► done
      └───────────────── undo, until retire stands ─────────────────► each target's member leaves ─► as before

Where a site that is to be retired is dead already, `retire` comes first, its member is taken out, and the targets join behind that.
No step is remembered: each is derived anew from the acts that stand, from the members of the ordering log and from what the sites say of themselves. So any
computer goes on where another one stopped, a step whose answer was lost is taken again, and taking it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sento_client.site_status.survivability import majority
from sento_client.site_status.wording import counted, listed, span
from sento_proto.relocation_plan import RelocationPlan, Stage

SERVING = "serving"
LEAVE_PATIENCE_MS = 30_000
"""A retired site's member is taken out by others after so long without a word from the site, or when it lives and does not do it itself."""


@dataclass(frozen=True, slots=True)
class SiteSeen:
    """One site's word of itself, or that there is none (`state` empty). `flushed_size`: records on its disk; `awaited`: payloads that it lacks; `joining`: the
    step that it is at, in words; `alarms`: what it complains of; `silent_ms`: for how long nobody, neither this computer nor a site, has heard from it."""

    state: str = ""
    flushed_size: int = 0
    awaited: int = 0
    joining: str = ""
    alarms: str = ""
    explanation: str = ""
    silent_ms: int = 0

    @property
    def answers(self) -> bool:
        """Whether it said anything."""
        return bool(self.state)

    def is_gone(self, silent_ms: int) -> bool:
        """Whether nothing came from it for so long."""
        return not self.answers and self.silent_ms >= silent_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """`members`: site -> whether its member votes (False: a learner), as a voter lists them; None where nobody could be asked. `voters`: governance's.
    `head_before`: the most records known at the look before this one, None at the first look. `complete_ms`: for how long, in
    this stage, all that may vote have members that vote."""

    stage: Stage
    sites: Mapping[str, SiteSeen]
    voters: tuple[str, ...]
    members: Mapping[str, bool] | None = None
    lead: str = ""
    head_before: int | None = None
    complete_ms: int = 0
    expired: bool = False
    overtaken_by: str = ""
    """The acts that came between, in words."""

    def site(self, name: str) -> SiteSeen:
        """What is known of one."""
        return self.sites.get(name, SiteSeen())


@dataclass(frozen=True, slots=True)
class Submit:
    """Order one of the plan's acts: `give`, `retire` or `undo`."""

    act: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do yet; in words for whom and how far it is."""

    words: str


@dataclass(frozen=True, slots=True)
class MoveLead:
    """Have the site that leads hand the ordering log's lead on."""

    from_site: str
    to_site: str


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Have a voter take a member out that does not leave by itself."""

    site: str
    words: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do."""

    words: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It cannot go on. One sentence of cause and one of remedy."""

    words: str


Next = Submit | Wait | MoveLead | RemoveMember | Done | Refused


def next_step(plan: RelocationPlan, seen: Seen) -> Next:
    """On the way there."""
    match seen.stage:
        case Stage.STALE:
            return Refused(
                f"Another officers' act stands since the plan was made{_between(seen)}. Make the plan anew with sento relocate plan."
            )
        case Stage.OVERTAKEN:
            return Refused(_overtaken(plan, seen))
        case Stage.UNDONE:
            return Refused(
                "The plan was backed out, so it cannot be carried out any more. Make a new one with sento relocate plan."
            )
        case Stage.NOT_BEGUN:
            if seen.expired:
                return Refused(
                    "The plan has expired before it was begun. Make it anew with sento relocate plan."
                )
            return Submit("give")
        case Stage.GIVEN:
            return _given(plan, seen)
        case Stage.RETIRED:
            return _retired(plan, seen)


def step_back(plan: RelocationPlan, seen: Seen) -> Next:
    """On the way back, which there is until `retire` stands."""
    match seen.stage:
        case Stage.NOT_BEGUN | Stage.STALE:
            return Done("The plan was not begun, so there is nothing to back out of.")
        case Stage.GIVEN:
            return Submit("undo")
        case Stage.UNDONE:
            return _leaving(seen, plan.target_sites) or _settled(seen, "Backed out")
        case Stage.RETIRED:
            return Refused(
                f"{listed(plan.retire)} {_is(plan.retire)} retired already, so the plan cannot be backed out. "
                "Make the reverse plan with sento relocate return, and have it signed."
            )
        case Stage.OVERTAKEN:
            return Refused(_overtaken(plan, seen))


def _given(plan: RelocationPlan, seen: Seen) -> Next:
    """Both the former and the new sites may vote."""
    if seen.members is None:
        return Wait("No voting site answers, so the members of the ordering log are not known.")
    waiting = _targets_wait(plan, seen)
    if waiting:
        return Submit("retire") if _only_dead_hinder(plan, seen) else Wait(waiting)
    moving = _lead_moves(plan, seen)
    if moving is not None:
        return moving
    staying = [site for site in seen.voters if site not in plan.retire]
    ready = [site for site in staying if seen.members.get(site) and seen.site(site).state == SERVING]
    if len(ready) < majority(len(staying)):
        return Wait(
            f"Of the {len(staying)} sites that stay, {len(ready)} serve and vote; without {majority(len(staying))} ordering would stop behind the retirement."
        )
    return Submit("retire")


def _only_dead_hinder(plan: RelocationPlan, seen: Seen) -> bool:
    """Whether sites that are to be retired are gone, by all that is known, while a target has no vote yet. The ordering log adds no member while one that
    votes is down, so the dead must be out first. Retiring them early loses nothing: without them as many are at work as before, of fewer."""
    members = seen.members or {}
    dead = [site for site in plan.retire if seen.site(site).is_gone(LEAVE_PATIENCE_MS) and site in members]
    if not dead or all(members.get(site) for site in plan.target_sites):
        return False
    living = [site for site, votes in members.items() if votes and site not in dead]
    ready = [site for site in living if seen.site(site).state == SERVING]
    return seen.lead in ready and len(ready) >= majority(len(living))


def _lead_moves(plan: RelocationPlan, seen: Seen) -> Next | None:
    """What is left to do until the lead is where the plan wants it; None when it is there."""
    if seen.lead == plan.lead_to:
        return None
    if not seen.lead:
        return Wait("No site leads the ordering log at this moment.")
    if not (seen.members or {}).get(plan.lead_to):
        return Wait(f"{plan.lead_to}, which is to lead, is no voting member yet.")
    return MoveLead(seen.lead, plan.lead_to)


def _retired(plan: RelocationPlan, seen: Seen) -> Next:
    """Governance took the former votes. Where the dead were retired first, the targets have still to come."""
    later = [site for site in plan.target_sites if site not in seen.voters]
    if later:
        return Done(
            f"It was carried out before; {listed(later)} may not vote any more by a later act of the officers."
        )
    leaving = _leaving(seen, plan.retire)
    if isinstance(leaving, RemoveMember | Done):
        return leaving
    waiting = _targets_wait(plan, seen)
    if waiting:
        return Wait(waiting)
    return _lead_moves(plan, seen) or leaving or _settled(seen, "Moved")


def _targets_wait(plan: RelocationPlan, seen: Seen) -> str:
    """For which target is waited, in words; empty when for none."""
    return next((words for site in plan.target_sites if (words := _target_waits(site, seen))), "")


def _target_waits(site: str, seen: Seen) -> str:
    """What a target lacks before others may be retired for it, in words; empty when nothing. Etcd lets a learner vote that has nine tenths of the log; that its
    ledger is whole is asked here."""
    one, votes = seen.site(site), (seen.members or {}).get(site)
    if not one.answers:
        return f"{site} does not answer{_for(one.silent_ms)}."
    step = (one.joining or one.alarms).rstrip(".")
    step = f" ({step})" if step else ""
    if votes is None:
        return f"{site} is to join the ordering log as a learner{step}."
    lacks = catching_up_words(one, seen.head_before)
    if not votes:
        return f"{site} is a learner, and the node promotes it once it has caught up{step}; {lacks or 'its ledger has'}."
    if lacks:
        return f"{site} votes, and {lacks}."
    if one.state != SERVING:
        return f"{site} votes and is {one.state}: {one.explanation}"
    return ""


def catching_up_words(one: SiteSeen, head_before: int | None) -> str:
    """What a site's ledger lacks, empty when it has caught up: while records keep coming nobody ever has the newest, so it must have, by now, all that any site
    was known to have at the look before."""
    if head_before is None:
        return "how far it is shows at the next look"
    behind = max(0, head_before - one.flushed_size)
    if behind:
        return f"{counted(behind, 'record')} of {head_before:,} are left to copy"
    if one.awaited:
        return f"it awaits {counted(one.awaited, 'payload')} from other sites"
    return ""


def _leaving(seen: Seen, leaving: Sequence[str]) -> Next | None:
    """Governance took these votes; the members leave by themselves, live. None when all have left.

    One that lives stays until everybody who may vote has a member that votes; only behind that it may be called slow."""
    if seen.members is None:
        return Wait("No voting site answers, so the members of the ordering log are not known.")
    again = [site for site in leaving if site in seen.voters]
    if again:
        return Done(f"It was done before; {listed(again)} may vote again by a later act of the officers.")
    still = [site for site in leaving if site in seen.members]
    for site in still:
        one = seen.site(site)
        if one.is_gone(LEAVE_PATIENCE_MS):
            return RemoveMember(site, f"{site} is away, so another site takes its member out.")
        if seen.complete_ms >= LEAVE_PATIENCE_MS and one.answers:
            return RemoveMember(
                site,
                f"{site} is still a member after {span(seen.complete_ms)}, so another site takes its member out.",
            )
    if not still:
        return None
    words = [
        f"{site} ({seen.site(site).joining or seen.site(site).alarms or 'its member leaves the ordering log'})"
        for site in still
    ]
    return Wait(f"Waiting for {listed(words)}.")


def _settled(seen: Seen, done: str) -> Next:
    """The members are right; whether ordering goes on is asked too, so that nobody is told that it is over before it is."""
    if not seen.lead or seen.lead not in seen.voters:
        return Wait("The ordering log's lead is moving.")
    serving = [site for site in seen.voters if seen.site(site).state == SERVING]
    if len(serving) < majority(len(seen.voters)):
        return Wait(f"{len(serving)} of {len(seen.voters)} voting sites serve.")
    return Done(f"{done}: {listed(seen.voters)} vote, and {seen.lead} leads.")


def _overtaken(plan: RelocationPlan, seen: Seen) -> str:
    return (
        f"Both {listed(plan.target_sites)} and {listed(plan.retire)} may vote, and another officers' act came behind that{_between(seen)}, "
        "so neither the retirement nor the way back that the officers signed can be ordered. "
        "Nothing is lost and writing goes on: let the officers decide anew with sento govern propose (set-site-votes, set-receipt-set)."
    )


def _between(seen: Seen) -> str:
    return f" ({seen.overtaken_by})" if seen.overtaken_by else ""


def _for(silent_ms: int) -> str:
    return f", for {span(silent_ms)} now" if silent_ms else ""


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
