"""Real etcd members under the supervisor, hurt in the ways that processes, disks, certificates and operators hurt them.

Faults that must be survived without losing or doubling an acknowledged block: kill -9 of any one member, of the leading one under load, and of the
node that runs a member. Faults that must be refused in words: two members on one directory, a lost disk, a removed member, a stranger's certificate,
a taken port.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from etcd_cluster import (
    CALL_TIMEOUT_MS,
    EtcdCluster,
    TestMember,
    append_surely,
    read_head,
    running_cluster,
    stands_still,
    until,
)
from following import blocks_until, take_blocks, take_events
from member_host import settings_to_json
from ordering_certs import OrderingCa
from sento_node.ordering.etcd.api import etcd_pb2 as pb
from sento_node.ordering.etcd.client import EtcdClient, WrongOrderingLog
from sento_node.ordering.etcd.directories import DirectoryTaken
from sento_node.ordering.etcd.log import EtcdLog
from sento_node.ordering.etcd.member import MemberNotReady
from sento_node.ordering.etcd.member_process import MemberExited, MemberRepaired, MemberStarted
from sento_node.ordering.etcd.supervision import EndKind, Restart
from sento_node.ordering.port import FollowBroken, Head, OrderedBlock, OrderingRefused, OutcomeUnknown

pytestmark = pytest.mark.asyncio(loop_scope="module")

AnswerT = TypeVar("AnswerT")
SITES = ("north", "east", "south")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EtcdCluster]:
    async with running_cluster(tmp_path_factory.mktemp("etcd") / "three", *SITES) as running:
        yield running


@pytest.fixture
def lane(request: pytest.FixtureRequest) -> str:
    return f"{request.node.originalname.replace('test_', '')[:60]}/1/0"


def alone(directory: Path) -> TestMember:
    """A member without peers, not started, in directories whose paths are too long for a unix socket."""
    return EtcdCluster.make(directory / ("long-" * 25), ("alone",)).members[0]


# Killed processes.


async def test_a_member_killed_with_its_socket_left_behind_comes_back_and_its_follower_resumes(
    cluster: EtcdCluster, lane: str
) -> None:
    victim, other = cluster.members[2], cluster.members[0]
    start = await read_head(other.log)
    await append_surely(victim.log, lane, 1, b"before")
    following = asyncio.create_task(take_blocks(victim.log, start, 99))
    old_pid = victim.member.pid
    victim.signal(signal.SIGKILL)
    with pytest.raises(FollowBroken):
        await following
    await append_surely(other.log, lane, 2, b"meanwhile")
    await until(lambda: _restarted(victim, old_pid), "the supervisor starts the member again")
    await victim.ready()
    await append_surely(victim.log, lane, 3, b"after")
    assert [block.data for block in await take_blocks(victim.log, start, 3)] == [
        b"before",
        b"meanwhile",
        b"after",
    ]
    ended = next(event for event in victim.events if isinstance(event, MemberExited))
    assert (ended.return_code, type(ended.decision)) == (-signal.SIGKILL, Restart)


async def _restarted(member: TestMember, old_pid: int) -> bool:
    return member.member.pid not in (0, old_pid)


async def test_the_leading_member_killed_under_load_loses_nothing_and_doubles_nothing(
    cluster: EtcdCluster, lane: str
) -> None:
    victim = await cluster.lead()
    others = [member for member in cluster.members if member is not victim]
    start = await read_head(victim.log)
    acknowledged: dict[tuple[str, int], bytes] = {}
    longest_gap_s = 0.0
    lead_changed = asyncio.Event()

    async def write(writer: TestMember, lane: str) -> None:
        nonlocal longest_gap_s
        seq, left = 0, 40
        while left:
            seq += 1
            data, began_s = os.urandom(20_000), time.monotonic()
            await append_surely(writer.log, lane, seq, data, timeout_ms=300)
            acknowledged[lane, seq] = data
            longest_gap_s = max(longest_gap_s, time.monotonic() - began_s)
            left -= lead_changed.is_set()

    writers = [
        asyncio.create_task(write(other, f"{lane}-{other.site}-{k}")) for other in others for k in range(2)
    ]
    await until(lambda: _at_least(acknowledged, 40), "writing is under way")
    old_pid = victim.member.pid
    victim.signal(signal.SIGKILL)
    lead_changed.set()
    await asyncio.gather(*writers)
    await until(lambda: _restarted(victim, old_pid), "the supervisor starts the member again")
    await victim.ready()
    for member in cluster.members:
        blocks = await blocks_until(member.log, start, await read_head(member.log))
        assert len(blocks) == len(acknowledged)
        assert {(block.lane, block.seq): block.data for block in blocks} == acknowledged
    print(f"acknowledged={len(acknowledged)} present={len(acknowledged)} longest_gap_s={longest_gap_s:.2f}")
    assert longest_gap_s < 5


async def _at_least(blocks: dict[tuple[str, int], bytes], count: int) -> bool:
    return len(blocks) >= count


async def test_a_frozen_member_breaks_its_followers_although_its_connection_stays_open(
    cluster: EtcdCluster, lane: str
) -> None:
    member, other = cluster.members[1], cluster.members[0]
    before = await append_surely(other.log, lane, 1, b"to follow from")
    await append_surely(other.log, lane, 2, b"the stream is open")
    events = member.log.follow(Head(before.number, before.revision))
    assert isinstance(await anext(events), OrderedBlock)
    async with cluster.frozen(member):
        with pytest.raises(FollowBroken, match="silent after block"):
            await asyncio.wait_for(anext(events), 10)


async def test_a_member_ends_with_its_killed_node_and_the_next_node_takes_over_its_directories(
    tmp_path: Path, lane: str
) -> None:
    member = alone(tmp_path)
    host = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parents[1] / "support" / "member_host.py"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdin is not None
    assert host.stdout is not None
    host.stdin.write(settings_to_json(member.settings).encode() + b"\n")
    etcd_pid = int(await asyncio.wait_for(host.stdout.readline(), 30))
    try:
        os.kill(etcd_pid, signal.SIGSTOP)
        await until(lambda: stands_still(etcd_pid), "the member stands still")
        host.kill()
        await host.wait()
        with pytest.raises(DirectoryTaken, match="already runs"):  # the lock lives as long as the member does
            await member.member.start(claim_patience_ms=0)
        os.kill(etcd_pid, signal.SIGCONT)
        await until(lambda: _is_gone(etcd_pid), "the kernel ends the member of the killed node")
        await member.start()
        assert member.settings.run_dir.stat().st_mode & 0o777 == 0o700
        await append_surely(member.log, lane, 1, b"under a new node")
    finally:
        await member.stop()
        if not await _is_gone(etcd_pid):
            os.kill(etcd_pid, signal.SIGKILL)


async def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_stopping_the_leading_member_hands_the_lead_over_first(cluster: EtcdCluster, lane: str) -> None:
    leading = await cluster.lead()
    other = next(member for member in cluster.members if member is not leading)
    await append_surely(other.log, lane, 1, b"under the old lead")
    stopping = asyncio.create_task(leading.member.stop())
    began_s = time.monotonic()
    await append_surely(other.log, lane, 2, b"under the new lead", timeout_ms=300)
    print(f"gap_s={time.monotonic() - began_s:.2f}")
    down = await stopping
    assert (down.kind, down.sentence) == (EndKind.STOPPED, "The member stopped cleanly, as asked.")
    assert any("leadership transfer" in line for line in leading.member.log_tail)
    renewed = await leading.renew()
    cluster.members[cluster.members.index(leading)] = renewed
    await renewed.start()
    await renewed.ready()


# Starts that must be refused, or must wait, in words.


async def test_a_second_member_on_the_same_directories_is_refused_in_words(cluster: EtcdCluster) -> None:
    first = cluster.members[0]
    for changes in ({}, {"data_dir": first.settings.data_dir.parent / "other"}):
        second = TestMember(replace(first.settings, **changes))  # type: ignore[arg-type]
        with pytest.raises(DirectoryTaken, match=r"already runs on .* Stop the other node"):
            await second.member.start(claim_patience_ms=100)
        assert second.member.pid == 0
    await first.ready()


async def test_a_voter_without_its_peers_starts_says_what_it_waits_for_and_stops(tmp_path: Path) -> None:
    lonely = EtcdCluster.make(tmp_path, SITES).members[0]
    await lonely.start()
    try:
        assert lonely.member.pid
        with pytest.raises(MemberNotReady, match=r"not found a majority.*LOCAL reads go on"):
            await lonely.member.wait_ready(timeout_ms=700)
        with pytest.raises(OutcomeUnknown):
            await lonely.log.head(timeout_ms=200)
    finally:
        await lonely.stop()
    assert lonely.member.pid == 0


async def test_a_taken_peer_port_is_tried_four_times_and_then_named(tmp_path: Path) -> None:
    member = alone(tmp_path)
    port = int(member.settings.peer_url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        await member.start()
        down = await member.member.ended()
        with pytest.raises(MemberNotReady, match="another program"):
            await member.ready()
    await member.stop()
    assert down.kind is EndKind.GAVE_UP
    assert "cannot listen on its peer address" in down.sentence
    assert sum(isinstance(event, MemberStarted) for event in member.events) == 4


@pytest.mark.parametrize("stranger", ["of another CA", "of our CA but not for ordering"])
async def test_a_member_with_a_strangers_certificate_is_kept_out(
    cluster: EtcdCluster, tmp_path: Path, stranger: str
) -> None:
    ca, hostname = (
        (OrderingCa(), "ordering.sento.internal")
        if stranger == "of another CA"
        else (cluster.ca, "tax.sento.internal")
    )
    await cluster.members[2].stop()
    member = TestMember(
        replace(cluster.members[2].settings, tls=ca.issue(tmp_path / "tls", "south", hostname=hostname))
    )
    await member.start()
    with pytest.raises(MemberNotReady):
        await member.member.wait_ready(timeout_ms=1_500)
    await member.stop(grace_ms=200)
    cluster.members[2] = TestMember(cluster.members[2].settings)
    await cluster.members[2].start()
    await cluster.members[2].ready()


async def test_an_access_for_another_epochs_log_refuses_every_call(cluster: EtcdCluster, lane: str) -> None:
    head = await read_head(cluster.members[0].log)
    foreign = EtcdLog(cluster.members[0].member.client_target, quota_bytes=1, expected_cluster_id=77)
    with pytest.raises(WrongOrderingLog, match="000000000000004d"):
        await foreign.head(timeout_ms=CALL_TIMEOUT_MS)
    with pytest.raises(WrongOrderingLog):
        await foreign.status(timeout_ms=CALL_TIMEOUT_MS)
    with pytest.raises(WrongOrderingLog):
        await take_events(foreign, head, 1)
    await foreign.close()


async def test_a_stranger_who_writes_among_the_blocks_stops_the_followers(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, "alone") as single:
        log = single.members[0].log
        client = EtcdClient(single.members[0].member.client_target)
        put = pb.PutRequest(key=b"/log/stray", value=b"?")
        await client.txn(
            "write", pb.TxnRequest(success=[pb.RequestOp(request_put=put)]), timeout_ms=CALL_TIMEOUT_MS
        )
        await client.close()
        with pytest.raises(OrderingRefused, match="Somebody else writes"):
            await take_events(log, Head(0, 0), 1)


# Disks.


async def test_a_torn_end_of_the_write_ahead_log_is_repaired_by_etcd_and_reported_by_us(
    tmp_path: Path, lane: str
) -> None:
    member = alone(tmp_path)
    await member.start()
    await member.ready()
    for seq in range(1, 11):
        await append_surely(member.log, lane, seq, os.urandom(10_000))
    member.signal(signal.SIGKILL)
    await member.stop()
    assert not member.member.repaired
    tear_last_record(member.settings.data_dir)
    again = TestMember(member.settings)
    await again.start()
    await again.ready()
    await again.stop()
    assert again.member.repaired
    assert sum(isinstance(event, MemberRepaired) for event in again.events) == 1


def tear_last_record(data_dir: Path) -> None:
    """Cut the newest write-ahead log file in the middle of what was written last."""
    newest = max((data_dir / "member" / "wal").glob("*.wal"))
    written = len(newest.read_bytes().rstrip(b"\0"))
    os.truncate(newest, written - 5_000)


async def test_a_wiped_member_is_named_as_such_and_returns_only_as_a_learner(
    cluster: EtcdCluster, lane: str
) -> None:
    north, south = cluster.members[0], cluster.members[2]
    await append_surely(north.log, lane, 1, b"before the disk was lost")
    for joins_existing in (False, True):
        south = await south.renew(joins_existing=joins_existing)
        shutil.rmtree(south.settings.data_dir)
        await south.start()
        down = await asyncio.wait_for(south.member.ended(), 20)
        assert down.kind is EndKind.IDENTITY_LOST
        assert "add it again as a learner" in down.sentence
        assert sum(isinstance(event, MemberStarted) for event in south.events) == 1
    south = await south.renew()
    shutil.rmtree(south.settings.data_dir)
    cluster.members[2] = south
    operator = EtcdClient(north.member.client_target)
    try:
        await _replace_member(operator, south)
    finally:
        await operator.close()
    await append_surely(south.log, lane, 2, b"with the new disk")
    start = await read_head(north.log)
    assert [block.data for block in await take_blocks(south.log, Head(0, 0), start.number)][-2:] == [
        b"before the disk was lost",
        b"with the new disk",
    ]


async def _replace_member(operator: EtcdClient, newcomer: TestMember) -> None:
    old = next(
        each for each in await operator.members(timeout_ms=CALL_TIMEOUT_MS) if each.name == newcomer.site
    )
    await agreed(operator.cluster.MemberRemove, pb.MemberRemoveRequest(ID=old.ID))
    added = await agreed(
        operator.cluster.MemberAdd, pb.MemberAddRequest(peerURLs=[newcomer.settings.peer_url], isLearner=True)
    )
    await newcomer.start()
    ready = await newcomer.member.wait_ready(timeout_ms=20_000)
    assert ready.is_learner
    with pytest.raises(OrderingRefused, match="learner"):
        await newcomer.log.append("learner/1/0", 1, b"too early", timeout_ms=CALL_TIMEOUT_MS)

    await agreed(operator.cluster.MemberPromote, pb.MemberPromoteRequest(ID=added.member.ID))
    await until(lambda: _votes(newcomer), "the newcomer knows that it votes")


async def agreed(method: Callable[..., Awaitable[AnswerT]], request: object) -> AnswerT:
    """The answer to a change of members, asked again while etcd finds that not everybody is connected or caught up."""

    async def asked() -> AnswerT | None:
        try:
            return await method(request, timeout=3)
        except grpc.aio.AioRpcError as error:
            if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION}:
                raise
            return None

    return await until(asked, f"the members agree to {type(request).__name__}", timeout_s=30)


async def _votes(member: TestMember) -> bool:
    try:
        await read_head(member.log)
    except (OrderingRefused, OutcomeUnknown):
        return False
    return True


async def test_a_removed_member_ends_and_is_not_started_again(cluster: EtcdCluster) -> None:
    north, south = cluster.members[0], cluster.members[2]
    south_id = (await south.log.status(timeout_ms=CALL_TIMEOUT_MS)).member_id
    operator = EtcdClient(north.member.client_target)
    await agreed(operator.cluster.MemberRemove, pb.MemberRemoveRequest(ID=south_id))
    await operator.close()
    down = await asyncio.wait_for(south.member.ended(), 20)
    assert down.kind is EndKind.REMOVED
    starts = sum(isinstance(event, MemberStarted) for event in south.events)
    south = await south.renew()
    cluster.members[2] = south
    await south.start()
    assert (await asyncio.wait_for(south.member.ended(), 20)).kind is EndKind.REMOVED
    assert (starts, south.member.pid) == (1, 0)
