"""Keeping up with governance: asks the sites what changed, follows it, and keeps it on disk.

The newest value is here for everybody in this process. Callers that meet something they cannot explain (an unknown key, a checkpoint that does not verify) ask
for `news`; at most one question a second goes out for all of them together.

Signatures bind what an act says and which one it follows, not where it stands. So each is proven to stand at its position under a quorum's checkpoint before
it is kept on disk, or asked behind. Until then it counts, because it may be a second old, and is asked for again: a lie about a position lasts a moment.
"""

from __future__ import annotations

import asyncio
import logging

from sento_client.asker import Asker, Terms, damaged
from sento_client.governing.fitting import can_change
from sento_client.governing.following import Followed, follow
from sento_client.governing.trust_file import TrustFile, TrustProof
from sento_client.messages import freshness_of, stored_of
from sento_client.outbox.keeping import Run
from sento_client.proving import Prover
from sento_client.receipts.watch import CheckpointWatch
from sento_client.results import Freshness
from sento_client.transport import ACTS
from sento_client.trust import Trust
from sento_proto.errors import Code, SentoError
from sento_proto.limits import LIST_PAGE_MAX
from sento_proto.rules import RULES
from sento_proto.v1 import governance_pb2

NEWS_EVERY_MS = 1_000
NEWS_TIMEOUT_MS = 3_000
KEEP_UP_EVERY_MS = 60_000
KEEP_UP_TIMEOUT_MS = 1_000
PROOF_TIMEOUT_MS = 2_000
RUNS_AT_ONCE = LIST_PAGE_MAX // 2
_LOG = logging.getLogger(__name__)


