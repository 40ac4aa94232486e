"""What sites ask each other about checkpoints: proposals, cosignatures, and quorums handed over, through a network that loses, doubles and delays.

An answer says beside the signature how far the answering site has flushed and which quorum checkpoint it holds: both decide what may be trimmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.checkers import Violation

from sento_node.compose import recall_cosigned
from sento_node.quorum.effects import AnswerCosign, AskCosign, LateCosigned, QuorumReached
from sento_proto.checkpoint import Checkpoint, NoteSignature
from sento_proto.errors import Code

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

PROGRESS_EVERY_MS = 700
LIVE_WITHIN_MS = 2_500


class Agreeing:
    """One site's part in the talk; each life begins without open questions."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._heard: dict[str, int] = {}
        self._proposed: set[tuple[int, bytes]] = set()
        self._asked: dict[int, tuple[SiteHost, int, Checkpoint]] = {}

    def new_life(self) -> None:
        """Nobody of the last life waits any more."""
        self._asked = {}
        self._heard = {}
        self._proposed = set()

    @property
    def heard(self) -> list[str]:
        """Sites that said a short while ago how far they are."""
        now_ms = self._host.heap.now_ms
        return [site for site, at_ms in self._heard.items() if now_ms - at_ms <= LIVE_WITHIN_MS]

    def ask(self, ask: AskCosign) -> None:
        """Ask another site for its cosignature; the site's own is under the proposal already. A site that officers enrolled may not be built yet."""
        host = self._host
        key = (ask.checkpoint.size, ask.checkpoint.root)
        if key not in self._proposed:  # embassies are asked again with what was signed before
            self._check_own(ask.checkpoint)
            self._proposed.add(key)
        peer = host.peers.get(ask.site)
        if peer is None:
            return
        host.around.network.send(
            host.name, peer.name, peer.agreeing.asked, host, host.life, ask.checkpoint, ask.block, may_double=True
        )  # fmt: skip

    def asked(self, proposer: SiteHost, life: int, checkpoint: Checkpoint, block: int) -> None:
        """Another site's proposal arrives."""
        host = self._host
        if host.state == "running":
            ticket = host.next_ticket()
            self._asked[ticket] = (proposer, life, checkpoint)
            host.carry_out(
                host.site.cosign_request(ticket, proposer.name, checkpoint, block, host.heap.now_ms)
            )

    def answer(self, answer: AnswerCosign) -> None:
        """This site's answer to a proposal leaves."""
        host = self._host
        proposer, life, checkpoint = self._asked.pop(answer.ticket)
        if answer.code is Code.DIVERGED:
            raise Violation(
                "sites-agree", f"{host.name} has another tree than {proposer.name} at {checkpoint.size}"
            )
        if answer.lines:
            self._check_own(checkpoint)
        heard = proposer.agreeing.answered
        host.around.network.send(
            host.name, proposer.name, heard, life, host.name, checkpoint.size, answer.lines, self._progress()
        )

    def _progress(self) -> tuple[int, int]:
        """How far this site has flushed, and the block of the quorum checkpoint that it holds."""
        store = self._host.disk.store
        kept = store.checkpoint()
        return store.tip.block, 0 if kept is None else kept.block

    def answered(
        self, life: int, site: str, size: int, lines: tuple[NoteSignature, ...], progress: tuple[int, int]
    ) -> None:
        """Another site's answer to a proposal of this life arrives; `progress` is (flushed block, quorum checkpoint's block)."""
        host = self._host
        if life == host.life and host.state == "running":
            flushed, held = progress
            host.carry_out(
                host.site.cosign_reply(site, size, lines, flushed, host.heap.now_ms, held, host.wall_s)
            )

    def ask_progress(self) -> None:
        """Ask every other site how far it is, for as long as this life lasts: also when nothing new is there to agree on."""
        host = self._host
        for peer in host.others:
            host.around.network.send(host.name, peer.name, peer.agreeing.asked_progress, host, host.life)
        host.later(PROGRESS_EVERY_MS, self.ask_progress)

    def asked_progress(self, asker: SiteHost, life: int) -> None:
        """Another site asks how far this one is."""
        host = self._host
        if host.answers_peers:
            told = asker.agreeing.told_progress
            host.around.network.send(host.name, asker.name, told, life, host.name, self._progress())

    def told_progress(self, life: int, site: str, progress: tuple[int, int]) -> None:
        """Another site says how far it is."""
        host = self._host
        if life == host.life and host.state == "running":
            self._heard[site] = host.heap.now_ms
            host.site.checkpoints.heard(site, progress[0], host.heap.now_ms, progress[1])

    def hand_over(self, reached: QuorumReached | LateCosigned) -> None:
        """Hand a quorum's checkpoint to the other sites."""
        host = self._host
        if host.dies_trimming:
            host.heap.faults["message lost"] += len(reached.publish_to)
            return
        for name in filter(host.peers.get, reached.publish_to):
            published = host.peers[name].agreeing.published
            host.around.network.send(
                host.name, name, published, reached.checkpoint, reached.block, may_double=True
            )

    def published(self, checkpoint: Checkpoint, block: int) -> None:
        """Another site hands over a quorum's checkpoint."""
        host = self._host
        if host.state == "running":
            host.carry_out(host.site.published(checkpoint, block, host.heap.now_ms))

    def _check_own(self, checkpoint: Checkpoint) -> None:
        host = self._host
        store = host.disk.store
        host.around.checkers.cosigned(host.name, checkpoint, store, recall_cosigned(store))
