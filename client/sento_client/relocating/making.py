"""A plan from what people want and the governance in force, and the reverse of a plan that was carried out. Pure.

What nobody says follows from the rest: the lead goes to the first target, targets count for receipts from the moment at which they may vote, and sites that are
retired count no more once they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sento_client.placement import findings
from sento_client.placement.findings import refused
from sento_client.placement.round_trips import RoundTrips
from sento_client.site_status.survivability import majority
from sento_client.site_status.wording import listed
from sento_proto.errors import Code, SentoError
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.state import Governance
from sento_proto.relocation_plan import ReceiptSets, RelocationPlan, Target

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What people ask for. `registries` in the order in which they matter; `lead_to` empty: the first target; `lives_ms`: how long the plan holds unbegun."""

    targets: tuple[Target, ...]
    retire: tuple[str, ...]
    legal_basis: str
    registries: tuple[str, ...] = ()
    lead_to: str = ""
    accepts: tuple[str, ...] = ()
    lives_ms: int = 7 * DAY_MS


def voters_after(governance: Governance, targets: Sequence[str], retire: Sequence[str]) -> tuple[str, ...]:
    """Who votes once the plan is carried out."""
    return tuple(
        site.name
        for site in governance.sites.values()
        if (site.votes or site.name in targets) and site.name not in retire
    )


def make_plan(
    governance: Governance, epoch: int, wishes: Wishes, now_ms: int, trips: RoundTrips | None = None
) -> RelocationPlan:
    """The plan, unsigned. Raises SentoError BAD_REQUEST for what governance does not allow, PLACEMENT_REFUSED for findings that are not accepted."""
    targets = tuple(_placed(governance, one) for one in wishes.targets)
    names = tuple(one.site for one in targets)
    _check(governance, names, wishes)
    after = voters_after(governance, names, wishes.retire)
    found = findings(tuple(governance.sites.values()), after, trips)
    wrong = refused(found, wishes.accepts)
    if wrong:
        raise SentoError(Code.PLACEMENT_REFUSED, "; ".join(f"{one.name}: {one.words}" for one in wrong))
    accepted = tuple(one for one in found if one.accepted(wishes.accepts))
    registries = wishes.registries or tuple(governance.registries)
    lead_to = wishes.lead_to or names[0]
    sets = receipt_sets(governance, names, wishes.retire)
    words = (
        f"Votes go from {listed(governance.voting_sites)} to {listed(after)}.",
        f"{listed(names)} {_get(names)} a vote; the lead goes to {lead_to}.",
        f"{listed(wishes.retire)} {_lose(wishes.retire)} the vote and {_keep(wishes.retire)} a copy of the ledger.",
        f"Receipts need {sets.during.quorum} of {listed(sets.during.sites)} meanwhile, and {sets.after.quorum} of {listed(sets.after.sites)} afterwards.",
        f"Registries, in this order: {listed(registries)}. No record is moved or changed; writing goes on.",
        "Until the retirement stands it can be backed out of: the way back is signed with the plan. Afterwards only a new plan returns.",
        *(f"Accepted by the officers: {one.words}" for one in accepted),
    )
    return RelocationPlan(
        governance.ledger_id,
        epoch,
        governance.last_act,
        wishes.legal_basis,
        registries,
        targets,
        wishes.retire,
        lead_to,
        sets,
        tuple(one.name for one in accepted),
        now_ms,
        now_ms + wishes.lives_ms,
        words,
    )


def reverse_wishes(plan: RelocationPlan, legal_basis: str, accepts: Sequence[str]) -> Wishes:
    """What brings a plan that was carried out back: who was retired votes again, who was given a vote has none."""
    return Wishes(
        targets=tuple(Target(site) for site in plan.retire),
        retire=plan.target_sites,
        legal_basis=legal_basis,
        registries=plan.registries,
        accepts=tuple(accepts),
    )


def receipt_sets(governance: Governance, targets: Sequence[str], retire: Sequence[str]) -> ReceiptSets:
    """Whose cosignatures count before, meanwhile and afterwards. A quorum that was stricter than a majority stays as much stricter."""
    before = governance.receipt_set
    spare = before.quorum - majority(len(before.sites))
    during = (*before.sites, *(site for site in targets if site not in before.sites))
    after = tuple(site for site in during if site not in retire)
    return ReceiptSets(before, _counted(during, spare), _counted(after, spare))


def _counted(sites: tuple[str, ...], spare: int) -> ReceiptSet:
    return ReceiptSet(sites, min(len(sites), majority(len(sites)) + spare))


def _placed(governance: Governance, target: Target) -> Target:
    """With both parts of its place, as an act that sets it names both."""
    site = governance.sites.get(target.site)
    if site is None or not (target.address or target.ordering_url):
        return target
    return Target(target.site, target.address or site.address, target.ordering_url or site.ordering_url)


def _check(governance: Governance, targets: tuple[str, ...], wishes: Wishes) -> None:
    """Raises SentoError BAD_REQUEST."""
    why = next(_mistakes(governance, targets, wishes), None)
    if why is not None:
        raise SentoError(Code.BAD_REQUEST, why)


def _mistakes(governance: Governance, targets: tuple[str, ...], wishes: Wishes) -> Iterator[str]:
    known = governance.sites
    named = (*targets, *wishes.retire)
    if not targets or not wishes.retire:
        yield "a relocation has a site that is to vote and one that is to be retired; other changes of votes are acts of their own"
    if len(set(named)) != len(named):
        yield "a site stands twice among targets and sites to retire"
    for name in named:
        if name not in known:
            yield f"{name} is no site of this ledger; enrol it first"
        elif not known[name].ledger:
            yield f"{name} is a tie-breaker and keeps no ledger; its vote ends with retire-site"
    yield from (f"{name} votes already" for name in targets if known[name].votes)
    yield from (
        f"{name} has no vote that could be retired" for name in wishes.retire if not known[name].votes
    )
    after = voters_after(governance, targets, wishes.retire)
    if wishes.lead_to and (wishes.lead_to not in after or not known[wishes.lead_to].ledger):
        yield f"{wishes.lead_to} cannot lead: it would not vote, or keeps no ledger"
    for registry in wishes.registries:
        if registry not in governance.registries:
            yield f"there is no registry {registry}"


def _get(names: Sequence[str]) -> str:
    return "gets" if len(names) == 1 else "get"


def _lose(names: Sequence[str]) -> str:
    return "loses" if len(names) == 1 else "lose"


def _keep(names: Sequence[str]) -> str:
    return "keeps" if len(names) == 1 else "keep"
