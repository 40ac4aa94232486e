"""What must hold, whatever happened: every promise that this package checks, each under a name that stands in the table of planted bugs.

same-ledger              every site's blocks, outcomes, positions, links and roots are those of the reference at equal numbers
answers-fit              an answer speaks of the records that were sent, one outcome for each
acknowledged-is-ordered  an ACCEPTED or KNOWN names the position at which the committed order has that record
acknowledged-kept        nothing acknowledged ever leaves the order, and at the end every site's ledger has it at its position
final-is-final           what was refused for good does not stand later, nor stood before
one-lane-one-order       the ordering log never has to refuse a block of ours
trim-is-covered          a block leaves the log only when a quorum of ledgers has flushed it
cosigned-is-flushed      a cosignature leaves after its records, their payloads and its own note are on disk, under the root that the order has
cosigned-never-smaller   no disk sees its site cosign less than before
checkpoints-one-history  quorum checkpoints are ends of blocks of the one order, and a site's newest never goes back
flushed-is-kept          a restarted site has every block that it flushed
reads-are-fresh          a linearizable read sees what was acknowledged before it began, and tells what stands
proofs-hold              inclusion and consistency proofs from any site's store verify at any size
heads-are-true           what a site would sign of a subject's last record, at any size, is what the reference says: so all say the same (`head_words.py`)
destroyed-is-gone        what an order had destroyed no flush writes and no site gives; no certified store or log has it, and at the end none (`destroyed.py`)
kept-until-proven        an outbox forgets a record only when it stands under a quorum's checkpoint, or was refused for good, or people gave it up with a reason
permission-decision-equality  at equal positions every site has the same governance, and answers who may do what as the reference does (`decisions.py`)
embassy-signs-last       a site without a vote cosigns what a quorum or two others have signed, or the only other one that it hears
abroad-is-true           each cosignature in a kept checkpoint verifies, and its site gave it
payload-as-signed        what a site stores for a payload that it awaited, and what it serves, is what the record's author signed
told-the-truth           what a client was told of a write is what became of it, and no write stands twice
no-false-alarm           no site cries that its block vanished or was refused when that is not so
sites-agree              nobody finds a quorum, or the log's own count, against it
nothing-unforeseen       product code raises nothing that its docstrings do not name
progress                 once faults stop for a majority, everything settles and every site that runs is at the end of the order
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tests.simulation.decisions import Decisions
from tests.simulation.destroyed import Destroyed
from tests.simulation.head_words import HeadIn, false_head
from tests.simulation.heap import EventHeap
from tests.simulation.members import AppendOp
from tests.simulation.ordering import OrderFeed
from tests.simulation.reference import OFFICERS, Judged, Reference, is_final

from sento_node.ledger.results import BlockResult
from sento_node.ledger.state import Batch, LedgerState, Tip
from sento_node.ledger.store import KeptBlock, LedgerStore
from sento_node.ordering.port import OrderedBlock, OrderingError
from sento_node.quorum.effects import Cosigned
from sento_node.site import Alarm, AlarmOver, Reply
from sento_proto import merkle
from sento_proto.checkpoint import Checkpoint, SiteKeys, cosigners, decode_checkpoint
from sento_proto.errors import STANDING_CODES, Code
from sento_proto.genesis import Genesis
from sento_proto.governance.site_keys import keys_of_site
from sento_proto.header import ZERO16
from sento_proto.record import Record
from sento_proto.submission import Submission, decode_submission
from sento_proto.wire import Malformed

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

CHECKPOINTS_SEARCHED = 200


class Violation(Exception):
    """A promise did not hold. `checker` is one of the names in this module's docstring."""

    def __init__(self, checker: str, words: str) -> None:
        super().__init__(f"{checker}: {words}")
        self.checker = checker


class Acknowledged(NamedTuple):
    """What somebody was told stands."""

    record_hash: bytes
    position: int
    site: str


class ReadBegun(NamedTuple):
    """What a linearizable read must see: at least so many records."""

    size: int


