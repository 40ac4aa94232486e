"""How a life begins: the ledger opens, or a stand-in for one that is made anew; in which epoch that is; and with which keys the site signs.

The other end is `life_ending.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sento_node.boot_keeper import BootFiles
from sento_node.clock import SystemClock
from sento_node.condition import Condition, Rebuilding
from sento_node.config import NodeConfig
from sento_node.epochs.here import epoch_here
from sento_node.keyfile import read_ml_dsa_44_signer, read_signer
from sento_node.ledger.store import LedgerDamaged
from sento_node.preflight import load_ml_dsa_signer, load_signer
from sento_node.rebuild.starting import Opened, ask_again, open_at_start
from sento_node.service.node_state import NodeState
from sento_node.tallies import Tallies
from sento_proto.checkpoint import SiteSigners
from sento_proto.genesis import Genesis


class Beginning(NamedTuple):
    """What one life begins with. `node`: what its services see, its epoch known; `boot_files` are that epoch's."""

    opened: Opened
    node: NodeState
    boot_files: BootFiles


def begin_life(
    config: NodeConfig, genesis: Genesis, expires_at_s: Callable[[], int], *, has_peers: bool
) -> Beginning:
    """Open what is on disk. `expires_at_s`: when the node's certificate ends, a Unix time. One that opens and cannot be begun with is made anew.

    Raises LedgerDamaged where nobody has another, and what `open_at_start` raises."""
    files = BootFiles(config.data_dir, epoch_here(config.data_dir).number)
    opened = open_at_start(config, genesis, files)
    try:
        node = _state(config, genesis, opened, expires_at_s)
        try:
            _ = node.governance
        except LedgerDamaged as error:
            if not has_peers:
                raise
            opened.store.close()
            ask_again(config, f"The ledger cannot be begun with ({error}).", opened.note)
            opened = open_at_start(config, genesis, files)
            node = _state(config, genesis, opened, expires_at_s)
        return Beginning(opened, node, _enter_epoch(config, node))
    except BaseException:
        opened.store.close()
        raise


def _enter_epoch(config: NodeConfig, node: NodeState) -> BootFiles:
    """A ledger that came into a later epoch from other sites is followed there."""
    node.epoch = epoch_here(config.data_dir, node.store.tip.epoch)
    return BootFiles(config.data_dir, node.epoch.number)


def _state(
    config: NodeConfig, genesis: Genesis, opened: Opened, expires_at_s: Callable[[], int]
) -> NodeState:
    note = opened.note
    reason = opened.preparing.decided.reason if opened.preparing else note.reason if note else None
    return NodeState(
        config=config,
        genesis=genesis,
        store=opened.store,
        memories=opened.memories,
        clock=SystemClock(),
        writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger-writer"),
        condition=Condition(rebuilding=None if reason is None else Rebuilding(reason)),
        certificate_expires_at_s=expires_at_s,
        tallies=Tallies(config.block_max_bytes),
        stands_in=opened.preparing is not None,
    )


def signers_of(config: NodeConfig, node: NodeState) -> SiteSigners:
    """The site's keys. A ledger that is being made anew does not know yet which ones acts name; they are compared when it does."""
    if node.condition.rebuilding is not None:
        second = config.ml_dsa_key
        return SiteSigners(
            read_signer(config.signing_key), None if second is None else read_ml_dsa_44_signer(second)
        )
    site = node.governance.sites.get(config.site)
    return SiteSigners(load_signer(config, site), load_ml_dsa_signer(config, site))
