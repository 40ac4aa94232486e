"""Two checkpoints that cannot both be true: remembered, compared, and turned into a proof that names the site which signed both.

A quorum is more than half of the receipt set, so two quorums share a site; one that put its name under two trees of one size, or under two histories, can be
convicted by its own signatures. From then on its cosignatures do not count here, until a person has moved the proof away: with it left out, a checkpoint needs
its quorum from the others.

    equal epoch and size, other root                 two-checkpoints, at once
    a later checkpoint does not extend an earlier    two-histories, once another record is proven at the place of a receipt (`histories.py`)

Only what somebody of the receipt set really signed is remembered, so nobody can fill this memory with inventions. No disk here: proofs go to `keep`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable

from sento_client.trust import Trust
from sento_client.verifying import Finding, Verdict, check_checkpoint
from sento_proto.checkpoint import Checkpoint, cosigners
from sento_proto.errors import Code, SentoError
from sento_proto.fraud import Fraud, KnownSites, NotProven, verify_fraud
from sento_proto.fraud_building import two_checkpoints, two_histories
from sento_proto.receipt import Receipt
from sento_proto.wire import Malformed

REMEMBERED_MOST = 1_024
_LOG = logging.getLogger(__name__)
Keep = Callable[[Fraud, bytes], str]
"""Puts a proof where people find it; returns where, for the message."""


class CheckpointWatch:
    """What one client has seen signed. `known`: proofs of fraud from earlier, as (name, bytes)."""

    def __init__(
        self,
        trust: Callable[[], Trust],
        keep: Keep,
        seen: Iterable[Checkpoint] = (),
        known: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        self._trust = trust
        self._keep = keep
        self._seen: OrderedDict[tuple[int, int], list[Checkpoint]] = OrderedDict()
        self._newest: Checkpoint | None = None
        self.frauds: list[Fraud] = []
        """Everything that was proven, by this client or before it."""
        for name, data in known:
            self._recall(name, data)
        newest_last = sorted(seen, key=lambda checkpoint: (checkpoint.epoch, checkpoint.size))
        for checkpoint in newest_last:
            self._remember(checkpoint)
        self._newest = next((c for c in reversed(newest_last) if self._has_quorum(c, trust())), None)

    @property
    def distrusted(self) -> frozenset[str]:
        """Sites that were proven to have signed two truths."""
        return frozenset(fraud.site for fraud in self.frauds)

    def newest_before(self, checkpoint: Checkpoint) -> Checkpoint | None:
        """The newest checkpoint that was shown to go on from those before it, if this one must extend it; None where there is none."""
        newest = self._newest
        if newest is None or newest.epoch != checkpoint.epoch or not 0 < newest.size < checkpoint.size:
            return None
        return newest

    def extended(self, checkpoint: Checkpoint) -> None:
        """This one was shown to extend the newest, or to be the first."""
        newest = self._newest
        if newest is None or (newest.epoch, newest.size) < (checkpoint.epoch, checkpoint.size):
            self._newest = checkpoint

    def judge(self, checkpoint: Checkpoint, trust: Trust) -> Finding:
        """Whether a quorum of sites that are still trusted cosigned it. Raises SentoError DAMAGED when it proves that a site signed two trees and has no quorum
        without that site; one that has is the truth that the site lied about, whichever of the two came first."""
        conflicting = [
            other
            for other in self._seen.get((checkpoint.epoch, checkpoint.size), ())
            if other.root != checkpoint.root
        ]
        words: list[str] = []
        if checkpoint.ledger_id == trust.ledger_id:
            for other in conflicting:
                words += self._convict(trust, other, checkpoint)
        finding = check_checkpoint(self._without_distrusted(checkpoint), trust)
        if words and finding.verdict is not Verdict.HOLDS:
            raise SentoError(Code.DAMAGED, " ".join(words))
        if finding.verdict is Verdict.HOLDS or self._is_signed(checkpoint, trust):
            self._remember(checkpoint)
        return finding

    def accuse_history(self, receipt: Receipt, other: Receipt) -> list[Fraud]:
        """What follows from two receipts of two records at one position: each site that signed both histories."""
        a, b, known = receipt.checkpoint, other.checkpoint, KnownSites.of(self._trust().governance)
        found: list[Fraud] = []
        for site in known.keys:
            try:
                in_a, in_b = (receipt.record_hash, receipt.path), (other.record_hash, other.path)
                data = two_histories(known, site, a, b, receipt.position, in_a, in_b)
            except NotProven:
                continue
            found.append(self._keep_fraud(known, data))
        return found

    def take(self, data: bytes) -> Fraud:
        """Keep a proof that was made of other words than checkpoints, and believe it. Raises NotProven, Malformed."""
        return self._keep_fraud(KnownSites.of(self._trust().governance), data)

    def _convict(self, trust: Trust, a: Checkpoint, b: Checkpoint) -> list[str]:
        """What each site did that signed both, in words."""
        known = KnownSites.of(trust.governance)
        words: list[str] = []
        for site in known.keys:
            try:
                data = two_checkpoints(known, site, a, b)
            except NotProven:
                continue
            words.append(self._keep_fraud(known, data).words)
        return words

    def _keep_fraud(self, known: KnownSites, data: bytes) -> Fraud:
        fraud = verify_fraud(data, known)
        if fraud not in self.frauds:
            place = self._keep(fraud, data)
            self.frauds.append(fraud)
            if self._newest is not None and not self._has_quorum(self._newest, self._trust()):
                # What nobody but the convicted site and too few others vouched for is nothing that a checkpoint must extend.
                self._newest = None
            _LOG.error(
                "PROOF OF FRAUD: %s Its cosignatures do not count here any more. The proof is %s: give it to the officers.",
                fraud.words,
                place,
            )
        return fraud

    def _recall(self, name: str, data: bytes) -> None:
        try:
            fraud = verify_fraud(data, KnownSites.of(self._trust().governance))
        except (Malformed, NotProven) as error:
            _LOG.warning("%s proves nothing to this client: %s", name, error)
            return
        self.frauds.append(fraud)
        _LOG.error(
            "PROOF OF FRAUD, found earlier: %s Its cosignatures do not count here while %s lies there.",
            fraud.words,
            name,
        )

    def _has_quorum(self, checkpoint: Checkpoint, trust: Trust) -> bool:
        return check_checkpoint(self._without_distrusted(checkpoint), trust).verdict is Verdict.HOLDS

    def _without_distrusted(self, checkpoint: Checkpoint) -> Checkpoint:
        distrusted = self.distrusted
        if not distrusted:
            return checkpoint
        lines = tuple(line for line in checkpoint.signatures if line.name not in distrusted)
        return checkpoint._replace(signatures=lines)

    def _is_signed(self, checkpoint: Checkpoint, trust: Trust) -> bool:
        """Whether anybody at all of the receipt set cosigned it: what one site alone put its name under is evidence, too."""
        if checkpoint.ledger_id != trust.ledger_id:
            return False
        return bool(cosigners(checkpoint, trust.governance.receipt_quorum_at(checkpoint.size).keys))

    def _remember(self, checkpoint: Checkpoint) -> None:
        key = (checkpoint.epoch, checkpoint.size)
        known = self._seen.setdefault(key, [])
        if all(other.root != checkpoint.root or other.signatures != checkpoint.signatures for other in known):
            # A few forms of each are enough: those with other signers may convict other sites.
            del known[:-7]
            known.append(checkpoint)
        self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED_MOST:
            self._seen.popitem(last=False)
