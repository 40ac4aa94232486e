"""A development world: one directory with all that sites, institutions and an operator need, and nothing that lives elsewhere.

    <world>/genesis.json                     the ledger's name is the hash of this file; everybody has a copy
    <world>/sites/<site>/                    node.toml, site.key, site-ml-dsa.key, node.pem/.key, ordering.pem/.key, both CAs; later data/, node.log
                                             (an embassy has nothing of the ordering authority)
    <world>/institutions/<institution>/      sento.toml, client.pem/.key, signing.key, seal.key, kek-seals.json, pseudonyms.json
    <world>/pseudonyms/                      pseudonyms.toml, service.pem/.key, pseudonym-keys.json; later log/: only in a world with a pseudonym service,
                                             whose institutions then have no pseudonyms.json
    <world>/operator/                        client.pem/.key
    <world>/officers/<name>/                 sento.toml, client.pem/.key, signing.key, seal.key; deputies too
    <world>/safe/epoch-<n>/<site>/           only in a world that is prepared to move its capital: certificates of ordering members, of the first epoch for
                                             embassies, of the next one, which has an authority of its own, for every site

Directories are 0700 and files with keys 0600. Everything stands on one machine, in plain files: never for production.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sento_client.keyfiles import (
    write_kek_seals,
    write_pseudonyms,
    write_seal_key,
    write_secret,
    write_signing_key,
)
from sento_client.pseudonym_service.key_file import make_keys as make_keys_of
from sento_client.pseudonym_service.key_file import write_keys
from sento_client.pseudonym_service.macs import KeyName
from sento_drill import config_files as names
from sento_drill import pki
from sento_drill.ceremony import SealsOf, seal_keks
from sento_drill.config_files import OrderingSettings
from sento_drill.genesis_file import genesis_bytes
from sento_drill.keys import DevelopmentKeys, Entropy, make_keys, ml_dsa_44_pem
from sento_drill.plan import WorldPlan
from sento_drill.ports import ANYWHERE, LOOPBACK, SitePorts, fixed_ports, free_ports
from sento_drill.private_files import make_directory, write_public
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.identity import Identity
from sento_proto.pseudonyms import KeyKind

SITES = "sites"
INSTITUTIONS = "institutions"
PSEUDONYM_SERVICE = "pseudonyms"
OPERATOR = "operator"
OFFICERS = "officers"
SAFE = "safe"


@dataclass(frozen=True, slots=True)
class SiteFiles:
    """One site's directory and the addresses at which its node is to listen; `metrics_address` is empty when it has no metrics."""

    name: str
    directory: Path
    address: str
    metrics_address: str = ""

    @property
    def config(self) -> Path:
        """The node's configuration."""
        return self.directory / names.NODE_TOML


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """The files of one who dials sites."""

    directory: Path

    @property
    def config(self) -> Path:
        """The client's configuration."""
        return self.directory / names.SENTO_TOML

    @property
    def ca(self) -> Path:
        """Whom it trusts to name sites."""
        return self.directory / names.NODE_CA

    @property
    def certificate(self) -> Path:
        """What it shows."""
        return self.directory / names.CLIENT_CERTIFICATE

    @property
    def key(self) -> Path:
        """The private key of its certificate."""
        return self.directory / names.CLIENT_KEY


@dataclass(frozen=True, slots=True)
class World:
    """A world on disk."""

    directory: Path
    genesis: Genesis
    sites: tuple[SiteFiles, ...]

    @property
    def sites_directory(self) -> Path:
        """Above all sites' directories: what a plaintext search goes through."""
        return self.directory / SITES

    def institution(self, name: str) -> ClientFiles:
        """The files of an author or reader."""
        return ClientFiles(self.directory / INSTITUTIONS / name)

    @property
    def pseudonym_service(self) -> Path:
        """The configuration of the pseudonym service, in a world that has one."""
        return self.directory / PSEUDONYM_SERVICE / names.PSEUDONYMS_TOML

    def officer(self, name: str) -> ClientFiles:
        """The files of an officer or a deputy."""
        return ClientFiles(self.directory / OFFICERS / name)

    def hand_over_certificates(self, site: str, epoch: int) -> None:
        """Bring a site what its ordering member needs in an epoch, out of the safe. Raises FileNotFoundError where the world was not prepared."""
        for path in sorted((self.directory / SAFE / f"epoch-{epoch:04d}" / site).iterdir()):
            shutil.copy2(path, self.sites_directory / site / path.name)

    @property
    def operator(self) -> ClientFiles:
        """The operator's files."""
        return ClientFiles(self.directory / OPERATOR)


class NoWorld(Exception):
    """The directory does not hold a world, or holds something that must not be written over."""


