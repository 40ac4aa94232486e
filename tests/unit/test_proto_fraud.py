"""Proofs of fraud: each kind of lie is shown by its file, and no honest site can be shown guilty, whatever is put together from what it signed."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sento_proto.fraud_building as build
from fraud_world import KEYS, KNOWN, LEDGER_ID, SIGNERS, SITES, TIME_S, Tree, subject
from properties import PROPERTY
from sento_proto.block import Lane, sign_block
from sento_proto.chain import link_over
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all, sign_note
from sento_proto.fraud import KINDS, Fraud, KnownSites, NotProven, verify_fraud
from sento_proto.governance.site_keys import ReceiptQuorum, receipt_quorum
from sento_proto.governance.state import from_genesis
from sento_proto.head_statement import NO_HEAD, Head
from sento_proto.keys import Ed25519Signer
from sento_proto.wire import Malformed

ABOUT = [("health", 1), ("health", 2), ("tax", 1), ("health", 1), ("health", 2), ("health", 1), ("tax", 3)]
TREE = Tree(ABOUT)
FORKED = Tree([*ABOUT[:3], ("health", 9), *ABOUT[4:]])
LIAR, OTHER, DOUBLE = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki"


def lane_block(seq: int, submissions: Sequence[bytes], *, site: str = LIAR, epoch: int = 1) -> bytes:
    return sign_block(LEDGER_ID, epoch, Lane(site, 3, 0), seq, submissions, SIGNERS[site].ed25519)


def false_files(liar: str) -> dict[str, bytes]:
    """A file of each kind against the site."""
    old = TREE.head("health", 1, 4)
    omits = TREE.statement(liar, "health", 1, 6, old)
    invents = TREE.statement(liar, "health", 1, 7, Head(6, link_over(TREE.leaves(7))))
    false_link = TREE.statement(liar, "health", 1, 6, Head(5, b"l" * 32))
    others = [TREE.statement(site, "health", 1, 6) for site in SITES if site != liar]
    a, b = TREE.checkpoint(6, liar), FORKED.checkpoint(6, liar)
    leaves = [(tree.leaves(4)[3], tree.path(3, size)) for tree, size in ((TREE, 6), (FORKED, 7))]
    return {
        "two-checkpoints": build.two_checkpoints(KNOWN, liar, a, b),
        "two-histories": build.two_histories(KNOWN, liar, a, FORKED.checkpoint(7, liar), 3, *leaves),
        "two-heads": build.two_heads(KNOWN, liar, omits, TREE.statement(liar, "health", 1, 6)),
        "head-root": build.head_root(KNOWN, FORKED.statement(liar, "tax", 1, 6), a),
        "head-omits": build.head_omits(KNOWN, omits, TREE.records[5], TREE.path(5, 6)),
        "head-invents": build.head_invents(KNOWN, invents, TREE.records[6], TREE.path(6, 7)),
        "head-against-quorum": build.head_against_quorum(KNOWN, false_link, others),
        "two-blocks": build.two_blocks(
            KNOWN, liar, lane_block(1, [b"x"], site=liar), lane_block(1, [b"y"], site=liar)
        ),
    }


FILES = {liar: false_files(liar) for liar in (LIAR, DOUBLE)}


@pytest.mark.parametrize("liar", [LIAR, DOUBLE])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_lie_is_shown_with_the_name_of_who_told_it(kind: str, liar: str) -> None:
    fraud = verify_fraud(FILES[liar][kind], KNOWN)
    assert (fraud.kind, fraud.site) == (kind, liar)
    assert fraud.words.startswith(f"{liar} signed ")
    assert fraud.by_quorum == (kind == "head-against-quorum")


# -- honest sites -------------------------------------------------------------------------------------------------------

LEDGERS = st.lists(st.tuples(st.sampled_from(["health", "tax"]), st.integers(1, 3)), min_size=2, max_size=5)


def attempts(tree: Tree, site: str) -> Iterator[Callable[[], bytes]]:
    """Every file that can be put together against a site from true words about one ledger."""
    size = len(tree.about)
    sizes = sorted({1, size // 2 or 1, size})
    notes = [tree.checkpoint(at, site) for at in sizes]
    words = [
        tree.statement(site, registry, number, at)
        for at in sizes
        for registry, number in sorted({*tree.about, ("health", 4)})
    ]
    for a, b in itertools.product(notes, repeat=2):
        yield partial(build.two_checkpoints, KNOWN, site, a, b)
        for position in range(min(a.size, b.size)):
            leaf, other = tree.leaves(size)[position], tree.leaves(size)[position - 1]
            in_a, path_b = (leaf, tree.path(position, a.size)), tree.path(position, b.size)
            yield partial(build.two_histories, KNOWN, site, a, b, position, in_a, (leaf, path_b))
            yield partial(build.two_histories, KNOWN, site, a, b, position, in_a, (other, path_b))
    for one, two in itertools.product(words, repeat=2):
        yield partial(build.two_heads, KNOWN, site, one, two)
    for word in words:
        for note in notes:
            yield partial(build.head_root, KNOWN, word, note)
        for record in tree.records[: word.size]:
            path = tree.path(record.position, word.size)
            yield partial(build.head_omits, KNOWN, word, record, path)
            yield partial(build.head_invents, KNOWN, word, record, path)
        others = [tree.statement(other, word.registry, 1, word.size) for other in SITES if other != site]
        yield partial(build.head_against_quorum, KNOWN, word, others)


@settings(PROPERTY, max_examples=10)
@given(LEDGERS, st.sampled_from((LIAR, OTHER)))
def test_nothing_that_an_honest_site_signed_can_be_put_together_to_a_proof(
    about: list[tuple[str, int]], site: str
) -> None:
    for attempt in attempts(Tree(about), site):
        with pytest.raises(NotProven):
            attempt()


def test_nothing_that_an_honest_site_with_two_keys_signed_makes_a_proof() -> None:
    for attempt in attempts(Tree(ABOUT[:3]), DOUBLE):
        with pytest.raises(NotProven):
            attempt()


def test_a_list_with_one_record_left_out_convicts_nobody_of_a_false_link() -> None:
    """The link over a list that the accuser shortened differs from the honest one; only a quorum's word counts."""
    honest = TREE.statement(LIAR, "health", 1, 6)
    shortened = Head(5, link_over([TREE.leaves(6)[0], TREE.leaves(6)[5]]))
    assert shortened.link != honest.head.link
    accuser = TREE.statement(OTHER, "health", 1, 6, shortened)
    with pytest.raises(NotProven, match="2 other sites"):
        build.head_against_quorum(KNOWN, honest, [accuser])
    assert verify_fraud(
        build.head_against_quorum(KNOWN, accuser, [honest, TREE.statement(DOUBLE, "health", 1, 6)]), KNOWN
    ) == Fraud(
        "head-against-quorum",
        OTHER,
        f"{OTHER} signed another word on a subject's last record than {LIAR}, {DOUBLE} in one tree of 6 records."
        if LIAR < DOUBLE
        else f"{OTHER} signed another word on a subject's last record than {DOUBLE}, {LIAR} in one tree of 6 records.",
        by_quorum=True,
    )


