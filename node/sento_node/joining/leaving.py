"""Leaving the ordering log at the beginning of a life: a site whose vote the officers ended has its member taken out by others, and puts its log away.

data/ordering/epoch-<n>/etcd-left    what the member had, while it is being removed from the disk

A site that runs leaves while its member still counts (`vote_watch.py`); here it was stopped or killed before that, or left and was not told. Its member is
down now, so that a log of which others are down too may be unable to let it go: after a while the member is started for its own removal.
"""

from __future__ import annotations

import asyncio
import shutil

from sento_node.boot_keeper import BootFiles
from sento_node.durable_files import sync_directory
from sento_node.joining.asking import MemberAsker
from sento_node.ordering.etcd.members import ChangeNotYet, Member
from sento_node.peers import Peers
from sento_node.service.node_state import NodeState
from sento_proto.v1 import sync_pb2

LEFT = "etcd-left"
AGAIN_MS = 500
PATIENCE_MS = 15_000
LEAVES_ALARM = "vote-ended"


def holds_log(files: BootFiles) -> bool:
    """Whether this disk holds a log of the member."""
    return (files.member_dir / "member" / "wal").is_dir()


async def put_away(files: BootFiles) -> None:
    """The member's log leaves the disk, because the member was removed: it can never start again, and may hold what is to be erased. Raises OSError."""
    left = files.member_dir.with_name(LEFT)
    files.note_left()
    if files.member_dir.exists():
        await clear_left(files)
        files.member_dir.rename(left)
        sync_directory(files.epoch_dir)
    await clear_left(files)


async def clear_left(files: BootFiles) -> None:
    """What a putting away that was cut off left behind. Raises OSError."""
    left = files.member_dir.with_name(LEFT)
    if left.exists():
        await asyncio.to_thread(shutil.rmtree, left)


async def leave_log(
    node: NodeState,
    files: BootFiles,
    peers: Peers,
    member_id: int | None = None,
    patience_ms: int = PATIENCE_MS,
) -> bool:
    """Until this site has no member in the log: true; at once where its disk holds none and it added none. `member_id`: of a learner that it added,
    or began to add (0). False when that cannot be had within `patience_ms` and the member may be started to leave by itself. Raises OSError."""
    asker, waited_ms = MemberAsker(peers), 0
    if not holds_log(files) and member_id is None:
        return True
    while True:
        try:
            if await _removed(asker, node, member_id):
                break
        except ChangeNotYet as error:
            words = f"This site has no vote any more, and its member leaves the ordering log. {error}"
            if node.runner is None:
                node.condition.explanation = words
            node.condition.raise_alarm(LEAVES_ALARM, words)
            if waited_ms >= patience_ms and holds_log(files) and node.config.ordering is not None:
                return False
            await asyncio.sleep(AGAIN_MS / 1000)
            waited_ms += AGAIN_MS
    node.condition.end_alarm(LEAVES_ALARM)
    await put_away(files)
    return True


async def _removed(asker: MemberAsker, node: NodeState, member_id: int | None) -> bool:
    """Whether the log has no member of this site; one that it has is asked to be removed. Raises ChangeNotYet."""
    epoch = node.epoch.number
    told = await asker.reply(sync_pb2.ChangeMemberRequest(change=sync_pb2.TELL, epoch=epoch))
    url = "" if node.config.ordering is None else node.config.ordering.peer_url
    listed = [Member(one.member_id, one.site, one.peer_url, one.votes) for one in told.members]
    own = [
        member.member_id
        for member in listed
        if member.site == node.config.site
        or member.member_id == member_id
        or (not member.site and member.peer_url == url)
    ]
    if own:
        await asker.reply(
            sync_pb2.ChangeMemberRequest(change=sync_pb2.REMOVE_FORMER, epoch=epoch, member_id=own[0])
        )
    return not own
