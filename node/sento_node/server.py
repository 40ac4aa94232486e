"""The composition root: one node from its configuration, through boot confirmation, to serving, and down again.

    store opened ─► services answer (LOCAL reads, boot announcements) ─► boot number raised and confirmed
        ─► own etcd member started, or the order borrowed from a voting site (`order_opening.py`)
        ─► site composed from the store ─► runner: follow, apply, flush, agree ─► serving

A stop goes the other way: health says no, the lead is handed on, what is applied is flushed, the member is stopped last.
"""

from __future__ import annotations

import asyncio

import structlog

from sento_node import bounds, tls
from sento_node.announcer import keep_announced
from sento_node.boot_confirming import confirm_boot
from sento_node.compose import Life, compose_site, recall_rebuild
from sento_node.condition import NEXT_LIFE, Rebuilding
from sento_node.config import NodeConfig
from sento_node.epochs.asked import show_refused
from sento_node.epochs.at_fork import begin_at_fork
from sento_node.epochs.ended import hold_back, votes_here
from sento_node.epochs.here import finish_beginning
from sento_node.epochs.showing import ENDED, NEXT_EPOCH, TWO
from sento_node.epochs.starting import start_opening
from sento_node.erasure.starting import start_erasing
from sento_node.joining.running import joining_of
from sento_node.joining.starting import joining_at_start
from sento_node.joining.vote_watch import start_vote_watch
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.life_beginning import begin_life, signers_of
from sento_node.life_ending import (
    IN_WORDS,
    STAYS,
    failure_in_words,
    hand_on,
    part_ended,
    until_brought_over,
)
from sento_node.metrics import metrics_page
from sento_node.metrics_endpoint import PATH, MetricsEndpoint
from sento_node.order_opening import open_order, use_order
from sento_node.order_starting import OrderAccess
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.ordering.etcd.member import EtcdMember
from sento_node.ordering.etcd.supervision import EndKind
from sento_node.ordering.etcd.version import EtcdBinary, find_etcd
from sento_node.peer_book import PeerBook, keep_book
from sento_node.peer_watch import watch_peers
from sento_node.preflight import load_genesis
from sento_node.rebuild.deciding import Rebuild
from sento_node.rebuild.finishing import finish
from sento_node.rebuild.places import Places
from sento_node.rebuild.starting import ask_again, note_closed
from sento_node.runner import Runner
from sento_node.scrub.healing import Healer
from sento_node.scrub.scrubber import ScrubSettings, start_scrubbing
from sento_node.service.node_state import NodeState
from sento_node.service.releasing import open_access_log
from sento_node.serving import Services, cannot_listen
from sento_node.sync.receiving import receiving_of
from sento_proto.v1 import sync_pb2

AGAIN = 75
"""What a life ends with that is to be followed by another in this process."""


