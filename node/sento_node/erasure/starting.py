"""Erasing as tasks of a node's life: what the eraser and the fetcher of awaited payloads are given of the running node."""

from __future__ import annotations

from pathlib import Path

from sento_node.erasure.awaiting import keep_whole
from sento_node.erasure.carrying_out import Eraser, EraserParts
from sento_node.ordering.etcd.erasing import EtcdEraser
from sento_node.peers import Peers
from sento_node.runner import Runner
from sento_node.service.node_state import NodeState
from sento_node.sync.filling import Filler
from sento_proto.checkpoint import SiteSigners


def start_erasing(
    node: NodeState,
    runner: Runner,
    signers: SiteSigners,
    member: tuple[str, Path] | None,
    peers: Peers,
) -> EtcdEraser | None:
    """Begin both tasks; `member` is the ordering member's gRPC target and data directory, None at a site without one. Returns the access to it, to be
    closed. Raises Malformed."""
    log = None if member is None else EtcdEraser(*member)
    clock = node.clock

    def is_lead() -> bool:
        return node.condition.ordering is not None and node.condition.ordering.is_lead

    node.eraser = Eraser(
        EraserParts(
            site=node.config.site,
            ledger_id=node.genesis.ledger_id,
            signers=signers,
            store=node.store,
            writer=node.writer,
            clock=clock,
            governance=lambda: node.governance,
            log=log,
            trim_through=lambda block: runner.carry_out(runner.site.trim_through(block, clock.now_ms())),
            is_lead=is_lead,
            tallies=node.tallies,
            data_dir=node.config.data_dir,
        )
    )
    runner.also_run(node.eraser.run(), "erase")
    runner.also_run(
        keep_whole(runner.site, node.store, node.writer, peers, filler=_filler(node, runner, peers)),
        "fetch-awaited-payloads",
    )
    return log


def _filler(node: NodeState, runner: Runner, peers: Peers) -> Filler | None:
    receiving = runner.receiving
    if receiving is None:
        return None
    return Filler(
        peers,
        receiving.downloader,
        node.store,
        node.writer,
        lambda: node.governance,
        node.clock,
        node.condition,
        receiving.settings,
    )
