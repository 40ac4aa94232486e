"""Head statements of a node: true ones at a quorum checkpoint's size, and no signature where the disk does not fit together or nobody cosigned."""

from __future__ import annotations

import itertools

import pytest

from bare_node import BareNode
from ledger_driver import LedgerDriver, signed_checkpoint, subject
from lone_runner import SITE
from sento_node import bounds
from sento_node.compose import REBUILDING
from sento_node.ledger import reading
from sento_node.ledger.findings import INDEX, Finding, Kind
from sento_node.ledger.store import KeptRecord, LedgerDamaged
from sento_node.quorum.effects import TreeAt
from sento_node.scrub.scrubber import FENCED
from sento_node.service.heads import Heads, Pace
from sento_node.site import PAYLOADS_AWAITED
from sento_proto.chain import link_over
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.errors import Code, SentoError
from sento_proto.head_statement import NO_HEAD, Head, HeadStatement, decode_statement, statement_holds
from sento_proto.merkle import root_of
from sento_proto.software_signers import MlDsa44Signer

ABOUT = ["a", "b", "a", "a", "c", "b", "a"]


class Place:
    """A node with seven records, a quorum checkpoint at the sizes 3 and 6, and one record behind."""

    def __init__(self) -> None:
        self.bare = BareNode()
        world, self.store = self.bare.lone.world, self.bare.lone.store
        driver = LedgerDriver(world, self.store)
        for n, about in enumerate(ABOUT):
            driver.codes([driver.record(f"fact {n}", about=about)])
            driver.flush()
            if driver.state.size in (3, 6):
                self.store.put_checkpoint(signed_checkpoint(world, driver.state, [SITE]))
        self.signers = SiteSigners(world.site_signers[SITE])
        self.bare.state.signers = self.signers
        self.heads = Heads(self.bare.state)

    async def said(self, about: str, size: int = 0, registry: str = "residency") -> HeadStatement:
        return decode_statement(await self.heads.statement(registry, subject(about), size))

    def truth(self, about: str, size: int) -> Head:
        hashes = {n: self.store.record_hash_at(n) for n in range(size) if ABOUT[n] == about}
        return Head(max(hashes), link_over(hashes.values())) if hashes else NO_HEAD


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize(("size", "about"), list(itertools.product((3, 6), "abcd")))
async def test_the_word_at_a_checkpoints_size_is_the_truth_about_that_tree(
    place: Place, size: int, about: str
) -> None:
    said = await place.said(about, size)
    assert said.head == place.truth(about, size)
    assert (said.site, said.size, said.registry) == (SITE, size, "residency")
    assert said.root == root_of(place.store.record_hash_at(n) for n in range(size))
    assert statement_holds(said, place.signers.keys)


async def test_without_a_size_it_is_the_newest_checkpoints(place: Place) -> None:
    assert await place.said("a") == await place.said("a", 6)


async def test_another_registry_is_another_chain(place: Place) -> None:
    assert (await place.said("a", registry="tax")).head == NO_HEAD


@pytest.mark.parametrize(("size", "code"), [(7, Code.NOT_FOUND), (4, Code.NOT_FOUND), (8, Code.OUT_OF_RANGE)])
async def test_no_word_where_no_quorum_cosigned_or_the_ledger_does_not_reach(
    place: Place, size: int, code: Code
) -> None:
    with pytest.raises(SentoError) as error:
        await place.said("a", size)
    assert error.value.code is code


async def test_a_checkpoint_that_thinning_dropped_a_moment_ago_is_still_known() -> None:
    place = Place()
    async with place.bare.lone.running() as runner:
        place.bare.state.runner = runner
        recent = TreeAt(4, 4, reading.root_at(place.store, 4))
        runner.site.checkpoints.recent_quorums.append(recent)
        said = await place.said("a", 4)
        assert (said.size, said.head) == (4, place.truth("a", 4))


async def test_a_site_with_two_keys_signs_with_both(place: Place) -> None:
    second = MlDsa44Signer(b"m" * 32)
    place.bare.state.signers = SiteSigners(place.signers.ed25519, second)
    said = await place.said("a", 3)
    assert statement_holds(said, SiteKeys(place.signers.ed25519.public_key, second.public_key))


async def test_before_the_key_files_are_read_nothing_is_said(place: Place) -> None:
    place.bare.state.signers = None
    with pytest.raises(SentoError, match="NOT_READY"):
        await place.said("a", 3)


