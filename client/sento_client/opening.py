"""From `sento.toml` to everything a client needs, read and compared once: genesis, trust, signing key, keyring.

What does not fit together is found here and not at the first write at night: an institution or key that is not enrolled, a site that genesis does
not know, a seal key that is not the one KEKs are sealed to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sento_client.config import ClientConfig, load_config
from sento_client.keyfiles import read_kek_seals, read_pseudonyms, read_seal_key, read_signing_key
from sento_client.keyring import Keyring
from sento_client.setup_errors import Setup, SetupError
from sento_client.verifying import Trust
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.kek_seal import xwing_public
from sento_proto.keys import Signer
from sento_proto.wire import Malformed


@dataclass(frozen=True, slots=True)
class Installation:
    """One institution's client, opened. `signer` is None when it can only read."""

    config: ClientConfig
    genesis: Genesis
    trust: Trust
    signer: Signer | None
    keyring: Keyring


def open_installation(path: Path) -> Installation:
    """Read the configuration at `path` and all that it names. Raises SetupError."""
    config = load_config(path)
    genesis = _read_genesis(config.genesis)
    signer = None if config.keys.signing is None else read_signing_key(config.keys.signing)
    seal_secret = read_seal_key(config.keys.seal)
    _compare(config, genesis, signer, xwing_public(seal_secret))
    keyring = Keyring(
        genesis.ledger_id,
        seal_secret,
        read_kek_seals(config.keys.kek_seals),
        read_pseudonyms(config.keys.pseudonyms),
    )
    return Installation(config, genesis, Trust.of(genesis), signer, keyring)


def _read_genesis(path: Path) -> Genesis:
    try:
        return decode_genesis(path.read_bytes())
    except OSError as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{path}: {error.strerror}") from None
    except Malformed as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{path}: {error}") from None


def _compare(config: ClientConfig, genesis: Genesis, signer: Signer | None, seal_public: bytes) -> None:
    unknown = [site.name for site in config.sites if genesis.site(site.name) is None]
    if unknown:
        raise SetupError(
            Setup.CONFIG_INVALID, *(f"sites: {name} does not stand in the genesis file" for name in unknown)
        )
    institution = config.institution
    authors = [author for author in genesis.authors if author.name == institution]
    readers = [reader for reader in genesis.readers if reader.name == institution]
    if signer is not None and not any(signer.public_key in author.keys for author in authors):
        raise SetupError(Setup.NOT_ENROLLED, f"{institution} is no author with the key of keys.signing")
    if not authors and not readers:
        raise SetupError(Setup.NOT_ENROLLED, f"{institution} is neither author nor reader")
    sealed_to = [author.seal_key for author in authors] + [reader.seal_key for reader in readers]
    if seal_public not in sealed_to:
        raise SetupError(Setup.NOT_ENROLLED, f"keys.seal is not the key that is named for {institution}")
