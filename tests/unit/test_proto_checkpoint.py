"""Checkpoints: one text, note signatures and cosignatures that count once, for one ledger, epoch, size and root."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import SITES, build_genesis
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto.checkpoint import (
    Checkpoint,
    NoteSignature,
    SiteKeys,
    SiteSigners,
    cosign,
    cosign_all,
    cosign_ml_dsa_44,
    cosignature_of,
    cosigners,
    decode_checkpoint,
    decode_signature_line,
    encode_checkpoint,
    encode_signature_line,
    merge_signatures,
    note_signature_holds,
    sign_note,
)
from sento_proto.keys import Signature, Suite, verifies
from sento_proto.software_signers import MlDsa44Signer
from sento_proto.wire import Malformed

WORLD = build_genesis()
KEYS = {site: SiteKeys(key) for site, key in WORLD.site_keys.items()}
HEAD = Checkpoint(WORLD.ledger_id, 1, 1000, b"r" * 32)
TIME_S = 1_767_225_600


def cosigned(*sites: str, time_s: int = TIME_S) -> Checkpoint:
    """HEAD under a cosignature of each of `sites`."""
    lines = (cosign(HEAD, site, WORLD.site_signers[site], time_s) for site in sites)
    return HEAD._replace(signatures=tuple(lines))


WHOLE = cosigned(*SITES)._replace(
    signatures=(sign_note(HEAD, SITES[0], WORLD.site_signers[SITES[0]]), *cosigned(*SITES).signatures)
)

CHECKPOINTS = st.builds(
    Checkpoint,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**32 - 1),
    st.integers(0, 10**19 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(
        st.builds(
            NoteSignature,
            st.text(alphabet="abz019-", min_size=1, max_size=32),
            st.binary(min_size=4, max_size=4),
            st.binary(min_size=1, max_size=80),
        ),
        max_size=5,
    ).map(tuple),
)


@PROPERTY
@given(CHECKPOINTS)
def test_decoding_gives_back_what_was_encoded(checkpoint: Checkpoint) -> None:
    assert decode_checkpoint(encode_checkpoint(checkpoint)) == checkpoint


def test_every_byte_changed_and_every_truncation() -> None:
    assert_every_flip_and_cut(decode_checkpoint, encode_checkpoint, encode_checkpoint(WHOLE))


@PROPERTY
@given(damaged(encode_checkpoint(WHOLE)))
def test_damaged_bytes_are_refused_or_have_one_encoding(data: bytes) -> None:
    assert_one_encoding(decode_checkpoint, encode_checkpoint, data)


@PROPERTY
@given(st.text(alphabet="0123456789abcdef/\n— =+-jp ", max_size=200))
def test_any_text_is_refused_with_malformed_or_has_one_encoding(text: str) -> None:
    assert_one_encoding(decode_checkpoint, encode_checkpoint, text.encode())


def test_each_site_that_cosigned_counts_with_its_time() -> None:
    decoded = decode_checkpoint(encode_checkpoint(WHOLE))
    assert cosigners(decoded, KEYS) == dict.fromkeys(SITES, TIME_S)
    assert note_signature_holds(decoded, SITES[0], KEYS[SITES[0]].ed25519)
    assert not note_signature_holds(decoded, SITES[1], KEYS[SITES[1]].ed25519)


def test_a_site_that_stands_twice_counts_once() -> None:
    twice = cosigned(SITES[0], SITES[0])
    assert list(cosigners(twice, KEYS)) == [SITES[0]]


def test_a_site_outside_of_the_given_keys_does_not_count() -> None:
    receipt_set = {site: KEYS[site] for site in SITES[:2]}
    assert list(cosigners(WHOLE, receipt_set)) == list(SITES[:2])


@pytest.mark.parametrize(
    "changes",
    [{"size": 1001}, {"size": 0}, {"root": b"q" * 32}, {"epoch": 2}, {"ledger_id": b"l" * 32}],
    ids=["larger", "empty", "other root", "other epoch", "other ledger"],
)
def test_a_cosignature_counts_for_no_other_tree_head(changes: dict[str, object]) -> None:
    lifted = WHOLE._replace(**changes)  # type: ignore[arg-type]
    assert cosigners(lifted, KEYS) == {}
    assert not note_signature_holds(lifted, SITES[0], KEYS[SITES[0]].ed25519)


def test_a_note_signature_is_no_cosignature_and_the_other_way_round() -> None:
    signer = WORLD.site_signers[SITES[0]]
    note, cosignature = sign_note(HEAD, SITES[0], signer), cosign(HEAD, SITES[0], signer, TIME_S)
    assert note.key_hash != cosignature.key_hash
    as_cosignature = note._replace(key_hash=cosignature.key_hash, data=cosignature.data[:8] + note.data)
    as_note = cosignature._replace(key_hash=note.key_hash, data=cosignature.data[8:])
    assert cosignature_of(HEAD, [as_cosignature], SITES[0], KEYS[SITES[0]]) is None
    assert not note_signature_holds(HEAD._replace(signatures=(as_note,)), SITES[0], KEYS[SITES[0]].ed25519)


def test_a_cosignatures_time_is_covered() -> None:
    line = cosign(HEAD, SITES[0], WORLD.site_signers[SITES[0]], TIME_S)
    assert cosignature_of(HEAD, [line], SITES[0], KEYS[SITES[0]]) == (TIME_S, (line,))
    later = line._replace(data=(TIME_S + 1).to_bytes(8, "big") + line.data[8:])
    assert cosignature_of(HEAD, [later], SITES[0], KEYS[SITES[0]]) is None


def test_one_site_cannot_cosign_in_anothers_name() -> None:
    line = cosign(HEAD, SITES[1], WORLD.site_signers[SITES[0]], TIME_S)
    assert cosignature_of(HEAD, [line], SITES[1], KEYS[SITES[1]]) is None


def test_merging_keeps_the_first_line_of_each_signer_and_takes_an_iterator() -> None:
    first, later = cosigned(SITES[0]), cosigned(SITES[0], SITES[1], SITES[2], time_s=TIME_S + 5)
    merged = merge_signatures(first, iter(later.signatures))
    assert cosigners(merged, KEYS) == {SITES[0]: TIME_S, SITES[1]: TIME_S + 5, SITES[2]: TIME_S + 5}
    assert merge_signatures(merged, later.signatures) == merged
    doubled = [*later.signatures[1:2], cosign(HEAD, SITES[1], WORLD.site_signers[SITES[1]], TIME_S + 9)]
    assert cosigners(merge_signatures(first, doubled), KEYS)[SITES[1]] == TIME_S + 5


def test_signature_lines_alone_round_trip() -> None:
    for line in WHOLE.signatures:
        text = encode_signature_line(line).decode()
        assert decode_signature_line(text[:-1]) == line
        with pytest.raises(Malformed):
            decode_signature_line(text)


# With an ML-DSA-44 key beside.

SIGNERS = {
    site: SiteSigners(WORLD.site_signers[site], MlDsa44Signer(bytes([number]) * 32))
    for number, site in enumerate(SITES)
}
BOTH_KEYS = {site: signers.keys for site, signers in SIGNERS.items()}


def under(*lines: NoteSignature) -> Checkpoint:
    """HEAD with these lines."""
    return HEAD._replace(signatures=lines)


def both(site: str, time_s: int = TIME_S) -> tuple[NoteSignature, ...]:
    """A site's whole cosignature of HEAD."""
    return cosign_all(HEAD, site, SIGNERS[site], time_s)


