"""A registry in memory whose officers recover it: an epoch begins right where it stands, and they open and close the gap that it left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from unittest import mock

from epoch_story import set_gap
from sento_client.testing import Registry, ledger
from sento_proto.governance.acts import Judgement, begun_epoch, judge_act
from sento_proto.governance.epoch_parts import Gap
from sento_proto.governance.state import Governance

EPOCH = 1
"""The one that every answer of a registry in memory is of, and every act in it is signed for."""


def recover(registry: Registry, *, missing: int = 412) -> Gap:
    """The epoch begins as a recovery behind all that stands, by the first of all acts, and its gap is open."""
    receipt_set = registry.governance.receipt_set
    parent = {"epoch": 0, "size": registry.size, "root": registry.root.hex(), "block": 1}
    begin: dict[str, object] = {
        "do": "begin-epoch",
        "epoch": EPOCH,
        "parent": parent,
        "plan": "00" * 32,
        "reason": "recover",
        "voting": list(registry.governance.voting_sites),
        "receipt_set": {"sites": list(receipt_set.sites), "quorum": receipt_set.quorum},
    }
    # The ledger in memory lives in one epoch: its first act begins it here, which no act does otherwise.
    with mock.patch.object(ledger, "judge_act", _judge_opening):
        registry.act(begin)
    registry.act(set_gap(EPOCH, is_open=True, missing=missing))
    (gap,) = registry.governance.gaps
    return gap


def close_gap(registry: Registry) -> None:
    """The officers are done with it."""
    registry.act(set_gap(EPOCH, is_open=False, missing=0))


def _judge_opening(governance: Governance, content: bytes, signers: Sequence[bytes], at: int) -> Judgement:
    opens = None if begun_epoch(content) is None else EPOCH
    return judge_act(governance, content, signers, at, opens)


def lines_of(output: str) -> list[dict[str, object]]:
    """A command's JSON, an object a line."""
    return [json.loads(line) for line in output.splitlines()]
