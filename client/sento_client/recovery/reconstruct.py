"""From shares to the recovery key, or a refusal in words: pure, and sure of its result because the act names the public key.

Shares are looked at in this order, so that the most helpful refusal comes first: of which ceremony each is, whether each is the one that was committed to,
how many different ones there are, and whether what they give is the key in the act.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony, StandingCeremony, ceremony_names
from sento_proto.recovery import RecoveryShare, recovery_secret
from sento_proto.seal import xwing_public
from sento_proto.shamir import combine


@dataclass(frozen=True, slots=True, repr=False)
class RecoveredKey:
    """The private half of a ceremony's key, 96 bytes. Its repr is its ceremony's."""

    ceremony: Ceremony
    secret: bytes

    def __repr__(self) -> str:
        return f"RecoveredKey({self.ceremony.words})"


def ceremony_of(shares: Sequence[RecoveryShare], standing: Sequence[StandingCeremony]) -> StandingCeremony:
    """The one standing ceremony that all shares belong to. Raises RecoveryRefused SHARES_MIXED, CEREMONY_UNKNOWN, TOO_FEW_SHARES."""
    if not shares:
        raise RecoveryRefused(Refusal.TOO_FEW_SHARES, "no share was given")
    names = ceremony_names(standing)
    ids = list(dict.fromkeys(share.ceremony_id for share in shares))
    if len(ids) > 1:
        raise RecoveryRefused(Refusal.SHARES_MIXED, _mixed_words(shares, ids, names))
    for one in standing:
        if one.ceremony.ceremony_id == ids[0]:
            return one
    raise RecoveryRefused(Refusal.CEREMONY_UNKNOWN, f"ceremony {_name(ids[0], names)}")


def reconstruct(shares: Sequence[RecoveryShare], ceremony: Ceremony) -> RecoveredKey:
    """The recovery key. Raises RecoveryRefused SHARES_MIXED, SHARE_WRONG, TOO_FEW_SHARES ("needs 3, have 2"), KEY_MISMATCH."""
    check_shares(shares, ceremony)
    by_index = {share.index: share.value for share in shares}
    if len(by_index) < ceremony.threshold:
        raise RecoveryRefused(Refusal.TOO_FEW_SHARES, needs_words(shares, ceremony))
    # A dealer that dealt one share off the polynomial committed to it too; among more shares than needed the others still give the key.
    for chosen in combinations(sorted(by_index.items()), ceremony.threshold):
        secret = recovery_secret(combine(dict(chosen)))
        if hmac.compare_digest(xwing_public(secret), ceremony.public_key):
            return RecoveredKey(ceremony, secret)
    raise RecoveryRefused(
        Refusal.KEY_MISMATCH, f"ceremony {ceremony.words}, shares {', '.join(map(str, sorted(by_index)))}"
    )


def check_shares(shares: Sequence[RecoveryShare], ceremony: Ceremony) -> None:
    """Each share is of this ceremony and the one committed to. Raises RecoveryRefused SHARES_MIXED, SHARE_WRONG, which names the index."""
    ids = list(dict.fromkeys([ceremony.ceremony_id, *(share.ceremony_id for share in shares)]))
    if len(ids) > 1:
        raise RecoveryRefused(
            Refusal.SHARES_MIXED, _mixed_words(shares, ids, {ceremony.ceremony_id: ceremony.words})
        )
    wrong = [_wrong_words(share, ceremony) for share in shares]
    found = list(dict.fromkeys(words for words in wrong if words))
    if found:
        raise RecoveryRefused(Refusal.SHARE_WRONG, *found)


def needs_words(shares: Sequence[RecoveryShare], ceremony: Ceremony) -> str:
    """`needs 3, have 2`, and what was given more than once."""
    indices = [share.index for share in shares]
    doubles = sorted({index for index in indices if indices.count(index) > 1})
    twice = "".join(
        f"; share {index} was given {indices.count(index)} times and counts once" for index in doubles
    )
    return f"needs {ceremony.threshold}, have {len(set(indices))}{twice}"


def _wrong_words(share: RecoveryShare, ceremony: Ceremony) -> str:
    committed = ceremony.share(share.index)
    if committed is None:
        return f"share {share.index}: ceremony {ceremony.words} has {len(ceremony.shares)} shares"
    if not hmac.compare_digest(share.commitment, committed.commitment):
        return f"share {share.index} (of the office of {committed.officer}) of ceremony {ceremony.words}"
    return ""


def _mixed_words(shares: Sequence[RecoveryShare], ids: Sequence[bytes], names: Mapping[bytes, str]) -> str:
    parts = []
    for ceremony_id in ids:
        indices = sorted({share.index for share in shares if share.ceremony_id == ceremony_id})
        listed = f"share {', '.join(map(str, indices))}" if indices else "no share"
        parts.append(f"{listed} of {_name(ceremony_id, names)}")
    return "; ".join(parts)


def _name(ceremony_id: bytes, names: Mapping[bytes, str]) -> str:
    return names.get(ceremony_id, f"an unknown ceremony ({ceremony_id.hex()[:8]})")
