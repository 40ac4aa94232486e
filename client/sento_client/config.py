"""`sento.toml`: where the client finds genesis, certificates, keys and sites; every mistake named with its field and what it should be.

    genesis = "genesis.json"
    institution = "iizuka-city"
    purpose = "production"                                         may be absent; with it a ledger of another purpose is refused
    [tls]       ca, certificate, key                               paths of PEM files
    [keys]      signing (absent: cannot write), seal, pseudonyms; companion, passphrase_file and kek_seals may be absent
    [keys.token] module, token_label, key_label (in place of signing), seal_label (in place of seal), pin_file; may be absent
    [[sites]]   name, address = "host:port"                        the first is asked first
    [limits]    deadline_ms, linger_ms, in_flight                  may be absent, each with a default
    [outbox]    directory = "outbox", max_mib = 256, hold_mib = 64, enabled       may be absent, each with that default
    [receipts]  directory = "receipts"                             may be absent: beside the outbox
    [pseudonyms] name, address = "host:port"                       the pseudonym service, in place of keys.pseudonyms
    [[key_agents]] name, address = "host:port"                     agents that unwrap keys of compartments which governance leaves to them

Paths are relative to the file. All mistakes are found in one pass, because mending a file one mistake a start is how nights are lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_client.setup_errors import Setup, SetupError
from sento_client.toml_table import Table, decode_document, read_config
from sento_proto.genesis import PURPOSES


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of mutual TLS: the nodes' authority, and this client's certificate and key."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A PKCS#11 token: its module, its label, the labels of the keys on it that are used, and a file with its PIN (None: SENTO_PIN, or asked)."""

    module: Path
    token_label: str
    key_label: str | None = None
    seal_label: str | None = None
    pin_file: Path | None = None


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Key files in the forms of `keyfiles.py`. `signing` is None for a client that only reads, and where a token signs; `seal` where a token opens seals."""

    signing: Path | None
    seal: Path | None
    kek_seals: Path | None
    """None: KEKs come from the ledger alone, where they are looked for anyway; a file serves drills and offline work."""
    pseudonyms: Path | None
    """None for a client that asks the pseudonym service."""
    companion: Path | None = None
    passphrase_file: Path | None = None
    token: TokenPlace | None = None


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """A site's name, which its certificate must prove, and where it is dialled."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A pseudonym service's or key agent's name, which its certificate must prove, and where it is dialled."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may tune. `linger_ms`: how long a record may wait for company while a crowd of submissions is on its way;
    `in_flight`: submissions on one stream."""

    deadline_ms: int = 30_000
    linger_ms: int = 20
    in_flight: int = 16


@dataclass(frozen=True, slots=True)
class OutboxPlace:
    """Where records wait until a quorum has them, and how much may wait; `hold_bytes`: how much of what a quorum has each program holds on until a site
    abroad has it, too."""

    directory: Path
    max_bytes: int = 256 * 1024 * 1024
    hold_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The decoded file; all paths are absolute."""

    path: Path
    genesis: Path
    institution: str
    tls: TlsFiles
    keys: KeyFiles
    sites: tuple[SiteAddress, ...]
    limits: Limits
    outbox: OutboxPlace | None = None
    """None: records that have no answer yet die with the process."""
    receipts: Path | None = None
    """Where receipts are kept, and proofs of fraud; None: nowhere, and the outbox forgets what it has proven."""
    pseudonym_service: ServiceAddress | None = None
    """None: the pseudonym keys lie in the file `keys.pseudonyms`."""
    purpose: str = ""
    """What the ledger must be for, `production` or `training`; empty: whatever the genesis file says."""
    key_agents: tuple[ServiceAddress, ...] = ()
    """Where the agents are dialled that unwrap keys of compartments which governance leaves to them."""


def load_config(path: Path) -> ClientConfig:
    """The configuration at `path`. Raises SetupError CONFIG_MISSING or CONFIG_INVALID with every mistake."""
    return decode_config(read_config(path), path.absolute())


def decode_config(data: bytes, path: Path) -> ClientConfig:
    """The configuration in `data`, as if it lay at `path`. Raises SetupError CONFIG_INVALID with every mistake."""
    mistakes: list[str] = []
    root = Table(decode_document(data, path), "", path.parent, mistakes)
    outbox = _outbox(root.table("outbox", optional=True))
    config = ClientConfig(
        path=path,
        genesis=root.file("genesis"),
        institution=root.name("institution"),
        tls=read_tls(root.table("tls")),
        keys=_keys(root.table("keys"), asks_service=root.has("pseudonyms")),
        sites=read_sites(root),
        limits=read_limits(root.table("limits", optional=True)),
        outbox=outbox,
        receipts=_receipts(root.table("receipts", optional=True), path.parent, outbox),
        pseudonym_service=_pseudonym_service(root),
        purpose=_purpose(root),
        key_agents=_key_agents(root),
    )
    root.end()
    if mistakes:
        raise SetupError(Setup.CONFIG_INVALID, *mistakes)
    return config


