"""A holder's own share: taken out of its seal with the holder's own key, and checked against the act before anybody relies on it."""

from __future__ import annotations

from sento_client.recovery.reconstruct import check_shares
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import StandingCeremony
from sento_proto.recovery import SHARE_KINDS, RecoveryShare, decode_share, share_info
from sento_proto.seal import SealOpener, open_seal
from sento_proto.sealing import CannotOpen
from sento_proto.wire import Malformed


def open_share(
    ledger_id: bytes, standing: StandingCeremony, holder: str, opener: SealOpener
) -> RecoveryShare:
    """The share that is sealed to `holder`, an officer's or a deputy's name.

    Raises RecoveryRefused NO_SHARE_HELD when there is none or it does not open, SHARE_INVALID, SHARES_MIXED or SHARE_WRONG when what comes out is not what
    the act commits to."""
    ceremony = standing.ceremony
    entry = standing.payload.find(SHARE_KINDS, holder)
    if entry is None:
        holders = ", ".join(e.name for e in standing.payload.entries if e.kind in SHARE_KINDS)
        raise RecoveryRefused(Refusal.NO_SHARE_HELD, f"ceremony {ceremony.words} has shares for {holders}")
    # The seal binds the index, which stands nowhere beside it: the few that there are get tried, the officer's own first.
    for committed in sorted(ceremony.shares, key=lambda share: share.officer != holder):
        info = share_info(ledger_id, ceremony.ceremony_id, committed.number, holder)
        try:
            data = open_seal(entry.seal, info, opener)
        except CannotOpen:
            continue
        except Malformed as error:
            raise RecoveryRefused(Refusal.NO_SHARE_HELD, f"ceremony {ceremony.words}: {error}") from None
        return _checked(data, committed.number, standing)
    raise RecoveryRefused(
        Refusal.NO_SHARE_HELD, f"ceremony {ceremony.words}: the seal for {holder} does not open with this key"
    )


def _checked(data: bytes, index: int, standing: StandingCeremony) -> RecoveryShare:
    try:
        share = decode_share(data)
    except Malformed as error:
        raise RecoveryRefused(Refusal.SHARE_INVALID, str(error)) from None
    check_shares([share], standing.ceremony)
    if share.index != index:
        raise RecoveryRefused(Refusal.SHARE_INVALID, f"it was sealed as share {index} and says {share.index}")
    return share
