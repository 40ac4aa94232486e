"""Making a plan from a ledger: where the epoch forks off, and which later records are to be taken over again.

A submission is taken over whole or not at all, because its author signed it whole. Left out is what the officers name, and what stands on something left out:
a later version of a fact whose former version does not come back could not stand. Each is counted in the plan's words. Pure but for reading the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sento_node.ledger.results import SubmissionResult
from sento_node.ledger.state import Tip
from sento_node.ledger.store import KeptBlock, KeptCheckpoint, LedgerStore
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.epoch_plan import EpochPlan
from sento_proto.errors import Code
from sento_proto.governance.acts import OFFICERS_AUTHOR
from sento_proto.governance.acts import REGISTRY as GOVERNANCE_REGISTRY
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.parts import ReceiptSet
from sento_proto.governance.state import Governance, site_of_author
from sento_proto.header import ZERO32, Header
from sento_proto.header import decode as decode_header

AN_ACT, AN_ANNOUNCEMENT, LEFT_OUT, STANDS_ON_IT, WITH_REFUSED, TOGETHER, NO_PAYLOAD = (
    "officers' acts: they are signed for the former epoch, and are signed again where they are still wanted",
    "announcements of sites, which they repeat by themselves",
    "left out by the officers' word",
    "standing on a record that is left out",
    "in a submission with refused records, whose bytes nobody keeps",
    "signed together with a record that is left out",
    "whose payload is erased or missing",
)

_UNDONE = (
    "erasures carried out behind the fork are in force no more: order and carry them out again as the epoch's first acts, "
    "before volumes or backups that still hold those payloads are brought to any site."
)


class LeaveOut(NamedTuple):
    """Records that do not come back: of an author, in a registry (empty: all), whose time lies in [from, to] (ms since 1970; None: open)."""

    author: str
    registry: str = ""
    from_ms: int | None = None
    to_ms: int | None = None

    def covers(self, author: str, header: Header) -> bool:
        """Whether it speaks of this record."""
        return (
            self.author == author
            and self.registry in ("", header.registry)
            and (self.from_ms is None or header.time_ms >= self.from_ms)
            and (self.to_ms is None or header.time_ms <= self.to_ms)
        )


class Choice(NamedTuple):
    """What the officers decided of the plan. `nothing_again`: no later record comes back."""

    reason: str
    legal_basis: str
    as_of_ms: int
    made_at_ms: int
    voting: tuple[str, ...] = ()
    receipt_set: ReceiptSet | None = None
    leave_out: tuple[LeaveOut, ...] = ()
    nothing_again: bool = False


class Later(NamedTuple):
    """What stands above the fork: the hashes that come back in order, and how many do not by reason."""

    again: tuple[bytes, ...]
    not_again: Counter[str]


def plan_from(
    store: LedgerStore, at_fork: Governance, now: Governance, fork: KeptCheckpoint, choice: Choice
) -> EpochPlan:
    """The plan, unsigned. `at_fork` and `now`: the governance at the fork and at the ledger's end."""
    note = decode_checkpoint(fork.note)
    later = Later((), Counter())
    if not choice.nothing_again:
        later = later_records(store, fork, choice.leave_out)
    elif store.tip.size > fork.size:
        later = Later((), Counter({LEFT_OUT: store.tip.size - fork.size}))
    voting = choice.voting or at_fork.voting_sites
    counted = choice.receipt_set or at_fork.receipt_set
    plan = EpochPlan(
        at_fork.ledger_id,
        choice.reason,
        max(store.tip.epoch, now.epoch) + 1,
        Parent(note.epoch, note.size, note.root, fork.block),
        at_fork.last_act,
        voting,
        counted,
        later.again,
        choice.legal_basis,
        choice.as_of_ms,
        choice.made_at_ms,
    )
    return _with_words(plan, store.tip, later, _erasures_undone(at_fork, now))


def _erasures_undone(at_fork: Governance, now: Governance) -> int:
    """How many erasures were carried out behind the fork: their payloads are destroyed, and nothing in the new epoch says so."""
    then = at_fork.erasure_orders
    carried_out = [at for at, order in now.erasure_orders.items() if order.carried_out_at is not None]
    return sum(at not in then or then[at].carried_out_at is None for at in carried_out)


def _with_words(plan: EpochPlan, tip: Tip, later: Later, erasures_undone: int) -> EpochPlan:
    moment = datetime.fromtimestamp(plan.as_of_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    parent = plan.parent
    words = [
        f"Epoch {plan.epoch} keeps the first {parent.size} records of epoch {parent.epoch}, the largest state that a quorum had cosigned at {moment}.",
        f"{tip.size - parent.size} records behind them stand no more; {len(plan.readmit)} of them are taken over again, with the same record hashes.",
        *(f"{count} records are not taken over: {why}." for why, count in sorted(later.not_again.items())),
        *(f"{erasures_undone} {_UNDONE}" for _ in range(bool(erasures_undone))),
        f"{', '.join(plan.voting)} vote; a receipt needs {plan.receipt_set.quorum} of {', '.join(plan.receipt_set.sites)}.",
        "Until every site of the old epoch is brought over or stopped, both sides may acknowledge; what the old side acknowledges is lost with its epoch.",
    ]
    return EpochPlan(**{name: getattr(plan, name) for name in _PLAIN}, words=tuple(words))


_PLAIN = (
    "ledger_id", "reason", "epoch", "parent", "last_act", "voting", "receipt_set", "readmit", "legal_basis", "as_of_ms", "made_at_ms",
)  # fmt: skip


def later_records(store: LedgerStore, fork: KeptCheckpoint, leave_out: Sequence[LeaveOut]) -> Later:
    """Which records above the fork come back."""
    again: list[bytes] = []
    gone: set[bytes] = set()
    not_again: Counter[str] = Counter()
    for block in _blocks(store, fork):
        for submission in block.submissions:
            hashes = [one.record_hash for one in submission.outcomes if one.code is Code.ACCEPTED]
            if not hashes:
                continue
            why = _why_not(store, submission, leave_out, gone)
            if why:
                gone.update(hashes)
                not_again[why] += len(hashes)
            else:
                again += hashes
    return Later(tuple(again), not_again)


def _blocks(store: LedgerStore, fork: KeptCheckpoint) -> Iterable[KeptBlock]:
    return (store.block(number) for number in range(fork.block + 1, store.tip.block + 1))


def _why_not(
    store: LedgerStore, submission: SubmissionResult, leave_out: Sequence[LeaveOut], gone: set[bytes]
) -> str:
    """Why none of the submission's records comes back; empty when all do."""
    named = 0
    for outcome in submission.outcomes:
        if outcome.code not in (Code.ACCEPTED, Code.KNOWN):
            return WITH_REFUSED
        kept = store.record(outcome.position)
        header = decode_header(kept.header_bytes)
        if kept.author == OFFICERS_AUTHOR:
            return AN_ACT
        if site_of_author(kept.author) is not None and header.registry == GOVERNANCE_REGISTRY:
            return AN_ANNOUNCEMENT
        if kept.payload is None:
            return NO_PAYLOAD
        named += any(rule.covers(kept.author, header) for rule in leave_out)
        if header.previous != ZERO32 and header.previous in gone:
            return STANDS_ON_IT
    if not named:
        return ""
    return LEFT_OUT if named == len(submission.outcomes) else TOGETHER
