"""Submissions already decoded and verified here, so that a site does not do the same work at ingress and again at apply.

Decoding and verifying are pure functions of the bytes, so remembering their answer changes nothing but the time. The memo is keyed by the SHA-256 of all
bytes and holds only what verified; it says by which keys, because whether they still may write is apply's question.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from sento_proto.keys import PublicKey
from sento_proto.submission import Submission, author_signatures_hold, decode_submission

MEMO_MAX = 512


class Verified(NamedTuple):
    """A decoded submission and the keys under which its signatures verified."""

    submission: Submission
    keys: tuple[PublicKey, ...]


class VerifiedMemo:
    """The last submissions that verified at this site, at most `MEMO_MAX`."""

    __slots__ = ("_by_hash",)

    def __init__(self) -> None:
        self._by_hash: OrderedDict[bytes, Verified] = OrderedDict()

    def decode(self, data: bytes) -> tuple[Submission, tuple[PublicKey, ...], bytes]:
        """(submission, the keys it verified under before if it did, its memo key). Raises Malformed."""
        digest = hashlib.sha256(data).digest()
        found = self._by_hash.get(digest)
        if found is not None:
            return found.submission, found.keys, digest
        return decode_submission(data), (), digest

    def verify(
        self,
        submission: Submission,
        keys: tuple[PublicKey, ...],
        before: tuple[PublicKey, ...],
        digest: bytes,
    ) -> bool:
        """Whether exactly `keys` signed the submission."""
        if before == keys:
            return True
        if not author_signatures_hold(submission, keys):
            return False
        self._by_hash[digest] = Verified(submission, keys)
        if len(self._by_hash) > MEMO_MAX:
            self._by_hash.popitem(last=False)
        return True