class Node:
    """One life of one node. `run` returns when `stop` was asked for or the node stopped itself."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._genesis = load_genesis(config)
        self._log = structlog.get_logger("sento.node").bind(site=config.site)
        self._etcd: EtcdBinary | None = None
        self._stop = asyncio.Event()
        self._peers = PeerBook(config)
        self._order: OrderAccess | None = None
        self._eraser_log: EtcdEraser | None = None
        self._metrics: MetricsEndpoint | None = None
        self._certificates = tls.ServerCertificates(
            config.tls, lambda words: self._log.error("certificates", why=words)
        )
        begun = joining_at_start(config.data_dir, self._genesis.ledger_id)
        finish_beginning(config.data_dir)
        begin_at_fork(config.data_dir)
        self._request: sync_pb2.AnnounceBootRequest | None = None
        beginning = begin_life(
            config, self._genesis, lambda: self._certificates.expires_at_s, has_peers=bool(self._peers)
        )
        self._opened, self._node, self._boot_files = beginning
        self._joining = None if begun is None else joining_of(begun, self._node, self._peers)
        self._services = Services(self._node, self._certificates)
        try:
            if config.ordering is not None and votes_here(self._node):
                self._etcd = find_etcd(config.ordering.etcd_path or None)
            self._signers = self._node.signers = signers_of(config, self._node)
            self._access_log = self._node.access_log = open_access_log(self._node, self._signers.ed25519)
        except BaseException:
            self._node.store.close()
            raise

    @property
    def state(self) -> NodeState:
        """What the node's services see."""
        return self._node

    def stop(self) -> None:
        """Ask for an orderly stop."""
        self._stop.set()

    async def run(self) -> int:
        """Serve until stopped. Returns the exit code: 0 after an orderly stop, 1 when the node stopped itself, AGAIN when it is to begin its next life at
        once, because its ledger is made anew. Raises CannotListen."""
        try:
            await self._serve_metrics()
            await self._services.listen()
        except BaseException:
            await self._end_metrics()
            self._node.store.close()
            raise
        watching = asyncio.create_task(watch_peers(self._node, self._peers), name="watch-peers")
        book = asyncio.create_task(keep_book(self._node, self._peers), name="keep-book")
        living = asyncio.create_task(self._live(), name="live")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        part_ends = asyncio.create_task(self._node.part_ends.wait(), name="part-ends")
        try:
            await asyncio.wait({living, stop, part_ends}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                await part_ended(self._node, living)
                await self._report_end(living)
                await self._stop_or_stay(stop)
        finally:
            for task in (book, stop, part_ends):
                task.cancel()
            await asyncio.gather(book, return_exceptions=True)
            await self._shut_down(living, watching)
        if self._node.condition.state in ("rebuilding", NEXT_EPOCH, NEXT_LIFE) and not self._stop.is_set():
            return AGAIN
        return 1 if self._node.condition.state in ("stopped", *STAYS) else 0

    async def _report_end(self, living: asyncio.Task[None]) -> None:
        """The node's own work ended by itself: say why. An unforeseen failure ends the process loudly."""
        condition = self._node.condition
        failure = None if living.cancelled() or self._node.ending is not None else living.exception()
        if isinstance(failure, LedgerDamaged) and len(self._peers):
            condition.state = "rebuilding"
            condition.rebuilding = Rebuilding(f"The ledger cannot be gone on with ({failure}).")
        elif failure is not None:
            condition.state, condition.explanation = "stopped", failure_in_words(failure)
            self._log.error("the node failed", exc_info=None if isinstance(failure, IN_WORDS) else failure)
        await self._services.say(serving=False)
        if condition.state == "rebuilding":
            if self._opened.preparing is None and condition.rebuilding is not None:
                self._ask_for_a_new_ledger(condition.rebuilding.reason, condition.rebuilding.disputed_size)
            self._log.warning("the node begins its next life", why=condition.shown_explanation)
            return
        if condition.state in (NEXT_EPOCH, NEXT_LIFE):
            self._log.warning("the node begins its next life", why=condition.explanation)
            return
        self._log.error("the node takes no further part", state=condition.state, why=condition.explanation)

    async def _stop_or_stay(self, stop: asyncio.Task[bool]) -> None:
        """A node that stopped itself for its disk's sake ends; one that was refused or diverged, or whose epoch has ended, stays to say so, and to be brought
        over."""
        if self._node.condition.state not in STAYS:
            return
        if self._node.condition.state in (ENDED, TWO):
            await self._leave_order()
        await until_brought_over(self._node, stop)

    async def _leave_order(self) -> None:
        """The former epoch's log goes on without this site's member: it must not help others to a majority there."""
        order, self._order = self._order, None
        self._node.member_log, self._node.member_target = None, ""
        self._node.condition.ordering = None
        if order is not None:
            await order.close()

    def _ask_for_a_new_ledger(self, reason: str, disputed_size: int = 0) -> None:
        ask_again(self._config, reason, self._opened.note, disputed_size)

    # -- starting ---------------------------------------------------------------------------------------------------

    async def _serve_metrics(self) -> None:
        if self._config.metrics is None:
            self._log.info("no metrics", why="node.toml has no [metrics] table")
            return
        address = self._config.metrics.address
        try:
            self._metrics = await MetricsEndpoint.open(address, metrics_page(self._node))
        except OSError as error:
            raise cannot_listen("metrics.address", address) from error
        self._log.info("metrics", at=f"http://{address}{PATH}")

    async def _end_metrics(self) -> None:
        if self._metrics is not None:
            await self._metrics.close()
            self._metrics = None

    async def _live(self) -> None:
        """From boot confirmation to the end of the runner."""
        files, condition = self._boot_files, self._node.condition
        if self._opened.preparing is not None:
            condition.explanation = "What is on disk is examined and set aside."
            await self._opened.preparing.run()
            condition.state = "rebuilding"
            return
        show_refused(self._node)
        if hold_back(self._node):
            return
        joining = self._joining
        if joining is not None:
            await joining.know_peers(self._peers)
        new_disk = joining is not None and joining.new_disk
        self._request = await confirm_boot(self._node, files, self._peers, new_disk=new_disk)
        if self._request is None:
            return
        if joining is not None:
            joining.confirmed()
        order = self._order = await open_order(
            self._node, self._node.epoch, files, self._peers, self._etcd, joining
        )
        if order is None:
            return
        store = self._node.store
        life = Life(
            self._config.site,
            self._signers.ed25519,
            self._node.boot_number,
            self._config.lanes,
            self._config.block_max_bytes,
            self._signers.ml_dsa_44,
        )
        async with (
            self._node.ledger_lock
        ):  # whoever fills it by hand ends first; from here to the runner nothing is awaited
            site = compose_site(store, self._genesis, life, self._node.clock.now_ms())
        self._node.runner = Runner(
            site,
            store,
            order.log,
            self._peers,
            self._node.clock,
            self._node.condition,
            self._node.writer,
            self._node.tallies,
            rebuild := self._rebuild(),
            receiving_of(self._config, self._node.clock, None if joining is None else joining.begun.anchor),
        )
        runner = self._node.runner
        use_order(self._node, order)
        start_opening(self._node, runner)
        runner.start()
        runner.also_run(
            keep_announced(
                runner,
                site.state,
                self._config.site,
                self._signers.ed25519,
                self._node.clock,
                lambda: self._node.condition.takes_writes,
            ),
            "announce-rules",
        )
        self._eraser_log = start_erasing(
            self._node,
            runner,
            self._signers,
            None if order.member is None else (order.member.client_target, files.member_dir),
            self._peers,
        )
        runner.also_run(
            self._access_log.keys.keep(lambda: self._node.condition.shown_state == "serving"),
            "keep-access-keys",
        )
        runner.also_run(self._access_log.drain(), "order-spooled")
        self._start_scrubbing(runner)
        if rebuild is not None and self._request is not None:
            runner.also_run(
                finish(
                    rebuild,
                    site,
                    store,
                    self._peers,
                    self._request,
                    self._signers.keys,
                    condition,
                    runner.in_writer,
                    (lambda: "") if joining is None else joining.unproven,
                ),
                "rebuild",
            )
        if joining is not None:
            runner.also_run(joining.attend(runner, order, files, rebuild), "join")
        start_vote_watch(self._node, runner, order, files, self._peers, joining)
        await self._accompany(self._node.runner, order.member)

    def _rebuild(self) -> Rebuild | None:
        note = recall_rebuild(self._node.store)
        return None if note is None else Rebuild(note)

    def _start_scrubbing(self, runner: Runner) -> None:
        node, scrub = self._node, self._config.scrub
        directory = Places(self._config.data_dir).ledger
        start_scrubbing(
            ScrubSettings(directory, self._config.genesis, scrub.mib_per_s, scrub.pause_s),
            runner,
            lambda store: Healer(store, node.writer, self._peers, lambda: node.governance),
            node.clock,
            node.scrub,
        )

    async def _accompany(self, runner: Runner, member: EtcdMember | None) -> None:
        """Until the runner or the member ends: keep health up to date."""
        health_watch = asyncio.create_task(self._services.keep_saying())
        halted = asyncio.create_task(runner.halted())
        ended = None if member is None else asyncio.create_task(member.ended())
        try:
            await asyncio.wait({halted, *([ended] if ended else [])}, return_when=asyncio.FIRST_COMPLETED)
            if ended is not None and ended.done() and not halted.done():
                was_removed = ended.result().kind is EndKind.REMOVED
                runner.halt(NEXT_LIFE if was_removed else "stopped", ended.result().sentence)
        finally:
            for task in (health_watch, halted, ended):
                if task is not None:
                    task.cancel()

    # -- stopping ---------------------------------------------------------------------------------------------------

    async def _shut_down(self, living: asyncio.Task[None], watching: asyncio.Task[None]) -> None:
        self._log.info("stopping")
        await self._services.say(serving=False)
        runner, condition = self._node.runner, self._node.condition
        if runner is not None:
            runner.begin_stop()
            if condition.state != NEXT_EPOCH:  # there is nobody to hand a lead of the former epoch to
                await hand_on(runner, self._config.site)
            await runner.drained(bounds.DRAIN_TIMEOUT_MS)
        await self._services.stop()
        living.cancel()
        watching.cancel()
        await asyncio.gather(living, watching, return_exceptions=True)
        if runner is not None:
            try:
                await runner.stop()
            except LedgerFailed as error:
                condition.state, condition.explanation = "stopped", str(error)
                self._log.error("the last flush failed", why=str(error))
        if self._eraser_log is not None:
            await self._eraser_log.close()
        if self._order is not None:
            await self._order.close()
        await self._peers.close()
        await self._end_metrics()
        self._node.writer.shutdown(wait=True)
        self._node.store.close()
        if self._opened.preparing is None and condition.state != "stopped":
            note_closed(self._config.data_dir)
        self._log.info("stopped", state=self._node.condition.state)
