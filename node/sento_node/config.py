"""The node's configuration: a TOML file in which every mistake is explained.

Paths are relative to the file. Unknown names are mistakes, so that a misspelt setting is never silently the default. What must be equal at all sites
(who they are, what they may do) is not here but in the genesis file.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sento_node.config_mistake import ConfigMistake

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):([1-9][0-9]{0,4})")


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65_535:
        raise ValueError("must be host:port, for example 127.0.0.1:7101")
    return text


def _url(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("must be an https:// URL, for example https://127.0.0.1:7102")
    _address(text.removeprefix("https://"))
    return text


def _registry(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9/-]{1,32}", text):
        raise ValueError("must be names of registries: 1 to 32 characters of a-z 0-9 - /")
    return text


EPOCH_IN_NAMES = "{epoch}"
LANES = 4
BLOCK_KIB = 64
"""How a site packs and orders its blocks unless its node.toml says otherwise; an embassy, which has no table for it, always."""
Address = Annotated[str, AfterValidator(_address)]
PeerUrl = Annotated[str, AfterValidator(_url)]
RegistryName = Annotated[str, AfterValidator(_registry)]
SiteName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Listen(_Table):
    """Where the node's gRPC listens."""

    address: Address


class Tls(_Table):
    """Certificates of the node's gRPC; read again when they change."""

    ca: Path
    certificate: Path
    key: Path


class Ordering(_Table):
    """The ordering log and this site's member of it. An embassy has neither, or keeps this at hand for an epoch in which it votes."""

    engine: Literal["etcd"] = "etcd"
    etcd_path: str = ""
    peer_url: PeerUrl
    ca: Path
    certificate: Path
    key: Path
    heartbeat_ms: Annotated[int, Field(ge=10, le=2_000)] | None = None
    election_ms: Annotated[int, Field(ge=100, le=30_000)] | None = None
    """Both from measured round trips where neither is given (`ordering/timeouts.py`)."""
    lanes: Annotated[int, Field(ge=1, le=32)] = LANES
    block_kib: Annotated[int, Field(ge=64, le=256)] = BLOCK_KIB
    quota_mib: Annotated[int, Field(ge=64, le=8_192)] = 2_048

    def of_epoch(self, epoch: int) -> Ordering:
        """The table as it is for the member of one epoch: {epoch} in the names of its certificates is the number, four digits."""
        return self.model_copy(
            update={
                name: Path(str(getattr(self, name)).replace(EPOCH_IN_NAMES, f"{epoch:04d}"))
                for name in ("ca", "certificate", "key")
            }
        )

    @property
    def is_by_epoch(self) -> bool:
        """Whether each epoch has certificates of its own."""
        return any(EPOCH_IN_NAMES in str(path) for path in (self.ca, self.certificate, self.key))


class Metrics(_Table):
    """Where Prometheus finds this node's metrics, over plain HTTP; without this table there is no such endpoint."""

    address: Address


class Scrub(_Table):
    """The background reading of everything on this site's disk: how fast (0: not at all), and how long it rests between two rounds."""

    mib_per_s: Annotated[float, Field(ge=0, le=10_000)] = 8
    pause_s: Annotated[float, Field(ge=0.1, le=604_800)] = 60


class Sync(_Table):
    """How this site copies from others: a cap on what it receives (0: none), over how many connections to a site, and which payloads come first and when."""

    mib_per_s: Annotated[float, Field(ge=0, le=10_000)] = 0
    streams: Annotated[int, Field(ge=1, le=32)] = 4
    payload_order: list[RegistryName] = ["residency", "health", "tax"]
    payloads: Literal["auto", "together", "after"] = "auto"


class Peer(_Table):
    """Another site: its node's address and its member's URL, if it has a member."""

    name: SiteName
    address: Address
    ordering_peer_url: PeerUrl | None = None


class NodeConfig(_Table):
    """One node's configuration. All paths are absolute once loaded."""

    site: SiteName
    purpose: Literal["production", "training"] | None = None
    """What the ledger must be for: with it a genesis file of another purpose is refused."""
    data_dir: Path
    genesis: Path
    signing_key: Path
    ml_dsa_key: Path | None = None
    listen: Listen
    tls: Tls
    ordering: Ordering | None = None
    """Absent at a site without a vote, or prepared there for a later one; until then it is not used."""
    metrics: Metrics | None = None
    scrub: Scrub = Scrub()
    sync: Sync = Sync()
    peers: list[Peer] = []

    @property
    def lanes(self) -> int:
        """On how many lanes this site orders its blocks at once."""
        return LANES if self.ordering is None else self.ordering.lanes

    @property
    def block_max_bytes(self) -> int:
        """How large this site's blocks are at most."""
        return (BLOCK_KIB if self.ordering is None else self.ordering.block_kib) * 1024


def load_config(path: Path) -> NodeConfig:
    """The configuration in the file. Raises ConfigMistake with every mistake in it, one a line."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigMistake(
            f"{path}: cannot be read ({error.strerror}). Pass --config with the path of node.toml."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigMistake(f"{path}: is not TOML ({error}).") from error
    try:
        config = NodeConfig.model_validate(values)
    except ValidationError as error:
        lines = [f"  {_field(problem['loc'])}: {_words(problem)}" for problem in error.errors()]
        raise ConfigMistake(f"{path} has {len(lines)} mistake(s):\n" + "\n".join(lines)) from error
    _check_together(path, config)
    return _with_absolute_paths(config, path.absolute().parent)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(file)"


def _words(problem: Any) -> str:
    match problem["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a setting of this release; check the spelling"
        case "string_pattern_mismatch":
            return "must be 1 to 32 characters of a-z 0-9 -"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ")


def _check_together(path: Path, config: NodeConfig) -> None:
    names = [peer.name for peer in config.peers]
    if config.site in names:
        raise ConfigMistake(
            f"{path}: peers names this site itself ({config.site}); list the other sites only."
        )
    if len(set(names)) != len(names):
        raise ConfigMistake(f"{path}: peers has one site twice.")
    if len(set(config.sync.payload_order)) != len(config.sync.payload_order):
        raise ConfigMistake(f"{path}: sync.payload_order has one registry twice.")
    if config.metrics is not None and config.metrics.address == config.listen.address:
        raise ConfigMistake(
            f"{path}: metrics.address is listen.address too ({config.listen.address}); give it a port of its own."
        )
    ordering = config.ordering
    if ordering is not None and (ordering.election_ms or 30_000) < 5 * (ordering.heartbeat_ms or 100):
        raise ConfigMistake(
            f"{path}: ordering.election_ms must be at least five times ordering.heartbeat_ms."
        )


def _with_absolute_paths(config: NodeConfig, base: Path) -> NodeConfig:
    def absolute(table: Any, *names: str) -> dict[str, Path]:
        return {name: base / getattr(table, name) for name in names}

    return config.model_copy(
        update={
            **absolute(config, "data_dir", "genesis", "signing_key"),
            "ml_dsa_key": None if config.ml_dsa_key is None else base / config.ml_dsa_key,
            "tls": config.tls.model_copy(update=absolute(config.tls, "ca", "certificate", "key")),
            "ordering": config.ordering
            and config.ordering.model_copy(update=absolute(config.ordering, "ca", "certificate", "key")),
        }
    )
