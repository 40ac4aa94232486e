"""The change that begins a new epoch: the ledger goes on from an earlier size, with another ordering log, other voters and another receipt set.

    {"do": "begin-epoch", "epoch": n, "parent": {"epoch": m, "size": s, "root": hex, "block": b}, "plan": hex (SHA-256 of the plan),
     "reason": "restore" | "recover" | "relocate", "voting": [sites], "receipt_set": {"sites", "quorum"}, "agreed": a (only of "recover")}

It stands alone in its act, the act is signed for epoch n, and it is the first record of that epoch, at position s: positions and block numbers go on from the
parent, and whatever stood above it in epoch m stands no more. What governance can tell is judged here; that root and block are the ledger's own, whoever
has the ledger judges (`sento_node.ledger.judging`).

A recovery goes on from the end of one survivor's copy, of which the first a records, at most s, are known to have been cosigned by a quorum (without the
member: none). A capital that was only cut off may have come to other records behind them: what epoch m's sites vouched for there is good only where it is
shown to stand in the ledger that goes on (`doubts.py`). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

from sento_proto.governance.changing import Unfit
from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.parts import ReceiptSet, read_receipt_set
from sento_proto.governance.site_changes import check_voters
from sento_proto.governance.site_keys import receipt_quorum
from sento_proto.governance.state import Governance
from sento_proto.strict_json import Fields

RECOVER = "recover"
REASONS = ("restore", RECOVER, "relocate")
EPOCH_MAX = 9_999
"""The number stands in names of directories with four digits."""
_POSITION_MAX = 2**63 - 1
_HASH_BYTES = 32


class Parent(NamedTuple):
    """Where the epoch forks off: the last block of `epoch` that stays, and the tree of `size` records at its end."""

    epoch: int
    size: int
    root: bytes
    block: int


def read_parent(fields: Fields) -> Parent:
    """A parent. Raises Malformed."""
    return Parent(
        fields.number("epoch", 0, EPOCH_MAX),
        fields.number("size", 1, _POSITION_MAX),
        fields.hex("root", _HASH_BYTES),
        fields.number("block", 1, _POSITION_MAX),
    )


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """A new epoch, with its parent, its voters and its receipt set. `plan`: SHA-256 of the plan that the officers signed. `agreed`: of a recovery, the size of
    the largest tree known that a quorum cosigned; None where none is known."""

    DO: ClassVar[str] = "begin-epoch"
    RULES: ClassVar[int] = 5
    epoch: int
    parent: Parent
    plan: bytes
    reason: str
    voting: tuple[str, ...]
    receipt_set: ReceiptSet
    agreed: int | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.number("epoch", 1, EPOCH_MAX),
            fields.inner("parent", read_parent),
            fields.hex("plan", _HASH_BYTES),
            fields.choice("reason", REASONS),
            fields.institutions("voting"),
            fields.inner("receipt_set", read_receipt_set),
            fields.number("agreed", 1, _POSITION_MAX) if fields.has("agreed") else None,
        )

    def agreed_size(self, governance: Governance) -> int:
        """Size up to which the word of the former epoch's sites stays good: all of them began with the fork of their own epoch, so never below that."""
        if self.reason != RECOVER:
            return self.parent.size
        return max(self.agreed or 0, governance.epochs[-1].fork_size if governance.epochs else 0)

    def effect(self, governance: Governance, at: int) -> Governance:
        parent = self.parent
        if self.epoch <= governance.epoch or parent.epoch != governance.epoch:
            raise Unfit(
                f"Epoch {self.epoch} after epoch {parent.epoch} does not follow: the ledger is in epoch {governance.epoch}."
            )
        if parent.size != at:
            raise Unfit(f"The epoch forks off at size {parent.size}, and the ledger has {at} records.")
        if self.reason != RECOVER and self.agreed is not None:
            raise Unfit(f"Only a recovery says what was agreed on, and this is to {self.reason}.")
        if (self.agreed or 0) > parent.size:
            raise Unfit(f"A tree of {self.agreed} records is not below the fork, at {parent.size}.")
        self._check_sites(governance)
        sites = {name: replace(site, votes=name in self.voting) for name, site in governance.sites.items()}
        begun = Epoch(
            self.epoch,
            parent.epoch,
            parent.size,
            parent.root,
            at,
            parent.block,
            self.plan,
            self.reason,
            self.agreed_size(governance),
        )
        kept = tuple(known for known in governance.receipt_quorums if known.from_size <= at)
        after = governance.changed(
            sites=sites,
            receipt_set=self.receipt_set,
            receipt_quorums=(*kept, receipt_quorum(sites, self.receipt_set, at + 1)),
            epochs=(*governance.epochs, begun),
        )
        check_voters(after)
        return after

    def _check_sites(self, governance: Governance) -> None:
        counted = self.receipt_set.sites
        unknown = (set(self.voting) | set(counted)) - set(governance.sites)
        if unknown:
            raise Unfit(f"There is no site {min(unknown)}.")
        if len(set(self.voting)) != len(self.voting) or len(set(counted)) != len(counted):
            raise Unfit("A site stands twice among the voters or in the receipt set.")
        without_ledger = [name for name in counted if not governance.sites[name].ledger]
        if without_ledger:
            raise Unfit(
                f"{without_ledger[0]} is a tie-breaker and keeps no ledger: it has nothing to cosign."
            )
        if not self.receipt_set.is_majority:
            raise Unfit("The quorum must be more than half of the receipt set's sites, and no more than all.")

    def words(self, governance: Governance) -> str:
        agreed = ""
        if self.reason == RECOVER:
            agreed = f"A quorum is known to have cosigned the first {self.agreed_size(governance)} of them. "
        return (
            f"Epoch {self.epoch} begins from the first {self.parent.size} records of epoch {self.parent.epoch} ({self.reason}); what stood behind them "
            f"stands no more. {agreed}{', '.join(self.voting)} vote; a receipt needs {self.receipt_set.quorum} of {', '.join(self.receipt_set.sites)}."
        )
