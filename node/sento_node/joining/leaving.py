"""Leaving the ordering log: a site whose vote the officers ended takes its own member out, at its first start behind the act.

data/ordering/epoch-<n>/etcd-left    what the member had; it never starts again, and the node reads nothing of it
"""

from __future__ import annotations

import asyncio

from sento_node.boot_keeper import BootFiles
from sento_node.durable_files import sync_directory
from sento_node.joining.asking import MemberAsker
from sento_node.joining.running import AGAIN_MS, holds_log
from sento_node.ordering.etcd.members import ChangeNotYet
from sento_node.peers import Peers
from sento_node.service.node_state import NodeState
from sento_proto.v1 import sync_pb2

LEFT = "etcd-left"


async def leave_log(node: NodeState, files: BootFiles, peers: Peers) -> None:
    """Until this site has no member in the log; at once where its disk holds none. What it waits for stands in the condition. Raises OSError."""
    asker = MemberAsker(peers)
    while holds_log(files):
        try:
            if not await _removed(asker, node):
                continue
        except ChangeNotYet as error:
            node.condition.explanation = (
                f"This site has no vote any more, and its member leaves the ordering log. {error}"
            )
            await asyncio.sleep(AGAIN_MS / 1000)
            continue
        files.member_dir.rename(files.member_dir.with_name(LEFT))
        sync_directory(files.epoch_dir)


async def _removed(asker: MemberAsker, node: NodeState) -> bool:
    """Whether the log has no member of this site; one that it has is asked to be removed. Raises ChangeNotYet."""
    epoch = node.epoch.number
    told = await asker.reply(sync_pb2.ChangeMemberRequest(change=sync_pb2.TELL, epoch=epoch))
    own = [member.member_id for member in told.members if member.site == node.config.site]
    if own:
        await asker.reply(
            sync_pb2.ChangeMemberRequest(change=sync_pb2.REMOVE_FORMER, epoch=epoch, member_id=own[0])
        )
    return not own
