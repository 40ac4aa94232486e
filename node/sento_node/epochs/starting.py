"""What a life in a later epoch begins with: its log counted as the ledger counts, and the opening, until it is done."""

from __future__ import annotations

import asyncio

from sento_node.epochs.at_fork import is_at_fork, officers_tree
from sento_node.epochs.opening import LOOK_AGAIN_MS, Opener
from sento_node.epochs.places import EpochPlaces
from sento_node.epochs.showing import NEXT_EPOCH
from sento_node.ordering.based import BasedLog
from sento_node.ordering.port import OrderingLog
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState


def log_of_epoch(node: NodeState, log: OrderingLog) -> OrderingLog:
    """The own member's log with the ledger's block numbers. The first epoch's numbers are the ledger's."""
    if not node.epoch.number:
        return log
    return BasedLog(log, node.epoch.base(node.governance), lambda: _ledger_epoch(node) >= node.epoch.number)


def lent_log_of_epoch(node: NodeState, log: OrderingLog) -> OrderingLog:
    """A log that other sites lend, which counts as the ledger does: a ledger that is not in the epoch yet copies before it follows."""
    if not node.epoch.number:
        return log
    return BasedLog(log, 0, lambda: _ledger_epoch(node) >= node.epoch.number)


def _ledger_epoch(node: NodeState) -> int:
    return node.store.tip.epoch if node.runner is None else node.runner.site.state.epoch


async def end_when_entered(node: NodeState, runner: Runner, epoch: int) -> None:
    """This life ends when the ledger has come into a later epoch than it began in, from other sites, or to that one's fork: the next one takes part there."""
    entered = at_fork = False
    while not (entered or at_fork):
        await asyncio.sleep(LOOK_AGAIN_MS / 1000)
        entered = node.store.tip.epoch > epoch
        at_fork = is_at_fork(node.store, node.epoch.plan)
    where = f"into epoch {node.store.tip.epoch}" if entered else f"to the fork of epoch {node.epoch.number}"
    runner.halt(NEXT_EPOCH, f"The ledger has come {where}, and goes on there.")


def start_opening(node: NodeState, runner: Runner) -> None:
    """Keep ingress closed and open the epoch that this site began by a plan, unless that was done in a former life."""
    runner.site.by_officers = officers_tree(node.epoch.plan)
    runner.also_run(end_when_entered(node, runner, runner.site.state.epoch), "watch-epoch")
    plan, places = node.epoch.plan, EpochPlaces(node.config.data_dir)
    if plan is None or places.is_done(plan.epoch):
        return
    runner.site.opening = True
    opener = Opener(runner, places, plan, node.config.site, plan.voting[0])
    runner.also_run(opener.run(), "open-epoch")
