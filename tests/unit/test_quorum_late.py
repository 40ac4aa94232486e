"""Cosignatures that come after the quorum join the checkpoint that is kept, at every site, and nothing false joins it."""

from __future__ import annotations

import pytest

from cosigning_sites import OTHER_ROOT, ROOT, CosigningSites
from genesis_builder import build_genesis
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import KeptCheckpoint
from sento_node.quorum.asking_again import ASKED_MAX, AskingAgain
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.effects import Cosigned, LateCosigned, TreeAt
from sento_node.quorum.late import GATHER_MS, LateCosignatures
from sento_node.quorum.merging import add_lines
from sento_node.quorum.trimming import SiteProgress
from sento_proto.checkpoint import (
    Checkpoint,
    SiteSigners,
    cosign,
    decode_checkpoint,
    encode_checkpoint,
    note_signature_holds,
    sign_note,
)
from sento_proto.governance.state import from_genesis

A, B, C, E = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki", "lu-betzdorf"


@pytest.fixture
def sites() -> CosigningSites:
    sites = CosigningSites(build_genesis(embassies=(E,)))
    sites.lead(A)
    return sites


def test_a_cosignature_that_comes_after_the_quorum_is_kept_at_every_site(sites: CosigningSites) -> None:
    sites.applied(1, 5)
    sites.passes(1_000)
    for at in (A, B, C, E):
        assert sites.cosigners(at, 5) == {A, B, C, E}
    assert sites.published_again == [5]


def test_a_site_that_is_silent_holds_the_second_word_back_for_three_seconds_and_no_longer(
    sites: CosigningSites,
) -> None:
    sites.away.add(C)
    sites.applied(1, 5)
    sites.passes(1_000)
    assert sites.cosigners(A, 5) == {A, B, E}
    assert sites.published_again == []
    sites.passes(GATHER_MS)
    assert sites.published_again == [5]
    assert sites.cosigners(B, 5) == {A, B, E}


def test_nothing_is_published_again_when_nothing_came(sites: CosigningSites) -> None:
    sites.away |= {C, E}
    sites.applied(1, 5)
    sites.passes(GATHER_MS + 2_000)
    assert sites.cosigners(A, 5) == {A, B}
    assert sites.published_again == []


def test_a_cosignature_that_comes_too_late_is_not_gathered(sites: CosigningSites) -> None:
    sites.away |= {C, E}
    sites.applied(1, 5)
    sites.passes(GATHER_MS + 1_000)
    line = cosign(sites.kept[A][5], C, sites.world.site_signers[C], 4)
    assert sites.sites[A].cosign_reply(C, 5, (line,), 4) == []


def test_a_false_late_cosignature_is_dropped(sites: CosigningSites) -> None:
    sites.away |= {C, E}
    sites.applied(1, 5)
    line = cosign(sites.kept[A][5], C, sites.world.site_signers[B], 0)
    assert sites.sites[A].cosign_reply(C, 5, (line,), 0) == []


def test_a_checkpoint_handed_over_again_adds_only_the_lines_that_hold(sites: CosigningSites) -> None:
    sites.away |= {C, E}
    sites.applied(1, 5)
    note = sites.kept[B][5]
    good = cosign(note, C, sites.world.site_signers[C], 1)
    false = cosign(note, E, sites.world.site_signers[B], 1)
    again = note._replace(signatures=(*note.signatures, good, false))
    (effect,) = sites.sites[B].published(again, 1, 0)
    assert isinstance(effect, LateCosigned)
    assert {line.name for line in effect.checkpoint.signatures} == {A, B, C}


def test_late_lines_of_an_older_size_still_join_when_newer_quorums_stand(sites: CosigningSites) -> None:
    sites.away |= {C, E}
    sites.applied(1, 5)
    sites.passes(1_000)
    sites.applied(2, 9)
    sites.passes(1_000)
    assert 9 in sites.kept[B]
    late = cosign(sites.kept[B][5], C, sites.world.site_signers[C], 1)
    note = sites.kept[B][5]
    (effect,) = sites.sites[B].published(note._replace(signatures=(*note.signatures, late)), 1, sites.now_ms)
    assert isinstance(effect, LateCosigned)
    assert effect.checkpoint.size == 5


# Into the store.


class Kept:
    """A store with one checkpoint of size 5."""

    def __init__(self) -> None:
        self.world = build_genesis(embassies=(E,))
        bare = Checkpoint(self.world.ledger_id, 0, 5, ROOT)
        signer = self.world.site_signers[A]
        self.note = bare._replace(signatures=(sign_note(bare, A, signer), cosign(bare, A, signer, 1)))
        self.store = MemoryStore(MemoryDisk(self.world.ledger_id))
        self.store.put_checkpoint(KeptCheckpoint(5, 2, encode_checkpoint(self.note)))

    @property
    def newest(self) -> KeptCheckpoint:
        kept = self.store.checkpoint()
        assert kept is not None
        return kept