async def test_a_root_that_is_not_the_quorums_is_not_signed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "root_at", lambda _store, _size: bytes(32))
    with pytest.raises(LedgerDamaged, match="do not make the tree"):
        await place.said("a", 3)


@pytest.mark.parametrize("hurt", ["link", "subject", "before"])
async def test_what_does_not_fit_together_on_disk_is_not_signed(
    place: Place, monkeypatch: pytest.MonkeyPatch, hurt: str
) -> None:
    whole = place.store.record

    def record(position: int, *, with_payload: bool = True) -> KeptRecord:
        kept = whole(position, with_payload=with_payload)
        if hurt == "link" and position == 3:
            return kept._replace(link=bytes(32))
        if hurt == "before" and position == 2:
            return kept._replace(link=bytes(32))
        if hurt == "subject" and position == 3:
            return kept._replace(header_bytes=whole(4).header_bytes)
        return kept

    monkeypatch.setattr(place.store, "record", record)
    with pytest.raises(LedgerDamaged, match="does not fit together"):
        await place.said("a", 6)


async def test_the_walk_back_from_the_newest_record_is_bounded(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "STEPS_MAX", 2)
    assert (await place.said("b", 3)).head == place.truth("b", 3)
    with pytest.raises(SentoError) as error:
        await place.said("a", 3)
    assert error.value.code is Code.OUT_OF_RANGE


def test_the_pace_lets_a_burst_through_then_makes_wait_then_refuses() -> None:
    pace = Pace(burst_ms=10, patience_ms=6)
    waits = [pace.wait_ms(1_000, 2) for _ in range(9)]
    assert waits == [0, 0, 0, 0, 0, 0, 2, 4, 6]
    for _ in range(3):
        with pytest.raises(SentoError) as error:
            pace.wait_ms(1_000, 2)
        assert error.value.code is Code.RATE_LIMITED
        assert "ask again in 2 ms" in error.value.detail
    assert pace.wait_ms(1_002, 2) == 6, "who was refused took no place"
    assert pace.wait_ms(5_000, 2) == 0


async def test_a_node_that_is_asked_for_too_many_statements_at_once_refuses(place: Place) -> None:
    many = (bounds.HEAD_BURST_MS + bounds.HEAD_PATIENCE_MS) // bounds.HEAD_EVERY_MS
    place.heads._pace = replace_taken(
        place.heads._pace, place.bare.clock.now_ms() + many * bounds.HEAD_EVERY_MS + 1
    )
    with pytest.raises(SentoError, match="RATE_LIMITED"):
        await place.said("a", 3)


async def test_a_site_with_two_keys_has_a_slower_pace(place: Place) -> None:
    place.bare.state.signers = SiteSigners(place.signers.ed25519, MlDsa44Signer(b"m" * 32))
    await place.said("a", 3)
    taken_ms = place.heads._pace._taken_until_ms - place.bare.clock.now_ms()
    assert taken_ms == bounds.HEAD_ML_DSA_EVERY_MS > bounds.HEAD_EVERY_MS


@pytest.mark.parametrize("reason", [FENCED, REBUILDING])
async def test_a_site_that_knows_its_ledger_may_be_wrong_says_nothing_until_it_is_whole(reason: str) -> None:
    place = Place()
    async with place.bare.lone.running() as runner:
        place.bare.state.runner = runner
        runner.site.checkpoints.hold_back(reason, on=True)
        with pytest.raises(SentoError, match="NOT_READY"):
            await place.said("a", 3)
        runner.site.checkpoints.hold_back(reason, on=False)
        assert (await place.said("a", 3)).head == place.truth("a", 3)


async def test_a_site_that_awaits_payloads_has_its_heads_all_the_same() -> None:
    place = Place()
    async with place.bare.lone.running() as runner:
        place.bare.state.runner = runner
        runner.site.checkpoints.hold_back(PAYLOADS_AWAITED, on=True)
        assert (await place.said("a", 3)).head == place.truth("a", 3)


async def test_while_an_index_entry_is_not_healed_nothing_is_said(place: Place) -> None:
    mending = place.bare.state.scrub.mending
    mending.found_now(
        Finding(None, None, Kind.WRONG, "an entry names an older record", INDEX["subjects"], b"k" * 32)
    )
    with pytest.raises(SentoError, match="NOT_READY"):
        await place.said("a", 3)
    mending.round_ended()
    mending.round_ended()
    assert (await place.said("a", 3)).head == place.truth("a", 3)


def replace_taken(pace: Pace, until_ms: int) -> Pace:
    pace._taken_until_ms = until_ms
    return pace
