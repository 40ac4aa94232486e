"""What the simulator found in product code, each as the few steps that show it. Without the mend each of these fails."""

from __future__ import annotations

from collections import deque

import pytest
from tests.simulation.acts_desk import ActsDesk
from tests.simulation.heap import EventHeap
from tests.simulation.people import Change, beginning, described, officer_signer
from tests.simulation.releases import release

from fresh_checkpoints import fresh_checkpoints
from genesis_builder import SITES, TestWorld, build_genesis, make_block, make_record, make_submission
from sento_node.announcing import announcement
from sento_node.intake.lanes import Append, Lanes
from sento_node.intake.queues import Waiting
from sento_node.ledger.apply import UnknownRules, apply_block
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.results import BlockResult
from sento_node.ledger.state import LedgerState
from sento_node.ordering.boot import (
    LocalDisk,
    PeerMemory,
    Refuse,
    Start,
    announcement_of,
    decide_boot,
    remember_boot,
)
from sento_node.ordering.port import BlockRemoved, OrderedBlock
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import (
    AnswerCosign,
    AskCosign,
    CheckpointEffect,
    ClockHeard,
    QuorumReached,
    TreeAt,
    WriteCosigned,
)
from sento_node.quorum.trimming import RetainedBlock
from sento_node.site import Site, SiteParts, TrimLog
from sento_proto.checkpoint import (
    Checkpoint,
    NoteSignature,
    cosign,
    merge_signatures,
    sign_note,
)
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis

HOME, SECOND, THIRD = SITES


def checkpoints_of(world: TestWorld, trees: list[TreeAt]) -> Checkpoints:
    """One site's checkpoints after it applied and flushed blocks that end in these trees."""
    governance = from_genesis(world.genesis)
    checkpoints = fresh_checkpoints(world, HOME)
    for tree in trees:
        checkpoints.applied(
            BlockResult(tree.block, tree.block + 1, "x/1/0", 1, HOME, tree.size, None, (), (), tree.root),
            governance,
        )
    checkpoints.flushed(trees[-1].block, 0, 0)
    return checkpoints


def proposal(world: TestWorld, site: str, tree: TreeAt) -> Checkpoint:
    """A checkpoint that a site proposes."""
    bare = Checkpoint(world.ledger_id, 0, tree.size, tree.root)
    return bare._replace(signatures=(sign_note(bare, site, world.site_signers[site]),))


def line_of(world: TestWorld, site: str, checkpoint: Checkpoint) -> NoteSignature:
    """A site's cosignature."""
    return cosign(checkpoint, site, world.site_signers[site], 1)


def quorum_of(world: TestWorld, tree: TreeAt) -> Checkpoint:
    """A checkpoint that two sites cosigned."""
    checkpoint = proposal(world, SECOND, tree)
    return merge_signatures(checkpoint, [line_of(world, site, checkpoint) for site in (SECOND, THIRD)])


def tree(block: int) -> TreeAt:
    """The tree after a block that added two records."""
    return TreeAt(block, 2 * block, bytes([block]) * 32)


def test_an_append_that_fails_after_its_block_was_seen_and_covered_asks_for_nothing_more() -> None:
    world = build_genesis()
    lanes = Lanes(
        ledger_id=world.ledger_id, epoch=0, site=HOME, boot_number=1, count=1, signer=world.site_signers[HOME]
    )
    record = make_record(world, "kaga-city", "residency", "address", bytes(31) + b"s", bytes(16))
    lanes.queues.offer(Waiting(1, "kaga-city", make_submission(world, "kaga-city", [record])))
    (append,) = lanes.start_blocks()
    lanes.seen(append.lane, append.seq, append.data, 1)
    assert lanes.append_failed(append.lane, append.seq) == (None, None)
    lanes.covered(1)
    assert lanes.append_failed(append.lane, append.seq) == (None, None)


def test_an_append_that_fails_before_its_block_was_seen_is_tried_again() -> None:
    world = build_genesis()
    lanes = Lanes(
        ledger_id=world.ledger_id, epoch=0, site=HOME, boot_number=1, count=1, signer=world.site_signers[HOME]
    )
    record = make_record(world, "kaga-city", "residency", "address", bytes(31) + b"s", bytes(16))
    lanes.queues.offer(Waiting(1, "kaga-city", make_submission(world, "kaga-city", [record])))
    (append,) = lanes.start_blocks()
    assert lanes.append_failed(append.lane, append.seq) == (Append(append.lane, 1, append.data), None)