def test_lines_are_added_to_the_kept_checkpoint_and_its_block_stays() -> None:
    kept = Kept()
    add_lines(
        kept.store, kept.note._replace(signatures=(cosign(kept.note, E, kept.world.site_signers[E], 1),))
    )
    assert kept.newest.block == 2
    assert {line.name for line in decode_checkpoint(kept.newest.note).signatures} == {A, E}


@pytest.mark.parametrize("size", [4, 6])
def test_nothing_is_kept_anew_for_a_size_that_was_thinned_out(size: int) -> None:
    kept = Kept()
    before = kept.newest
    add_lines(kept.store, kept.note._replace(size=size))
    assert kept.store.newest_checkpoints(9) == [before]


def test_lines_of_another_root_are_not_added() -> None:
    kept = Kept()
    before = kept.newest
    other = kept.note._replace(root=bytes(32))
    add_lines(kept.store, other._replace(signatures=(cosign(other, E, kept.world.site_signers[E], 1),)))
    assert kept.newest == before


# A site that was away while a quorum agreed, and nobody writes after that.


def test_the_only_embassy_comes_back_to_an_idle_ledger_and_its_line_joins_at_every_site(
    sites: CosigningSites,
) -> None:
    sites.away.add(E)
    sites.applied(1, 5)
    sites.passes(60_000)
    assert sites.cosigners(B, 5) == {A, B, C}
    sites.comes_back(E, 5)
    sites.passes(3_000)
    for at in (A, B, C):
        assert sites.cosigners(at, 5) == {A, B, C, E}
    asked = sites.asked.count((A, E, 5))
    sites.passes(60_000)
    assert sites.asked.count((A, E, 5)) == asked == 2, "once with all others, and once when it was back"


def test_whoever_leads_next_asks_for_the_line_that_is_missing(sites: CosigningSites) -> None:
    sites.away.add(E)
    sites.applied(1, 5)
    sites.passes(5_000)
    sites.away.add(A)
    sites.lead(B)
    sites.comes_back(E, 5)
    sites.passes(8_000)
    assert E in sites.cosigners(C, 5)
    assert sites.asked.count((B, E, 5)) == 1


def test_a_site_that_is_back_and_has_not_read_the_block_yet_is_not_asked(sites: CosigningSites) -> None:
    sites.away.add(E)
    sites.applied(1, 5)
    sites.passes(5_000)
    sites.block = 0  # what it says of itself
    sites.away.discard(E)
    sites.passes(20_000)
    assert sites.asked.count((A, E, 5)) == 1


def test_a_site_with_another_tree_is_asked_ever_more_seldom_and_never_believed(sites: CosigningSites) -> None:
    sites.away.add(E)
    sites.applied(1, 5)
    sites.passes(5_000)
    sites.comes_back(E, 5, root=OTHER_ROOT)
    sites.passes(120_000)
    assert 2 <= sites.asked.count((A, E, 5)) <= 6
    assert sites.cosigners(A, 5) == {A, B, C}


def test_a_site_that_answers_and_does_not_sign_is_asked_ten_times_at_most() -> None:
    world = build_genesis(embassies=(E,))
    bare = Checkpoint(world.ledger_id, 0, 5, ROOT)
    again, late = AskingAgain(), LateCosignatures()
    keys = from_genesis(world.genesis).site_keys
    again.reached(bare, TreeAt(1, 5, ROOT), (E,), keys, 0)
    asks = [
        ask
        for now_s in range(0, 100_000, 2)
        for ask in again.asks(
            A,
            SiteSigners(world.site_signers[A]),
            late,
            {E: SiteProgress(1, now_s * 1_000, 0)},
            now_s * 1_000,
        )
    ]
    assert len(asks) == ASKED_MAX
    assert {(ask.site, ask.block) for ask in asks} == {(E, 1)}
    assert note_signature_holds(asks[0].checkpoint, A, keys[A].ed25519)


def test_a_site_that_starts_again_with_an_incomplete_checkpoint_asks_when_it_leads(
    sites: CosigningSites,
) -> None:
    sites.away.add(E)
    sites.applied(1, 5)
    sites.passes(5_000)
    tree = TreeAt(1, 5, ROOT)
    sites.sites[A] = Checkpoints(
        ledger_id=sites.world.ledger_id,
        epoch=0,
        site=A,
        signers=SiteSigners(sites.world.site_signers[A]),
        governance=sites.governance,
        last_cosigned=Cosigned(0, 5, ROOT),
        flushed=tree,
        quorum=tree,
        now_ms=sites.now_ms,
        quorum_note=sites.kept[A][5],
    )
    sites.lead(A)
    sites.comes_back(E, 5)
    sites.passes(8_000)
    assert sites.cosigners(B, 5) == {A, B, C, E}