def test_a_recovery_between_two_checkpoints_is_no_fraud() -> None:
    a, b = TREE.checkpoint(6, LIAR), FORKED.checkpoint(6, LIAR, epoch=2)
    with pytest.raises(NotProven, match="two epochs"):
        build.two_checkpoints(KNOWN, LIAR, a, b)
    leaves = [(tree.leaves(4)[3], tree.path(3, size)) for tree, size in ((TREE, 6), (FORKED, 7))]
    with pytest.raises(NotProven, match="two epochs"):
        build.two_histories(KNOWN, LIAR, a, FORKED.checkpoint(7, LIAR, epoch=2), 3, *leaves)


def test_one_block_sent_twice_and_its_number_in_another_epoch_are_no_fraud() -> None:
    block = lane_block(1, [b"x"])
    for other in (block, lane_block(2, [b"y"]), lane_block(1, [b"y"], epoch=2)):
        with pytest.raises(NotProven):
            build.two_blocks(KNOWN, LIAR, block, other)


# -- who signed ---------------------------------------------------------------------------------------------------------


def test_a_site_that_signed_nothing_is_not_accused_by_others_signatures() -> None:
    a, b = TREE.checkpoint(6, LIAR), FORKED.checkpoint(6, LIAR)
    forged = b._replace(signatures=tuple(line._replace(name=OTHER) for line in b.signatures))
    for one, two in ((a, b), (a, forged), (TREE.checkpoint(6, OTHER), forged)):
        with pytest.raises(NotProven, match="not signed"):
            build.two_checkpoints(KNOWN, OTHER, one, two)
    for data in (
        lane_block(1, [b"x"]),
        sign_block(LEDGER_ID, 1, Lane(LIAR, 3, 0), 1, [b"z"], SIGNERS[OTHER].ed25519),
    ):
        with pytest.raises(NotProven, match="lane of its own"):
            build.two_blocks(KNOWN, OTHER, data, data)


