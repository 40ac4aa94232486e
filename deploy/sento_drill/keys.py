"""Development keys: every private key of a world, made in one place and held in memory until the world is written.

In production each of these is made where it is used and never leaves it; a drill makes all of them on one machine and says so in the
genesis file (`purpose: training`). Randomness comes in as a function of the number of bytes, `os.urandom` outside of tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from sento_drill.plan import PERSONAL_REGISTRIES, WorldPlan
from sento_proto.checkpoint import SiteSigners
from sento_proto.kek_seal import XWING_SECRET_BYTES, xwing_public
from sento_proto.keys import Ed25519Signer
from sento_proto.pseudonyms import PSEUDONYM_KEY_BYTES
from sento_proto.software_signers import ML_DSA_SEED_BYTES, MlDsa44Signer

Entropy = Callable[[int], bytes]
"""So many random bytes."""
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """Ed25519 seeds (32 bytes) by name, ML-DSA-44 seeds (32 bytes) by site, X-Wing secrets (96 bytes) by institution, pseudonym keys (32 bytes) by registry."""

    site_seeds: Mapping[str, bytes]
    site_ml_dsa_seeds: Mapping[str, bytes]
    author_seeds: Mapping[str, bytes]
    officer_seeds: Mapping[str, bytes]
    """Of officers and deputies."""
    share_secrets: Mapping[str, bytes]
    """X-Wing secrets (96 bytes) by officer and deputy: what shares of a recovery key are sealed to."""
    seal_secrets: Mapping[str, bytes]
    pseudonym_keys: Mapping[str, bytes]

    def seal_public(self, institution: str) -> bytes:
        """The X-Wing public key (1,216 bytes) that KEKs are sealed to for this institution."""
        return xwing_public(self.seal_secrets[institution])

    def site_signers(self, site: str) -> SiteSigners:
        """What a site cosigns checkpoints with."""
        return SiteSigners(Ed25519Signer(self.site_seeds[site]), MlDsa44Signer(self.site_ml_dsa_seeds[site]))


def make_keys(plan: WorldPlan, entropy: Entropy) -> DevelopmentKeys:
    """Fresh keys for everybody in the plan."""
    institutions = [institution.name for institution in plan.institutions]
    registries = [registry for registry in plan.registries if registry in PERSONAL_REGISTRIES]
    return DevelopmentKeys(
        site_seeds={place.site: entropy(_SEED_BYTES) for place in plan.sites},
        site_ml_dsa_seeds={place.site: entropy(ML_DSA_SEED_BYTES) for place in plan.sites},
        author_seeds={author.name: entropy(_SEED_BYTES) for author in (*plan.authors, *plan.later_authors)},
        officer_seeds={person: entropy(_SEED_BYTES) for person in plan.people},
        share_secrets={person: entropy(XWING_SECRET_BYTES) for person in plan.people},
        seal_secrets={name: entropy(XWING_SECRET_BYTES) for name in dict.fromkeys(institutions)},
        pseudonym_keys={registry: entropy(PSEUDONYM_KEY_BYTES) for registry in registries},
    )


def public_bytes(seed: bytes) -> bytes:
    """The Ed25519 public key of a seed."""
    return Ed25519Signer(seed).public_key.data


def ml_dsa_44_pem(seed: bytes) -> bytes:
    """A site's ML-DSA-44 key as its file holds it: PKCS#8 PEM, not encrypted."""
    key = MLDSA44PrivateKey.from_seed_bytes(seed)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
