"""A tie-breaker: the node of a site that votes in the ordering log and keeps no ledger, so that two sites with ledgers have a majority when one is lost.

    boot number raised and confirmed, as everywhere ─► own etcd member ─► its head and state watched ─► the lead handed on, whenever it came here

Its member's disk is protected by the same boot numbers as any other's, and it confirms the boots of others by what it remembers in a file. It applies nothing,
cosigns nothing, and answers nobody about records. Leading, it would propose no checkpoints, so it gives the lead to a site with a ledger. Blocks that were
trimmed leave its member's files in time: every hour what etcd has given free is removed and the database rewritten, because nobody tells it of erasure orders.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from sento_node import tls
from sento_node.boot_confirming import confirm_boot
from sento_node.boot_keeper import BootFiles
from sento_node.clock import SystemClock
from sento_node.condition import Condition
from sento_node.config import NodeConfig
from sento_node.epochs.here import epoch_here
from sento_node.joining.running import Joining, joining_of
from sento_node.joining.starting import joining_at_start
from sento_node.ledger.lmdb_files import free_bytes
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import DiskSpace
from sento_node.member_starting import member_of
from sento_node.metrics import metrics_page
from sento_node.metrics_endpoint import MetricsEndpoint
from sento_node.order_starting import OrderAccess, own_order
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.ordering.etcd.version import find_etcd
from sento_node.ordering.port import OrderingError
from sento_node.ordering.timeouts import Timeouts
from sento_node.peer_book import PeerBook, Reached
from sento_node.peer_watch import watch_peers
from sento_node.preflight import check_member, load_genesis
from sento_node.rebuild.boot_memories import BootMemories, memories_path
from sento_node.round_trips import RoundTripKeeper
from sento_node.service.node_state import NodeState
from sento_node.serving import Services, cannot_listen
from sento_node.tallies import Tallies
from sento_node.watch import HEAD_EVERY_MS, HEAD_TIMEOUT_MS, MEMBERS_ALARM, members_in_words
from sento_proto.bootstrap import Bootstrap

HAND_OVER_TIMEOUT_MS = 2_000
TIDY_EVERY_S = 3_600
TIDY_TIMEOUT_MS = 60_000
_LIVE = ("starting", "joining", "no-majority", "serving")


class TieBreaker:
    """One life of a tie-breaker's node. `run` returns when `stop` was asked for or the node stopped itself."""

    def __init__(self, config: NodeConfig, bootstrap: Bootstrap | None = None) -> None:
        """`bootstrap`: what this site joined with; it knows more of the sites than the genesis file."""
        self._config = config
        self._genesis = load_genesis(config)
        check_member(config, self._genesis.site(config.site), self._genesis.voting_sites)
        sites = self._genesis.sites if bootstrap is None else bootstrap.sites
        self._voting = tuple(site.name for site in sites if site.votes)
        self._successors = tuple(site.name for site in sites if site.votes and site.ledger)
        begun = joining_at_start(config.data_dir, self._genesis.ledger_id, has_ledger=False)
        self._etcd = find_etcd((config.ordering.etcd_path if config.ordering else "") or None)
        self._log = structlog.get_logger("sento.node").bind(site=config.site)
        self._stop = asyncio.Event()
        self._here = epoch_here(config.data_dir)
        self._boot_files = BootFiles(config.data_dir, self._here.number)
        self._peers = PeerBook(config)
        self._known = () if bootstrap is None else bootstrap.sites
        self._certificates = tls.ServerCertificates(
            config.tls, lambda words: self._log.error("certificates", why=words)
        )
        self._order: OrderAccess | None = None
        self._node = self._state()
        self._joining = None if begun is None else joining_of(begun, self._node, self._peers)
        self._services = Services(self._node, self._certificates, has_ledger=False)

    def _state(self) -> NodeState:
        config = self._config
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = MemoryStore(
            MemoryDisk(self._genesis.ledger_id), space=DiskSpace(*free_bytes(config.data_dir))
        )
        memories = BootMemories(memories_path(config.data_dir), store)
        memories.complete([site.name for site in self._genesis.sites])
        node = NodeState(
            config=config,
            genesis=self._genesis,
            store=store,
            memories=memories,
            clock=SystemClock(),
            writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="memories-writer"),
            condition=Condition(),
            certificate_expires_at_s=lambda: self._certificates.expires_at_s,
            tallies=Tallies(config.block_max_bytes),
            keeps_ledger=False,
        )
        node.epoch = self._here
        return node

    @property
    def state(self) -> NodeState:
        """What the node's services see."""
        return self._node

    def stop(self) -> None:
        """Ask for an orderly stop."""
        self._stop.set()

    async def run(self) -> int:
        """Serve until stopped. Returns the exit code: 0 after an orderly stop, 1 when the node stopped itself. Raises CannotListen."""
        metrics = await self._listen()
        said = [Reached(site.name, site.address, site.ordering_url) for site in self._known]
        await self._peers.follow(said, whole=False)
        living = asyncio.create_task(self._live(), name="live")
        others = [
            asyncio.create_task(watch_peers(self._node, self._peers), name="watch-peers"),
            asyncio.create_task(self._services.keep_saying(), name="say-health"),
        ]
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        condition = self._node.condition
        try:
            done, _ = await asyncio.wait({living, stop}, return_when=asyncio.FIRST_COMPLETED)
            if living in done:
                self._report_end(living)
                if condition.state == "refused":
                    await stop
        finally:
            await self._shut_down([living, stop, *others], metrics)
        return 1 if condition.state in ("stopped", "refused") else 0

    async def _listen(self) -> MetricsEndpoint | None:
        metrics: MetricsEndpoint | None = None
        if self._config.metrics is not None:
            address = self._config.metrics.address
            try:
                metrics = await MetricsEndpoint.open(address, metrics_page(self._node))
            except OSError as error:
                raise cannot_listen("metrics.address", address) from error
        try:
            await self._services.listen()
        except BaseException:
            if metrics is not None:
                await metrics.close()
            raise
        return metrics

    def _report_end(self, living: asyncio.Task[None]) -> None:
        condition, failure = self._node.condition, living.exception()
        if failure is not None:
            condition.state = "stopped"
            condition.explanation = (
                f"The node met a condition it does not know ({type(failure).__name__}) and stopped itself."
            )
            self._log.error("the node failed", exc_info=failure)
        self._log.error("the node takes no further part", state=condition.state, why=condition.explanation)

    # -- living -----------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """From boot confirmation to the member's end."""
        joining = self._joining
        new_disk = joining is not None and joining.new_disk
        if await confirm_boot(self._node, self._boot_files, self._peers, new_disk=new_disk) is None:
            return
        members = None
        if joining is not None:
            joining.confirmed()
            members = await joining.prepare_member(self._boot_files)
            if members is None:
                return
        member = member_of(
            self._config,
            self._genesis,
            self._boot_files,
            self._etcd,
            self._node.condition,
            self._here,
            self._here.began_with(self._genesis),
            members,
        )
        order = self._order = await own_order(member, self._boot_files, self._node.condition)
        if order is None or order.member is None:
            return
        self._node.member_target = order.member.client_target
        settings = order.member.settings
        self._node.timeouts = Timeouts(settings.heartbeat_ms, settings.election_ms)
        ended = asyncio.create_task(order.member.ended())
        keeper = RoundTripKeeper(self._boot_files.epoch_dir.parent, self._node.round_trips)
        jobs = [
            asyncio.create_task(self._watch(order)),
            asyncio.create_task(self._tidy(order)),
            asyncio.create_task(keeper.run(lambda: set(self._voting) - {self._config.site})),
        ]
        if joining is not None:
            jobs.append(asyncio.create_task(self._attend(joining, order.member.client_target)))
        try:
            pending: set[asyncio.Task[Any]] = {ended, *jobs}
            while pending and not ended.done() and self._node.condition.state != "refused":
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for job in done - {ended}:
                    job.result()
            if ended.done():
                self._node.condition.state = "stopped"
                self._node.condition.explanation = ended.result().sentence
        finally:
            for task in (ended, *jobs):
                task.cancel()

    async def _attend(self, joining: Joining, target: str) -> None:
        """Until this disk's member votes; a joining that cannot go on is refused in words."""
        why = await joining.attend_alone(target, self._boot_files)
        if why:
            self._node.condition.state, self._node.condition.explanation = "refused", why

    async def _watch(self, order: OrderAccess) -> None:
        """Twice a second: is there a majority, who votes, and did the lead come here."""
        condition = self._node.condition
        while True:
            try:
                condition.ordering = await order.log.status(timeout_ms=HEAD_TIMEOUT_MS)
                head = await order.log.head(timeout_ms=HEAD_TIMEOUT_MS)
            except OrderingError:
                self._say(
                    "no-majority",
                    "The ordering log has no majority that answers here. Look at the links to the other sites, and start those that are down.",
                )
            else:
                condition.head_number = head.number
                self._judge_members()
                self._say("serving", "The site votes in the ordering log; it keeps no ledger.")
                await self._hand_on(order)
            await asyncio.sleep(HEAD_EVERY_MS / 1000)

    def _say(self, state: str, words: str) -> None:
        condition = self._node.condition
        if condition.state in _LIVE:
            condition.state, condition.explanation = state, words
        if state == "serving":
            condition.confirmed_at_ms = self._node.clock.wall_ms()

    def _judge_members(self) -> None:
        ordering, condition = self._node.condition.ordering, self._node.condition
        words = members_in_words(() if ordering is None else ordering.members, self._voting)
        if words:
            condition.raise_alarm(MEMBERS_ALARM, words)
        else:
            condition.end_alarm(MEMBERS_ALARM)

    async def _hand_on(self, order: OrderAccess) -> None:
        """Give the lead to a voting site with a ledger that answers."""
        status = self._node.condition.ordering
        if status is None or not status.is_lead:
            return
        for site in self._successors:
            if self._node.reaches(site):
                try:
                    await order.log.hand_over_lead(site, timeout_ms=HAND_OVER_TIMEOUT_MS)
                except OrderingError as error:
                    self._log.warning("the lead was not taken", by=site, why=str(error)[:200])
                else:
                    self._log.info("the lead was handed on", to=site)
                    return

    async def _tidy(self, order: OrderAccess) -> None:
        """Every hour: what was trimmed leaves the member's files."""
        if order.member is None:
            return
        files = EtcdEraser(order.member.client_target, self._boot_files.member_dir)
        try:
            while True:
                await asyncio.sleep(TIDY_EVERY_S)
                try:
                    files.remove_released()
                    await files.rewrite_database(timeout_ms=TIDY_TIMEOUT_MS)
                except OrderingError as error:
                    self._log.warning("the member's files were not tidied", why=str(error)[:200])
        finally:
            await files.close()

    # -- stopping ---------------------------------------------------------------------------------------------------

    async def _shut_down(self, tasks: list[asyncio.Task[object]], metrics: MetricsEndpoint | None) -> None:
        condition = self._node.condition
        if condition.state in _LIVE:
            condition.state, condition.explanation = "stopping", "The node is being stopped."
        await self._services.say(serving=False)
        if self._order is not None:
            await self._hand_on(self._order)
        await self._services.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._order is not None:
            await self._order.close()
        await self._peers.close()
        if metrics is not None:
            await metrics.close()
        self._node.writer.shutdown(wait=True)
        self._log.info("stopped", state=condition.state)
