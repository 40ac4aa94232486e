"""The composition root: one node from its configuration, through boot confirmation, to serving, and down again.

    store opened ─► services answer (LOCAL reads, boot announcements) ─► boot number raised and confirmed ─► own etcd member started
        ─► site composed from the store ─► runner: follow, apply, flush, agree ─► serving

A stop goes the other way: health says no, the lead is handed on, what is applied is flushed, the member is stopped last.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sento_node import boot_keeper, bounds, tls
from sento_node.announcer import keep_announced
from sento_node.clock import SystemClock
from sento_node.compose import (
    Life,
    RolledBack,
    check_own_word,
    compose_site,
    recall_cosigned,
    recall_rebuild,
    remember_rebuild,
)
from sento_node.condition import Condition, Rebuilding
from sento_node.config import NodeConfig
from sento_node.erasure.starting import start_erasing
from sento_node.keyfile import read_ml_dsa_44_signer, read_signer
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.member_reports import MemberReports
from sento_node.metrics import metrics_page
from sento_node.metrics_endpoint import PATH, MetricsEndpoint
from sento_node.ordering.boot import Refuse, Start, Wait, announcement_of, decide_boot
from sento_node.ordering.etcd.directories import DirectoryTaken, DirectoryUnsafe
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.etcd.member import EtcdMember, MemberNotReady
from sento_node.ordering.etcd.settings import MemberSettings, PeerTls
from sento_node.ordering.etcd.version import find_etcd
from sento_node.peer_watch import watch_peers
from sento_node.peers import PeerNode
from sento_node.preflight import load_genesis, load_ml_dsa_signer, load_signer
from sento_node.rebuild.deciding import OWN_BOOT_NAME, Note, Rebuild
from sento_node.rebuild.finishing import finish
from sento_node.rebuild.places import Places
from sento_node.rebuild.starting import ask_again, note_closed, open_at_start
from sento_node.runner import Runner
from sento_node.scrub.healing import Healer
from sento_node.scrub.scrubber import ScrubSettings, start_scrubbing
from sento_node.service.admin_service import AdminService
from sento_node.service.governance_service import GovernanceService
from sento_node.service.node_state import NodeState
from sento_node.service.refusals import Refusals
from sento_node.service.registry_service import RegistryService
from sento_node.service.releasing import open_access_log
from sento_node.service.sync_service import SyncService
from sento_node.tallies import Tallies
from sento_proto.checkpoint import SiteSigners
from sento_proto.errors import SentoError
from sento_proto.keys import Signer
from sento_proto.v1 import (
    admin_pb2,
    client_pb2,
    governance_pb2,
    governance_pb2_grpc,
    sync_pb2,
    sync_pb2_grpc,
)
from sento_proto.v1.admin_pb2_grpc import add_AdminServicer_to_server
from sento_proto.v1.client_pb2_grpc import add_RegistryServicer_to_server
from sento_proto.wire import u64

STOP_GRACE_S = 1.0
ANNOUNCE_AGAIN_MS = 500
READY_AGAIN_MS = 5_000
BEGUN_AGAIN_MS = 20
EPOCH = 0
AGAIN = 75
"""What a life ends with that is to be followed by another in this process."""
_SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (client_pb2, "Registry"),
        (admin_pb2, "Admin"),
        (governance_pb2, "Governance"),
        (sync_pb2, "Sync"),
    )
)


class CannotListen(Exception):
    """The node's address is taken or not ours. The text is one sentence of cause and one of remedy."""


