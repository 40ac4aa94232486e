"""A new epoch asked for at a running node: the plan is kept, this life ends, and the next one begins the epoch before it opens anything.

    asked for ─► judged at once (`fitting.py`) ─► data/epoch-asked.plan.json, flushed ─► the life ends ─► `begin_asked` ─► the next life is in the epoch

A kill behind the note changes nothing: the node's next start goes on there. Where the epoch cannot be begun after all, the plan is set aside with the reason,
which the status shows until another one is asked for, and the node goes on in its former epoch.
"""

from __future__ import annotations

from pathlib import Path

import lmdb
import structlog

from sento_node.boot_keeper import BootFileDamaged
from sento_node.config import NodeConfig
from sento_node.epochs.beginning import begin
from sento_node.epochs.here import finish_beginning
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.setting_aside import complete_orphans
from sento_node.epochs.showing import NEXT_EPOCH
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.forking import OtherFork
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.preflight import load_genesis
from sento_node.salvage.extending import LedgerGrew
from sento_node.service.node_state import NodeState
from sento_proto.epoch_plan import EpochPlan, PlanRefused, plan_hash
from sento_proto.genesis import Genesis
from sento_proto.wire import Malformed

ALARM = "epoch-not-begun"
_REFUSALS = (
    PlanRefused,
    LedgerDamaged,
    LedgerFailed,
    LedgerNotOpened,
    UnknownRules,
    Malformed,
    lmdb.Error,
    OSError,
    BootFileDamaged,
    LedgerGrew,
    OtherFork,
)


def begun_before(places: EpochPlaces, node: NodeState, plan: EpochPlan) -> str:
    """What to say when this very plan was carried out here, or is about to be; empty when it was not. Raises PlanRefused for an epoch that is over, and for
    another plan of the same one; Malformed, BootFileDamaged."""
    name, here = plan_hash(plan), node.epoch
    asked = places.asked()
    if asked is not None:
        if plan_hash(asked) == name:
            return f"Epoch {plan.epoch} is being begun here by this plan."
        raise PlanRefused(
            f"This site was asked to begin epoch {asked.epoch} by another plan ({plan_hash(asked).hex()[:16]}) already. Ask again once its next life is up."
        )
    kept = places.plan(plan.epoch)
    told = [one.plan for one in node.governance.epochs if one.number == plan.epoch]
    begun = [*([] if kept is None else [plan_hash(kept)]), *told]
    if name in begun and here.number >= plan.epoch:
        return f"Epoch {plan.epoch} was begun here before, by this plan; nothing was changed."
    if begun:
        raise PlanRefused(
            f"This site began epoch {plan.epoch} by another plan ({begun[0].hex()[:16]}). "
            "Two epochs with one parent stop and wait: ask the officers which one stands, and make a plan with a higher number."
        )
    if here.number >= plan.epoch:
        raise PlanRefused(
            f"This site is in epoch {here.number} already, and the plan begins epoch {plan.epoch}. Make a plan with a higher number."
        )
    return ""


def ask(places: EpochPlaces, node: NodeState, plan: EpochPlan) -> None:
    """Note the plan, flushed, and end this life. Raises OSError."""
    places.ask(plan)
    structlog.get_logger("sento.node").warning(
        "an epoch was asked for", epoch=plan.epoch, plan=plan_hash(plan).hex()[:16]
    )
    node.end_life(NEXT_EPOCH, f"Epoch {plan.epoch} begins here by the plan that was asked for.")


def begin_asked(config: NodeConfig) -> None:
    """Begin the epoch that a former life was asked for, if there is one. Nothing may have the ledger open. Raises ConfigMistake, OSError."""
    places = EpochPlaces(config.data_dir)
    if not places.is_asked:
        return
    log = structlog.get_logger("sento.node").bind(site=config.site)
    try:
        words = _begun(places, config, load_genesis(config))
    except _REFUSALS as error:
        places.refuse_asked(str(error))
        log.warning("the epoch that was asked for was not begun", why=str(error))
        return
    places.asked_is_done()
    log.warning("the epoch that was asked for was begun", what=words)


def _begun(places: EpochPlaces, config: NodeConfig, genesis: Genesis) -> str:
    plan = places.asked()
    return "" if plan is None else carry_out(config.data_dir, genesis, plan)


def carry_out(data_dir: Path, genesis: Genesis, plan: EpochPlan) -> str:
    """Begin the plan's epoch, and add to what is set aside what only the own ordering log held; what was done, in words. Safe to repeat; after a kill
    the node's next start goes on with it. Raises as `begin`."""
    places = EpochPlaces(data_dir)
    finish_beginning(data_dir)
    words = begin(data_dir, genesis, plan, before_ready=lambda: places.ask(plan))
    try:
        aside = complete_orphans(data_dir, genesis, plan)
    except _REFUSALS as error:
        # The epoch has begun, and the former one's log stays where it is: whoever looks for a record finds it there.
        places.asked_is_done()
        return f"{words} What the own ordering log held behind the former ledger could not be added to it: {error}"
    places.asked_is_done()
    return f"{words} {aside}".strip()


def show_refused(node: NodeState) -> None:
    """The status says why the epoch that was asked for last was not begun. Raises OSError."""
    words = EpochPlaces(node.config.data_dir).refused()
    if words:
        node.condition.raise_alarm(
            ALARM, f"The epoch that was asked for was not begun here: {words} The plan lies set aside."
        )
