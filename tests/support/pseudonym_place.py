"""A pseudonym service as a real process over mutual TLS, and clients whose sites are in memory: what they write must be named as with keys in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from client_world import AUTHOR, ClientWorld, build_client_world
from mtls_sites import LONG, write_client_tls
from sento_client.client import SentoClient
from sento_client.composing import Ports
from sento_client.config import ServiceAddress, TlsFiles
from sento_client.keyfiles import write_secret
from sento_client.pseudonym_service.key_file import write_keys
from sento_client.pseudonym_service.macs import KeyName
from sento_client.remote_naming import RemoteNaming
from sento_client.testing.world import derived
from sento_drill.pki import Authority, issue_client, issue_pseudonyms
from sento_drill.ports import free_ports
from sento_drill.service_process import ServiceProcess
from sento_proto.identity import Identity
from sento_proto.pseudonyms import KeyKind

SERVICE = "iizuka"
REGISTRIES = ("residency", "tax")


def registry_keys() -> dict[KeyName, bytes]:
    """The keys of a client world, and index keys beside them."""
    kinds = {KeyKind.PSEUDONYM: "pseudonym", KeyKind.INDEX: "index"}
    return {
        KeyName(registry, kind): derived(word, registry)
        for registry in REGISTRIES
        for kind, word in kinds.items()
    }


@dataclass
class PseudonymPlace:
    """Everything under `directory`; `process` is started by whoever needs it."""

    directory: Path
    allow: Mapping[str, Sequence[str]] = field(default_factory=lambda: {AUTHOR: REGISTRIES})
    names_per_minute: int = 100_000
    more: str = '[keys]\nfile = "pseudonym-keys.json"\n'
    environment: dict[str, str] = field(default_factory=dict)
    log_directory: str = "log"

    def __post_init__(self) -> None:
        self.authority = Authority("test authority", LONG)
        self.address = free_ports(1)[0].address
        self.home = self.directory / "service"
        self.home.mkdir()
        self.clients: ClientWorld = build_client_world(self.directory / "client")
        pair = issue_pseudonyms(self.authority, SERVICE, LONG)
        (self.home / "ca.pem").write_bytes(self.authority.certificate_pem)
        (self.home / "service.pem").write_bytes(pair.certificate_pem)
        write_secret(self.home / "service.key", pair.key_pem)
        write_keys(self.home / "pseudonym-keys.json", registry_keys())
        (self.home / "genesis.json").write_bytes(self.clients.world.genesis_bytes)
        self.config = self.home / "pseudonyms.toml"
        self.config.write_text(self._config())
        self.process = ServiceProcess(self.config, self.environment)

    @property
    def log(self) -> Path:
        return self.home / self.log_directory

    def lines(self) -> list[dict[str, object]]:
        """The log, decoded."""
        text = "".join(path.read_text() for path in sorted(self.log.glob("calls-*.jsonl")))
        return [json.loads(line) for line in text.splitlines()]

    def client(self) -> SentoClient:
        """A client that asks this service and holds no pseudonym key."""
        directory = self.clients.config.parent
        (directory / "pseudonyms.json").unlink(missing_ok=True)
        if not (directory / "client.pem").exists():
            write_client_tls(directory, self.authority, AUTHOR)
        text = self.clients.config.read_text().replace('pseudonyms = "pseudonyms.json"\n', "")
        section = f'[pseudonyms]\nname = "{SERVICE}"\naddress = "{self.address}"\n'
        config = directory / "asking.toml"
        config.write_text(text.replace("[[sites]]", f"{section}[[sites]]", 1))
        return self.clients.client(config)

    def caller(self, identity: Identity, authority: Authority | None = None) -> RemoteNaming:
        """Whoever has that certificate, asking by hand. Made on a running event loop."""
        directory = self.directory / f"{identity.role}-{identity.name}"
        directory.mkdir(exist_ok=True)
        pair = issue_client(authority or self.authority, identity, LONG)
        (directory / "ca.pem").write_bytes(self.authority.certificate_pem)
        (directory / "client.pem").write_bytes(pair.certificate_pem)
        write_secret(directory / "client.key", pair.key_pem)
        tls = TlsFiles(directory / "ca.pem", directory / "client.pem", directory / "client.key")
        return RemoteNaming(ServiceAddress(SERVICE, self.address), tls, Ports())

    def _config(self) -> str:
        allow = "".join(
            f'[[allow]]\ninstitution = "{name}"\nregistries = {json.dumps(list(registries))}\n'
            f"names_per_minute = {self.names_per_minute}\n"
            for name, registries in self.allow.items()
        )
        return (
            f'name = "{SERVICE}"\ngenesis = "genesis.json"\n[listen]\naddress = "{self.address}"\n'
            '[tls]\nca = "ca.pem"\ncertificate = "service.pem"\nkey = "service.key"\n'
            f'[log]\ndirectory = "{self.log_directory}"\nmax_mib = 1\n{self.more}{allow}'
        )