class Checkers(OrderFeed):
    """Watches one world from outside; everything it knows comes from the committed order and from what sites tell and flush."""

    def __init__(
        self, heap: EventHeap, genesis: Genesis, genesis_bytes: bytes, epoch: int, window: int
    ) -> None:
        self._heap = heap
        self._abroad_sites = {site.name for site in genesis.sites} - set(genesis.voting_sites)
        self._site_keys = {site.name: keys_of_site(site) for site in genesis.sites}
        self.reference = Reference(genesis_bytes, epoch, window)
        self.decisions = Decisions(window, self._differs)
        self.destroyed = Destroyed(lambda: self.reference, self._not_destroyed)
        self.order: list[OrderedBlock] = []
        self.number_of: dict[tuple[str, int], int] = {}
        self.acknowledged: dict[tuple[str, bytes], Acknowledged] = {}
        self.acknowledged_size = 0
        self.told_final: dict[bytes, Code] = {}
        self.flushed_ever: dict[str, int] = {site.name: 0 for site in genesis.sites}
        self._tips: dict[str, Tip] = {}
        self._cosigned: dict[str, int] = {}
        self._signed: dict[tuple[int, bytes], set[str]] = {}
        self._quorum_block: dict[str, int] = {}
        self.quorum_size = 0
        self.lied_about: set[bytes] = set()
        self.held: set[bytes] = set()
        self.not_permitted: set[bytes] = set()
        self.lost_blocks = 0
        self.clock_was_off = False

    def site_keys(self, site: str) -> SiteKeys:
        """A site's public keys."""
        return self._site_keys[site]

    # -- the order --------------------------------------------------------------------------------------------------------

    def ordered(self, block: OrderedBlock) -> None:
        self.order.append(block)
        self.number_of[block.lane, block.seq] = block.number
        judged = self.reference.apply(block)
        if sum(stand.author == OFFICERS for stand in judged.standing) > 1:
            self._heap.faults["two acts stand in one block"] += 1
        self._heap.note(f"order {block.number} {block.lane}/{block.seq} size {judged.size_after}")
        for stand in judged.standing:
            told = self.told_final.get(stand.record.record_hash)
            if told is not None:
                raise Violation(
                    "final-is-final",
                    f"position {stand.position} stands and its author was told {told.name} before",
                )

    def refused(self, op: AppendOp, error: OrderingError) -> None:
        raise Violation("one-lane-one-order", f"{op.lane}/{op.seq} was refused by the log: {error}")

    def trimmed(self, removed: Sequence[tuple[str, int]]) -> None:
        self._heap.note(f"trim {len(removed)} blocks")
        for key in removed:
            number = self.number_of[key]
            sets = {
                self.reference.book.receipt(judged.size_after)
                for judged in self.reference.blocks[number - 1 :]
            }
            if not any(
                sum(self.flushed_ever[site] >= number for site in sites) >= quorum for sites, quorum in sets
            ):
                raise Violation(
                    "trim-is-covered",
                    f"block {number} left the log and no receipt set from it on had a quorum that had flushed it",
                )

    def rewritten(self, lost_blocks: int) -> None:
        """The log forgot its end: what was acknowledged from there is lost, unless nobody was told."""
        self.lost_blocks += lost_blocks
        del self.order[len(self.order) - lost_blocks :]
        self.reference = self.reference.anew()
        self.decisions.forget_from(len(self.order) + 1)
        for block in self.order:
            self.reference.apply(block)
        for (author, record_id), told in self.acknowledged.items():
            if self.reference.facts.by_id.get((author, record_id)) != told.position:
                raise Violation(
                    "acknowledged-kept",
                    f"position {told.position}, acknowledged by {told.site}, left the order with {lost_blocks} blocks",
                )

    # -- ledgers ----------------------------------------------------------------------------------------------------------

    def sealed(self, site: str, batch: Batch) -> None:
        """A site applied these blocks and is about to flush them."""
        for result in batch.blocks:
            if result.number > len(self.reference.blocks):
                raise Violation("same-ledger", f"{site} applied block {result.number}, which nobody ordered")
            self._same(site, result, self.reference.blocks[result.number - 1])

    def _same(self, site: str, result: BlockResult, judged: Judged) -> None:
        mine = (
            result.refusal,
            result.size_after,
            result.root,
            tuple((one.refusal, tuple(map(tuple, one.outcomes))) for one in result.submissions),
            tuple((one.position, one.record.record_hash, one.author, one.link) for one in result.standing),
        )
        expected = (
            judged.refusal,
            judged.size_after,
            judged.root,
            tuple((refusal, tuple(map(tuple, outcomes))) for refusal, outcomes in judged.submissions),
            tuple((one.position, one.record.record_hash, one.author, one.link) for one in judged.standing),
        )
        if mine != expected:
            names = ("refusal", "size", "root", "outcomes", "standing records")
            differs = [name for name, one, other in zip(names, mine, expected, strict=True) if one != other]
            raise Violation(
                "same-ledger",
                f"{site} and the reference differ at block {result.number} in {', '.join(differs)}",
            )

    def _differs(self, words: str) -> None:
        raise Violation("permission-decision-equality", words)

    def _not_destroyed(self, words: str) -> None:
        raise Violation("destroyed-is-gone", words)

    def governed(self, site: str, state: LedgerState) -> None:
        """A site's life began, or it applied or adopted up to its block."""
        if state.block < len(self.reference.books):
            self.decisions.compare(site, state, self.reference)

    def committed(self, site: str, tip: Tip) -> None:
        """A flush is done."""
        self._tips[site] = tip
        self.flushed_ever[site] = max(self.flushed_ever[site], tip.block)
        self._heap.note(f"{site} flushed block {tip.block} size {tip.size}")

    def disk_changed(self, site: str, tip: Tip) -> None:
        """The site's disk was lost or rolled back: what it holds from now on."""
        self._tips[site] = tip
        self._cosigned.pop(site, None)
        self._quorum_block.pop(site, None)

    def disk_replaced(self, site: str, tip: Tip, others: Sequence[SiteHost]) -> None:
        """A new disk begins: its site may cosign nothing below what the others' disks remember of it."""
        self.disk_changed(site, tip)
        self.remembered(site, max((cosigned_by(other, site) for other in others), default=0))

    def ledger_changed(self, site: str, tip: Tip) -> None:
        """A site's ledger alone was lost, put back in time or altered. What its site may not cosign below from here on is what the others' disks remember of it
        (`remembered`): what nobody else kept cannot be known again."""
        self._tips[site] = tip
        self._quorum_block.pop(site, None)

    def remembered(self, site: str, size: int) -> None:
        """The largest size that another site's disk holds this site's cosignature under, as its own ledger is lost."""
        self._cosigned[site] = size

    def ledger_anew(self, site: str, tip: Tip) -> None:
        """A new ledger was put in place of the site's."""
        self._tips[site] = tip
        self._quorum_block.pop(site, None)

    def ledger_whole(self, site: str) -> None:
        """The site says that its ledger is whole again: it must be a beginning of the order, all of it."""
        tip = self._tips[site]
        if tip.frontier and merkle.Frontier(tip.size, tip.frontier).root() != self.reference.roots[tip.size]:
            raise Violation("same-ledger", f"{site} is whole again with another tree at {tip.size}")

    def composed(self, site: str, store: LedgerStore) -> None:
        """A life begins from this store."""
        expected = self._tips.get(site)
        if expected is not None and store.tip != expected:
            raise Violation(
                "flushed-is-kept", f"{site} flushed block {expected.block} and starts at {store.tip.block}"
            )

    # -- answers ----------------------------------------------------------------------------------------------------------

    def replied(self, site: str, data: bytes, reply: Reply) -> None:
        """A site answered a submission."""
        if reply.code is not None:
            self._refused_whole(site, data, reply.code)
            return
        try:
            submission = decode_submission(data)
        except Malformed:
            submission = None
        author = None if submission is None else self.reference.author_of(submission)
        if author is None or submission is None:
            raise Violation("answers-fit", f"{site} gave outcomes for what is no submission")
        sent = [record.record_hash for record in submission.records]
        if [outcome.record_hash for outcome in reply.outcomes] != sent:
            raise Violation("answers-fit", f"{site} answered other records than were sent")
        for record, outcome in zip(submission.records, reply.outcomes, strict=True):
            position = self.reference.facts.by_id.get((author, record.header.record_id))
            stands = position is not None and (
                self.reference.facts.stands[position].record.record_hash == record.record_hash
            )
            if outcome.code in STANDING_CODES:
                if not stands or position != outcome.position:
                    raise Violation(
                        "acknowledged-is-ordered",
                        f"{site} acknowledged position {outcome.position} and the order says {position}",
                    )
                name = (author, record.header.record_id)
                self.acknowledged[name] = Acknowledged(record.record_hash, outcome.position, site)
                self.acknowledged_size = max(self.acknowledged_size, outcome.position + 1)
            elif outcome.code is Code.HELD:
                self.held.add(record.record_hash)
            elif outcome.code is Code.NOT_PERMITTED:
                self.not_permitted.add(record.record_hash)
            elif is_final(outcome.code) and self._for_good(record, submission, reply):
                if stands:
                    raise Violation(
                        "final-is-final",
                        f"{site} said {outcome.code.name} of position {position}, which stands",
                    )
                self.told_final[record.record_hash] = outcome.code

    def _refused_whole(self, site: str, data: bytes, code: Code) -> None:
        """An act that was refused because of who signed it will never stand under these signatures, which are all that its record has in these worlds."""
        if code is not Code.NOT_AN_OFFICER:
            return
        (record,) = decode_submission(data).records
        if (OFFICERS, record.header.record_id) in self.reference.facts.by_id:
            raise Violation("final-is-final", f"{site} said {code.name} of an act that stands")
        self.told_final[record.record_hash] = code

    @staticmethod
    def _for_good(record: Record, submission: Submission, reply: Reply) -> bool:
        """GROUP_REFUSED is as final as the member of the group that caused it; every other final code is final by itself."""
        group = record.header.group
        codes = [
            outcome.code
            for other, outcome in zip(submission.records, reply.outcomes, strict=True)
            if other.record_hash == record.record_hash or other.header.group == group != ZERO16
        ]
        return any(is_final(code) and code is not Code.GROUP_REFUSED for code in codes)

    def read_begins(self) -> ReadBegun:
        """A linearizable read begins now."""
        return ReadBegun(self.acknowledged_size)

    def read_answered(self, begun: ReadBegun, site: str, store: LedgerStore, fact: tuple[str, bytes]) -> None:
        """The site answers the read of a fact from this store."""
        size = store.tip.size
        if size < begun.size:
            raise Violation(
                "reads-are-fresh",
                f"{site} answered a linearizable read at size {size} and {begun.size} was acknowledged before",
            )
        self._names_last_version(site, store, fact)

    def _names_last_version(self, site: str, store: LedgerStore, fact: tuple[str, bytes]) -> None:
        size = store.tip.size
        head = store.fact_head(*fact)
        stands = [
            stand.position
            for stand in self.reference.facts.stands[:size]
            if (stand.record.header.registry, stand.record.header.fact) == fact
        ]
        if (None if head is None else head.position) != (stands[-1] if stands else None):
            raise Violation("reads-are-fresh", f"{site} named another version than the last at size {size}")

    # -- checkpoints --------------------------------------------------------------------------------------------------------

    def cosigned(self, site: str, checkpoint: Checkpoint, store: LedgerStore, noted: Cosigned | None) -> None:
        """A cosignature of `site` leaves it; `store` and `noted` are what is on its disk."""
        size = checkpoint.size
        if store.tip.size < size or noted is None or noted.size < size:
            raise Violation(
                "cosigned-is-flushed",
                f"{site} cosigned {size}; {store.tip.size} records and the note of {noted.size if noted else 0} are on disk",
            )
        if self.reference.roots[size] != checkpoint.root:
            raise Violation(
                "cosigned-is-flushed", f"{site} cosigned a root that the order never had at {size}"
            )
        if size < self._cosigned.get(site, 0):
            raise Violation(
                "cosigned-never-smaller", f"{site} cosigned {self._cosigned[site]} and now {size}"
            )
        awaited = store.awaited(1)
        if awaited and awaited[0] < size and not self.destroyed.positions(store.tip.block, awaited):
            raise Violation("cosigned-is-flushed", f"{site} cosigned {size} and awaits a payload below it")
        self._cosigned[site] = size
        self._signed.setdefault((size, checkpoint.root), set()).add(site)

    def embassy_decides(self, site: str, cosigned: Cosigned, heard: Collection[str]) -> None:
        """A site without a vote is about to cosign a tree; `heard`: the sites that told it a short while ago how far they are."""
        sites, quorum = self.reference.book.receipt(cosigned.size)
        signed = self._signed.get((cosigned.size, cosigned.root), set()) - {site}
        if len(signed) >= 2 or len(signed & set(sites)) >= quorum:
            return
        if not signed or set(heard) - signed:
            raise Violation(
                "embassy-signs-last", f"{site} cosigns {cosigned.size} when only {sorted(signed)} signed it"
            )

    def noted(self, site: str, cosigned: Cosigned) -> None:
        """A site wrote down what it is about to cosign; a smaller note would let a next life cosign less than this one did."""
        if cosigned.size < self._cosigned.get(site, 0):
            raise Violation(
                "cosigned-never-smaller",
                f"{site} cosigned {self._cosigned[site]} and its disk now says {cosigned.size}",
            )

    def quorum(self, site: str, checkpoint: Checkpoint, block: int) -> None:
        """A site takes over a quorum's checkpoint."""
        sites, quorum = self.reference.book.receipt(checkpoint.size)
        signed = cosigners(checkpoint, {name: self._site_keys[name] for name in sites})
        if len(signed) < quorum:
            raise Violation("checkpoints-one-history", f"{site} took {len(signed)} cosignatures for a quorum")
        judged = self.reference.blocks[block - 1] if block <= len(self.reference.blocks) else None
        if judged is None or (judged.size_after, judged.root) != (checkpoint.size, checkpoint.root):
            raise Violation("checkpoints-one-history", f"{site} holds a checkpoint that is no block's end")
        if block < self._quorum_block.get(site, 0):
            raise Violation(
                "checkpoints-one-history",
                f"{site} went back from the quorum of block {self._quorum_block[site]} to that of {block}",
            )
        self._quorum_block[site] = block
        self.quorum_size = max(self.quorum_size, checkpoint.size)

    def new_life(self, site: str) -> None:
        """A site starts again, and its newest checkpoint is the one on its disk."""
        self._quorum_block.pop(site, None)

    # -- copies -------------------------------------------------------------------------------------------------------------

    def filled(self, site: str, store: LedgerStore, positions: Sequence[int]) -> None:
        """Payloads that were awaited came."""
        for position in positions:
            self._payload_is_signed(site, store, position)

    def local_read(self, site: str, store: LedgerStore, chance: random.Random) -> int:
        """A site answers a read of freshness LOCAL from this store: what it tells stands in the order at its size. Returns how many payloads it gave."""
        size = store.tip.size
        if not size:
            return 0
        position = chance.randrange(size)
        header = self.reference.facts.stands[position].record.header
        self._names_last_version(site, store, (header.registry, header.fact))
        return self._payload_is_signed(site, store, position)

    def _payload_is_signed(self, site: str, store: LedgerStore, position: int) -> int:
        payload, stand = store.record(position).payload, self.reference.facts.stands[position]
        if payload is not None and payload != stand.record.payload:
            raise Violation(
                "payload-as-signed", f"{site} serves another payload at position {position} than was signed"
            )
        return payload is not None and bool(payload)

    # -- trouble ------------------------------------------------------------------------------------------------------------

    def alarmed(self, site: str, alarm: Alarm | AlarmOver) -> None:
        """A site raised an alarm, or ended one."""
        if isinstance(alarm, AlarmOver):
            self._heap.faults[f"alarm {alarm.name} over"] += 1
            return
        self._heap.note(f"{site} alarm {alarm.name}")
        self._heap.faults[f"alarm {alarm.name}"] += 1
        if alarm.name in ("block-vanished", "own-block-refused") and not self.lost_blocks:
            raise Violation("no-false-alarm", f"{site}: {alarm.words}")
        if alarm.name == "clock-off" and not self.clock_was_off:
            raise Violation("no-false-alarm", f"{site}: {alarm.words}")

    # -- the end --------------------------------------------------------------------------------------------------------------

    def ledger_at_end(self, site: str, store: LedgerStore, head_in: HeadIn) -> None:
        """Compare a whole ledger, as its store gives it out, with the reference."""
        facts, tip = self.reference.facts, store.tip
        if (tip.block, tip.size) != (len(self.order), self.reference.size):
            raise Violation(
                "progress", f"{site} ends at block {tip.block} and the order at {len(self.order)}"
            )
        destroyed = self.destroyed.positions(len(self.order), range(tip.size))
        for kept, stand in zip(store.records(0, tip.size), facts.stands, strict=True):
            mine = (kept.position, kept.record_hash, kept.author, kept.link)
            if mine != (stand.position, stand.record.record_hash, stand.author, stand.link):
                raise Violation("same-ledger", f"{site} keeps another record at position {kept.position}")
            if kept.position in destroyed and kept.payload is not None:
                raise Violation(
                    "destroyed-is-gone", f"{site} still has the payload of position {kept.position}"
                )
            if kept.payload != stand.record.payload and kept.position not in destroyed:
                raise Violation("same-ledger", f"{site} keeps another payload at position {kept.position}")
        for judged, block in zip(self.reference.blocks, self.order, strict=True):
            self._same_block(site, store.block(judged.number), judged, block)
        for (author, record_id), told in self.acknowledged.items():
            if store.position_of_id(author, record_id) != told.position:
                raise Violation("acknowledged-kept", f"{site} does not have position {told.position}")
        self._proofs(site, store, tip.size)
        self._abroad(site, store)
        if words := false_head(store, facts.stands, head_in):
            raise Violation("heads-are-true", f"{site}: {words}")

    def _same_block(self, site: str, one: KeptBlock, judged: Judged, block: OrderedBlock) -> None:
        mine_of_block = (one.lane, one.seq, one.revision, one.size_after, one.refusal)
        if mine_of_block != (block.lane, block.seq, block.revision, judged.size_after, judged.refusal):
            raise Violation("same-ledger", f"{site} keeps another block {judged.number}")

    def hashes_standing(self) -> dict[bytes, int]:
        """Every record hash that stands, with its position."""
        return {stand.record.record_hash: stand.position for stand in self.reference.facts.stands}

    def _abroad(self, site: str, store: LedgerStore) -> None:
        """What a kept checkpoint says of who cosigned it is true: each line verifies, and that site gave its signature under this very tree."""
        for kept in store.newest_checkpoints(CHECKPOINTS_SEARCHED):
            checkpoint = decode_checkpoint(kept.note)
            signed = self._signed.get((checkpoint.size, checkpoint.root), set())
            named = {line.name for line in checkpoint.signatures}
            held = cosigners(checkpoint, self._site_keys).keys()
            if not named <= set(held) or not set(held) <= signed:
                raise Violation(
                    "abroad-is-true", f"{site} keeps cosignatures under {kept.size} that nobody gave"
                )
            self._heap.faults["kept checkpoint cosigned abroad"] += bool(named & self._abroad_sites)

    def _proofs(self, site: str, store: LedgerStore, size: int) -> None:
        chance = random.Random(size)
        roots = self.reference.roots
        for _ in range(6 if size else 0):
            new = chance.randint(1, size)
            old, position = chance.randint(0, new), chance.randrange(new)
            path = merkle.inclusion_proof(store.subtree, position, new)
            leaf = store.record_hash_at(position)
            if not merkle.verify_inclusion(leaf, position, new, path, roots[new]):
                raise Violation("proofs-hold", f"{site}: position {position} is not proven in size {new}")
            between = merkle.consistency_proof(store.subtree, old, new)
            if not merkle.verify_consistency(old, roots[old], new, roots[new], between):
                raise Violation("proofs-hold", f"{site}: size {old} is not proven to be a prefix of {new}")


def cosigned_by(host: SiteHost, site: str) -> int:
    """Size of the newest checkpoint that a host keeps, if it has the other site's cosignature."""
    keys = {site: host.around.checkers.site_keys(site)}
    for kept in host.disk.store.newest_checkpoints(CHECKPOINTS_SEARCHED):
        if cosigners(decode_checkpoint(kept.note), keys):
            return kept.size
    return 0
