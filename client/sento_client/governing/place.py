"""Whose computer this is when it governs or looks on: an officer's directory, or an institution's, from one `sento.toml`.

    genesis = "genesis.json"
    officer = "digital-minister"                                   in place of institution
    [tls]       ca, certificate, key                               a certificate of role officer
    [keys]      signing, or token.module, token.token_label, token.key_label; passphrase_file
    [[sites]]   name, address = "host:port"
    [limits]    deadline_ms                                        may be absent

`seal`, the key that shares of the recovery key are sealed to, may stand in `keys` too: `sento recovery share open` takes it. An institution's file is read as
it is; its keys are not opened, because following governance needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_client.config import (
    KeyFiles,
    SiteAddress,
    TlsFiles,
    decode_config,
    optional_file,
    read_limits,
    read_sites,
    read_tls,
    read_token,
)
from sento_client.governing.trust_file import NAME, TrustFile, trust_path
from sento_client.opening import open_trust_file
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_client.signers.passphrases import Ask
from sento_client.toml_table import Table, decode_document, read_config
from sento_proto.keys import Signer


@dataclass(frozen=True, slots=True)
class GoverningPlace:
    """What following governance needs; and `keys`, where an officer signs. `officer` is None for an institution."""

    trust_file: TrustFile
    tls: TlsFiles
    sites: tuple[SiteAddress, ...]
    deadline_ms: int
    officer: str | None = None
    keys: KeyFiles | None = None

    def signer(self, ask: Ask | None = None) -> Signer:
        """The officer's signer: software or token. Raises SetupError."""
        if self.keys is None:
            raise SetupError(
                Setup.CONFIG_INVALID, "officer is missing: only an officer's sento.toml signs acts"
            )
        signer = KeySource(self.keys, ask=ask).primary()
        if signer is None:
            raise SetupError(Setup.CANNOT_SIGN, "neither keys.signing nor keys.token.key_label is there")
        return signer


def open_place(path: Path) -> GoverningPlace:
    """The `sento.toml` at `path`, an officer's or an institution's. Raises SetupError with every mistake."""
    data, path = read_config(path), path.absolute()
    document = decode_document(data, path)
    if "officer" in document:
        return _officers(document, path)
    config = decode_config(data, path)
    trust_file = open_trust_file(config.genesis, trust_path(config))
    return GoverningPlace(trust_file, config.tls, config.sites, config.limits.deadline_ms)


def _officers(document: dict[str, object], path: Path) -> GoverningPlace:
    mistakes: list[str] = []
    root = Table(document, "", path.parent, mistakes)
    genesis, officer = root.file("genesis"), root.text("officer", "the officer's name")
    tls, keys, sites = read_tls(root.table("tls")), _keys(root.table("keys")), read_sites(root)
    limits = read_limits(root.table("limits", optional=True))
    root.end()
    if mistakes:
        raise SetupError(Setup.CONFIG_INVALID, *mistakes)
    trust_file = open_trust_file(genesis, path.parent / NAME)
    return GoverningPlace(trust_file, tls, sites, limits.deadline_ms, officer, keys)


def _keys(table: Table) -> KeyFiles:
    token = read_token(table.table("token")) if table.has("token") else None
    in_token = token is not None and token.key_label is not None
    signing = None if in_token else table.file("signing")
    files = KeyFiles(
        signing,
        optional_file(table, "seal"),
        None,
        None,
        passphrase_file=optional_file(table, "passphrase_file"),
        token=token,
    )
    table.end()
    return files