def _purpose(root: Table) -> str:
    if not root.has("purpose"):
        return ""
    expected = " or ".join(PURPOSES)
    purpose = root.text("purpose", expected)
    root.check(not purpose or purpose in PURPOSES, f"purpose: expected {expected}")
    return purpose


def read_tls(table: Table) -> TlsFiles:
    """Section `tls`."""
    files = TlsFiles(table.file("ca"), table.file("certificate"), table.file("key"))
    table.end()
    return files


def _keys(table: Table, *, asks_service: bool) -> KeyFiles:
    """A program that asks the pseudonym service must not hold the keys as well; one that does not has a file of them."""
    token = read_token(table.table("token")) if table.has("token") else None
    in_token = token is not None and token.key_label is not None
    table.check(
        not (in_token and table.has("signing")),
        "keys.signing: not beside keys.token.key_label: records are signed with one key",
    )
    signing = table.file("signing") if table.has("signing") else None
    table.check(
        not (asks_service and table.has("pseudonyms")),
        "keys.pseudonyms: not beside a section [pseudonyms]: a program that asks the service holds no pseudonym keys",
    )
    asks = asks_service and not table.has("pseudonyms")
    pseudonyms = None if asks else table.file("pseudonyms")
    files = KeyFiles(
        signing,
        _seal(table, token),
        optional_file(table, "kek_seals"),
        pseudonyms,
        companion=optional_file(table, "companion"),
        passphrase_file=optional_file(table, "passphrase_file"),
        token=token,
    )
    table.check(
        files.companion is None or signing is not None or in_token,
        "keys.companion: a companion signs beside keys.signing or keys.token.key_label, and neither is there",
    )
    table.end()
    return files


def _seal(table: Table, token: TokenPlace | None) -> Path | None:
    if token is None or token.seal_label is None:
        return table.file("seal")
    table.check(
        not table.has("seal"), "keys.seal: not beside keys.token.seal_label: seals are made to one key"
    )
    return optional_file(table, "seal")


def read_token(table: Table) -> TokenPlace:
    """Section `keys.token`."""
    place = TokenPlace(
        table.file("module"),
        table.text("token_label", "the token's label"),
        table.text("key_label", "the signing key's label") if table.has("key_label") else None,
        table.text("seal_label", "the seal key's label") if table.has("seal_label") else None,
        optional_file(table, "pin_file"),
    )
    table.check(
        place.key_label is not None or place.seal_label is not None,
        "keys.token: expected key_label, seal_label or both: a token without a key that is used has no purpose here",
    )
    table.end()
    return place


def optional_file(table: Table, field: str) -> Path | None:
    """A path that may be absent."""
    return table.file(field) if table.has(field) else None


def read_limits(table: Table) -> Limits:
    """Section `limits`."""
    default = Limits()
    limits = Limits(
        deadline_ms=table.number("deadline_ms", 100, 3_600_000, default.deadline_ms),
        linger_ms=table.number("linger_ms", 0, 1_000, default.linger_ms),
        in_flight=table.number("in_flight", 1, 256, default.in_flight),
    )
    table.end()
    return limits


def _outbox(table: Table) -> OutboxPlace | None:
    directory = table.file("directory", "outbox")
    max_mib = table.number("max_mib", 1, 1_048_576, 256)
    hold_mib = table.number("hold_mib", 0, 1_048_576, 64)
    enabled = table.flag("enabled", True)
    table.end()
    mib = 1024 * 1024
    return OutboxPlace(directory, max_mib * mib, hold_mib * mib) if enabled else None


def _receipts(table: Table, base: Path, outbox: OutboxPlace | None) -> Path:
    """Beside the outbox, wherever that is, unless another place is named."""
    beside = base if outbox is None else outbox.directory.parent
    directory = table.file("directory") if table.has("directory") else beside / "receipts"
    table.end()
    return directory


def read_sites(root: Table) -> tuple[SiteAddress, ...]:
    """The list `sites`."""
    sites: list[SiteAddress] = []
    for table in root.tables("sites"):
        sites.append(SiteAddress(table.name("name"), table.address("address")))
        table.end()
    names = [site.name for site in sites if site.name]
    root.check(len(set(names)) == len(names), "sites: one site stands twice; each has one entry")
    return tuple(sites)


def _pseudonym_service(root: Table) -> ServiceAddress | None:
    if not root.has("pseudonyms"):
        return None
    table = root.table("pseudonyms")
    service = ServiceAddress(table.name("name"), table.address("address"))
    table.end()
    return service


def _key_agents(root: Table) -> tuple[ServiceAddress, ...]:
    agents: list[ServiceAddress] = []
    for table in root.tables("key_agents") if root.has("key_agents") else ():
        agents.append(ServiceAddress(table.name("name"), table.address("address")))
        table.end()
    names = [agent.name for agent in agents]
    root.check(len(set(names)) == len(names), "key_agents: one agent stands twice; each has one entry")
    return tuple(agents)
