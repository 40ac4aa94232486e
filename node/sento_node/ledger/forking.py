"""Where an epoch forks off: whether the act that begins it is of this very ledger, and what is done when officers signed another fork.

Blocks of a new epoch's log are applied on the ledger cut to the fork of the plan that this site was given. An act that enough officers signed and that forks
off elsewhere means two plans for one epoch: going on would count the same blocks from two places, so the node stops and people decide.
"""

from __future__ import annotations

from collections.abc import Sequence

from sento_node.ledger.scratch import Scratch
from sento_proto.errors import Code
from sento_proto.governance.acts import act_signatures_refusal, begun_epoch, is_act_header, judge_act
from sento_proto.submission import Submission, decode_submission
from sento_proto.wire import Malformed


class OtherFork(Exception):
    """Officers began this epoch from another place than this ledger's. The text is one sentence of cause and one of remedy."""


def forks_here(scratch: Scratch, content: bytes) -> bool:
    """Whether an act begins its epoch from this very ledger: its tree, and a block of it. Blocks of the new log that came before the act did nothing."""
    begun, before = begun_epoch(content), scratch.before
    return (
        begun is not None
        and begun.parent.size == scratch.next_position == before.size
        and begun.parent.root == before.root()
        and begun.parent.block <= scratch.block
    )


def stop_at_other_fork(scratch: Scratch, submissions: Sequence[bytes]) -> None:
    """Raises OtherFork when one of the submissions begins the epoch that this log opens, signed by enough officers, from elsewhere."""
    for data in submissions:
        try:
            submission = decode_submission(data)
        except Malformed:
            continue
        if submission.is_act and submission.epoch == scratch.epoch and _signed_elsewhere(scratch, submission):
            raise OtherFork(
                f"Epoch {scratch.epoch} was begun from another place than the end of this ledger, at size {scratch.before.size}: two plans were signed. "
                "Ask the officers which one stands, and begin the epoch here by that one."
            )


def _signed_elsewhere(scratch: Scratch, submission: Submission) -> bool:
    record, governance = submission.records[0], scratch.governance
    begun = begun_epoch(record.header.content) if is_act_header(record.header) else None
    if begun is None or forks_here(scratch, record.header.content):
        return False
    if submission.ledger_id != governance.ledger_id or act_signatures_refusal(
        governance, submission.epoch, record.record_hash, submission.officers
    ):
        return False
    signers = [officer.officer_key_id for officer in submission.officers]
    judged = judge_act(governance, record.header.content, signers, begun.parent.size, scratch.epoch)
    return judged.code not in (Code.NOT_AN_OFFICER, Code.TOO_FEW_OFFICERS)
