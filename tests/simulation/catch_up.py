"""Catching up from other sites' ledgers: the shell around `sync/deciding.py` in this world. Chunks come in pieces and are kept on the disk.

What is fetched next, from whom, and who is given up is product code (`Copying`, `Sources`), as are the chunks (`making`, `chunk`, `entries`), their proof
(`Site.adopt`) and the check of what was wanted (`decoded`). Around it: pieces through a network that loses them, parts that outlive a crash and may be torn by
it, and givers that lie (`giving`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.checkers import Violation
from tests.simulation.giving import Piece, begin_lying, give_piece, give_plan

from sento_node.ledger.adopt import NotProven, OfferedBlock
from sento_node.ledger.apply import UnknownRules
from sento_node.rebuild.deciding import Rebuild
from sento_node.sync.deciding import Adopt, AskPlan, Copying, Effect, Fetch, Finished, LeaveSite, Mode, Plan
from sento_node.sync.downloading import FalseChunk, decoded
from sento_node.sync.entries import merged, offered_blocks
from sento_node.sync.parts import Wanted
from sento_node.sync.sources import Sources
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.chunk import Kind, decode_payloads
from sento_proto.wire import Malformed, Reader

if TYPE_CHECKING:
    from tests.simulation.site_host import SiteHost

STREAMS = 2
ANSWER_WITHIN_MS = 1_000
LOOK_EVERY_MS = 100
PAUSE_MS = 300
FLUSH_LOOK_MS = 10
TORN_BY_A_CRASH = 0.3
MEETS_A_LIAR = 0.5
_TO_POSITION_AT = 1 + 1 + 32 + 4 + 3 * 8


@dataclass(slots=True)
class Part:
    """One chunk from one site as far as it has come. `inherited`: a former life received some of it; `false`: its giver lied about some of it."""

    chunk_id: bytes
    total_bytes: int
    data: bytearray = field(default_factory=bytearray)
    inherited: bool = False
    false: bool = False


class CatchUp:
    """One site's catching up. It ends when the log can be followed again; a ledger that is made anew (`to_the_end`) takes all that the others have."""

    def __init__(self, host: SiteHost) -> None:
        self._host = host
        self._core = Copying(Sources(()), 0, 0)
        self._oldest_revision = 0
        self._to_the_end: Rebuild | None = None
        self._life = -1
        self._copying = 0
        self._question = 0
        self._open: dict[int, str] = {}
        self._false_plans: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether this life is catching up now."""
        return self._life == self._host.life

    def begin(self, oldest_revision: int, to_the_end: Rebuild | None = None) -> None:
        """Copy from the other sites. `to_the_end`: a ledger that is made anew."""
        host = self._host
        self._life = host.life
        self._to_the_end = to_the_end
        self._oldest_revision = oldest_revision
        for part in host.disk.parts.values():
            self._found(part)
        if host.copies_meet_liars and host.heap.chance(MEETS_A_LIAR):
            begin_lying(host.heap.one_of(host.others))
        self._copy()

    def _found(self, part: Part) -> None:
        """A part that a former life left, which may have lost power."""
        part.inherited = True
        self._host.heap.faults["part of a chunk found again"] += 1
        if part.data and self._host.heap.chance(TORN_BY_A_CRASH):
            self._host.heap.fault("part of a chunk torn by a crash", self._host.name)
            part.data[-1] ^= 1

    def _copy(self) -> None:
        """Everything that the others have now."""
        host = self._host
        names = [peer.name for peer in host.others]
        host.heap.random.shuffle(names)
        state = host.site.state
        modes: list[Mode] = ["together", "together", "after"]
        mode = host.heap.one_of(modes)
        self._core = Copying(Sources(names), state.block, state.size, streams=STREAMS, mode=mode)
        self._copying += 1
        self._open = {}
        self._look(self._copying)

    def _look(self, copying: int) -> None:
        if self.busy and copying == self._copying:
            self._step()
            self._host.later(LOOK_EVERY_MS, self._look, copying)

    def _step(self) -> None:
        if self.busy:
            self._do(self._core.next(self._host.heap.now_ms))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AskPlan():
                    self._ask_plan(effect)
                case Fetch():
                    self._ask_piece(effect)
                case Adopt():
                    self._host.later(0, self._adopt, self._copying, effect)
                case LeaveSite():
                    self._leave(effect)
                case Finished():
                    self._finished()

    def _leave(self, effect: LeaveSite) -> None:
        host = self._host
        self._open = {question: site for question, site in self._open.items() if site != effect.site}
        host.heap.note(f"{host.name} leaves {effect.site} {effect.words}")
        host.heap.faults["giver left for falsehood" if effect.words else "giver left for silence"] += 1
        if effect.words:
            host.disk.forget_parts(site=effect.site)

    def _finished(self) -> None:
        host = self._host
        host.disk.parts.clear()
        if self._to_the_end is not None:
            self._to_the_end.copied = True
        elif host.site.state.revision + 1 < self._oldest_revision:
            self._copying += 1
            host.later(PAUSE_MS, self._copy)
            return
        self._life = -1
        host.follow()

    # -- questions ----------------------------------------------------------------------------------------------------

    def _asks(self, site: str) -> int:
        self._question += 1
        self._open[self._question] = site
        return self._question

    def _ask_plan(self, ask: AskPlan) -> None:
        host, giver = self._host, self._host.peers[ask.site]
        question = self._asks(ask.site)
        host.around.network.send(
            host.name, giver.name, give_plan, giver, host, host.life, question, ask.after_block
        )
        host.later(ANSWER_WITHIN_MS, self._no_plan, question, ask.site)

    def _no_plan(self, question: int, site: str) -> None:
        if self.busy and self._open.pop(question, None) is not None:
            self._core.no_plan(site, self._host.heap.now_ms)
            self._step()

    def planned(self, question: int, site: str, plan: Plan, false: bool) -> None:
        """A site says what it would give; `false`: it lies."""
        if not self.busy or self._open.pop(question, None) is None:
            return
        effects = self._core.planned(site, plan, self._host.heap.now_ms)
        if effects and not false:
            raise Violation("same-ledger", f"{site} gave {self._host.name} a plan that is called false")
        self._do(effects)
        self._step()

    def _ask_piece(self, fetch: Fetch) -> None:
        host, giver = self._host, self._host.peers[fetch.site]
        question = self._asks(fetch.site)
        part = host.disk.parts.get((fetch.site, fetch.wanted))
        offset, chunk_id = (0, b"") if part is None else (len(part.data), part.chunk_id)
        if part is not None and offset == part.total_bytes:
            self._open.pop(question)
            host.later(0, self._whole, self._copying, fetch, part)
            return
        host.around.network.send(
            host.name, giver.name, give_piece, giver, host, host.life, question, fetch, offset, chunk_id
        )
        host.later(ANSWER_WITHIN_MS, self._broke, question, fetch)

    def _broke(self, question: int, fetch: Fetch) -> None:
        """A stream's next piece did not come."""
        if not self.busy or self._open.pop(question, None) is None:
            return
        part = self._host.disk.parts.get((fetch.site, fetch.wanted))
        if part is not None and part.data:
            self._host.heap.faults["stream of a chunk cut"] += 1
        kept_bytes = 0 if part is None else len(part.data)
        self._do(self._core.broke(fetch.site, fetch.stream, kept_bytes, self._host.heap.now_ms))

    def piece(self, question: int, fetch: Fetch, piece: Piece | None) -> None:
        """A piece of a chunk arrives; None: the site does not hold it."""
        if not self.busy or question not in self._open:
            return
        if piece is None:
            self._broke(question, fetch)
            return
        self._open.pop(question)
        parts, key = self._host.disk.parts, (fetch.site, fetch.wanted)
        part = parts.get(key)
        if part is None or part.chunk_id != piece.chunk_id:
            part = parts[key] = Part(piece.chunk_id, piece.total_bytes)
        elif part.data and part.inherited:
            self._host.heap.faults["chunk gone on with after a crash"] += 1
        part.false = part.false or piece.false
        self._core.came(fetch.site, len(piece.data))
        if len(part.data) != piece.offset or piece.offset + len(piece.data) > part.total_bytes:
            self._falsified(fetch.site, part.false, "a piece out of place")
            return
        part.data += piece.data
        if len(part.data) == part.total_bytes:
            self._whole(self._copying, fetch, part)
        else:
            self._ask_piece(fetch)

    def _whole(self, copying: int, fetch: Fetch, part: Part) -> None:
        if not self.busy or copying != self._copying:
            return
        end = fetch.wanted.to_position
        if fetch.wanted.kind is Kind.PAYLOADS:
            try:
                end = Reader(bytes(part.data[_TO_POSITION_AT : _TO_POSITION_AT + 8]), "chunk").u64("to")
            except Malformed:
                end = 0
            if not fetch.wanted.from_position < end <= fetch.wanted.to_position:
                self._falsified(fetch.site, part.false, "payloads of another stretch")
                return
        self._do(self._core.fetched(fetch.site, fetch.stream, end, len(part.data), 0.0))
        self._step()

    def _falsified(self, site: str, false: bool, words: str) -> None:
        """What a site gave is not what it said."""
        if not false:
            raise Violation("same-ledger", f"{self._host.name} calls false what {site} gave: {words}")
        self._host.heap.faults["false chunk found out"] += 1
        self._do(self._core.falsified(site, words, self._host.heap.now_ms))
        self._step()

    # -- adopting -----------------------------------------------------------------------------------------------------

    def _adopt(self, copying: int, adopt: Adopt) -> None:
        host, core = self._host, self._core
        if not self.busy or copying != self._copying:
            return
        used = {Wanted(Kind.SPINE, *adopt.planned[:4]), *adopt.payloads}
        parts = [host.disk.parts.get((adopt.site, wanted)) for wanted in used]
        if any(part is None for part in parts):  # its giver was called false meanwhile
            self._do(core.not_adopted(adopt.planned))
            return
        try:
            blocks, checkpoint = self._offered(adopt)
            blocks = tuple(block for block in blocks if block.number > host.site.state.block)
            effects = host.site.adopt(blocks, checkpoint, host.heap.now_ms) if blocks else []
        except UnknownRules as unknown:
            host.needs_release(unknown)
            return
        except (NotProven, FalseChunk, Malformed) as error:
            core.not_adopted(adopt.planned)
            if any(part is not None and part.inherited for part in parts):
                host.heap.faults["spoiled part fetched once more"] += 1
                for wanted in used:
                    host.disk.parts.pop((adopt.site, wanted), None)
                return
            lied = any(part is not None and part.false for part in parts)
            self._falsified(adopt.site, lied, str(error))
            return
        host.around.checkers.governed(host.name, host.site.state)
        host.heap.faults["chunks adopted"] += 1
        if host.disk.store.awaited(1) or core.mode == "after":
            host.heap.faults["headers adopted first"] += 1
        host.heap.note(f"{host.name} adopted through block {host.site.state.block} from {adopt.site}")
        host.carry_out(effects)
        host.later(0, self._flushed, copying, adopt, checkpoint)

    def _offered(self, adopt: Adopt) -> tuple[tuple[OfferedBlock, ...], Checkpoint]:
        """The stretch out of its parts. Raises FalseChunk, Malformed."""
        host = self._host
        ledger_id, parts = host.around.genesis.ledger_id, host.disk.parts
        payloads: dict[int, bytes] = {}
        for wanted in adopt.payloads:
            chunk = decoded(bytes(parts[adopt.site, wanted].data), wanted, ledger_id)
            payloads.update((item.position, item.data) for item in decode_payloads(chunk))
        spine = Wanted(Kind.SPINE, *adopt.planned[:4])
        chunk = decoded(bytes(parts[adopt.site, spine].data), spine, ledger_id)
        return merged(offered_blocks(chunk), payloads), decode_checkpoint(chunk.note)

    def _flushed(self, copying: int, adopt: Adopt, checkpoint: Checkpoint) -> None:
        host = self._host
        if host.site.state.pending_blocks:
            host.carry_out(host.site.flush_now())
            host.later(FLUSH_LOOK_MS, self._flushed, copying, adopt, checkpoint)
            return
        state, by_officers = host.site.state, host.site.by_officers
        if by_officers is None or checkpoint.text != by_officers.text:
            host.carry_out(host.site.published(checkpoint, state.block, host.heap.now_ms))
        host.disk.forget_parts(through_block=state.block)
        for wanted in adopt.payloads:
            host.disk.parts.pop((adopt.site, wanted), None)
        if copying == self._copying:
            self._do(self._core.adopted(state.block, state.size))
            self._step()
