"""The floor of a ledger that was made anew: nothing below it is cosigned or proposed, whatever the own note says; while it is rebuilt, nothing at all."""

from __future__ import annotations

from lone_runner import SITE, LoneSite
from sento_node.compose import REBUILDING, remember_floor, remember_rebuild, remember_whole
from sento_node.quorum.effects import AnswerCosign, WriteCosigned
from sento_node.rebuild.deciding import Note, Rebuild
from sento_proto.checkpoint import Checkpoint, sign_note
from sento_proto.errors import Code

NOTE = Note("Lost.", 1, 10, 0)


def test_a_proposal_below_the_floor_is_stale_and_one_at_it_may_be_cosigned() -> None:
    lone = LoneSite()
    remember_floor(lone.store, 1)
    checkpoints = lone.compose().checkpoints
    bare = Checkpoint(lone.world.ledger_id, 0, 0, bytes(32))
    signed = bare._replace(signatures=(sign_note(bare, SITE, lone.world.site_signers[SITE]),))
    assert checkpoints.cosign_request(1, SITE, signed, 0, 0) == [AnswerCosign(1, (), Code.STALE)]


def test_a_floor_never_sinks() -> None:
    lone = LoneSite()
    remember_floor(lone.store, 12)
    remember_floor(lone.store, 5)
    assert lone.compose().checkpoints.floor_size == 12


def test_a_rebuilding_site_proposes_and_cosigns_nothing_until_its_note_has_ended() -> None:
    lone = LoneSite()
    remember_rebuild(lone.store, NOTE)
    site = lone.compose()
    bare = Checkpoint(lone.world.ledger_id, 0, 20, bytes(32))
    signed = bare._replace(signatures=(sign_note(bare, SITE, lone.world.site_signers[SITE]),))
    assert site.checkpoints.cosign_request(1, SITE, signed, 0, 0) == [AnswerCosign(1, (), Code.NOT_READY)]
    assert not any(isinstance(effect, WriteCosigned) for effect in site.tick(10_000, 10))
    rebuild = Rebuild(NOTE)
    rebuild.heard("jp-ishikawa", 17)
    remember_whole(lone.store, rebuild)
    site.checkpoints.hold_back(REBUILDING, on=False)
    assert lone.compose().checkpoints.floor_size == 17