def test_a_smaller_checkpoint_is_refused_while_the_note_of_a_larger_one_is_on_its_way_to_the_disk() -> None:
    world = build_genesis()
    checkpoints = checkpoints_of(world, [tree(1), tree(2)])
    larger = checkpoints.cosign_request(1, SECOND, proposal(world, SECOND, tree(2)), 2, 10)
    assert [type(effect) for effect in larger] == [WriteCosigned]
    smaller = checkpoints.cosign_request(2, THIRD, proposal(world, THIRD, tree(1)), 1, 10)
    assert smaller == [AnswerCosign(2, (), Code.STALE)]


def propose(checkpoints: Checkpoints, now_ms: int) -> Checkpoint:
    """Let the site propose, and write down what it cosigns."""
    checkpoints.is_lead = True
    (write,) = checkpoints.tick(now_ms, 0)
    assert isinstance(write, WriteCosigned)
    asks = [one for one in checkpoints.cosigned_written(write.cosigned, 0) if isinstance(one, AskCosign)]
    return asks[0].checkpoint


def test_a_site_does_not_go_back_to_its_own_quorum_when_anothers_newer_one_came_first() -> None:
    world = build_genesis()
    checkpoints = checkpoints_of(world, [tree(1)])
    own = propose(checkpoints, 2_000)
    later = tree(2)
    checkpoints.applied(
        BlockResult(2, 3, "x/1/0", 2, HOME, later.size, None, (), (), later.root), from_genesis(world.genesis)
    )
    checkpoints.flushed(2, 2_100, 0)
    checkpoints.published(quorum_of(world, later), 2, 2_200)
    effects: list[CheckpointEffect] = [
        effect
        for effect in checkpoints.cosign_reply(SECOND, 2, [line_of(world, SECOND, own)], 0)
        if not isinstance(effect, ClockHeard)
    ]
    assert effects == []
    assert checkpoints.quorum == later


def site_with(world: TestWorld, checkpoints: Checkpoints, blocks: list[RetainedBlock]) -> Site:
    """A site whose log holds these blocks."""
    store = MemoryStore(MemoryDisk(world.ledger_id))
    state = LedgerState(from_genesis(world.genesis), store, store.tip)
    lanes = Lanes(
        ledger_id=world.ledger_id, epoch=0, site=HOME, boot_number=1, count=1, signer=world.site_signers[HOME]
    )
    return Site(SiteParts(state, lanes, checkpoints, deque(blocks)))


def block_at(number: int) -> RetainedBlock:
    """A block of one lane."""
    return RetainedBlock(number, number + 1, f"{HOME}/1/0", number, 1_000)


def test_nothing_is_trimmed_before_a_quorum_of_disks_holds_a_checkpoint_that_proves_it() -> None:
    world = build_genesis()
    checkpoints = checkpoints_of(world, [tree(1)])
    site = site_with(world, checkpoints, [block_at(1), block_at(2)])
    own = propose(checkpoints, 2_000)
    first = site.cosign_reply(SECOND, 2, [line_of(world, SECOND, own)], 1, 2_050, 0, 0)
    assert [type(effect) for effect in first] == [QuorumReached]
    later = tree(2)
    checkpoints.applied(
        BlockResult(2, 3, "x/1/0", 2, HOME, later.size, None, (), (), later.root), from_genesis(world.genesis)
    )
    checkpoints.flushed(2, 2_900, 0)
    own = propose(checkpoints, 3_100)
    second = site.cosign_reply(SECOND, 4, [line_of(world, SECOND, own)], 2, 3_150, 1, 0)
    assert [effect.trim.through_block for effect in second if isinstance(effect, TrimLog)] == [1]


def test_blocks_that_a_former_life_saw_trimmed_are_not_kept_in_mind_for_ever() -> None:
    world = build_genesis()
    checkpoints = checkpoints_of(world, [tree(1), tree(2), tree(3)])
    site = site_with(world, checkpoints, [block_at(1), block_at(2), block_at(3)])
    site.removed(BlockRemoved(9, f"{HOME}/1/0", 2), 0)
    assert [block.number for block in site._retained] == [3]


def test_a_refused_site_stays_refused_however_often_it_is_started() -> None:
    life, numbered = b"a life of sixteen", 1
    remembered, _ = remember_boot(None, numbered, life)
    own, copy, unconfirmed = 0, 0, None
    for start in range(5):
        disk = LocalDisk(
            own, copy, member_started=False, member_has_data=False, ledger_size=0, cosigned_size=0
        )
        announced, judged = announcement_of(disk, unconfirmed, bytes([start]) * 16)
        own = copy = announced.boot_number
        unconfirmed = announced
        remembered, before = remember_boot(remembered, *announced)
        answers = {SECOND: PeerMemory(before, 0)}
        decision = decide_boot(judged, announced.boot_number, answers, frozenset({SECOND, THIRD}))
        assert isinstance(decision, Refuse), f"start {start} was allowed"


