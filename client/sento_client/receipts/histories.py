"""When a checkpoint does not extend the one before it: look for a record that stands at one place in the one history and another in the other.

That a site cannot show an extension proves nothing, it may only have failed. Two records proven at one position, under two checkpoints that a site cosigned,
prove that it signed two histories. The receipts at hand are one side; what the sites show under the new checkpoint is the other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sento_client.asker import Asker, Terms, damaged
from sento_client.messages import inclusion_of
from sento_client.receipts.watch import CheckpointWatch
from sento_client.transport import PROOF
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.fraud import Fraud
from sento_proto.merkle import verify_inclusion
from sento_proto.receipt import Receipt
from sento_proto.v1 import client_pb2

RECEIPTS_LOOKED_AT = 200
_ELSEWHERE = frozenset({Code.OUT_OF_RANGE, Code.NOT_FOUND})


async def find_two_histories(
    asker: Asker,
    watch: CheckpointWatch,
    receipts: Sequence[Receipt],
    checkpoint: Checkpoint,
    timeout_ms: int,
) -> list[Fraud]:
    """What can be proven with these receipts against who signed `checkpoint`; empty when the sites show the same records.

    Raises SentoError when none answers."""
    asked = [
        receipt
        for receipt in receipts
        if receipt.position < checkpoint.size and receipt.checkpoint.epoch == checkpoint.epoch
    ]
    if not asked:
        return []

    def accept(site: str, reply: client_pb2.ProofReply) -> list[Receipt]:
        proofs = [inclusion_of(proof) for proof in reply.inclusions]
        if [proof.position for proof in proofs] != [receipt.position for receipt in asked]:
            raise damaged(site, "it gave proofs of other positions")
        shown: list[Receipt] = []
        for proof in proofs:
            if not verify_inclusion(
                proof.record_hash, proof.position, checkpoint.size, proof.path, checkpoint.root
            ):
                raise damaged(site, f"its proof of position {proof.position} does not verify")
            path, hash_ = proof.path, proof.record_hash
            shown.append(Receipt(checkpoint.ledger_id, proof.position, hash_, path, checkpoint))
        return shown

    request = client_pb2.ProofRequest(size=checkpoint.size, positions=[receipt.position for receipt in asked])
    shown = await asker.ask(
        PROOF, request, accept, Terms("", "", timeout_ms=timeout_ms), ask_again=_ELSEWHERE
    )
    for receipt, other in zip(asked, shown, strict=True):
        if receipt.record_hash != other.record_hash:
            found = watch.accuse_history(receipt, other)
            if found:
                return found
    return []


def not_extended(older: Checkpoint, newer: Checkpoint) -> SentoError:
    """What a checkpoint is called that no site can show to go on from the one before it."""
    words = f"the checkpoint of size {newer.size} is not shown to extend that of size {older.size}, which was seen before"
    return SentoError(Code.DAMAGED, words)
