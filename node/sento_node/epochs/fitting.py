"""Whether a signed plan can be carried out at this site now, in words: judged at once, before anything is written.

What is judged here is what the running site knows: ledger and epoch, officers, the fork in its own ledger, its member's address and certificates, and whether
a majority of the former epoch still answers. Beginning the epoch judges the rest again, on a ledger that nobody writes to (`beginning.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from sento_node.compose import root_at
from sento_node.config import NodeConfig
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.recovering import judge_recovery, member_dir_of
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import LedgerStore
from sento_node.preflight import check_member_files
from sento_proto.epoch_plan import RECOVER, EpochPlan, PlanRefused, check_plan, offices_of
from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance


class Fit(NamedTuple):
    """What carrying the plan out comes to here: one sentence, and how many records of this site's ledger are set aside."""

    words: str
    set_aside: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this site sees of the former epoch. `answering`: voting sites that answer in it, this one too; `has_majority`: the order itself answers here;
    `begun_elsewhere`: another site has begun this very plan's epoch."""

    voting: Collection[str]
    answering: Collection[str]
    has_majority: bool
    begun_elsewhere: bool


def majority_in_words(plan: EpochPlan, seen: Surroundings) -> str:
    """Why a recovery is not to begin while the former epoch goes on; empty where it may. A plan that says why it goes on all the same may."""
    if plan.reason != RECOVER or plan.although or seen.begun_elsewhere:
        return ""
    answering, needed = sorted(set(seen.answering) & set(seen.voting)), len(seen.voting) // 2 + 1
    if len(answering) >= needed:
        return f"of {len(seen.voting)} voting sites {', '.join(answering)} answer this one, and {needed} are a majority"
    return "the ordering log has a lead that answers this site" if seen.has_majority else ""


def fit_here(
    plan: EpochPlan, genesis: Genesis, store: LedgerStore, now: Governance, config: NodeConfig
) -> Fit:
    """What the plan comes to at this site. Raises PlanRefused with the reason, LedgerDamaged, LedgerFailed, UnknownRules."""
    if plan.ledger_id != genesis.ledger_id:
        raise PlanRefused(
            f"The plan is for ledger {plan.ledger_id.hex()[:16]} and this is ledger {genesis.ledger_id.hex()[:16]}. Use the plan of this ledger."
        )
    if plan.reason == RECOVER:
        judged = judge_recovery(store, genesis, plan, member_dir_of(config.data_dir))
        orphans = EpochPlaces(config.data_dir).orphans(plan.parent.epoch).name
        fit = Fit(judged.words(plan, orphans), judged.set_aside)
    else:
        fit = _fit_ledger(plan, genesis, store, now)
    if config.site in plan.voting:
        check_member(plan, now, config)
    return fit


def _fit_ledger(plan: EpochPlan, genesis: Genesis, store: LedgerStore, now: Governance) -> Fit:
    tip, parent = store.tip, plan.parent
    if tip.size < parent.size:
        _check_officers(plan, now)
        return Fit(
            f"The ledger holds {tip.size} records and the fork lies at {parent.size}: it catches up from sites of epoch {plan.epoch}.",
            0,
        )
    if root_at(store, parent.size) != parent.root:
        raise PlanRefused(
            f"The tree of {parent.size} records here is not the plan's parent: the plan is stale or of another history. "
            "Run sento-node verify, and compare with the other sites."
        )
    check_plan(plan, governance_of(genesis, store, size=parent.size))
    aside = tip.size - parent.size
    return Fit(
        f"Epoch {plan.epoch} begins here from {parent.size} records; {aside} records behind them are set aside.",
        aside,
    )


def _check_officers(plan: EpochPlan, governance: Governance) -> None:
    """Enough officers signed, as far as this site knows them. Raises PlanRefused."""
    offices, needed = offices_of(plan, governance), governance.officers.threshold
    if not needed or len(offices) < needed:
        raise PlanRefused(
            f"Too few officers signed the plan: {len(offices)} did, and {needed} are needed. Have it signed by more."
        )


def check_member(plan: EpochPlan, governance: Governance, config: NodeConfig) -> None:
    """This site can run its member of the plan's epoch. Raises PlanRefused."""
    ordering = config.ordering
    if ordering is None:
        raise PlanRefused(
            f"The plan gives {config.site} a vote, and its node.toml has no [ordering] table. Prepare it (runbook: recover), or plan without this site."
        )
    site = governance.sites.get(config.site)
    if site is not None and not site.ledger:
        raise PlanRefused(
            f"The plan gives {config.site} a vote, and it keeps no ledger. Plan with sites that keep one; a tie-breaker joins the epoch later."
        )
    said = dict(plan.ordering).get(config.site, ordering.peer_url)
    if said != ordering.peer_url:
        raise PlanRefused(
            f"The plan says that the member of {config.site} is reached at {said}, and its node.toml says {ordering.peer_url}. Make the two equal."
        )
    urls = {peer.name: peer.ordering_peer_url for peer in config.peers}
    urls |= {name: one.ordering_url for name, one in governance.sites.items() if one.ordering_url}
    urls |= dict(plan.ordering)
    missing = [name for name in plan.voting if name != config.site and not urls.get(name)]
    if missing:
        raise PlanRefused(
            f"Where the member of {', '.join(missing)} is reached stands neither in the plan nor in acts or node.toml. Name it in the plan."
        )
    try:
        check_member_files(ordering.of_epoch(plan.epoch))
    except ConfigMistake as error:
        raise PlanRefused(
            f"The certificates of epoch {plan.epoch} are not at hand ({error}). Bring them to this site and try again."
        ) from error