def test_with_an_ml_dsa_44_key_a_site_counts_by_two_lines_of_one_time() -> None:
    lines = both(SITES[0])
    assert [len(line.data) for line in lines] == [8 + 64, 8 + 2_420]
    assert cosigners(decode_checkpoint(encode_checkpoint(under(*lines))), BOTH_KEYS) == {SITES[0]: TIME_S}
    assert cosigners(under(*reversed(lines)), BOTH_KEYS) == {SITES[0]: TIME_S}


@pytest.mark.parametrize("left", [0, 1], ids=["ed25519 alone", "ml-dsa-44 alone"])
def test_a_line_that_was_stripped_takes_the_cosignature_with_it(left: int) -> None:
    lines = both(SITES[0])
    assert cosigners(under(lines[left], *both(SITES[1])), BOTH_KEYS) == {SITES[1]: TIME_S}


def test_a_site_without_the_key_counts_by_its_first_line_and_a_line_nobody_can_judge_is_passed_over() -> None:
    lines = both(SITES[0])
    assert cosigners(under(lines[0]), KEYS) == {SITES[0]: TIME_S}
    assert cosigners(under(*lines), KEYS) == {SITES[0]: TIME_S}


def _wrong_second_lines() -> dict[str, NoteSignature]:
    site, second = SITES[0], SIGNERS[SITES[0]].ml_dsa_44
    other = SIGNERS[SITES[1]].ml_dsa_44
    assert second is not None
    assert other is not None
    good = cosign_ml_dsa_44(HEAD, site, second, TIME_S)
    named = cosign_ml_dsa_44(HEAD, SITES[1], second, TIME_S)
    return {
        "of another time": cosign_ml_dsa_44(HEAD, site, second, TIME_S - 1),
        "with its time changed": good._replace(data=(TIME_S + 1).to_bytes(8, "big") + good.data[8:]),
        "of another size": cosign_ml_dsa_44(HEAD._replace(size=999), site, second, TIME_S),
        "of another root": cosign_ml_dsa_44(HEAD._replace(root=b"q" * 32), site, second, TIME_S),
        "of another epoch": cosign_ml_dsa_44(HEAD._replace(epoch=2), site, second, TIME_S),
        "by another site's key": good._replace(data=cosign_ml_dsa_44(HEAD, site, other, TIME_S).data),
        "made in another site's name": good._replace(data=named.data),
        "cut short": good._replace(data=good.data[:-1]),
        "with a byte changed": good._replace(data=good.data[:-1] + bytes([good.data[-1] ^ 1])),
        "empty": good._replace(data=good.data[:8]),
    }


