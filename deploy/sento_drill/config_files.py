"""The configuration files of a world: `node.toml` for a site, `sento.toml` for whoever dials sites, `pseudonyms.toml` for a pseudonym service, as text.

Names in them are the ones that node and client read; paths are relative to the file. The standard library reads TOML and does not write it, so the few
forms that occur here (text, whole numbers, lists of text, tables, lists of tables) are written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sento_drill.ports import SitePorts

GENESIS = "genesis.json"
NODE_CA = "node-ca.pem"
NODE_CERTIFICATE = "node.pem"
NODE_KEY = "node.key"
SITE_KEY = "site.key"
SITE_ML_DSA_KEY = "site-ml-dsa.key"
ORDERING_CA = "ordering-ca.pem"
ORDERING_CERTIFICATE = "ordering.pem"
ORDERING_KEY = "ordering.key"
ORDERING_BY_EPOCH = ("ordering-ca-{epoch}.pem", "ordering-{epoch}.pem", "ordering-{epoch}.key")
"""Authority, certificate and key of a member where each epoch has its own; four digits stand for the epoch."""
CLIENT_CERTIFICATE = "client.pem"
CLIENT_KEY = "client.key"
SIGNING_KEY = "signing.key"
SEAL_KEY = "seal.key"
KEK_SEALS = "kek-seals.json"
PSEUDONYMS = "pseudonyms.json"
NODE_TOML = "node.toml"
SENTO_TOML = "sento.toml"
PSEUDONYMS_TOML = "pseudonyms.toml"
PSEUDONYM_KEYS = "pseudonym-keys.json"
SERVICE_CERTIFICATE = "service.pem"
SERVICE_KEY = "service.key"
DATA_DIR = "data"

Table = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class OrderingSettings:
    """How a site's ordering member is run; times suit sites on one machine."""

    etcd_path: str = ""
    heartbeat_ms: int = 100
    election_ms: int = 1000
    lanes: int = 4
    block_kib: int = 64


def node_toml(
    site: str,
    ports: Mapping[str, SitePorts],
    ordering: OrderingSettings,
    embassies: Collection[str] = (),
    sync: Table | None = None,
    *,
    stand_by: bool = False,
) -> str:
    """The configuration of one site's node; the other sites in `ports` are its peers.

    `embassies`: those of them without an ordering member. `sync`: settings of the table of that name, where they are not the node's own defaults.
    `stand_by`: embassies have a table for a member that they may be given one day, and each epoch has certificates of its own."""
    own = ports[site]
    head: Table = {
        "site": site,
        "data_dir": DATA_DIR,
        "genesis": GENESIS,
        "signing_key": SITE_KEY,
        "ml_dsa_key": SITE_ML_DSA_KEY,
    }
    tables: dict[str, Table] = {
        "listen": {"address": own.listen_address},
        "tls": {"ca": NODE_CA, "certificate": NODE_CERTIFICATE, "key": NODE_KEY},
        "ordering": {} if site in embassies and not stand_by else _ordering(own, ordering, stand_by),
        "sync": sync or {},
        "metrics": {"address": own.metrics_address},
    }
    peers = [_peer(name, peer, embassies) for name, peer in ports.items() if name != site]
    return toml_text(head, tables, {"peers": peers})


def _ordering(own: SitePorts, ordering: OrderingSettings, by_epoch: bool) -> Table:
    files = ORDERING_BY_EPOCH if by_epoch else (ORDERING_CA, ORDERING_CERTIFICATE, ORDERING_KEY)
    ca, certificate, key = files
    return {
        "engine": "etcd",
        "etcd_path": ordering.etcd_path,
        "peer_url": own.ordering_peer_url,
        "ca": ca,
        "certificate": certificate,
        "key": key,
        "heartbeat_ms": ordering.heartbeat_ms,
        "election_ms": ordering.election_ms,
        "lanes": ordering.lanes,
        "block_kib": ordering.block_kib,
    }


def _peer(name: str, peer: SitePorts, embassies: Collection[str]) -> Table:
    member = {} if name in embassies else {"ordering_peer_url": peer.ordering_peer_url}
    return {"name": name, "address": peer.peer_address, **member}


@dataclass(frozen=True, slots=True)
class ServicePlace:
    """A pseudonym service: its name, where it listens, and how many names a minute each institution may ask for in a registry."""

    name: str
    address: str
    names_per_minute: int = 6_000


def pseudonyms_toml(service: ServicePlace, registries_of: Mapping[str, Sequence[str]]) -> str:
    """The configuration of a pseudonym service; `registries_of`: institution -> the registries in which it may name people."""
    tables: dict[str, Table] = {
        "listen": {"address": service.address},
        "tls": {"ca": NODE_CA, "certificate": SERVICE_CERTIFICATE, "key": SERVICE_KEY},
        "keys": {"file": PSEUDONYM_KEYS},
        "log": {"directory": "log", "max_mib": 64},
    }
    allow: list[Table] = [
        {
            "institution": institution,
            "registries": list(registries),
            "names_per_minute": service.names_per_minute,
        }
        for institution, registries in registries_of.items()
        if registries
    ]
    return toml_text({"name": service.name, "genesis": GENESIS}, tables, {"allow": allow})


def sento_toml(
    institution: str, ports: Mapping[str, SitePorts], *, signs: bool, service: ServicePlace | None = None
) -> str:
    """The configuration of one institution; a reader does not sign. With `service` it asks there for names and has no pseudonym keys."""
    head: Table = {"genesis": GENESIS, "institution": institution}
    signing = {"signing": SIGNING_KEY} if signs else {}
    naming = {"pseudonyms": PSEUDONYMS} if service is None else {}
    tables: dict[str, Table] = {
        "tls": {"ca": NODE_CA, "certificate": CLIENT_CERTIFICATE, "key": CLIENT_KEY},
        "keys": {**signing, "seal": SEAL_KEY, "kek_seals": KEK_SEALS, **naming},
    }
    if service is not None:
        tables["pseudonyms"] = {"name": service.name, "address": service.address}
    sites: list[Table] = [{"name": name, "address": site.address} for name, site in ports.items()]
    return toml_text(head, tables, {"sites": sites})


def officer_toml(officer: str, ports: Mapping[str, SitePorts]) -> str:
    """The configuration of an officer or a deputy, who signs acts."""
    tables: dict[str, Table] = {
        "tls": {"ca": NODE_CA, "certificate": CLIENT_CERTIFICATE, "key": CLIENT_KEY},
        "keys": {"signing": SIGNING_KEY, "seal": SEAL_KEY},
    }
    sites: list[Table] = [{"name": name, "address": site.address} for name, site in ports.items()]
    return toml_text({"genesis": GENESIS, "officer": officer}, tables, {"sites": sites})


def toml_text(head: Table, tables: Mapping[str, Table], lists: Mapping[str, Iterable[Table]]) -> str:
    """TOML with the keys of `head` first, then tables, then lists of tables; values are text, whole numbers or lists of text."""
    blocks = [_lines(head)]
    blocks += [f"[{name}]\n{_lines(table)}" for name, table in tables.items() if table]
    blocks += [f"[[{name}]]\n{_lines(item)}" for name, items in lists.items() for item in items]
    return "\n".join(blocks)


def _lines(table: Table) -> str:
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in table.items())
