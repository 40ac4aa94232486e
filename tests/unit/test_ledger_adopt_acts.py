"""Adoption of another site's blocks follows officers' acts as apply does, and takes no chunk in which one was forged, left out or signed by too few."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from acts import enrol_author, enrol_key, governed, permit, set_receipt_set, set_rules, set_threshold
from genesis_builder import SITES, TestWorld, act_content, ed25519, hybrid, make_act, make_submission
from governed_story import WHOLE_STORY, story_world
from ledger_driver import LedgerDriver
from sento_node.ledger.adopt import NotProven, OfferedBlock, OfferedRecord, OfferedSubmission, adopt_chunk
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import BlockResult
from sento_node.ledger.state import LedgerState
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis
from sento_proto.keys import Signature
from sento_proto.submission import OfficerSignature, decode_submission

CITY = "iizuka-city"


def empty_state(world: TestWorld) -> LedgerState:
    disk = MemoryDisk(world.ledger_id)
    return LedgerState(from_genesis(world.genesis), MemoryStore(disk), disk.tip)


def offered(result: BlockResult) -> OfferedBlock:
    """The block as a peer that applied it offers it."""
    records = {(item.submission, item.nth): item.record for item in result.standing}
    submissions = []
    for number, told in enumerate(result.submissions):
        given = []
        for nth, outcome in enumerate(told.outcomes):
            record = records.get((number, nth))
            header, payload = (record.header_bytes, record.payload) if record is not None else (b"", b"")
            given.append(OfferedRecord(outcome.record_hash, outcome.code, outcome.position, header, payload))
        submissions.append(
            OfferedSubmission(
                told.refusal, told.author_key_id, told.signatures, tuple(given), told.officers, told.epoch
            )
        )
    return OfferedBlock(
        result.number, result.revision, result.lane, result.seq, result.site, result.size_before, result.refusal, tuple(submissions)
    )  # fmt: skip


def checkpoint_of(driver: LedgerDriver, sites: Sequence[str] = SITES[:2]) -> Checkpoint:
    return decode_checkpoint(driver.checkpoint(sites).note)


def test_a_long_story_adopted_chunk_by_chunk_gives_an_equal_governance_and_equal_blocks() -> None:
    world = story_world("adopted", 2)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    state = empty_state(world)
    results: list[BlockResult] = []
    for part in WHOLE_STORY:
        for block in part(driver):
            results.append(driver.order(block))
            if len(results) == 4:
                assert adopt_chunk(state, [offered(one) for one in results], checkpoint_of(driver)) == results
                assert state.governance == driver.governance
                results = []
    adopt_chunk(state, [offered(one) for one in results], checkpoint_of(driver))
    assert (state.governance, state.tip) == (driver.governance, driver.state.tip)


def test_a_whole_story_is_adopted_in_one_chunk_too() -> None:
    world = story_world("adopted", 2)
    driver = LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))
    blocks = [offered(driver.order(block)) for part in WHOLE_STORY for block in part(driver)]
    state = empty_state(world)
    adopt_chunk(state, blocks, checkpoint_of(driver))
    assert state.governance == driver.governance


class Chunk:
    """Three blocks: an act that lets the city write health, what it wrote there, a second act."""

    def __init__(self) -> None:
        self.driver = driver = governed()
        self.results = [
            driver.order([driver.act_bytes(permit(CITY, "write", ("health", "")))]),
            driver.order([make_submission(driver.world, CITY, [driver.record("a", registry="health")])]),
            driver.order([driver.act_bytes(set_threshold(3))]),
        ]
        self.blocks = [offered(result) for result in self.results]

    def with_act(self, change: Callable[[OfferedSubmission], OfferedSubmission], block: int = 0) -> None:
        submissions = self.blocks[block].submissions
        self.blocks[block] = self.blocks[block]._replace(
            submissions=(change(submissions[0]), *submissions[1:])
        )

    def refused(self, why: str, checkpoint: Checkpoint | None = None) -> None:
        """Not adopted, with the state as it was."""
        state = empty_state(self.driver.world)
        before, tip = state.governance, state.tip
        with pytest.raises(NotProven, match=why):
            adopt_chunk(state, self.blocks, checkpoint or checkpoint_of(self.driver))
        assert (state.governance, state.tip) == (before, tip)


def forged_act(driver: LedgerDriver, *officers: OfficerSignature) -> OfferedSubmission:
    """An act that nobody decided, under signatures that somebody has at hand."""
    record = decode_submission(
        make_act(driver.world, act_content(enrol_author("mallory", ed25519("m"))), epoch=0)
    ).records[0]
    given = OfferedRecord(record.record_hash, Code.ACCEPTED, 0, record.header_bytes, b"")
    return OfferedSubmission(None, bytes(16), (), (given,), officers, 0)


def test_the_untouched_chunk_is_adopted() -> None:
    chunk = Chunk()
    state = empty_state(chunk.driver.world)
    assert adopt_chunk(state, chunk.blocks, checkpoint_of(chunk.driver)) == chunk.results
    assert state.governance == chunk.driver.governance


def test_an_act_that_the_signatures_are_not_of_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.with_act(lambda good: forged_act(chunk.driver, *good.officers))
    chunk.refused("an act that officers did not sign")


def test_an_act_of_another_epoch_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.with_act(lambda good: good._replace(epoch=1))
    chunk.refused("an act that officers did not sign")


def test_an_act_with_a_signature_short_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.with_act(lambda good: good._replace(officers=good.officers[:1]))
    chunk.refused("may not stand: TOO_FEW_OFFICERS")


def test_an_act_without_any_signature_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.with_act(lambda good: good._replace(officers=()))
    chunk.refused("an act that officers did not sign")


def test_an_act_with_a_spoilt_signature_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.with_act(
        lambda good: good._replace(
            officers=(good.officers[0]._replace(signature=Signature(1, bytes(64))), good.officers[1])
        )
    )
    chunk.refused("an act that officers did not sign")


def test_a_chunk_from_which_an_act_was_left_out_is_not_adopted() -> None:
    chunk = Chunk()
    chunk.blocks[0] = chunk.blocks[0]._replace(submissions=())
    chunk.refused("does not follow|out of its position")


def test_an_act_called_refused_that_stands_is_not_left_out_unseen() -> None:
    """Sizes put right and the next record moved up: the act it follows is missing, and the tree is another one."""
    chunk = Chunk()
    moved = [chunk.blocks[0]._replace(submissions=())]
    for number, block in enumerate(chunk.blocks[1:]):
        record = block.submissions[0].records[0]._replace(position=number)
        moved.append(
            block._replace(
                size_before=number, submissions=(block.submissions[0]._replace(records=(record,)),)
            )
        )
    chunk.blocks = moved
    chunk.refused("may not stand: PREDECESSOR_MISSING")
    chunk.blocks = moved[:2]
    chunk.refused("not the one that the quorum cosigned")


def test_two_acts_that_changed_places_are_not_adopted() -> None:
    chunk = Chunk()
    first, third = chunk.blocks[0].submissions[0], chunk.blocks[2].submissions[0]
    at = [first.records[0].position, third.records[0].position]
    chunk.with_act(lambda _: third._replace(records=(third.records[0]._replace(position=at[0]),)))
    chunk.with_act(lambda _: first._replace(records=(first.records[0]._replace(position=at[1]),)), block=2)
    chunk.refused("may not stand: PREDECESSOR_MISSING")


def test_a_signature_that_a_companion_belongs_to_is_not_stripped_on_the_way() -> None:
    driver = governed(rules=3)
    both = hybrid("city")
    results = [driver.order([driver.act_bytes(enrol_key(CITY, both))])]
    driver.world.other_signers[CITY] = both
    results.append(driver.order([make_submission(driver.world, CITY, [driver.record("a")])]))
    blocks = [offered(result) for result in results]
    told = blocks[1].submissions[0]
    blocks[1] = blocks[1]._replace(submissions=(told._replace(signatures=told.signatures[:1]),))
    with pytest.raises(NotProven, match="whose author did not sign it"):
        adopt_chunk(empty_state(driver.world), blocks, checkpoint_of(driver))


def test_the_receipt_set_that_an_act_in_the_chunk_made_judges_the_chunks_end() -> None:
    driver = governed()
    blocks = [offered(driver.order([driver.act_bytes(set_receipt_set(SITES[:2], 2))]))]
    with pytest.raises(NotProven, match="no quorum"):
        adopt_chunk(empty_state(driver.world), blocks, checkpoint_of(driver, SITES[1:]))
    adopt_chunk(empty_state(driver.world), blocks, checkpoint_of(driver, SITES[:2]))


def test_a_chunk_that_goes_on_under_unknown_rules_stops_in_words_and_is_not_adopted() -> None:
    driver = governed()
    blocks = [offered(driver.order([driver.announcement(site, [2, 77])])) for site in SITES]
    blocks.append(offered(driver.order([driver.act_bytes(set_rules(77))])))
    checkpoint = checkpoint_of(driver)
    state = empty_state(driver.world)
    beyond = blocks[-1]._replace(number=5, revision=99, size_before=4, submissions=())
    with pytest.raises(UnknownRules, match="rules 77"):
        adopt_chunk(state, [*blocks, beyond], checkpoint)
    assert state.size == 0
    adopt_chunk(state, blocks, checkpoint)
    assert state.governance == driver.governance
