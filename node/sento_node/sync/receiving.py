"""What everything at one site shares that receives copies: where parts lie, the cap on the line, settings, and the bootstrap file's anchor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_node.clock import Clock
from sento_node.config import NodeConfig
from sento_node.sync.deciding import Anchor
from sento_node.sync.downloading import Downloader
from sento_node.sync.parts import Parts
from sento_node.sync.pulling import CopySettings
from sento_node.sync.rate_cap import RateCap

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Receiving:
    """One site's. `anchor`: nothing is adopted that is not one ledger with it."""

    downloader: Downloader
    settings: CopySettings
    anchor: Anchor | None = None


def parts_directory(data_dir: Path) -> Path:
    """Where chunks wait that have arrived in part or whole."""
    return data_dir / "sync"


def receiving_of(config: NodeConfig, clock: Clock, anchor: Anchor | None = None) -> Receiving:
    """As node.toml says. Raises OSError."""
    table = config.sync
    downloader = Downloader(Parts(parts_directory(config.data_dir)), RateCap(table.mib_per_s * _MIB), clock)
    settings = CopySettings(table.streams, table.payloads, tuple(table.payload_order))
    return Receiving(downloader, settings, anchor)
