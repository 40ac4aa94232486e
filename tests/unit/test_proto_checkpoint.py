"""Checkpoints: one text, note signatures and cosignatures that count once, for one ledger, epoch, size and root."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genesis_builder import SITES, build_genesis
from properties import PROPERTY, assert_every_flip_and_cut, assert_one_encoding, damaged
from sento_proto.checkpoint import (
    Checkpoint,
    NoteSignature,
    cosign,
    cosigner_of,
    cosigners,
    decode_checkpoint,
    decode_signature_line,
    encode_checkpoint,
    encode_signature_line,
    merge_signatures,
    note_signature_holds,
    sign_note,
)
from sento_proto.wire import Malformed

WORLD = build_genesis()
KEYS = WORLD.site_keys
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
    assert note_signature_holds(decoded, SITES[0], KEYS[SITES[0]])
    assert not note_signature_holds(decoded, SITES[1], KEYS[SITES[1]])


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
    assert not note_signature_holds(lifted, SITES[0], KEYS[SITES[0]])


def test_a_note_signature_is_no_cosignature_and_the_other_way_round() -> None:
    signer = WORLD.site_signers[SITES[0]]
    note, cosignature = sign_note(HEAD, SITES[0], signer), cosign(HEAD, SITES[0], signer, TIME_S)
    assert note.key_hash != cosignature.key_hash
    as_cosignature = note._replace(key_hash=cosignature.key_hash, data=cosignature.data[:8] + note.data)
    as_note = cosignature._replace(key_hash=note.key_hash, data=cosignature.data[8:])
    assert cosigner_of(HEAD, as_cosignature, KEYS) is None
    assert not note_signature_holds(HEAD._replace(signatures=(as_note,)), SITES[0], KEYS[SITES[0]])


def test_a_cosignatures_time_is_covered() -> None:
    line = cosign(HEAD, SITES[0], WORLD.site_signers[SITES[0]], TIME_S)
    assert cosigner_of(HEAD, line, KEYS) == (SITES[0], TIME_S)
    assert (
        cosigner_of(HEAD, line._replace(data=(TIME_S + 1).to_bytes(8, "big") + line.data[8:]), KEYS) is None
    )


def test_one_site_cannot_cosign_in_anothers_name() -> None:
    assert cosigner_of(HEAD, cosign(HEAD, SITES[1], WORLD.site_signers[SITES[0]], TIME_S), KEYS) is None


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
