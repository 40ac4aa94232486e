"""What a member is started with, and its command line: the one place that knows etcd's flags. Pure.

Reasons for the values stand in `DESIGN.md`. Flags whose names or defaults differ between releases are chosen by release, because etcd refuses
to start on a flag that it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sento_node.ordering.etcd.version import EtcdVersion

CLIENT_SOCKET: Final = "client:1"
"""etcd wants host:port even for a unix socket, and makes a file of that name in its working directory."""

QUOTA_BYTES_DEFAULT: Final = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class PeerTls:
    """Certificates between members: the ordering log's own CA, and this member's leaf (server and client in one)."""

    ca_file: Path
    cert_file: Path
    key_file: Path
    allowed_hostname: str = "ordering.sento.internal"
    """Only certificates with this DNS name may speak as a member."""
    checks_client_address: bool = True
    """False where members sit behind address translation, so that a certificate cannot name the address its connection comes from."""


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """One member of one epoch's ordering log. The data directory belongs to this epoch alone."""

    site: str
    data_dir: Path
    run_dir: Path
    peer_listen_url: str
    peer_url: str
    """What other members dial."""
    members: Mapping[str, str]
    """Site to peer URL of all members, this one too, as of its first start."""
    cluster_token: str
    """Names ledger and epoch: equal tokens and URLs give equal cluster ids."""
    tls: PeerTls
    joins_existing: bool = False
    heartbeat_ms: int = 100
    election_ms: int = 1_000
    quota_bytes: int = QUOTA_BYTES_DEFAULT
    snapshot_count: int = 500
    catch_up_entries: int = 200
    wal_files_max: int = 5

    def __post_init__(self) -> None:
        for site, url in (
            *self.members.items(),
            (self.site, self.peer_url),
            (self.site, self.peer_listen_url),
        ):
            if not site or set(site) & set(",= ") or not url.startswith("https://"):
                raise ValueError(
                    f"Member {site!r} at {url!r} cannot be used: name it without comma, '=' or space, and give an https:// URL."
                )
        if self.members.get(self.site) != self.peer_url:
            raise ValueError(
                f"The list of members names {self.members.get(self.site)} for {self.site}, not its own {self.peer_url}."
            )
        if self.election_ms < 5 * self.heartbeat_ms:
            raise ValueError(
                f"An election timeout of {self.election_ms} ms needs a heartbeat of at most {self.election_ms // 5} ms."
            )


def member_arguments(settings: MemberSettings, version: EtcdVersion) -> list[str]:
    """etcd's arguments for this member, to be run in its run directory."""
    values = {
        "name": settings.site,
        "data-dir": str(settings.data_dir.absolute()),
        "listen-client-urls": f"unix://{CLIENT_SOCKET}",
        "advertise-client-urls": f"unix://{CLIENT_SOCKET}",
        "listen-peer-urls": settings.peer_listen_url,
        "initial-advertise-peer-urls": settings.peer_url,
        "initial-cluster": ",".join(f"{site}={url}" for site, url in sorted(settings.members.items())),
        "initial-cluster-token": settings.cluster_token,
        "initial-cluster-state": "existing" if settings.joins_existing else "new",
        "strict-reconfig-check": "true",
        "heartbeat-interval": str(settings.heartbeat_ms),
        "election-timeout": str(settings.election_ms),
        "quota-backend-bytes": str(settings.quota_bytes),
        "auto-compaction-retention": "0",
        "max-wals": str(settings.wal_files_max),
        "log-outputs": "stderr",
        "log-level": "info",
        **_tls_flags(settings.tls, version),
        **_flags_of_release(settings, version),
    }
    return [f"--{name}={value}" for name, value in values.items()]


def _tls_flags(tls: PeerTls, version: EtcdVersion) -> dict[str, str]:
    flags = {
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": str(tls.ca_file.absolute()),
        "peer-cert-file": str(tls.cert_file.absolute()),
        "peer-key-file": str(tls.key_file.absolute()),
        "peer-cert-allowed-hostname": tls.allowed_hostname,
    }
    if not tls.checks_client_address:
        flags[_experimental_until_3_6("peer-skip-client-san-verification", version)] = "true"
    return flags


def _flags_of_release(settings: MemberSettings, version: EtcdVersion) -> dict[str, str]:
    flags: dict[str, str] = {}
    if version < EtcdVersion(3, 5, 0):
        flags |= {"pre-vote": "true", "logger": "zap"}  # both are the default later
    if version < EtcdVersion(3, 7, 0):
        flags["snapshot-count"] = str(settings.snapshot_count)
    if version >= EtcdVersion(3, 5, 14):
        flags[_experimental_until_3_6("snapshot-catchup-entries", version)] = str(settings.catch_up_entries)
    return flags


def _experimental_until_3_6(name: str, version: EtcdVersion) -> str:
    return name if version >= EtcdVersion(3, 6, 0) else f"experimental-{name}"


_DROPPED_NAMES: Final = frozenset({"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
_DROPPED_PROXIES: Final = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})


def member_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The member's environment: ours without what would configure etcd behind our back.

    `ETCD_*` are flags by another way; `NOTIFY_SOCKET` would let etcd tell the service manager that the node is ready; a proxy would sit between
    members. GOGC is set whatever ours says: off would take all memory, and 25, tried for a smaller heap, cost an eighth of the throughput in bulk.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("ETCD_")
        and name not in _DROPPED_NAMES
        and name.upper() not in _DROPPED_PROXIES
    }
    return kept | {"GOGC": "100"}