def make_world(
    directory: Path,
    plan: WorldPlan | None = None,
    *,
    now: datetime | None = None,
    entropy: Entropy = os.urandom,
    base_port: int | None = None,
    ordering: OrderingSettings | None = None,
    validity: pki.Validity | None = None,
    service: names.ServicePlace | None = None,
    ports: Mapping[str, SitePorts] | None = None,
    sync: names.Table | None = None,
) -> World:
    """Write a world into `directory`, which must be empty or absent.

    Without `base_port` free ports are asked of the OS. With `service` there is a pseudonym service, and institutions have no pseudonym keys. `ports`:
    of every site, chosen by the caller; `sync`: settings of every node's table of that name. Raises NoWorld when something lies there, Malformed when the
    plan cannot be a genesis.
    """
    if directory.exists() and any(directory.iterdir()):
        raise NoWorld(f"{directory} is not empty; remove it or name another directory")
    plan = plan or WorldPlan()
    now = now or pki.now_utc()
    keys = make_keys(plan, entropy)
    ports = ports or _ports(plan, base_port)
    urls = {site: place.ordering_peer_url for site, place in ports.items()} if plan.stand_by else None
    genesis_data = genesis_bytes(plan, keys, now.strftime("%Y-%m-%dT%H:%M:%SZ"), urls)
    genesis = decode_genesis(genesis_data)
    writer = _Writer(directory, plan, keys, genesis_data, validity or pki.Validity.around(now), service)
    make_directory(directory)
    write_public(directory / names.GENESIS, genesis_data)
    writer.write_sites(ports, ordering or OrderingSettings(), sync)
    writer.write_institutions(ports, seal_keks(plan, keys, genesis.ledger_id, entropy))
    if service is not None:
        writer.write_pseudonym_service(service, entropy)
    writer.write_operator()
    writer.write_officers(ports)
    if plan.stand_by:
        writer.write_safe()
    return open_world(directory)


def _ports(plan: WorldPlan, base_port: int | None) -> dict[str, SitePorts]:
    sites = [place.site for place in plan.sites]
    chosen = fixed_ports(base_port, len(sites)) if base_port is not None else free_ports(len(sites))
    return dict(zip(sites, chosen, strict=True))


def open_world(directory: Path) -> World:
    """A world that was made before. Raises NoWorld when there is none, Malformed when its genesis file was altered beyond reading."""
    directory = directory.resolve()
    try:
        genesis = decode_genesis((directory / names.GENESIS).read_bytes())
        sites = tuple(_open_site(directory / SITES / site.name) for site in genesis.sites)
    except FileNotFoundError as error:
        raise NoWorld(f"{directory} holds no world ({error.filename} is missing)") from None
    return World(directory, genesis, sites)


def _open_site(directory: Path) -> SiteFiles:
    config = tomllib.loads((directory / names.NODE_TOML).read_text(encoding="utf-8"))
    metrics_address = config.get("metrics", {}).get("address", "")
    # A site that listens everywhere is dialled on loopback.
    address = config["listen"]["address"].replace(ANYWHERE, LOOPBACK)
    return SiteFiles(config["site"], directory, address, metrics_address)