class Node:
    """One life of one node. `run` returns when `stop` was asked for or the node stopped itself."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._genesis = load_genesis(config)
        self._log = structlog.get_logger("sento.node").bind(site=config.site)
        self._etcd = find_etcd(config.ordering.etcd_path or None)
        self._stop = asyncio.Event()
        self._health = health.aio.HealthServicer()
        self._peers = {peer.name: PeerNode(peer, config.tls) for peer in config.peers}
        self._member: EtcdMember | None = None
        self._order: EtcdLog | None = None
        self._eraser_log: EtcdEraser | None = None
        self._metrics: MetricsEndpoint | None = None
        self._certificates = tls.ServerCertificates(
            config.tls, lambda words: self._log.error("certificates", why=words)
        )
        self._boot_files = boot_keeper.BootFiles(config.data_dir, EPOCH)
        self._request: sync_pb2.AnnounceBootRequest | None = None
        self._node = self._open()
        try:
            self._signer, self._ml_dsa_signer = self._signers()
            self._node.signers = SiteSigners(self._signer, self._ml_dsa_signer)
            self._access_log = self._node.access_log = open_access_log(self._node, self._signer)
        except BaseException:
            self._node.store.close()
            raise

    def _open(self) -> NodeState:
        """The ledger, or a stand-in while a new one is prepared: also for one that opens and cannot be begun with. Raises LedgerDamaged where nobody has
        another."""
        self._opened = open_at_start(self._config, self._genesis, self._boot_files)
        node = self._state()
        try:
            _ = node.governance
        except LedgerDamaged as error:
            self._opened.store.close()
            if not self._peers:
                raise
            self._ask_for_a_new_ledger(f"The ledger cannot be begun with ({error}).")
            self._opened = open_at_start(self._config, self._genesis, self._boot_files)
            node = self._state()
        except BaseException:
            self._opened.store.close()
            raise
        return node

    def _signers(self) -> tuple[Signer, Signer | None]:
        """The site's keys. A ledger that is being made anew does not know yet which ones acts name; they are compared when it does."""
        if self._node.condition.rebuilding is not None:
            second = self._config.ml_dsa_key
            return read_signer(self._config.signing_key), None if second is None else read_ml_dsa_44_signer(
                second
            )
        site = self._node.governance.sites.get(self._config.site)
        return load_signer(self._config, site), load_ml_dsa_signer(self._config, site)

    def _state(self) -> NodeState:
        opened = self._opened
        note = opened.note
        reason = opened.preparing.decided.reason if opened.preparing else note.reason if note else None
        return NodeState(
            config=self._config,
            genesis=self._genesis,
            store=opened.store,
            memories=opened.memories,
            clock=SystemClock(),
            writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer"),
            condition=Condition(rebuilding=None if reason is None else Rebuilding(reason)),
            certificate_expires_at_s=lambda: self._certificates.expires_at_s,
            tallies=Tallies(self._config.ordering.block_kib * 1024),
        )

    def stop(self) -> None:
        """Ask for an orderly stop."""
        self._stop.set()

    async def run(self) -> int:
        """Serve until stopped. Returns the exit code: 0 after an orderly stop, 1 when the node stopped itself, AGAIN when it is to begin its next life at
        once, because its ledger is made anew. Raises CannotListen."""
        try:
            await self._serve_metrics()
            server = await self._serve()
        except BaseException:
            await self._end_metrics()
            self._node.store.close()
            raise
        watching = asyncio.create_task(watch_peers(self._node, self._peers), name="watch-peers")
        living = asyncio.create_task(self._live(), name="live")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({living, stop}, return_when=asyncio.FIRST_COMPLETED)
            if living in done:
                await self._report_end(living)
                await self._stop_or_stay(stop)
        finally:
            await self._shut_down(server, living, watching)
        if self._node.condition.state == "rebuilding" and not self._stop.is_set():
            return AGAIN
        return 1 if self._node.condition.state in ("stopped", "diverged", "refused") else 0

    async def _report_end(self, living: asyncio.Task[None]) -> None:
        """The node's own work ended by itself: say why. An unforeseen failure ends the process loudly."""
        condition = self._node.condition
        failure = living.exception()
        if isinstance(failure, LedgerDamaged) and len(self._peers):
            condition.state = "rebuilding"
            condition.rebuilding = Rebuilding(f"The ledger cannot be gone on with ({failure}).")
        elif failure is not None:
            condition.state, condition.explanation = "stopped", _failure_in_words(failure)
            self._log.error("the node failed", exc_info=None if isinstance(failure, _IN_WORDS) else failure)
        await self._set_health(serving=False)
        if condition.state == "rebuilding":
            if self._opened.preparing is None and condition.rebuilding is not None:
                self._ask_for_a_new_ledger(condition.rebuilding.reason, condition.rebuilding.disputed_size)
            self._log.warning("the node begins its next life", why=condition.shown_explanation)
            return
        self._log.error("the node takes no further part", state=condition.state, why=condition.explanation)

    async def _stop_or_stay(self, stop: asyncio.Task[bool]) -> None:
        """A node that stopped itself for its disk's sake ends; one that was refused or diverged stays to say so."""
        if self._node.condition.state in ("refused", "diverged"):
            await stop
        stop.cancel()

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
            raise _cannot_listen("metrics.address", address) from error
        self._log.info("metrics", at=f"http://{address}{PATH}")

    async def _end_metrics(self) -> None:
        if self._metrics is not None:
            await self._metrics.close()
            self._metrics = None

    async def _serve(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[Refusals(self._node.tallies, self._node.clock.wall_ms)],
            options=bounds.SERVER_OPTIONS,
        )
        add_RegistryServicer_to_server(RegistryService(self._node), server)
        add_AdminServicer_to_server(AdminService(self._node), server)
        governance_pb2_grpc.add_GovernanceServicer_to_server(GovernanceService(self._node), server)
        sync_pb2_grpc.add_SyncServicer_to_server(SyncService(self._node), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        address = self._config.listen.address
        try:
            server.add_secure_port(address, self._certificates.credentials())
        except RuntimeError as error:
            raise _cannot_listen("listen.address", address) from error
        await self._set_health(serving=False)
        await server.start()
        self._log.info("listening", address=address, ledger=self._genesis.name)
        return server

    async def _set_health(self, *, serving: bool) -> None:
        state = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *_SERVICES):
            await self._health.set(name, state)

    async def _live(self) -> None:
        """From boot confirmation to the end of the runner."""
        files, condition = self._boot_files, self._node.condition
        if self._opened.preparing is not None:
            condition.explanation = "What is on disk is examined and set aside."
            await self._opened.preparing.run()
            condition.state = "rebuilding"
            return
        if not await self._confirm_boot(files):
            return
        member = await self._start_member(files)
        if member is None:
            return
        store = self._node.store
        life = Life(
            self._config.site,
            self._signer,
            self._node.boot_number,
            self._config.ordering.lanes,
            self._config.ordering.block_kib * 1024,
            self._ml_dsa_signer,
        )
        site = compose_site(store, self._genesis, life, self._node.clock.now_ms())
        self._order = EtcdLog(
            member.client_target,
            quota_bytes=self._config.ordering.quota_mib * 1024 * 1024,
            resident_bytes=member.resident_bytes,
        )
        self._node.runner = Runner(
            site,
            store,
            self._order,
            self._peers,
            self._node.clock,
            self._node.condition,
            self._node.writer,
            self._node.tallies,
            rebuild := self._rebuild(),
        )
        runner = self._node.runner
        runner.start()
        runner.also_run(
            keep_announced(
                runner,
                site.state,
                self._config.site,
                self._signer,
                self._node.clock,
                lambda: self._node.condition.takes_writes,
            ),
            "announce-rules",
        )
        self._eraser_log = start_erasing(
            self._node,
            runner,
            SiteSigners(self._signer, self._ml_dsa_signer),
            (member.client_target, files.member_dir),
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
                finish(rebuild, site, store, self._peers, self._request, condition, runner.in_writer),
                "rebuild",
            )
        await self._accompany(self._node.runner, member)

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

    async def _confirm_boot(self, files: boot_keeper.BootFiles) -> bool:
        """Raise the boot number, and wait until it is confirmed. False when this site must not take part."""
        condition, store = self._node.condition, self._node.store
        cosigned = recall_cosigned(store)
        try:
            check_own_word(store, cosigned)
        except RolledBack as error:
            condition.state, condition.explanation = "rebuilding" if self._peers else "diverged", str(error)
            condition.rebuilding = Rebuilding(str(error)) if self._peers else None
            return False
        try:
            disk = files.read(store.tip.size, 0 if cosigned is None else cosigned.size)
            unconfirmed = files.unconfirmed()
        except boot_keeper.BootFileDamaged as error:
            condition.state, condition.explanation = "refused", str(error)
            return False
        announcement, disk = announcement_of(disk, unconfirmed, os.urandom(boot_keeper.LIFE_BYTES))
        number = announcement.boot_number
        voting_others = frozenset(self._genesis.voting_sites) - {self._config.site}
        by_itself = decide_boot(disk, number, {}, voting_others)
        if isinstance(by_itself, Refuse):
            condition.state, condition.explanation = "refused", by_itself.words
            return False
        files.note_unconfirmed(announcement)
        store.remember(OWN_BOOT_NAME, u64(number))
        files.raise_to(number)
        self._node.boot_number = number
        self._request = request = sync_pb2.AnnounceBootRequest(
            site=self._config.site,
            ledger_id=self._genesis.ledger_id,
            epoch=EPOCH,
            boot_number=number,
            life=announcement.life,
        )
        while True:
            answers, silence = await boot_keeper.announce(self._peers, request)
            match decide_boot(disk, number, answers, voting_others):
                case Start(_, cosigned_size):
                    files.note_confirmed()
                    self._note_floor(cosigned_size)
                    self._log.info("boot confirmed", boot_number=number, by=sorted(answers))
                    return True
                case Refuse(words):
                    condition.state, condition.explanation = "refused", words
                    return False
                case Wait(words):
                    condition.state = "waiting-for-boot-confirmation"
                    condition.explanation = f"{words} {boot_keeper.silence_in_words(silence)}"
                    await asyncio.sleep(ANNOUNCE_AGAIN_MS / 1000)

    def _note_floor(self, cosigned_size: int) -> None:
        """The ledger is behind what somebody remembers of this site's word: it is made whole before anything is answered or cosigned."""
        condition, store = self._node.condition, self._node.store
        if condition.rebuilding is None and cosigned_size > store.tip.size and self._peers:
            reason = (
                f"The ledger holds {store.tip.size} records, and this site once cosigned {cosigned_size}."
            )
            remember_rebuild(store, Note(reason, 1, cosigned_size, store.tip.size))
            condition.rebuilding = Rebuilding(reason, cosigned_size)

    async def _start_member(self, files: boot_keeper.BootFiles) -> EtcdMember | None:
        """Start the own etcd member and wait until it can order. None when it is down for good."""
        ordering, condition = self._config.ordering, self._node.condition
        settings = MemberSettings(
            site=self._config.site,
            data_dir=files.member_dir,
            run_dir=files.epoch_dir / "run",
            peer_listen_url=ordering.peer_url,
            peer_url=ordering.peer_url,
            members={self._config.site: ordering.peer_url}
            | {
                peer.name: peer.ordering_peer_url
                for peer in self._config.peers
                if peer.name in self._genesis.voting_sites
            },
            cluster_token=f"sento-{self._genesis.ledger_id.hex()[:32]}-{EPOCH}",
            tls=PeerTls(ordering.ca, ordering.certificate, ordering.key),
            heartbeat_ms=ordering.heartbeat_ms,
            election_ms=ordering.election_ms,
            quota_bytes=ordering.quota_mib * 1024 * 1024,
        )
        reports = MemberReports(self._log, condition)
        self._member = EtcdMember(
            settings,
            self._etcd,
            on_event=reports.event,
            on_log=reports.line,
        )
        condition.state = "starting"
        condition.explanation = "The ordering member is starting; it needs a majority of the voting sites."
        await self._member.start()
        ended = asyncio.create_task(self._member.ended())
        while not files.note_begun() and not ended.done():
            await asyncio.wait({ended}, timeout=BEGUN_AGAIN_MS / 1000)
        while not ended.done():
            try:
                await self._member.wait_ready(timeout_ms=READY_AGAIN_MS)
            except MemberNotReady as error:
                condition.explanation = str(error)
            else:
                ended.cancel()
                return self._member
        condition.state, condition.explanation = "stopped", ended.result().sentence
        return None

    async def _accompany(self, runner: Runner, member: EtcdMember) -> None:
        """Until the runner or the member ends: keep health up to date."""
        health_watch = asyncio.create_task(self._watch_health())
        halted, ended = asyncio.create_task(runner.halted()), asyncio.create_task(member.ended())
        try:
            await asyncio.wait({halted, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not halted.done():
                runner.halt("stopped", ended.result().sentence)
        finally:
            for task in (health_watch, halted, ended):
                task.cancel()

    async def _watch_health(self) -> None:
        while True:
            await self._set_health(serving=self._node.condition.shown_state == "serving")
            await asyncio.sleep(0.2)

    # -- stopping ---------------------------------------------------------------------------------------------------

    async def _shut_down(
        self, server: grpc.aio.Server, living: asyncio.Task[None], watching: asyncio.Task[None]
    ) -> None:
        self._log.info("stopping")
        await self._set_health(serving=False)
        runner, condition = self._node.runner, self._node.condition
        if runner is not None:
            runner.begin_stop()
            await self._hand_on(runner)
            await runner.drained(bounds.DRAIN_TIMEOUT_MS)
        await server.stop(STOP_GRACE_S)
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
        if self._member is not None:
            await self._member.stop()
        for peer in self._peers.values():
            await peer.close()
        await self._end_metrics()
        self._node.writer.shutdown(wait=True)
        self._node.store.close()
        if self._opened.preparing is None and condition.state != "stopped":
            note_closed(self._config.data_dir)
        self._log.info("stopped", state=self._node.condition.state)

    async def _hand_on(self, runner: Runner) -> None:
        """Give the lead away before this member goes, so that writers elsewhere do not wait for an election."""
        status = self._node.condition.ordering
        if status is None or not status.is_lead:
            return
        others = [
            member.site for member in status.members if member.votes and member.site != self._config.site
        ]
        for site in others:
            try:
                await runner.handed_over(site, 2_000)
            except SentoError as error:
                self._log.warning("the lead was not taken", by=site, why=str(error)[:200])
            else:
                return


def _cannot_listen(setting: str, address: str) -> CannotListen:
    return CannotListen(
        f"{setting}: {address} cannot be listened on, because another program does or the address is not this machine's. "
        "Find and stop that program, or change the address."
    )


_IN_WORDS = (DirectoryTaken, DirectoryUnsafe, LedgerFailed, LedgerDamaged, UnknownRules)


def _failure_in_words(failure: BaseException) -> str:
    if isinstance(failure, _IN_WORDS):
        return str(failure)
    if isinstance(failure, OSError):
        return f"The node's own files cannot be used ({failure}). Check the disk, its free space and the directory's owner, then start again."
    return f"The node met a condition it does not know ({type(failure).__name__}) and stopped itself. Report it with this log."
