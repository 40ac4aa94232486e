"""Whether an installation fits the governance: its sites, its institution, its signing key with companion, its seal key.

Pure. What is not in the genesis file may have been enrolled by an act since, so a misfit counts only once governance was followed as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable

from sento_client.setup_errors import Setup, SetupError
from sento_proto.governance.state import Governance
from sento_proto.keys import CompanionSigner, PublicKey, Signer
from sento_proto.rules import RULES


def can_change(governance: Governance) -> bool:
    """Whether acts may enrol what is not there yet; rules that are not known here may allow anything."""
    rules = RULES.get(governance.rules)
    return rules is None or rules.acts


def check_sites(governance: Governance, sites: Iterable[str]) -> None:
    """Raises SetupError CONFIG_INVALID for sites that the ledger never had."""
    ever = {name for name, _ in governance.site_keys_ever.values()}
    unknown = [name for name in sites if name not in ever]
    if unknown:
        raise SetupError(
            Setup.CONFIG_INVALID, *(f"sites: {name} is no site of {governance.name}" for name in unknown)
        )


def check_institution(
    governance: Governance, institution: str, signer: Signer | None, seal_public: bytes
) -> None:
    """Raises SetupError NOT_ENROLLED. A key that was retired or revoked was enrolled: what is refused under it says why itself."""
    author, reader = governance.authors.get(institution), governance.readers.get(institution)
    if author is None and reader is None:
        raise SetupError(Setup.NOT_ENROLLED, f"{institution} is neither author nor reader")
    if signer is not None:
        known = governance.author_keys.get(signer.public_key.key_id)
        if known is None or known.author != institution:
            raise SetupError(Setup.NOT_ENROLLED, f"{institution} is no author with the key of keys.signing")
        if known.signing.companion != _companion(signer):
            raise SetupError(
                Setup.NOT_ENROLLED, f"the key of {institution} is enrolled with another companion, or none"
            )
    sealed_to = [entry.seal_key for entry in (author, reader) if entry is not None]
    if seal_public not in sealed_to:
        raise SetupError(Setup.NOT_ENROLLED, f"keys.seal is not the key that is named for {institution}")


def _companion(signer: Signer) -> PublicKey | None:
    return signer.companion_key if isinstance(signer, CompanionSigner) else None
