"""What must hold at the end of a world whose capital moved, over all its epochs.

same-ledger              every site that lives is at the end of the newest epoch, and its ledger is the reference's, record by record
acknowledged-accounted   what any site of any epoch acknowledged stands in the newest one, or is known to be missing (a receipt, an outbox, the officers' own
                         list), or is on the person's list of orphans: nothing is gone in silence
orphans-accounted        each record of a ledger that was set aside stands, under the very hash that its author signed, or is on a list
once                     no author's record id stands twice, and no record under two ids
held-until-abroad        an office lets go of what its quorum has only when a site abroad cosigned it, and sends again what a later epoch lacks
receipts-hold            what was acknowledged below the fork of every later epoch stands there, unless governance calls it doubtful; above it the verdict is
                         LOST WITH EPOCH
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from tests.simulation.checkers import Violation
from tests.simulation.moving_offices import MovingClient
from tests.simulation.reference import OFFICERS, SITE

from sento_proto.epoch_plan import act_of, acts_behind
from sento_proto.governance.doubts import doubted_by

if TYPE_CHECKING:
    from tests.simulation.moving import MovingWorld


def check_end(world: MovingWorld) -> None:
    """Raises Violation."""
    newest = world.epochs[-1].checkers
    for host in world.hosts.values():
        if not host.is_gone:
            newest.ledger_at_end(host.name, host.disk.store, world.hooks.head_in)
    for client in world.clients:
        for write in client.writes:
            client.checks.told_the_truth(write)
        _held(client, newest.hashes_standing().keys())
    world.officers[-1].check_end()
    _accounted(world)
    _orphans(world)
    _once(world)
    _receipts(world)


def _held(client: MovingClient, standing: Set[bytes]) -> None:
    for shelved in client.outbox.disk.values():
        hashes = {write.records[index].record_hash for write, index in shelved.owners}
        if not hashes <= set(standing) | client.checks.aside:
            raise Violation(
                "held-until-abroad", f"{client.name} holds what is lost, and does not send it again"
            )


def _accounted(world: MovingWorld) -> None:
    standing = world.epochs[-1].checkers.hashes_standing()
    known = set(world.returning.listed)
    known.update(*(client.knows for client in world.clients))
    known.update(act.record.record_hash for officers in world.officers for act in officers.acts)
    for epoch in world.epochs:
        if epoch.plan is not None:
            known.update(act.record_hash for act in (act_of(epoch.plan), *acts_behind(epoch.plan)))
    for epoch in world.epochs:
        for (author, _), told in epoch.checkers.acknowledged.items():
            if told.record_hash in standing:
                continue
            world.heap.faults["acknowledged record known to be missing"] += told.record_hash in known
            if told.record_hash not in known and not author.startswith(SITE):
                raise Violation(
                    "acknowledged-accounted",
                    f"position {told.position} of epoch {epoch.name}, acknowledged to {author} by {told.site}, is gone in silence",
                )


def _orphans(world: MovingWorld) -> None:
    standing = world.epochs[-1].checkers.hashes_standing()
    for host in world.hosts.values():
        for store, fork_size in host.aside if not host.is_gone else []:
            for kept in store.records(fork_size, store.tip.size, with_payload=False):
                listed = kept.record_hash in standing or kept.record_hash in world.returning.listed
                if not listed and kept.author != OFFICERS and not kept.author.startswith(SITE):
                    raise Violation(
                        "orphans-accounted",
                        f"position {kept.position} that {host.name} set aside is on no list",
                    )


def _once(world: MovingWorld) -> None:
    seen: set[tuple[str, bytes]] = set()
    bodies: set[tuple[str, bytes, bytes, int]] = set()
    for stand in world.epochs[-1].checkers.reference.facts.stands:
        header = stand.record.header
        name = (stand.author, header.record_id)
        body = (stand.author, header.fact, header.previous, header.time_ms)
        if name in seen or body in bodies:
            raise Violation("once", f"position {stand.position} stands twice")
        seen.add(name)
        bodies.add(body)


def _receipts(world: MovingWorld) -> None:
    """What is called good by governance alone stands at its place. Where an epoch goes on with more than a quorum is known to have agreed on, the former side
    may have ordered something else before it was shown the plan: there governance must call it doubtful, and the ledger itself tells."""
    governance = next(host for host in world.at_home() if host.state == "running").site.state.governance
    newest = world.epochs[-1].checkers.reference
    begun = (0, *(one.number for one in governance.epochs))
    for epoch in world.epochs:
        own = epoch.checkers.reference
        for told in epoch.checkers.acknowledged.values():
            lost = governance.lost_with(epoch.number, told.position + 1)
            if lost is not None or epoch.number not in begun:
                world.heap.faults["receipt lost with its epoch"] += 1
                continue
            doubted = doubted_by(governance, epoch.number, told.position + 1) is not None
            same = newest.roots[told.position + 1] == own.roots[told.position + 1]
            world.heap.faults["receipt in doubt, and good"] += doubted and same
            world.heap.faults["receipt in doubt, and lost"] += doubted and not same
            held = newest.facts.stands[told.position].record.record_hash == told.record_hash
            if not doubted and not (same and held):
                raise Violation(
                    "receipts-hold", f"position {told.position} of epoch {epoch.name} holds another record"
                )
