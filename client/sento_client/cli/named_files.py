"""What files a configuration names, as far as it can be read: one with mistakes still names the others.

`config.py` is strict and gives nothing of a configuration with a mistake in it; whoever is to find every mistake goes on with what is there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sento_client.cli.findings import Finding, in_order, wrong
from sento_client.cli.tls_checks import TlsPaths
from sento_client.config import TokenPlace, decode_config
from sento_client.governing.place import open_place
from sento_client.setup_errors import Setup, SetupError


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """None stands for what is not named, or not as text."""

    institution: str | None
    sites: tuple[str, ...]
    genesis: Path | None
    tls: TlsPaths
    signing: Path | None
    seal: Path | None
    kek_seals: Path | None
    pseudonyms: Path | None
    companion: Path | None = None
    passphrase_file: Path | None = None
    token: TokenPlace | None = None
    officer: str | None = None


def read_named(path: Path, findings: list[Finding]) -> NamedFiles | None:
    """What the file at `path` names; findings on the file itself go to `findings`. None when nothing of it can be read."""
    item = "configuration"
    try:
        data = path.read_bytes()
    except OSError as error:
        findings.append(wrong(item, Setup.CONFIG_MISSING, f"{path}: {error.strerror}"))
        return None
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        document = None
    try:
        if document is not None and "officer" in document:
            open_place(path)
        else:
            decode_config(data, path)
    except SetupError as error:
        # An officer's genesis file is opened with the rest; it is looked at by itself.
        if error.code is not Setup.GENESIS_INVALID:
            findings += [wrong(item, error.code, detail) for detail in error.details]
    else:
        findings.append(in_order(item, str(path)))
    return None if document is None else _named_in(document, path.parent)


def _named_in(document: Mapping[str, object], base: Path) -> NamedFiles:
    def text(table: Mapping[str, object], field: str) -> str | None:
        value = table.get(field)
        return value if isinstance(value, str) and value else None

    def file(section: str, field: str) -> Path | None:
        table = document.get(section) if section else document
        name = text(cast("dict[str, object]", table), field) if isinstance(table, dict) else None
        return None if name is None else base / name

    entries = document.get("sites")
    sites = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return NamedFiles(
        institution=text(document, "institution"),
        sites=tuple(name for site in sites if (name := text(site, "name")) is not None),
        genesis=file("", "genesis"),
        tls=TlsPaths(file("tls", "ca"), file("tls", "certificate"), file("tls", "key")),
        signing=file("keys", "signing"),
        seal=file("keys", "seal"),
        kek_seals=file("keys", "kek_seals"),
        pseudonyms=file("keys", "pseudonyms"),
        companion=file("keys", "companion"),
        passphrase_file=file("keys", "passphrase_file"),
        token=_token_in(document.get("keys"), base),
        officer=text(document, "officer"),
    )


def _token_in(keys: object, base: Path) -> TokenPlace | None:
    table = cast("dict[str, object]", keys).get("token") if isinstance(keys, dict) else None
    if not isinstance(table, dict):
        return None
    texts = {name: value for name, value in table.items() if isinstance(value, str) and value}
    if not {"module", "token_label"} <= texts.keys():
        return None
    pin_file = base / texts["pin_file"] if "pin_file" in texts else None
    labels = texts.get("key_label"), texts.get("seal_label")
    return TokenPlace(base / texts["module"], texts["token_label"], *labels, pin_file)
