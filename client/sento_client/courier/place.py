"""Who makes and brings volumes: an officer's or an institution's `sento.toml`, which signs and opens, with an operator's certificate for the sites.

Sites give whole copies to operators alone. Where `[tls]` of sento.toml is not an operator's, `--operator DIR` names a directory with one: client.pem,
client.key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_client.config import KeyFiles, SiteAddress, TlsFiles, decode_config
from sento_client.governing.place import open_place
from sento_client.governing.trust_file import TrustFile
from sento_client.keyfiles import read_seal_opener
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_client.signers.passphrases import NO_PASSPHRASE, Ask
from sento_client.toml_table import read_config
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.keys import Signer
from sento_proto.seal import SealOpener


@dataclass(frozen=True, slots=True)
class CourierPlace:
    """What copies need of a `sento.toml`."""

    trust_file: TrustFile
    tls: TlsFiles
    sites: tuple[SiteAddress, ...]
    deadline_ms: int
    keys: KeyFiles

    def signer(self, ask: Ask | None) -> Signer:
        """Who signs volumes. Raises SetupError CANNOT_SIGN."""
        signer = KeySource(self.keys, ask=ask).primary()
        if signer is None:
            raise SetupError(Setup.CANNOT_SIGN, "neither keys.signing nor keys.token.key_label is there")
        return signer

    def opener(self, key: Path | None, ask: Ask | None) -> SealOpener | None:
        """What opens volumes: a key file, or the seal key of the configuration; None where there is neither. Raises SetupError."""
        if key is not None:
            return read_seal_opener(key, NO_PASSPHRASE)
        token = self.keys.token
        has_one = self.keys.seal is not None or (token is not None and token.seal_label is not None)
        return KeySource(self.keys, ask=ask).seal_opener() if has_one else None


def open_courier_place(path: Path, operator: Path | None) -> CourierPlace:
    """From the `sento.toml` at `path`. Raises SetupError."""
    place = open_place(path)
    keys = place.keys if place.keys is not None else decode_config(read_config(path), path.absolute()).keys
    tls = place.tls
    if operator is not None:
        tls = TlsFiles(tls.ca, operator / "client.pem", operator / "client.key")
    return CourierPlace(place.trust_file, tls, place.sites, place.deadline_ms, keys)


def recipient_keys(governance: Governance, names: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """The seal keys of readers, authors, officers or deputies by name. Raises SentoError NOT_FOUND."""
    return tuple((name, _seal_key(governance, name)) for name in dict.fromkeys(names))


def _seal_key(governance: Governance, name: str) -> bytes:
    people = dict(governance.officers.people)
    deputies = {one.deputy.name: one.deputy for one in people.values() if one.deputy is not None}
    for known in (governance.readers, governance.authors, people, deputies):
        holder = known.get(name)
        key = b"" if holder is None else holder.seal_key
        if key:
            return bytes(key)
    raise SentoError(Code.NOT_FOUND, f"governance knows no seal key of {name}")
