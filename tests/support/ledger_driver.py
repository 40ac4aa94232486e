"""Drives a ledger for tests: orders blocks as one log would, applies them, flushes when told, and looks at everything a store answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from genesis_builder import (
    OFFICERS,
    SITES,
    TestWorld,
    act_content,
    make_act,
    make_block,
    make_record,
    make_submission,
)
from sento_node.ledger.apply import apply_block
from sento_node.ledger.replay import governance_of
from sento_node.ledger.results import BlockResult, RecordOutcome
from sento_node.ledger.state import Batch, LedgerState
from sento_node.ledger.store import KeptCheckpoint, LedgerStore
from sento_node.ordering.port import OrderedBlock
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint, sign_note
from sento_proto.errors import Code
from sento_proto.governance.acts import REGISTRY, Judgement, judge_act
from sento_proto.governance.site_rules import SiteRules, site_rules_header, subject_of_site
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16, ZERO32
from sento_proto.merkle import root_of
from sento_proto.record import Record
from sento_proto.record import make_record as record_without_payload
from sento_proto.submission import sign_submission

LANE = f"{SITES[0]}/1/0"


def subject(name: str) -> bytes:
    """A subject's pseudonym."""
    return hashlib.sha256(b"subject " + name.encode()).digest()


def fact(name: str) -> bytes:
    """A fact's name."""
    return hashlib.sha256(b"fact " + name.encode()).digest()[:16]


class LedgerDriver:
    """One site's ledger over a store. Blocks come from `SITES[0]` on one lane unless made elsewhere."""

    def __init__(self, world: TestWorld, store: LedgerStore) -> None:
        self.world = world
        self.store = store
        self.state = LedgerState(governance_of(world.genesis, store), store, store.tip, store.window())
        self.seq = store.tip.block

    def order(self, submissions: Sequence[bytes], data: bytes | None = None, lane: str = LANE) -> BlockResult:
        """Order a block of these submissions, or of these bytes, and apply it."""
        self.seq += 1
        if data is None:
            data = make_block(self.world, SITES[0], submissions, self.seq, epoch=self.state.epoch)
        number = self.state.block + 1
        return apply_block(self.state, OrderedBlock(number, self.state.revision + 2, lane, self.seq, data))

    def write(self, records: Sequence[Record], author: str = "iizuka-city") -> tuple[RecordOutcome, ...]:
        """One submission in one block; its outcomes."""
        return self.order([make_submission(self.world, author, records)]).submissions[0].outcomes

    def codes(self, records: Sequence[Record], author: str = "iizuka-city") -> list[Code]:
        """The outcomes' codes of one submission in one block."""
        return [outcome.code for outcome in self.write(records, author)]

    def record(
        self,
        fact_name: str,
        *,
        previous: bytes = ZERO32,
        about: str | None = None,
        author: str = "iizuka-city",
        registry: str = "residency",
        content: bytes | None = None,
        compartment: str = "",
        record_id: bytes | None = None,
        group: bytes = ZERO16,
        key_epoch: int = 1,
    ) -> Record:
        """A record of a fact, by default about a subject of the same name and without payload."""
        return make_record(
            self.world, author, registry, "address", subject(about or fact_name), fact(fact_name), previous, content,
            record_id, compartment, group=group, key_epoch=key_epoch,
        )  # fmt: skip

    # -- governance -------------------------------------------------------------------------------------------------

    @property
    def governance(self) -> Governance:
        """In force for the next record."""
        return self.state.governance

    def act_bytes(
        self,
        *changes: Mapping[str, object],
        officers: Sequence[str] = OFFICERS[:2],
        previous: bytes | None = None,
    ) -> bytes:
        """An act that follows the newest one, or the one given."""
        return make_act(
            self.world,
            act_content(*changes),
            officers,
            previous=self.governance.last_act if previous is None else previous,
            epoch=self.state.epoch,
        )

    def act(
        self,
        *changes: Mapping[str, object],
        officers: Sequence[str] = OFFICERS[:2],
        previous: bytes | None = None,
    ) -> Code:
        """What an act comes to that follows the newest one, or the one given, in a block of its own."""
        return code_of(self.order([self.act_bytes(*changes, officers=officers, previous=previous)]))

    def judged(self, *changes: Mapping[str, object]) -> Judgement:
        """What such an act would come to, with the words of a refusal."""
        signers = [self.world.officer_signers[name].public_key.key_id for name in OFFICERS[:2]]
        return judge_act(self.governance, act_content(*changes), signers, self.state.size)

    def announce(self, site: str, rules: Sequence[int], **fields: object) -> Code:
        """What a site's announcement comes to; `fields`: the header's, set otherwise than an announcement's may be."""
        return code_of(self.order([self.announcement(site, rules, **fields)]))

    def announcement(self, site: str, rules: Sequence[int], **fields: object) -> bytes:
        """A site's announcement that follows its last one."""
        head = self.state.fact_head(REGISTRY, subject_of_site(site)[:16])
        signer = self.world.site_signers[site]
        header = site_rules_header(
            self.world.numbers.record_id(),
            signer.public_key.key_id,
            self.world.numbers.next_time_ms(),
            SiteRules(site, tuple(rules), "0.4.0"),
            ZERO32 if head is None else head.record_hash,
        )
        record = record_without_payload(header._replace(**fields), b"")  # type: ignore[arg-type]
        return sign_submission(self.world.ledger_id, [record], signer)

    def fill(
        self, count: int, *, prefix: str = "fill", content: bytes | None = None, per_block: int = 200
    ) -> None:
        """Write `count` new facts, each about a subject of its own."""
        for start in range(0, count, per_block):
            names = [f"{prefix}-{at}" for at in range(start, min(start + per_block, count))]
            assert set(self.codes([self.record(name, content=content) for name in names])) == {Code.ACCEPTED}

    def flush(self) -> Batch | None:
        """Commit what is pending."""
        batch = self.state.seal_batch()
        if batch is not None:
            self.store.commit(batch)
            self.state.batch_flushed()
        return batch

    def checkpoint(self, cosigners: Sequence[str] = SITES[:2]) -> KeptCheckpoint:
        """The checkpoint at the state's end, cosigned."""
        return signed_checkpoint(self.world, self.state, cosigners)


def code_of(result: BlockResult, submission: int = 0) -> Code:
    """What one submission of one record came to."""
    told = result.submissions[submission]
    return told.refusal or told.outcomes[0].code


def signed_checkpoint(
    world: TestWorld, state: LedgerState, cosigners: Sequence[str], root: bytes | None = None
) -> KeptCheckpoint:
    """A checkpoint at the state's end, or with another root, under the cosignatures of these sites."""
    bare = Checkpoint(world.ledger_id, state.epoch, state.size, root or state.frontier.root())
    lines = [sign_note(bare, SITES[0], world.site_signers[SITES[0]])]
    lines += [cosign(bare, site, world.site_signers[site], 1_767_225_600) for site in cosigners]
    return KeptCheckpoint(state.size, state.block, encode_checkpoint(bare._replace(signatures=tuple(lines))))


def everything(store: LedgerStore) -> dict[str, object]:
    """All that a store answers about what is flushed, to compare two stores or two lives of one."""
    records = list(store.records(0, store.tip.size))
    return {
        "tip": store.tip,
        "records": records,
        "blocks": [store.block(number) for number in range(1, store.tip.block + 1)],
        "positions": [store.position_of_hash(record.record_hash) for record in records],
        "root": root_of(record.record_hash for record in records),
        "checkpoint": store.checkpoint(),
    }