class _Writer:
    """Writes the directories of one world, with the two authorities that exist only while it does."""

    def __init__(
        self,
        directory: Path,
        plan: WorldPlan,
        keys: DevelopmentKeys,
        genesis_data: bytes,
        validity: pki.Validity,
        service: names.ServicePlace | None = None,
    ) -> None:
        self._directory = directory
        self._plan = plan
        self._keys = keys
        self._genesis_data = genesis_data
        self._validity = validity
        self._service = service
        self._node_ca = pki.Authority("Sento drill: node authority", validity)
        self._ordering_ca = pki.Authority("Sento drill: ordering authority", validity)

    def write_sites(
        self, ports: Mapping[str, SitePorts], ordering: OrderingSettings, sync: names.Table | None
    ) -> None:
        embassies = {place.site for place in self._plan.sites if not place.votes}
        for site in ports:
            directory = self._start(self._directory / SITES / site)
            grpc_pair = pki.issue_site(self._node_ca, site, self._validity)
            _write_pair(directory, names.NODE_CERTIFICATE, names.NODE_KEY, grpc_pair)
            if site not in embassies:
                self._write_member(directory, site, self._ordering_ca, 0)
            write_signing_key(directory / names.SITE_KEY, self._keys.site_seeds[site])
            write_secret(directory / names.SITE_ML_DSA_KEY, ml_dsa_44_pem(self._keys.site_ml_dsa_seeds[site]))
            config = names.node_toml(site, ports, ordering, embassies, sync, stand_by=self._plan.stand_by)
            write_public(directory / names.NODE_TOML, config.encode("utf-8"))

    def _write_member(self, directory: Path, site: str, authority: pki.Authority, epoch: int) -> None:
        """Of the ordering authority an embassy has nothing: whoever holds a certificate of it holds the log."""
        pair = pki.issue_ordering_member(authority, site, self._validity)
        files = (names.ORDERING_CA, names.ORDERING_CERTIFICATE, names.ORDERING_KEY)
        if self._plan.stand_by:
            files = names.ORDERING_BY_EPOCH
        ca, certificate, key = (name.format(epoch=f"{epoch:04d}") for name in files)
        _write_pair(directory, certificate, key, pair)
        write_public(directory / ca, authority.certificate_pem)

    def write_safe(self) -> None:
        """What officers keep in an envelope: an embassy gets a member's certificates on the day on which it is given a vote, and not before."""
        next_ca = pki.Authority("Sento drill: ordering authority of the next epoch", self._validity)
        for place in self._plan.sites:
            if not place.votes:
                self._write_member(self._envelope(0, place.site), place.site, self._ordering_ca, 0)
            if place.ledger:
                self._write_member(self._envelope(1, place.site), place.site, next_ca, 1)

    def _envelope(self, epoch: int, site: str) -> Path:
        return make_directory(self._directory / SAFE / f"epoch-{epoch:04d}" / site)

    def write_institutions(self, ports: Mapping[str, SitePorts], seals: SealsOf) -> None:
        for author in (*self._plan.authors, *self._plan.later_authors):
            identity = Identity("author", author.name)
            directory = self._institution(identity, ports, author.registries, seals, signs=True)
            write_signing_key(directory / names.SIGNING_KEY, self._keys.author_seeds[author.name])
        for reader in (*self._plan.readers, *self._plan.later_readers):
            self._institution(Identity("reader", reader.name), ports, reader.registries, seals, signs=False)

    def write_pseudonym_service(self, service: names.ServicePlace, entropy: Entropy) -> None:
        directory = self._start(self._directory / PSEUDONYM_SERVICE)
        pair = pki.issue_pseudonyms(self._node_ca, service.name, self._validity)
        _write_pair(directory, names.SERVICE_CERTIFICATE, names.SERVICE_KEY, pair)
        pseudonym_keys = self._keys.pseudonym_keys
        held = make_keys_of(pseudonym_keys, entropy)
        held |= {KeyName(registry, KeyKind.PSEUDONYM): key for registry, key in pseudonym_keys.items()}
        write_keys(directory / names.PSEUDONYM_KEYS, held)
        registries_of = {institution.name: institution.registries for institution in self._plan.institutions}
        config = names.pseudonyms_toml(service, registries_of)
        write_public(directory / names.PSEUDONYMS_TOML, config.encode("utf-8"))

    def write_operator(self) -> None:
        self._client(self._directory / OPERATOR, Identity("operator", self._plan.operator))

    def write_officers(self, ports: Mapping[str, SitePorts]) -> None:
        for person in self._plan.people:
            directory = self._client(self._directory / OFFICERS / person, Identity("officer", person))
            write_signing_key(directory / names.SIGNING_KEY, self._keys.officer_seeds[person])
            write_seal_key(directory / names.SEAL_KEY, self._keys.share_secrets[person])
            config = names.officer_toml(person, ports)
            write_public(directory / names.SENTO_TOML, config.encode("utf-8"))

    def _institution(
        self,
        identity: Identity,
        ports: Mapping[str, SitePorts],
        registries: Sequence[str],
        seals: SealsOf,
        *,
        signs: bool,
    ) -> Path:
        """The directory of an author or reader; it can name people in `registries`."""
        directory = self._client(self._directory / INSTITUTIONS / identity.name, identity)
        pseudonym_keys = {registry: self._keys.pseudonym_keys[registry] for registry in registries}
        write_seal_key(directory / names.SEAL_KEY, self._keys.seal_secrets[identity.name])
        write_kek_seals(directory / names.KEK_SEALS, seals[identity.name])
        if self._service is None:
            write_pseudonyms(directory / names.PSEUDONYMS, pseudonym_keys)
        config = names.sento_toml(identity.name, ports, signs=signs, service=self._service)
        write_public(directory / names.SENTO_TOML, config.encode("utf-8"))
        return directory

    def _client(self, directory: Path, identity: Identity) -> Path:
        self._start(directory)
        pair = pki.issue_client(self._node_ca, identity, self._validity)
        _write_pair(directory, names.CLIENT_CERTIFICATE, names.CLIENT_KEY, pair)
        return directory

    def _start(self, directory: Path) -> Path:
        make_directory(directory)
        write_public(directory / names.GENESIS, self._genesis_data)
        write_public(directory / names.NODE_CA, self._node_ca.certificate_pem)
        return directory


def _write_pair(directory: Path, certificate: str, key: str, pair: pki.KeyPair) -> None:
    write_public(directory / certificate, pair.certificate_pem)
    write_secret(directory / key, pair.key_pem)