class Follower:
    """One client's view of governance. `keep`: where it is kept between programs; None: nowhere."""

    def __init__(
        self,
        asker: Asker,
        followed: Followed,
        keep: TrustFile | None = None,
        watch: CheckpointWatch | None = None,
    ) -> None:
        self._asker = asker
        self._watch = watch
        self._keep = keep
        self._lock = asyncio.Lock()
        self._asked_ms: int | None = None
        self._kept_up_ms: int | None = None
        self._told_epoch = 0
        self._proven = followed
        self._gave = ""
        self._avoid: str | None = None
        self._asked_anew = 0
        self.followed = followed
        self.epoch = followed.epoch
        self.size = followed.position + 1
        """The ledger's epoch and size by the answers so far."""

    @property
    def trust(self) -> Trust:
        """Whose keys are believed now."""
        return self.followed.trust

    async def refresh(
        self,
        timeout_ms: int,
        *,
        freshness: Freshness = Freshness.LINEARIZABLE,
        site: str | None = None,
    ) -> Followed:
        """Governance as the sites know it; `site`: ask only this one. Raises SentoError, SetupError.

        A site that shows less than was seen before is asked for what comes behind that, and so cannot take anything back."""
        if not can_change(self.followed.governance):
            return self.followed
        async with self._lock:
            terms = Terms("", "", freshness, timeout_ms=timeout_ms, site=site)
            asked_ms = self._asker.now_ms
            found = await self._followed(terms)
            proven, proof = await self._prove(found, freshness)
            self._kept_up_ms = asked_ms
            later = found.governance.epoch > self.followed.governance.epoch
            if later or len(found.steps) >= len(self.followed.steps):
                self.followed = found
            if proven is not self._proven:
                self._proven = proven
                if self._keep is not None:
                    self._keep.write(proven, proof)
            return self.followed

    async def _followed(self, terms: Terms) -> Followed:
        """Everything behind what is proven; from the genesis file anew where a later epoch has taken acts back. Raises SentoError, SetupError.

        Only an epoch that its officers began is believed: a site that names a higher number and shows no such act is damaged."""
        before = self._proven
        try:
            found = await self._pages(before, terms)
            if not self._may_be_taken_back(found):
                return found
        except SentoError as error:
            if error.code is not Code.DAMAGED or not self._may_be_taken_back(before):
                raise
            anew = await self._pages(Followed.start(before.genesis), terms)
            if anew.governance.epoch <= before.governance.epoch:
                raise
        else:
            self._asked_anew = self.epoch
            anew = await self._pages(Followed.start(before.genesis), terms)
            if anew.governance.epoch <= before.governance.epoch:
                return found
        self._proven = Followed.start(before.genesis)
        return anew

    def _may_be_taken_back(self, found: Followed) -> bool:
        """Whether a later epoch than the one followed was told of since this was last asked anew, under rules that know epochs."""
        rules = RULES.get(found.governance.rules)
        knows = rules is not None and rules.epochs and bool(found.steps)
        return knows and self.epoch > max(found.governance.epoch, self._asked_anew)

    async def _pages(self, found: Followed, terms: Terms) -> Followed:
        more = True
        while more:
            found, more = await self._page(found, terms)
        return found

    async def news(self, site: str | None = None) -> bool:
        """Whether this, or who asked at the same time, brought anything new. At most once a second, and from `site` if one is named, whose answer is in doubt.

        Raises SetupError. That nobody answers is no news: the doubt stays."""
        known, now_ms = self.followed.position, self._asker.now_ms
        if self._asked_ms is not None and now_ms - self._asked_ms < NEWS_EVERY_MS:
            async with self._lock:  # whoever asked a moment ago may still wait for the answer
                return self.followed.position != known
        self._asked_ms = now_ms
        try:
            followed = await self.refresh(NEWS_TIMEOUT_MS, freshness=Freshness.LOCAL, site=site)
        except SentoError:
            return False
        return followed.position != known

    async def keep_up(self, site: str, epoch: int, timeout_ms: int) -> None:
        """An answer of this epoch (0 too where it does not say) came from `site`. Asks that site what officers changed, where the epoch is not known here
        or nobody asked for a minute.

        What dates a record (`governance.gaps`) leaves nothing in it to doubt: who only reads would never learn of a recovery. Raises SetupError
        RULES_UNKNOWN."""
        known, now_ms = max(self.epoch, self._told_epoch), self._asker.now_ms
        asked_lately = self._kept_up_ms is not None and now_ms - self._kept_up_ms < KEEP_UP_EVERY_MS
        if (asked_lately and epoch <= known) or not can_change(self.followed.governance):
            return
        try:
            await self.refresh(min(timeout_ms, KEEP_UP_TIMEOUT_MS), freshness=Freshness.LOCAL, site=site)
        except SentoError as error:
            _LOG.info(
                "%s did not say what officers changed (%s): asked again with the next answer",
                site,
                error.code.name,
            )
            return
        self._told_epoch = max(epoch, self._told_epoch)

    async def _page(self, before: Followed, terms: Terms) -> tuple[Followed, bool]:
        """What was followed with one page more, and whether there is more."""

        def accept(site: str, reply: governance_pb2.ActsReply) -> tuple[Followed, bool]:
            if reply.more and not reply.records:
                raise damaged(site, "its pages do not come to an end")
            self.epoch, self.size = (
                max(self.epoch, reply.as_of.epoch),
                max(self.size, reply.as_of.size),
            )
            self._gave = site
            try:
                return follow(before, map(stored_of, reply.records), reply.as_of.epoch), reply.more
            except SentoError as error:
                raise damaged(site, error.detail) from None

        request = governance_pb2.ActsRequest(freshness=freshness_of(terms.freshness))
        if before.position >= 0:
            request.after_position = before.position
        return await self._asker.ask(ACTS, request, accept, terms, ask_again=_ELSEWHERE, avoid=self._avoid)

    async def prove_all(self, timeout_ms: int) -> tuple[Followed, TrustProof]:
        """Everything that changed governance, and that each of it stands where it says under the newest checkpoint: what `trust.json` holds.

        Raises SentoError, SetupError RULES_UNKNOWN."""
        followed = await self.refresh(timeout_ms)
        return followed, await self._proof_of(followed, followed.position + 1, timeout_ms)

    async def _prove(self, found: Followed, freshness: Freshness) -> tuple[Followed, TrustProof | None]:
        """As much of `found` as is shown to stand where it says. Raises SentoError DAMAGED when something else is shown to stand there."""
        new = found.steps[len(self._proven.steps) :]
        if not new:
            return self._proven, None
        at_least = new[-1].position + 1 if freshness is Freshness.LINEARIZABLE else 0
        try:
            proof = await self._proof_of(found, at_least, PROOF_TIMEOUT_MS)
        except SentoError as error:
            if error.code is Code.DAMAGED:
                raise
            # No quorum covers it yet, or nobody who could show it answers: it is asked for again.
            return self._proven, None
        return found.first(proof.checkpoint.size), proof

    async def _proof_of(self, found: Followed, at_least: int, timeout_ms: int) -> TrustProof:
        """That each step below a quorum's checkpoint stands at its position, all under that one checkpoint: acts are few, and so the file verifies alone."""
        prover = Prover(self._asker, lambda: found.trust, self._watch)
        checkpoint = await prover.checkpoint(at_least, timeout_ms)
        covered = [step for step in found.steps if step.position < checkpoint.size]
        paths: list[tuple[bytes, ...]] = []
        for start in range(0, len(covered), RUNS_AT_ONCE):
            part = covered[start : start + RUNS_AT_ONCE]
            runs = [Run(0, step.position, (step.stored.record_hash,)) for step in part]
            for step, shown in zip(part, await prover.prove_runs(runs, checkpoint, timeout_ms), strict=True):
                if shown is None:
                    self._avoid = self._gave
                    raise damaged(self._gave, f"another record stands at position {step.position}")
                paths.append(shown.first)
        return TrustProof(checkpoint, tuple(paths))


_ELSEWHERE = frozenset({Code.BAD_REQUEST})
"""What a site says whose release has no governance service yet; another may have."""
