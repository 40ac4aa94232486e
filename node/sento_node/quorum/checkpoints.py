"""Checkpoints: when to propose one, when to cosign one, and when a quorum's word is reached.

Each second or 1,000 records the site with the lead proposes the tree at a block's end; any site does after 3 s of silence. A site cosigns (epoch, size, root)
only if

 1. it applied every record of it itself, and flushed them and their payloads;
 2. its own root at that block is the same;
 3. it is not smaller than the last it cosigned, which it wrote down, flushed, before it signed; nor than the floor, which a ledger that was made anew
    has in place of a note that was lost: the largest size that anybody remembers.

A fresh cosignature whose time is minutes away from this site's clock is not counted for a proposal: readers learn from these times how old a checkpoint is.
In a checkpoint that is handed over times are not judged again: it may be old, and a site whose own clock is wrong must not be cut off by it.

A site without a vote proposes nothing, and cosigns only what `embassies.py` lets it: what it may not sign yet waits, as a proposal ahead of the flush does.
For three seconds after a quorum the proposer goes on gathering (`late.py`); who was away is asked again when it is back (`asking_again.py`).

Extension of the last cosigned one follows from 1 to 3: both are prefixes of one ledger that this site built. A proposal that is ahead of what is flushed here
waits for the flush. A quorum's checkpoint with another root at a size that this site has means that this site is wrong: `Diverged`.
The core keeps (block, size, root) for each block since the last quorum. It signs nothing before the shell says that `WriteCosigned` is on disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain

from sento_node.ledger.results import BlockResult
from sento_node.quorum.asking_again import AskingAgain
from sento_node.quorum.clocks import is_off
from sento_node.quorum.effects import (
    AnswerCosign,
    AskCosign,
    CheckpointEffect,
    ClockHeard,
    Cosigned,
    Diverged,
    LateCosigned,
    QuorumReached,
    TreeAt,
    WriteCosigned,
)
from sento_node.quorum.embassies import Caution
from sento_node.quorum.late import LateCosignatures, verified_lines
from sento_node.quorum.pending import Parked, Proposal
from sento_node.quorum.trimming import SiteProgress, held_block
from sento_proto.checkpoint import (
    Checkpoint,
    NoteSignature,
    SiteKeys,
    SiteSigners,
    cosign_all,
    cosignature_of,
    cosigners,
    merge_signatures,
    note_signature_holds,
    sign_note,
)
from sento_proto.errors import Code
from sento_proto.governance.state import Governance

PROPOSE_EVERY_MS = 1_000
PROPOSE_EVERY_RECORDS = 1_000
SILENCE_MS = 3_000
PROPOSAL_LIFETIME_MS = 2_000
PARK_MS = 1_500
PARKED_MAX = 64
MIN_GAP_MS = 100
"""Never more than ten proposals a second, however fast records come."""
RECENT_QUORUMS = 256
"""Trees of the newest quorums that stay in memory; of those on disk thinning leaves few, and a reader may still name one."""


class Checkpoints:
    """One site's part in checkpoints. All times are milliseconds of one clock, given by the caller."""

    def __init__(
        self,
        *,
        ledger_id: bytes,
        epoch: int,
        site: str,
        signers: SiteSigners,
        governance: Governance,
        last_cosigned: Cosigned | None,
        flushed: TreeAt,
        quorum: TreeAt,
        now_ms: int,
        floor_size: int = 0,
        quorum_note: Checkpoint | None = None,
    ) -> None:
        self._ledger_id = ledger_id
        self._epoch = epoch
        self._site = site
        self._signers = signers
        self._late, self._again = LateCosignatures(), AskingAgain()
        self._caution, self._now_ms = Caution(now_ms), now_ms
        self._govern(governance)
        self.last_cosigned = last_cosigned
        self.floor_size = floor_size
        self._trees: deque[TreeAt] = deque([flushed])
        self._flushed = flushed
        self.quorum = quorum
        if quorum_note is not None:
            self._again.reached(quorum_note, quorum, self._others, self._site_keys, now_ms)
        self.quorum_time_s = 0
        self._quorum_seen_ms = now_ms
        self._proposed_ms = now_ms - PROPOSE_EVERY_MS
        self._proposal: Proposal | None = None
        self._parked: list[Parked] = []
        self._writing: list[tuple[Cosigned, Checkpoint, int | None]] = []
        self._ahead: tuple[Checkpoint, int] | None = None
        self.progress: dict[str, SiteProgress] = {}
        self.is_lead = False
        self._held_back: set[str] = set()
        self.recent_quorums: deque[TreeAt] = deque(maxlen=RECENT_QUORUMS)

    # -- what happens here ---------------------------------------------------------------------------------------

    def _govern(self, governance: Governance) -> None:
        self._governance = governance
        self._site_keys: Mapping[str, SiteKeys] = governance.site_keys
        own = governance.sites.get(self._site)
        self._is_embassy = own is not None and not own.votes
        self._without_ledger = {site.name for site in governance.sites.values() if not site.ledger}
        aside = {self._site, *self._without_ledger}
        self._others = tuple(name for name in governance.sites if name not in aside)

    def applied(self, result: BlockResult, governance: Governance) -> None:
        """A block was applied: remember the tree after it, and who counts from there on."""
        if governance is not self._governance:
            self._govern(governance)
        self._trees.append(TreeAt(result.number, result.size_after, result.root))

    def flushed(self, block: int, now_ms: int, now_s: int) -> list[CheckpointEffect]:
        """The ledger is flushed through `block`: parked requests may be answered now."""
        effects: list[CheckpointEffect] = []
        for tree in self._trees:
            if tree.block > block:
                break
            self._flushed = tree
        effects += self._consider_parked(now_ms)
        if self._ahead is not None and self._ahead[0].size <= self._flushed.size:
            checkpoint, at_block = self._ahead
            self._ahead = None
            effects += self.published(checkpoint, at_block, now_ms)
        return effects + self.tick(now_ms, now_s)

    def tick(self, now_ms: int, now_s: int) -> list[CheckpointEffect]:
        """Time went by."""
        self._now_ms = now_ms
        effects: list[CheckpointEffect] = [*self._late.tick(now_ms, self._others)]
        if self._is_embassy:
            effects += self._consider_parked(now_ms)
        for item in [item for item in self._parked if now_ms - item.since_ms >= PARK_MS]:
            self._parked.remove(item)
            effects.append(AnswerCosign(item.ticket, (), Code.NOT_READY))
        if self._proposal is not None and now_ms - self._proposal.started_ms > PROPOSAL_LIFETIME_MS:
            self._proposal = None
        if self._may_propose(now_ms):
            effects.append(self._propose(now_ms))
        elif self.is_lead and self._rests_at_quorum():
            effects += self._again.asks(self._site, self._signers, self._late, self.progress, now_ms)
        return effects

    def raise_floor(self, size: int) -> None:
        """Somebody remembers that this site cosigned so much; nothing smaller from now on."""
        self.floor_size = max(self.floor_size, size)

    def hold_back(self, reason: str, on: bool) -> None:
        """While a reason is on, this site vouches for nothing: what it has on disk is not whole."""
        (self._held_back.add if on else self._held_back.discard)(reason)

    @property
    def held_back_by(self) -> frozenset[str]:
        """The reasons that are on."""
        return frozenset(self._held_back)

    def _may_propose(self, now_ms: int) -> bool:
        if self._held_back or self._is_embassy:
            return False
        if self._proposal is not None or self._writing or self._site not in self._site_keys:
            return False
        new_records = self._flushed.size - self.quorum.size
        if self._flushed.size == 0 or self._flushed.block <= self.quorum.block:
            return False
        if self._flushed.size < self.floor_size:
            return False
        since_ms = now_ms - self._proposed_ms
        if not self.is_lead:
            return now_ms - self._quorum_seen_ms >= SILENCE_MS and since_ms >= SILENCE_MS
        return since_ms >= PROPOSE_EVERY_MS or (
            new_records >= PROPOSE_EVERY_RECORDS and since_ms >= MIN_GAP_MS
        )

    def _rests_at_quorum(self) -> bool:
        """The newest quorum checkpoint is what this site itself last signed, and nothing newer is on its way."""
        busy = self._held_back or self._is_embassy or self._writing or self._proposal is not None
        return not busy and self._promised_size() == self.quorum.size

    def _propose(self, now_ms: int) -> CheckpointEffect:
        tree = self._flushed
        bare = Checkpoint(self._ledger_id, self._epoch, tree.size, tree.root)
        signed = bare._replace(signatures=(sign_note(bare, self._site, self._signers.ed25519),))
        self._proposal = Proposal(tree, signed, now_ms)
        self._proposed_ms = now_ms
        return self._write_down(signed, None)

    # -- cosigning ------------------------------------------------------------------------------------------------

    def cosign_request(
        self, ticket: int, proposer: str, checkpoint: Checkpoint, block: int, now_ms: int
    ) -> list[CheckpointEffect]:
        """A site asks for our cosignature. `proposer` is who it is by its certificate."""
        keys = self._site_keys.get(proposer)
        if keys is None or not note_signature_holds(checkpoint, proposer, keys.ed25519):
            return [AnswerCosign(ticket, (), Code.BAD_SIGNATURE)]
        if (checkpoint.ledger_id, checkpoint.epoch) != (self._ledger_id, self._epoch):
            return [AnswerCosign(ticket, (), Code.WRONG_LEDGER)]
        if self._is_embassy:
            self._caution.seen(proposer, checkpoint, {name: self._site_keys[name] for name in self._others})
        return self._consider(ticket, checkpoint, block, now_ms, now_ms)

    def _is_vouched_for(self, tree: TreeAt, checkpoint: Checkpoint, now_ms: int) -> bool:
        """An embassy's second look at a tree that it computed itself."""
        agreed = any(known[1:] == tree[1:] for known in self.recent_quorums) or self.is_quorum(checkpoint)
        return self._caution.allows(tree, self._others, self.progress, now_ms, by_quorum=agreed)

    def _consider_parked(self, now_ms: int) -> list[CheckpointEffect]:
        effects: list[CheckpointEffect] = []
        parked, self._parked = self._parked, []
        for item in parked:
            effects += self._consider(item.ticket, item.checkpoint, item.block, item.since_ms, now_ms)
        return effects

    def _consider(
        self, ticket: int, checkpoint: Checkpoint, block: int, since_ms: int, now_ms: int
    ) -> list[CheckpointEffect]:
        if self._held_back:
            return [AnswerCosign(ticket, (), Code.NOT_READY)]
        if checkpoint.size < self._promised_size():
            return [AnswerCosign(ticket, (), Code.STALE)]
        if block > self._flushed.block:
            return self._park(ticket, checkpoint, block, since_ms, now_ms)
        mine = next((tree for tree in self._trees if tree.block == block), None)
        if mine is None:
            return [AnswerCosign(ticket, (), Code.STALE)]
        if (mine.size, mine.root) != (checkpoint.size, checkpoint.root):
            return [AnswerCosign(ticket, (), Code.DIVERGED)]
        if self._is_embassy and not self._is_vouched_for(mine, checkpoint, now_ms):
            return self._park(ticket, checkpoint, block, since_ms, now_ms)
        return [self._write_down(checkpoint, ticket)]

    def _park(
        self, ticket: int, checkpoint: Checkpoint, block: int, since_ms: int, now_ms: int
    ) -> list[CheckpointEffect]:
        if now_ms - since_ms >= PARK_MS or len(self._parked) >= PARKED_MAX:
            return [AnswerCosign(ticket, (), Code.NOT_READY)]
        self._parked.append(Parked(ticket, checkpoint, block, since_ms))
        return []

    def _promised_size(self) -> int:
        """The largest size cosigned or on its way to the disk: a smaller note written after it would undo it there."""
        last = 0 if self.last_cosigned is None else self.last_cosigned.size
        return max([last, self.floor_size, *(cosigned.size for cosigned, _, _ in self._writing)])

    def _write_down(self, checkpoint: Checkpoint, ticket: int | None) -> CheckpointEffect:
        cosigned = Cosigned(self._epoch, checkpoint.size, checkpoint.root)
        self._writing.append((cosigned, checkpoint, ticket))
        return WriteCosigned(cosigned)

    def cosigned_written(self, cosigned: Cosigned, now_s: int) -> list[CheckpointEffect]:
        """What was to be written down is on disk: now the signature may leave."""
        effects: list[CheckpointEffect] = []
        ready = [item for item in self._writing if item[0] == cosigned]
        self._writing = [item for item in self._writing if item[0] != cosigned]
        if not ready:
            return effects
        if self.last_cosigned is None or cosigned.size >= self.last_cosigned.size:
            self.last_cosigned = cosigned
        for _, checkpoint, ticket in ready:
            if cosigned.size < self.last_cosigned.size:
                if ticket is not None:
                    effects.append(AnswerCosign(ticket, (), Code.STALE))
                continue
            lines = cosign_all(checkpoint, self._site, self._signers, now_s)
            if ticket is not None:
                effects.append(AnswerCosign(ticket, lines, None))
            elif self._proposal is not None:
                self._proposal.lines[self._site] = lines
                block = self._proposal.tree.block
                effects += [AskCosign(name, checkpoint, block) for name in self._others]
                effects += self._count_lines()
        return effects

    def cosign_reply(
        self, site: str, size: int, lines: Sequence[NoteSignature], now_s: int
    ) -> list[CheckpointEffect]:
        """A site answered our proposal of `size`."""
        proposal = self._proposal
        keys = self._site_keys.get(site)
        current = proposal is not None and proposal.tree.size == size
        asked = proposal.checkpoint if proposal is not None and current else self._late.open_at(site, size)
        good = None if asked is None or keys is None else cosignature_of(asked, lines, site, keys)
        if good is None:
            return []
        heard = ClockHeard(site, good.time_s - now_s)
        if is_off(heard.off_s):
            return [heard]
        if proposal is None or not current:
            late = self._late.heard(site, size, good.lines, self._others)
            for effect in late:
                self._again.came(effect.checkpoint, self._site_keys)
            return [heard, *late]
        proposal.lines[site] = good.lines
        return [heard, *self._count_lines()]

    def heard(self, site: str, flushed_block: int, now_ms: int, quorum_block: int) -> None:
        """A site said how far its ledger is flushed, and which block the newest quorum checkpoint on its disk ends (0: it has none)."""
        if site not in self._without_ledger:
            self.progress[site] = SiteProgress(flushed_block, now_ms, quorum_block)

    @property
    def held_block(self) -> int:
        """The block through which a receipt quorum holds checkpoints on disk; a site that never said holds none."""
        blocks = []
        receipt_set = self._governance.receipt_set
        for name in receipt_set.sites:
            said = self.progress.get(name)
            held = said.quorum_block if said is not None else 0
            blocks.append(self.quorum.block if name == self._site else min(held, self.quorum.block))
        return held_block(blocks, receipt_set.quorum)

    def _count_lines(self) -> list[CheckpointEffect]:
        proposal = self._proposal
        if proposal is None:
            return []
        receipt = self._governance.receipt_quorum_at(proposal.tree.size)
        if len(receipt.keys.keys() & proposal.lines.keys()) < receipt.quorum:
            return self._ask_embassies_again(proposal)
        self._proposal = None
        if proposal.tree.block <= self.quorum.block:
            return []  # another site's quorum overtook this one: going back to it would forget the newer
        checkpoint = merge_signatures(proposal.checkpoint, chain.from_iterable(proposal.lines.values()))
        awaited = [name for name in self._others if name not in proposal.lines]
        self._late.begin(checkpoint, proposal.tree.block, awaited, self._now_ms)
        return [
            *self._take_quorum(checkpoint, proposal.tree),
            QuorumReached(checkpoint, proposal.tree.block, self._others),
        ]

    def _ask_embassies_again(self, proposal: Proposal) -> list[CheckpointEffect]:
        """A quorum needs an embassy, and an embassy needs to see that somebody else has signed: show it what came."""
        if proposal.asked_again or len(proposal.lines) < 2:
            return []
        proposal.asked_again = True
        signed = merge_signatures(proposal.checkpoint, chain.from_iterable(proposal.lines.values()))
        return [
            AskCosign(name, signed, proposal.tree.block)
            for name in self._others
            if not self._governance.sites[name].votes and name not in proposal.lines
        ]

    # -- a quorum's word --------------------------------------------------------------------------------------------

    def published(self, checkpoint: Checkpoint, block: int, now_ms: int) -> list[CheckpointEffect]:
        """A site hands over a checkpoint that a quorum is said to have cosigned; nothing happens unless it did."""
        if not self.is_quorum(checkpoint):
            return []
        if checkpoint.size < self.quorum.size:
            return self._published_again(checkpoint)
        mine = next((tree for tree in self._trees if tree.size == checkpoint.size), None)
        if mine is not None and mine.root != checkpoint.root:
            return [Diverged(checkpoint.size)]
        if mine is None and self._trees[-1].size > checkpoint.size:
            return []
        self._quorum_seen_ms = now_ms
        if mine is None or checkpoint.size > self._flushed.size:
            self._ahead = (checkpoint, block)
            return []
        same_size = [tree for tree in self._trees if tree.size == checkpoint.size and tree.block <= block]
        tree = same_size[-1] if same_size else mine
        if tree.block <= self.quorum.block:
            return self._published_again(checkpoint)
        effects = [*self._take_quorum(checkpoint, tree), QuorumReached(checkpoint, tree.block, ())]
        return effects + (self._consider_parked(now_ms) if self._is_embassy else [])

    def _published_again(self, checkpoint: Checkpoint) -> list[CheckpointEffect]:
        """A checkpoint that is kept already, perhaps with late cosignatures: of its lines, those that verify."""
        kept = next((tree for tree in self.recent_quorums if tree.size == checkpoint.size), None)
        if kept is None or kept.root != checkpoint.root:
            return []
        good = verified_lines(checkpoint, self._site_keys)
        self._again.came(good, self._site_keys)
        return [LateCosigned(good, kept.block, ())]

    def is_quorum(self, checkpoint: Checkpoint) -> bool:
        """Whether a quorum of the receipt set cosigned this checkpoint of this ledger and epoch."""
        if (checkpoint.ledger_id, checkpoint.epoch) != (self._ledger_id, self._epoch):
            return False
        receipt = self._governance.receipt_quorum_at(checkpoint.size)
        return len(cosigners(checkpoint, receipt.keys)) >= receipt.quorum

    def _take_quorum(self, checkpoint: Checkpoint, tree: TreeAt) -> list[CheckpointEffect]:
        self.quorum = tree
        self._again.reached(checkpoint, tree, self._others, self._site_keys, self._now_ms)
        self.recent_quorums.append(tree)
        times = cosigners(checkpoint, self._governance.receipt_quorum_at(tree.size).keys).values()
        self.quorum_time_s = max(times, default=0)
        while len(self._trees) > 1 and self._trees[0].block < tree.block:
            self._trees.popleft()
        return []

    def tree_at_block(self, block: int) -> TreeAt | None:
        """The tree at a block's end, while it is kept."""
        return next((tree for tree in self._trees if tree.block == block), None)
