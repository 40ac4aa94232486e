"""`pseudonyms.toml`: where the pseudonym service listens, where its keys and its log lie, and who may ask it; every mistake named with its field.

    name = "iizuka"                                                what its certificate is for: /pseudonyms/iizuka
    genesis = "genesis.json"                                       the ledger that the keys belong to
    [listen]   address = "127.0.0.1:7301"
    [tls]      ca, certificate, key                                paths of PEM files
    [keys]     file = "pseudonym-keys.json", passphrase_file       or the section [token]; without passphrase_file: SENTO_PASSPHRASE, or not encrypted
    [token]    module, label, pin_file                             a PKCS #11 library, the token's label, a file with its PIN
    [log]      directory = "log", max_mib = 64                     size after which a new file is begun
    [[allow]]  institution, registries = ["residency"], names_per_minute = 600, alarm_names_per_hour = 0

Paths are relative to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sento_client.config import TlsFiles
from sento_client.pseudonym_service.limiting import Allowance
from sento_client.setup_errors import Setup, SetupError
from sento_client.toml_table import Table, decode_document, read_config

NAMES_PER_MINUTE_MAX = 1_000_000
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A PKCS #11 token: the library that speaks to it, its label, and a file of mode 0600 with its PIN."""

    module: Path
    label: str
    pin_file: Path


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """The key file, and the file with its passphrase where there is one."""

    file: Path
    passphrase_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """The decoded file; all paths are absolute. The keys are in a file or in a token."""

    path: Path
    name: str
    genesis: Path
    address: str
    tls: TlsFiles
    keys: KeyPlace | TokenPlace
    log_directory: Path
    log_max_bytes: int
    allowances: Mapping[tuple[str, str], Allowance]


def load_service_config(path: Path) -> ServiceConfig:
    """The configuration at `path`. Raises SetupError CONFIG_MISSING or CONFIG_INVALID with every mistake."""
    return decode_service_config(read_config(path), path.absolute())


def decode_service_config(data: bytes, path: Path) -> ServiceConfig:
    """The configuration in `data`, as if it lay at `path`. Raises SetupError CONFIG_INVALID with every mistake."""
    mistakes: list[str] = []
    root = Table(decode_document(data, path), "", path.parent, mistakes)
    name, genesis = root.name("name"), root.file("genesis")
    address, tls = _listen(root.table("listen")), _tls(root.table("tls"))
    keys = _keys(root)
    log_directory, log_max_bytes = _log(root.table("log", optional=True))
    allowances = _allowances(root)
    root.end()
    if mistakes:
        raise SetupError(Setup.CONFIG_INVALID, *mistakes)
    return ServiceConfig(path, name, genesis, address, tls, keys, log_directory, log_max_bytes, allowances)


def _listen(table: Table) -> str:
    address = table.address("address")
    table.end()
    return address


def _tls(table: Table) -> TlsFiles:
    files = TlsFiles(table.file("ca"), table.file("certificate"), table.file("key"))
    table.end()
    return files


def _keys(root: Table) -> KeyPlace | TokenPlace:
    root.check(
        root.has("keys") != root.has("token"),
        "keys: expected one of the sections [keys] and [token], and not both",
    )
    if root.has("token"):
        table = root.table("token")
        token = TokenPlace(
            table.file("module"), table.text("label", "the label of a token"), table.file("pin_file")
        )
        table.end()
        root.table("keys", optional=True)
        return token
    table = root.table("keys", optional=True)
    file = table.file("file", "pseudonym-keys.json")
    passphrase_file = table.file("passphrase_file") if table.has("passphrase_file") else None
    table.end()
    return KeyPlace(file, passphrase_file)


def _log(table: Table) -> tuple[Path, int]:
    directory = table.file("directory", "log")
    max_mib = table.number("max_mib", 1, 65_536, 64)
    table.end()
    return directory, max_mib * _MIB


def _allowances(root: Table) -> dict[tuple[str, str], Allowance]:
    allowances: dict[tuple[str, str], Allowance] = {}
    for table in root.tables("allow"):
        institution, registries = table.name("institution"), table.names("registries")
        allowance = Allowance(
            table.number("names_per_minute", 1, NAMES_PER_MINUTE_MAX, 600),
            table.number("alarm_names_per_hour", 0, 60 * NAMES_PER_MINUTE_MAX, 0),
        )
        table.end()
        for registry in registries:
            key = (institution, registry)
            root.check(key not in allowances, f"allow: {institution} stands twice for registry {registry}")
            allowances[key] = allowance
    return allowances
