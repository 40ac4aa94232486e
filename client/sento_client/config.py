"""`sento.toml`: where the client finds genesis, certificates, keys and sites; every mistake named with its field and what it should be.

    genesis = "genesis.json"
    institution = "iizuka-city"
    [tls]       ca, certificate, key                               paths of PEM files
    [keys]      signing (absent: cannot write), seal, kek_seals, pseudonyms
    [[sites]]   name, address = "host:port"                        the first is asked first
    [limits]    deadline_ms, linger_ms, in_flight                  may be absent, each with a default
    [outbox]    directory = "outbox", max_mib = 256, enabled       may be absent, each with that default

Paths are relative to the file. All mistakes are found in one pass, because mending a file one mistake a start is how nights are lost.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sento_client.setup_errors import Setup, SetupError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ADDRESS = re.compile(r"([^\s:\[\]]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")
_NAME_WORDS = "1 to 32 characters of a-z 0-9 -"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of mutual TLS: the nodes' authority, and this client's certificate and key."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """Key files in the forms of `keyfiles.py`. `signing` is None for a client that only reads."""

    signing: Path | None
    seal: Path
    kek_seals: Path
    pseudonyms: Path


@dataclass(frozen=True, slots=True)
class SiteAddress:
    """A site's name, which its certificate must prove, and where it is dialled."""

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
    """Where records wait until a quorum has them, and how much may wait."""

    directory: Path
    max_bytes: int = 256 * 1024 * 1024


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


def load_config(path: Path) -> ClientConfig:
    """The configuration at `path`. Raises SetupError CONFIG_MISSING or CONFIG_INVALID with every mistake."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SetupError(Setup.CONFIG_MISSING, f"{path}: {error.strerror}") from None
    return decode_config(data, path.absolute())


def decode_config(data: bytes, path: Path) -> ClientConfig:
    """The configuration in `data`, as if it lay at `path`. Raises SetupError CONFIG_INVALID with every mistake."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(Setup.CONFIG_INVALID, f"{path} is not TOML in UTF-8: {error}") from None
    mistakes: list[str] = []
    root = _Table(document, "", path.parent, mistakes)
    config = ClientConfig(
        path=path,
        genesis=root.file("genesis"),
        institution=root.name("institution"),
        tls=_tls(root.table("tls")),
        keys=_keys(root.table("keys")),
        sites=_sites(root),
        limits=_limits(root.table("limits", optional=True)),
        outbox=_outbox(root.table("outbox", optional=True)),
    )
    root.end()
    if mistakes:
        raise SetupError(Setup.CONFIG_INVALID, *mistakes)
    return config


def _tls(table: _Table) -> TlsFiles:
    files = TlsFiles(table.file("ca"), table.file("certificate"), table.file("key"))
    table.end()
    return files


def _keys(table: _Table) -> KeyFiles:
    signing = table.file("signing") if table.has("signing") else None
    files = KeyFiles(signing, table.file("seal"), table.file("kek_seals"), table.file("pseudonyms"))
    table.end()
    return files


def _limits(table: _Table) -> Limits:
    default = Limits()
    limits = Limits(
        deadline_ms=table.number("deadline_ms", 100, 3_600_000, default.deadline_ms),
        linger_ms=table.number("linger_ms", 0, 1_000, default.linger_ms),
        in_flight=table.number("in_flight", 1, 256, default.in_flight),
    )
    table.end()
    return limits


def _outbox(table: _Table) -> OutboxPlace | None:
    directory = table.file("directory", "outbox")
    max_mib = table.number("max_mib", 1, 1_048_576, 256)
    enabled = table.flag("enabled", True)
    table.end()
    return OutboxPlace(directory, max_mib * 1024 * 1024) if enabled else None


def _sites(root: _Table) -> tuple[SiteAddress, ...]:
    sites: list[SiteAddress] = []
    for table in root.tables("sites"):
        sites.append(SiteAddress(table.name("name"), table.address("address")))
        table.end()
    names = [site.name for site in sites if site.name]
    root.check(len(set(names)) == len(names), "sites: one site stands twice; each has one entry")
    return tuple(sites)


class _Table:
    """One TOML table being read: each field is taken once, a mistake is noted and reading goes on with a stand-in."""

    def __init__(self, fields: Mapping[str, object], path: str, base: Path, mistakes: list[str]) -> None:
        self._left = dict(fields)
        self._path = path
        self._base = base
        self._mistakes = mistakes

    def has(self, field: str) -> bool:
        return field in self._left

    def check(self, holds: bool, mistake: str) -> None:
        if not holds:
            self._mistakes.append(mistake)

    def name(self, field: str) -> str:
        text = self._text(field, _NAME_WORDS)
        self.check(not text or bool(_NAME.fullmatch(text)), f"{self._at(field)}: expected {_NAME_WORDS}")
        return text

    def address(self, field: str) -> str:
        expected = '"host:port" with a port from 1 to 65535'
        text = self._text(field, expected)
        match = _ADDRESS.fullmatch(text)
        good = match is not None and 1 <= int(match[2]) <= 65535
        self.check(not text or good, f"{self._at(field)}: expected {expected}")
        return text

    def file(self, field: str, default: str = "") -> Path:
        if default and field not in self._left:
            return self._base / default
        return self._base / self._text(field, "a path")

    def flag(self, field: str, default: bool) -> bool:
        value = self._left.pop(field, default)
        if isinstance(value, bool):
            return value
        self._mistakes.append(f"{self._at(field)}: expected true or false")
        return default

    def number(self, field: str, low: int, high: int, default: int) -> int:
        value = self._left.pop(field, default)
        if type(value) is int and low <= value <= high:
            return value
        self._mistakes.append(f"{self._at(field)}: expected a whole number from {low} to {high}")
        return default

    def table(self, field: str, *, optional: bool = False) -> _Table:
        value = self._left.pop(field, {} if optional else None)
        if not isinstance(value, dict):
            found = "it is missing" if value is None else "it is not a table"
            self._mistakes.append(f"{self._at(field)}: expected a section [{self._at(field)}]; {found}")
            return _Ignored()
        return _Table(cast("dict[str, object]", value), self._at(field), self._base, self._mistakes)

    def tables(self, field: str) -> list[_Table]:
        value = self._left.pop(field, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            self._mistakes.append(f"{self._at(field)}: expected at least one section [[{self._at(field)}]]")
            return []
        items = cast("list[dict[str, object]]", value)
        return [
            _Table(item, f"{self._at(field)}[{index}]", self._base, self._mistakes)
            for index, item in enumerate(items)
        ]

    def end(self) -> None:
        for field in self._left:
            self._mistakes.append(f"{self._at(field)}: not known to this release; check its spelling")

    def _text(self, field: str, expected: str) -> str:
        value = self._left.pop(field, None)
        if isinstance(value, str) and value:
            return value
        found = "it is missing" if value is None else "it is empty or not text"
        self._mistakes.append(f"{self._at(field)}: expected {expected}; {found}")
        return ""

    def _at(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field


class _Ignored(_Table):
    """Stands in for a section that is missing, whose fields need not be complained of one by one."""

    def __init__(self) -> None:
        super().__init__({}, "", Path(), [])
