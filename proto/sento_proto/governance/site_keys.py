"""The keys that sites sign with: each site's one or two, and those by which a checkpoint of some size is judged.

A site's second key, ML-DSA-44, stands beside its Ed25519 key and is named by that key's id. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sento_proto.checkpoint import SiteKeys
from sento_proto.governance.parts import ReceiptSet, Site
from sento_proto.keys import PublicKey, Suite


class ReceiptQuorum(NamedTuple):
    """The receipt set for trees of at least `from_size` records, with the keys its sites had."""

    from_size: int
    keys: Mapping[str, SiteKeys]
    quorum: int


def keys_of_site(site: Site) -> SiteKeys:
    """The keys with which a site cosigns."""
    return SiteKeys(site.key, PublicKey(Suite.ML_DSA_44, site.ml_dsa_44) if site.ml_dsa_44 else None)


def second_keys(sites: Iterable[Site]) -> dict[bytes, PublicKey]:
    """The ML-DSA-44 keys of those that have one, by the id of the key beside it."""
    pairs = {site.key.key_id: keys_of_site(site).ml_dsa_44 for site in sites}
    return {key_id: second for key_id, second in pairs.items() if second is not None}


def receipt_quorum(sites: Mapping[str, Site], receipt_set: ReceiptSet, from_size: int) -> ReceiptQuorum:
    """The receipt set with its sites' keys as they are now."""
    return ReceiptQuorum(
        from_size, {name: keys_of_site(sites[name]) for name in receipt_set.sites}, receipt_set.quorum
    )
