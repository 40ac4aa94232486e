"""A ceremony: what it refuses, what its act and payload hold, and that each holder's own key opens the own share and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recovery_world import (
    LEDGER_ID,
    NAMES,
    OFFICERS,
    World,
    hold_ceremony,
    officer,
    registry_keys,
    seal_secret,
    standing_of,
)
from sento_client.pseudonym_service.macs import KeyName
from sento_client.recovery.ceremony import with_registry_keys
from sento_client.recovery.held_shares import open_share
from sento_client.recovery.proposal import Proposal, change_of, decode_proposal, encode_proposal
from sento_client.recovery.reconstruct import reconstruct
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import StandingCeremony
from sento_proto.governance.parts import Officer
from sento_proto.pseudonyms import KeyKind
from sento_proto.recovery import EntryKind, RecoveryPayload, SealedEntry, share_info
from sento_proto.seal import XWingOpener, seal
from sento_proto.wire import Malformed

HELD = hold_ceremony()
STANDING = standing_of(HELD)


def refusal_of(error: pytest.ExceptionInfo[RecoveryRefused]) -> str:
    return "; ".join(error.value.details)


@pytest.mark.parametrize("holder", [*NAMES, *(f"{name}'s deputy" for name in NAMES)])
def test_each_holder_opens_the_own_share_which_the_act_commits_to(holder: str) -> None:
    mine = open_share(LEDGER_ID, STANDING, holder, XWingOpener(seal_secret(holder)))
    office = holder.removesuffix("'s deputy")
    assert mine == HELD.shares[NAMES.index(office)]
    committed = HELD.ceremony.share(mine.index)
    assert committed is not None
    assert (committed.officer, committed.commitment) == (office, mine.commitment)


def test_a_holder_cannot_open_the_share_of_another() -> None:
    with pytest.raises(RecoveryRefused) as error:
        open_share(LEDGER_ID, STANDING, NAMES[0], XWingOpener(seal_secret(NAMES[1])))
    assert error.value.code is Refusal.NO_SHARE_HELD


def test_a_share_of_another_ledger_does_not_open() -> None:
    with pytest.raises(RecoveryRefused) as error:
        open_share(bytes(32), STANDING, NAMES[0], XWingOpener(seal_secret(NAMES[0])))
    assert error.value.code is Refusal.NO_SHARE_HELD


def test_whoever_holds_nothing_is_told_who_does() -> None:
    with pytest.raises(RecoveryRefused) as error:
        open_share(LEDGER_ID, STANDING, "Mori Aoi", XWingOpener(seal_secret("Mori Aoi")))
    assert "shares for Abe Ren, Abe Ren's deputy, Baba Yui" in refusal_of(error)


def test_a_share_that_was_sealed_wrongly_is_found_when_it_is_opened_and_not_at_the_disaster() -> None:
    wrong = replace(HELD.shares[0], value=bytes(32))
    info = share_info(LEDGER_ID, HELD.ceremony.ceremony_id, 1, NAMES[0])
    entry = SealedEntry(EntryKind.OFFICER_SHARE, NAMES[0], seal(wrong.encode(), info, OFFICERS[0].seal_key))
    payload = RecoveryPayload(HELD.ceremony.ceremony_id, (entry, *HELD.payload.entries[1:]))
    with pytest.raises(RecoveryRefused) as error:
        open_share(
            LEDGER_ID, StandingCeremony(HELD.ceremony, payload), NAMES[0], XWingOpener(seal_secret(NAMES[0]))
        )
    assert error.value.code is Refusal.SHARE_WRONG
    assert "share 1" in refusal_of(error)


def test_a_share_sealed_under_another_number_is_refused() -> None:
    info = share_info(LEDGER_ID, HELD.ceremony.ceremony_id, 2, NAMES[0])
    entry = SealedEntry(
        EntryKind.OFFICER_SHARE, NAMES[0], seal(HELD.shares[0].encode(), info, OFFICERS[0].seal_key)
    )
    payload = RecoveryPayload(HELD.ceremony.ceremony_id, (entry,))
    with pytest.raises(RecoveryRefused) as error:
        open_share(
            LEDGER_ID, StandingCeremony(HELD.ceremony, payload), NAMES[0], XWingOpener(seal_secret(NAMES[0]))
        )
    assert "sealed as share 2 and says 1" in refusal_of(error)


@pytest.mark.parametrize(
    ("threshold", "officers", "words"),
    [
        (2, OFFICERS, "must be more than half"),
        (2, OFFICERS[:4], "must be more than half"),
        (6, OFFICERS, "nobody could ever open"),
        (1, OFFICERS[:1], "one person alone"),
        (9, [officer(f"officer {n}", deputy=False) for n in range(17)], "room for 16"),
        (3, [*OFFICERS[:4], OFFICERS[0]], "Abe Ren stands twice"),
        (3, [*OFFICERS[:4], officer("Abe Ren's deputy")], "Abe Ren's deputy stands twice"),
        (3, [*OFFICERS[:4], replace(OFFICERS[4], name="Fuji Mao", deputy=None, seal_key=OFFICERS[0].seal_key)], "seal key of Abe Ren"),
        (3, [*OFFICERS[:4], replace(OFFICERS[4], seal_key=b"")], "Endo Riku has no seal key"),
    ],
    ids=["2 of 5", "2 of 4", "6 of 5", "1 of 1", "17 officers", "twice", "also a deputy", "same key", "no key"],
)  # fmt: skip
def test_a_ceremony_that_would_not_protect_is_refused_before_it_begins(
    threshold: int, officers: list[Officer], words: str
) -> None:
    with pytest.raises(RecoveryRefused) as error:
        hold_ceremony(threshold=threshold, officers=officers)
    assert error.value.code is Refusal.CEREMONY_UNFIT
    assert words in refusal_of(error)


def test_an_officer_with_a_p256_token_holds_a_share_too() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    from sento_proto.seal import P256Opener

    opener = P256Opener(ec.derive_private_key(77, ec.SECP256R1()))
    officers = [replace(OFFICERS[0], seal_key=opener.public_key), *OFFICERS[1:]]
    held = hold_ceremony(officers=officers)
    assert (
        open_share(LEDGER_ID, StandingCeremony(held.ceremony, held.payload), NAMES[0], opener)
        == held.shares[0]
    )


def test_a_payload_over_30_kib_is_refused_with_the_counts() -> None:
    names = [f"registry-{n}" for n in range(8)]
    with pytest.raises(RecoveryRefused) as error:
        with_registry_keys(LEDGER_ID, HELD.payload, HELD.ceremony.public_key, registry_keys(*names))
    assert "5 officers, 5 deputies, 8 pseudonym and 8 index keys, over the limit of 30720" in refusal_of(
        error
    )


def test_keys_of_a_registry_sealed_again_replace_the_former() -> None:
    keys = {KeyName("health", KeyKind.PSEUDONYM): bytes(32)}
    again = with_registry_keys(LEDGER_ID, STANDING.payload, HELD.ceremony.public_key, keys)
    assert len(again.entries) == len(STANDING.payload.entries)


def test_the_proposal_is_read_back_as_it_was_written() -> None:
    proposal = Proposal(LEDGER_ID, World().ledger_name, "yearly key", HELD.ceremony, STANDING.payload)
    assert decode_proposal(encode_proposal(proposal)) == proposal


def test_a_proposal_holds_no_share_in_the_open() -> None:
    data = encode_proposal(Proposal(LEDGER_ID, "x", "yearly key", HELD.ceremony, STANDING.payload))
    raw = STANDING.payload.encode()
    for share in HELD.shares:
        assert share.value not in raw
        assert share.value.hex().encode() not in data


def test_a_proposal_with_the_payload_of_another_ceremony_is_refused() -> None:
    other = Proposal(LEDGER_ID, "x", "r", HELD.ceremony, hold_ceremony("2028").payload)
    with pytest.raises(Malformed, match="another ceremony"):
        decode_proposal(encode_proposal(other))


def test_two_ceremonies_have_nothing_in_common() -> None:
    other = hold_ceremony("2028")
    assert other.ceremony.public_key != HELD.ceremony.public_key
    assert not {one.value for one in HELD.shares} & {one.value for one in other.shares}
    assert change_of(other.ceremony) != change_of(HELD.ceremony)


def test_every_threshold_of_officers_reconstructs_the_key_of_the_act() -> None:
    assert reconstruct(HELD.shares[1:4], HELD.ceremony).ceremony is HELD.ceremony
