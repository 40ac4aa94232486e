"""The chain of one subject in one registry: each link covers all that was written about it, in order.

    link = SHA-256(0x02 || previous link || record hash), the first after 32 zero bytes

A list of a subject's records is complete up to a link exactly when folding their hashes ends in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

FIRST_LINK = bytes(32)


def next_link(previous_link: bytes, record_hash: bytes) -> bytes:
    """The link after one more record."""
    return hashlib.sha256(b"\x02" + previous_link + record_hash).digest()


def link_over(record_hashes: Iterable[bytes], start: bytes = FIRST_LINK) -> bytes:
    """The last link over `record_hashes` in order."""
    link = start
    for record_hash in record_hashes:
        link = next_link(link, record_hash)
    return link