def test_a_note_signature_alone_counts_for_a_site_with_one_key_and_not_for_one_with_two() -> None:
    for site in (LIAR, DOUBLE):
        notes = [
            note._replace(signatures=(sign_note(note, site, SIGNERS[site].ed25519),))
            for note in (TREE.checkpoint(6, site), FORKED.checkpoint(6, site))
        ]
        if site == LIAR:
            assert build.two_checkpoints(KNOWN, site, *notes)
        else:
            with pytest.raises(NotProven, match="all that its keys demand"):
                build.two_checkpoints(KNOWN, site, *notes)


def test_a_statement_of_a_site_with_two_keys_needs_both_signatures() -> None:
    false = TREE.statement(DOUBLE, "health", 1, 6, NO_HEAD)
    with pytest.raises(NotProven, match="all that its keys demand"):
        build.head_omits(
            KNOWN, false._replace(signatures=false.signatures[:1]), TREE.records[5], TREE.path(5, 6)
        )


def test_a_key_that_the_site_had_before_convicts_it_as_well() -> None:
    former = SiteSigners(Ed25519Signer(b"f" * 32))
    known = KnownSites(LEDGER_ID, {**KNOWN.keys, LIAR: (former.keys, KEYS[LIAR])}, KNOWN.receipt_quorums)
    bare = Checkpoint(LEDGER_ID, 1, 6, b"r" * 32)
    by_former = bare._replace(signatures=cosign_all(bare, LIAR, former, TIME_S))
    data = build.two_checkpoints(known, LIAR, by_former, TREE.checkpoint(6, LIAR))
    with pytest.raises(NotProven):
        verify_fraud(data, KNOWN)


def test_a_quorum_is_of_the_receipt_set_of_that_size_without_the_accused_and_counts_nobody_twice() -> None:
    false = TREE.statement(LIAR, "health", 1, 6, NO_HEAD)
    true = {site: TREE.statement(site, "health", 1, 6) for site in SITES}
    for others, why in (
        ([true[OTHER], true[OTHER]], "twice"),
        ([true[OTHER]], "2 other sites"),
        ([true[OTHER], true[LIAR]], "among the others"),
        ([true[OTHER], TREE.statement(DOUBLE, "health", 1, 6, NO_HEAD)], "do not say the same"),
        ([true[OTHER], TREE.statement(DOUBLE, "health", 1, 5)], "two trees"),
        ([true[OTHER], FORKED.statement(DOUBLE, "health", 1, 6)], "two trees"),
        ([true[OTHER], true[DOUBLE]._replace(signatures=true[OTHER].signatures)], "not signed"),
    ):
        with pytest.raises(NotProven, match=why):
            build.head_against_quorum(KNOWN, false, others)
    small = KnownSites(
        LEDGER_ID,
        KNOWN.keys,
        (*KNOWN.receipt_quorums, ReceiptQuorum(6, {LIAR: KEYS[LIAR], OTHER: KEYS[OTHER]}, 2)),
    )
    with pytest.raises(NotProven, match="not of the receipt set"):
        build.head_against_quorum(small, false, [true[OTHER], true[DOUBLE]])


