"""A site that is shown a later epoch stops acknowledging: what it took in from then on would be lost with its own epoch.

Shown means proven: a checkpoint of this ledger and of a later epoch that a quorum of the receipt set cosigned which this site itself knows. Sites of the new
epoch hand their checkpoints to every site, so a site that was not brought over and can be reached learns of it within a second or two. A claim alone, by an
announced boot for instance, stops nobody: it is answered with a refusal.
"""

from __future__ import annotations

from sento_node.service.node_state import NodeState
from sento_proto.checkpoint import Checkpoint, cosigners
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance


def proves_later_epoch(checkpoint: Checkpoint, governance: Governance, epoch: int) -> bool:
    """Whether the checkpoint is of this ledger and of an epoch after `epoch`, by a quorum of the receipt set in force here."""
    if checkpoint.ledger_id != governance.ledger_id or checkpoint.epoch <= epoch:
        return False
    wanted = governance.receipt_quorums[-1]
    return len(cosigners(checkpoint, wanted.keys)) >= wanted.quorum


def shown(node: NodeState, checkpoint: Checkpoint) -> None:
    """Another site hands over a checkpoint: this site's part ends where it proves a later epoch. Raises SentoError EPOCH_ENDED then."""
    runner = node.runner
    if runner is None or not proves_later_epoch(checkpoint, node.governance, runner.site.state.epoch):
        return
    if runner.site.state.epoch < node.epoch.number:
        return  # it takes part in the new epoch already, and still copies what it misses
    runner.halt(
        "epoch-ended",
        f"Epoch {checkpoint.epoch} of this ledger has begun, by a checkpoint that a quorum cosigned, and this site stands in epoch {runner.site.state.epoch}. "
        "Stop it and bring it over with the signed plan (sento-node begin-epoch; runbook: restore).",
    )
    raise SentoError(Code.EPOCH_ENDED)


def check_announced(node: NodeState, epoch: int) -> None:
    """A boot is confirmed within one epoch only. Raises SentoError: EPOCH_ENDED for a site that was left behind, NOT_READY where this one may be."""
    own = node.epoch.number
    if epoch < own:
        raise SentoError(
            Code.EPOCH_ENDED,
            f"epoch {own} of this ledger has begun, and the boot is announced for epoch {epoch}",
        )
    if epoch > own:
        raise SentoError(
            Code.NOT_READY, f"this site is in epoch {own} and was not brought over to epoch {epoch}"
        )
