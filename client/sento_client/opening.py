"""From `sento.toml` to everything a client needs, read and compared once: genesis, trust, signing key, keyring.

What does not fit together is found here and not at the first write at night: an institution or key that is not enrolled, a site that the ledger does not
know, a seal key that is not the one KEKs are sealed to. Where acts govern, an act that was not followed yet may have enrolled it: then it is only a `misfit`,
and the client asks the ledger before it says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sento_client.config import ClientConfig, load_config
from sento_client.governing.fitting import can_change, check_institution, check_sites
from sento_client.governing.following import Followed
from sento_client.governing.trust_file import TrustFile, trust_path
from sento_client.keyfiles import read_kek_seals, read_pseudonyms
from sento_client.keyring import Keyring
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_client.signers.passphrases import Ask
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.governance.state import Governance
from sento_proto.keys import Signer
from sento_proto.wire import Malformed


@dataclass(frozen=True, slots=True)
class Installation:
    """One institution's client, opened. `signer` is None when it can only read."""

    config: ClientConfig
    genesis: Genesis
    followed: Followed
    signer: Signer | None
    keyring: Keyring
    seal_public: bytes = b""
    trust_file: TrustFile | None = None
    """None: what is followed is forgotten with the process."""
    misfit: SetupError | None = None
    """What does not fit the governance that is known so far, and may fit the one that the sites know."""
    genesis_bytes: bytes = b""
    """The genesis file as it stands; what it says is `genesis`."""

    def check(self, governance: Governance) -> None:
        """Raises SetupError CONFIG_INVALID or NOT_ENROLLED when this installation does not fit."""
        check_sites(governance, (site.name for site in self.config.sites))
        check_institution(governance, self.config.institution, self.signer, self.seal_public)


def open_installation(path: Path, *, ask: Ask | None = None) -> Installation:
    """Read the configuration at `path` and all that it names. `ask` asks a person for a passphrase or PIN that is nowhere else. Raises SetupError."""
    config = load_config(path)
    trust_file = open_trust_file(config.genesis, trust_path(config))
    genesis, followed = trust_file.genesis, trust_file.read()
    if config.purpose and genesis.purpose != config.purpose:
        raise SetupError(
            Setup.CONFIG_INVALID,
            f"purpose: expected a {config.purpose} ledger, and {config.genesis} is of the {genesis.purpose.upper()} ledger {genesis.name}",
        )
    keys = KeySource(config.keys, ask=ask)
    signer, opener = keys.signer(), keys.seal_opener()
    keyring = Keyring(
        genesis.ledger_id,
        opener,
        () if config.keys.kek_seals is None else read_kek_seals(config.keys.kek_seals),
        {} if config.keys.pseudonyms is None else read_pseudonyms(config.keys.pseudonyms),
    )
    opened = Installation(config, genesis, followed, signer, keyring, opener.public_key, trust_file)
    opened = replace(opened, genesis_bytes=trust_file.genesis_bytes)
    try:
        opened.check(followed.governance)
    except SetupError as error:
        if not can_change(followed.governance):
            raise
        return replace(opened, misfit=error)
    return opened


def open_trust_file(genesis_path: Path, path: Path) -> TrustFile:
    """The trust file at `path`, which need not be there yet, of the ledger whose genesis file is at `genesis_path`. Raises SetupError GENESIS_INVALID."""
    try:
        data = genesis_path.read_bytes()
        return TrustFile(path, decode_genesis(data), data)
    except OSError as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{genesis_path}: {error.strerror}") from None
    except Malformed as error:
        raise SetupError(Setup.GENESIS_INVALID, f"{genesis_path}: {error}") from None