# -- strict form --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_ledger_or_against_another_site_shows_nothing(kind: str) -> None:
    value = json.loads(FILES[LIAR][kind])
    for changed in (
        {**value, "ledger_id": "00" * 32},
        {**value, "site": OTHER},
        {**value, "site": "nowhere"},
    ):
        with pytest.raises(NotProven):
            verify_fraud(json.dumps(changed).encode(), KNOWN)
    elsewhere = KnownSites(bytes(32), KNOWN.keys, KNOWN.receipt_quorums)
    with pytest.raises(NotProven):
        verify_fraud(FILES[LIAR][kind], elsewhere)
    with pytest.raises(NotProven):
        verify_fraud(json.dumps({**value, "ledger_id": "00" * 32}).encode(), elsewhere)


@pytest.mark.parametrize("kind", KINDS)
def test_members_missing_added_or_of_another_kind_are_malformed(kind: str) -> None:
    value: dict[str, Any] = json.loads(FILES[LIAR][kind])
    for name in value:
        for changed in (
            {key: inner for key, inner in value.items() if key != name},
            {**value, name: None},
            {**value, name: "\ud800"},
        ):
            with pytest.raises(Malformed):
                verify_fraud(json.dumps(changed).encode(), KNOWN)
    with pytest.raises(Malformed, match="not known"):
        verify_fraud(json.dumps({**value, "note": "guilty"}).encode(), KNOWN)
    with pytest.raises(Malformed):
        verify_fraud(FILES[LIAR][kind][:-3], KNOWN)


def _flipped(value: object) -> Iterator[object]:
    """The value with one byte changed in one of its parts: bytes in base64 or hex, a note, a number."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: other} for other in _flipped(inner))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from ([*value[:at], other, *value[at + 1 :]] for other in _flipped(inner))
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, str) and value:
        for at in {0, len(value) // 3, len(value) // 2, len(value) - 3}:
            other = "B" if value[at] != "B" else "C"
            yield value[:at] + other + value[at + 1 :]


@pytest.mark.parametrize("liar", [LIAR, DOUBLE])
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_leaves_the_proof_as_it_is_or_takes_it_away(kind: str, liar: str) -> None:
    """It never accuses somebody else, nor of something else. What may change is what nothing rests on: a note line of a site that is not accused."""
    value = json.loads(FILES[liar][kind])
    proven = verify_fraud(FILES[liar][kind], KNOWN)
    for changed in _flipped(value):
        try:
            fraud = verify_fraud(json.dumps(changed).encode(), KNOWN)
        except (Malformed, NotProven):
            continue
        assert fraud == proven


def test_a_file_over_the_limit_is_not_read() -> None:
    with pytest.raises(Malformed, match="over"):
        verify_fraud(FILES[LIAR]["two-heads"] + b" " * (1024 * 1024), KNOWN)


def test_the_record_of_a_file_is_named_by_its_own_bytes() -> None:
    value = json.loads(FILES[LIAR]["head-omits"])
    value["record"]["header"] = base64.b64encode(TREE.records[0].header_bytes).decode()
    with pytest.raises(Malformed, match="record_hash"):
        verify_fraud(json.dumps(value).encode(), KNOWN)
    assert subject(1) in base64.b64decode(json.loads(FILES[LIAR]["head-omits"])["record"]["header"])


def test_what_is_known_of_sites_is_every_key_that_one_ever_had() -> None:
    from genesis_builder import build_genesis

    world = build_genesis(embassies=("ch-bern",), rules=2)
    governance = from_genesis(world.genesis)
    site = governance.sites["jp-fukuoka"]
    rotated = {
        **governance.sites,
        "jp-fukuoka": type(site)(
            **{name: getattr(site, name) for name in site.__slots__} | {"key": KEYS[LIAR].ed25519}
        ),
    }
    after = governance.changed(
        sites=rotated,
        site_keys_ever={
            **governance.site_keys_ever,
            KEYS[LIAR].ed25519.key_id: ("jp-fukuoka", KEYS[LIAR].ed25519),
        },
        receipt_quorums=(*governance.receipt_quorums, receipt_quorum(rotated, governance.receipt_set, 5)),
    )
    known = KnownSites.of(after)
    assert [keys.ed25519 for keys in known.keys["jp-fukuoka"]] == [site.key, KEYS[LIAR].ed25519]
    assert [keys.ed25519 for keys in known.keys["ch-bern"]] == [governance.sites["ch-bern"].key]
    assert known.receipt_quorum_at(4) is governance.receipt_quorums[0]