def test_a_boot_that_nobody_confirmed_is_announced_again_and_starts_when_somebody_does() -> None:
    disk = LocalDisk(4, 4, member_started=True, member_has_data=True, ledger_size=0, cosigned_size=0)
    first, _ = announcement_of(disk, None, b"1" * 16)
    remembered, _ = remember_boot(None, 4, b"0" * 16)
    remembered, _ = remember_boot(remembered, *first)
    raised = disk._replace(boot_number=5, ordering_boot_number=5)
    again, judged = announcement_of(raised, first, b"2" * 16)
    assert again == first
    _, before = remember_boot(remembered, *again)
    decision = decide_boot(judged, again.boot_number, {SECOND: PeerMemory(before, 0)}, frozenset({SECOND}))
    assert decision == Start(5)


class OfficersLedger:
    """A ledger under rules 2 in one site's hands, with officers who sign what they are told to."""

    def __init__(self) -> None:
        self.world = beginning(SITES, 2).world
        self.desk = ActsDesk(EventHeap(1), SITES, 0)
        self.store = MemoryStore(MemoryDisk(self.world.ledger_id))
        self.state = LedgerState(from_genesis(self.world.genesis), self.store, self.store.tip)

    def order(self, submissions: list[bytes]) -> BlockResult:
        """One block, applied and flushed."""
        number = self.state.block + 1
        data = make_block(self.world, HOME, submissions, number, epoch=0)
        result = apply_block(self.state, OrderedBlock(number, number + 1, f"{HOME}/1/0", number, data))
        batch = self.state.seal_batch()
        assert batch is not None
        self.store.commit(batch)
        self.state.batch_flushed()
        return result

    def announce_all(self) -> None:
        """Every site says which rules it knows."""
        signers = self.world.site_signers
        said = [
            announcement(self.state, site, signers[site], "new", self.world.numbers.record_id(), 1)
            for site in SITES
        ]
        self.order(said)


def test_a_site_started_again_with_an_old_release_says_which_one_it_needs_and_not_that_its_disk_is_damaged() -> (
    None
):
    ledger = OfficersLedger()
    ledger.announce_all()
    raised: Change = {"do": "set-rules", "rules": 3}
    for changes in ([raised], [ledger.desk.seal_key_change()]):
        governance = ledger.state.governance
        act = ledger.desk.record(governance, changes)
        ledger.order([ledger.desk.sign(governance, act, ledger.desk.signers(governance))])
    assert governance_of(ledger.world.genesis, ledger.store) == ledger.state.governance
    with release(old=True), pytest.raises(UnknownRules, match="install a release that lists rules 3"):
        governance_of(ledger.world.genesis, ledger.store)


def test_an_act_that_arrives_before_the_one_that_put_its_officer_into_office_is_not_refused_for_good() -> (
    None
):
    ledger = OfficersLedger()
    desk, governance = ledger.desk, ledger.state.governance
    newcomer = officer_signer("oda")
    enrol: Change = {"do": "enrol-officer", "officer": {"name": "oda", "key": described(newcomer)}}
    threshold: Change = {"do": "set-threshold", "threshold": 4}
    signers = desk.signers(governance)
    first = desk.record(governance, [enrol, threshold])
    second = desk.record(governance, [desk.seal_key_change()], previous=first.record_hash)
    early = desk.sign(governance, second, [*signers, newcomer])
    (refused,) = ledger.order([early]).submissions
    assert refused.refusal is Code.PREDECESSOR_MISSING
    ledger.order([desk.sign(governance, first, signers)])
    (stands,) = ledger.order([early]).submissions
    assert [outcome.code for outcome in stands.outcomes] == [Code.ACCEPTED]


def test_an_act_under_the_key_of_somebody_never_in_office_that_follows_what_stands_is_refused_for_good() -> (
    None
):
    ledger = OfficersLedger()
    governance = ledger.state.governance
    act = ledger.desk.record(governance, [ledger.desk.seal_key_change()])
    stranger = officer_signer("ueno")
    data = ledger.desk.sign(governance, act, [*ledger.desk.signers(governance), stranger])
    (refused,) = ledger.order([data]).submissions
    assert refused.refusal is Code.NOT_AN_OFFICER