@pytest.mark.parametrize("wrong", list(_wrong_second_lines()))
def test_a_wrong_second_line_does_not_count(wrong: str) -> None:
    line = _wrong_second_lines()[wrong]
    assert cosigners(under(both(SITES[0])[0], line), BOTH_KEYS) == {}


def test_a_second_line_counts_only_with_the_first_of_its_own_time() -> None:
    early, late = both(SITES[0], TIME_S), both(SITES[0], TIME_S + 60)
    assert cosigners(under(late[0], early[1]), BOTH_KEYS) == {}
    assert cosigners(under(late[0], early[1], early[0]), BOTH_KEYS) == {SITES[0]: TIME_S}


def test_what_ml_dsa_44_signs_is_the_structure_of_the_specification_byte_for_byte() -> None:
    """C2SP tlog-cosignature: label, name, time, origin, start 0, end, hash; lengths are one byte, numbers eight."""
    site = SITES[0]
    origin = f"{WORLD.ledger_id.hex()}/1".encode()
    message = b"subtree/v1\n\0" + bytes([len(site)]) + site.encode() + TIME_S.to_bytes(8, "big")
    message += bytes([len(origin)]) + origin + bytes(8) + (1000).to_bytes(8, "big") + b"r" * 32
    key = BOTH_KEYS[site].ml_dsa_44
    assert key is not None
    line = both(site)[1]
    assert verifies(key, Signature(Suite.ML_DSA_44, line.data[8:]), message)
    name_and_type = site.encode() + b"\n" + bytes([6])
    assert line.key_hash == hashlib.sha256(name_and_type + key.data).digest()[:4]


def test_a_checkpoint_that_31_sites_cosigned_with_both_keys_is_within_its_limits() -> None:
    lines = [NoteSignature(f"{n:032d}", bytes(4), bytes(8 + size)) for n in range(31) for size in (64, 2_420)]
    whole = HEAD._replace(size=10**19 - 1, signatures=(WHOLE.signatures[0], *lines))
    assert decode_checkpoint(encode_checkpoint(whole)) == whole
