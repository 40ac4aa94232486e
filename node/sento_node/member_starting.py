"""This site's own ordering member: made from the node's configuration, started, and waited for until it can order."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import structlog

from sento_node.boot_keeper import BootFiles
from sento_node.condition import Condition
from sento_node.config import NodeConfig
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.here import EpochHere
from sento_node.member_reports import MemberReports
from sento_node.ordering.etcd.member import EtcdMember, MemberNotReady
from sento_node.ordering.etcd.settings import MemberSettings, PeerTls
from sento_node.ordering.etcd.version import EtcdBinary
from sento_node.round_trips import timeouts_at_start
from sento_proto.genesis import Genesis

READY_AGAIN_MS = 5_000
BEGUN_AGAIN_MS = 20


def member_of(
    config: NodeConfig,
    genesis: Genesis,
    files: BootFiles,
    etcd: EtcdBinary,
    condition: Condition,
    here: EpochHere,
    voting_sites: Collection[str],
    join: Mapping[str, str] | None = None,
    urls: Mapping[str, str] | None = None,
) -> EtcdMember:
    """The member, not started; what it reports goes into the condition. Only voting sites begin as its members; `join`: it joins these instead, by name and
    URL; `urls`: where members are reached by the epoch's plan or governance, before node.toml. Raises ConfigMistake."""
    ordering = config.ordering
    if ordering is None:
        raise ConfigMistake(f"{config.site} votes, and its node.toml has no [ordering] table for its member.")
    files_of_epoch = ordering.of_epoch(here.number)
    timeouts = timeouts_at_start(ordering, files.epoch_dir.parent)
    others = {peer.name: peer.ordering_peer_url for peer in config.peers if peer.name in voting_sites}
    others |= {
        name: url for name, url in (urls or {}).items() if name in voting_sites and name != config.site
    }
    settings = MemberSettings(
        site=config.site,
        data_dir=files.member_dir,
        run_dir=files.epoch_dir / "run",
        peer_listen_url=ordering.peer_url,
        peer_url=ordering.peer_url,
        members=join or {config.site: ordering.peer_url} | {name: url for name, url in others.items() if url},
        joins_existing=join is not None,
        cluster_token=here.cluster_token(genesis),
        tls=PeerTls(files_of_epoch.ca, files_of_epoch.certificate, files_of_epoch.key),
        heartbeat_ms=timeouts.heartbeat_ms,
        election_ms=timeouts.election_ms,
        quota_bytes=ordering.quota_mib * 1024 * 1024,
    )
    reports = MemberReports(structlog.get_logger("sento.node").bind(site=config.site), condition)
    return EtcdMember(settings, etcd, on_event=reports.event, on_log=reports.line)


async def until_ready(member: EtcdMember, files: BootFiles, condition: Condition) -> bool:
    """Start the member and wait until it can order. False when it is down for good. Raises DirectoryTaken, DirectoryUnsafe, OSError."""
    condition.state = "starting"
    condition.explanation = "The ordering member is starting; it needs a majority of the voting sites."
    await member.start()
    ended = asyncio.create_task(member.ended())
    while not files.note_begun() and not ended.done():
        await asyncio.wait({ended}, timeout=BEGUN_AGAIN_MS / 1000)
    while not ended.done():
        try:
            await member.wait_ready(timeout_ms=READY_AGAIN_MS)
        except MemberNotReady as error:
            condition.explanation = str(error)
        else:
            ended.cancel()
            return True
    condition.state, condition.explanation = "stopped", ended.result().sentence
    return False
