"""A share as words on paper: SLIP-39's word list, encoding and checksum around our own share value.

    33 words = 15 bits of the ceremony id, index, threshold (7 words with the checksum of three) and the 32 bytes of the value (26 words)

The checksum finds up to three wrong words for certain and nearly every other mistake. Words carry only 15 bits of the ceremony id, so reading them back needs
the ceremony's act, and its commitment then proves the share. The words are not a SLIP-39 backup: field, points and ceremony are ours, and a wallet refuses
them. No refusal here repeats a word; it says at which place to look.

Source: SLIP-0039, "Shamir's Secret-Sharing for Mnemonic Codes", through the package shamir-mnemonic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shamir_mnemonic.share import Share
from shamir_mnemonic.utils import MnemonicError
from shamir_mnemonic.wordlist import WORDLIST

from sento_client.recovery.reconstruct import check_shares
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony, CommittedShare
from sento_proto.recovery import CEREMONY_ID_BYTES, SEED_BYTES, RecoveryShare

WORDS = 33
CHECK_WORDS = 4
_PREFIX_LETTERS = 4
_ID_BITS = 15
_BY_PREFIX = {word[:_PREFIX_LETTERS]: word for word in WORDLIST}
_NUMBERING = re.compile(r"[0-9]+[.):]?")


def words_of(share: RecoveryShare) -> tuple[str, ...]:
    """The 33 words."""
    paper = Share(
        identifier=_identifier(share.ceremony_id),
        extendable=False,
        iteration_exponent=0,
        group_index=0,
        group_threshold=1,
        group_count=1,
        index=share.index - 1,
        member_threshold=share.threshold,
        value=share.value,
    )
    return tuple(paper.words())


def check_words(commitment: bytes) -> tuple[str, ...]:
    """Four words of a share's commitment, 40 bits: public, to be said on the telephone to make sure that one speaks of the same share."""
    bits = int.from_bytes(commitment[:5], "big")
    return tuple(WORDLIST[bits >> 10 * at & 1023] for at in reversed(range(CHECK_WORDS)))


def share_of_words(text: str, ceremonies: Sequence[Ceremony]) -> RecoveryShare:
    """The share in the words, which must be of one of `ceremonies`.

    Capitals, line ends, the numbers of the printed page and words cut to their first four letters are taken. Raises RecoveryRefused WORDS_INVALID,
    CEREMONY_UNKNOWN for words of another ceremony, SHARE_WRONG when the words are in order but the act commits to another share."""
    paper = _decoded(_whole_words(text))
    wanted = [one for one in ceremonies if _identifier(one.ceremony_id) == paper.identifier]
    if not wanted:
        known = ", ".join(one.words for one in ceremonies) or "none"
        raise RecoveryRefused(
            Refusal.CEREMONY_UNKNOWN, f"the words are of another ceremony; known here: {known}"
        )
    made = [
        RecoveryShare(one.ceremony_id, paper.member_threshold, paper.index + 1, paper.value) for one in wanted
    ]
    for share, ceremony in zip(made, wanted, strict=True):
        committed = ceremony.share(share.index)
        if committed is not None and committed.commitment == share.commitment:
            return share
    check_shares(made[-1:], wanted[-1])
    raise AssertionError("check_shares refuses what is not committed to")


def _whole_words(text: str) -> list[str]:
    tokens = [token for token in text.lower().split() if not _NUMBERING.fullmatch(token)]
    if len(tokens) != WORDS:
        raise RecoveryRefused(Refusal.WORDS_INVALID, f"a share has {WORDS} words, these are {len(tokens)}")
    words = [_whole(token) for token in tokens]
    unknown = [str(place) for place, word in enumerate(words, start=1) if word is None]
    if unknown:
        raise RecoveryRefused(Refusal.WORDS_INVALID, f"not in the word list: word {', '.join(unknown)}")
    return [word for word in words if word is not None]


def _whole(token: str) -> str | None:
    word = _BY_PREFIX.get(token[:_PREFIX_LETTERS])
    return word if token in (word, token[:_PREFIX_LETTERS]) else None


def _decoded(words: Sequence[str]) -> Share:
    try:
        paper = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        # Its text would repeat the first words.
        raise RecoveryRefused(
            Refusal.WORDS_INVALID, "the check sum does not fit: a word is wrong, or two have changed places"
        ) from None
    form = (
        paper.extendable,
        paper.iteration_exponent,
        paper.group_index,
        paper.group_threshold,
        paper.group_count,
    )
    if form != (False, 0, 0, 1, 1) or len(paper.value) != SEED_BYTES:
        raise RecoveryRefused(Refusal.WORDS_INVALID, "these words are a backup of something else")
    return paper


def _identifier(ceremony_id: bytes) -> int:
    return int.from_bytes(ceremony_id, "big") >> (8 * CEREMONY_ID_BYTES - _ID_BITS)


def page(ledger_name: str, ledger_id: bytes, ceremony: Ceremony, holder: str, share: RecoveryShare) -> str:
    """The page to print for one holder, ending with a line feed. Secret: it has the words. Raises RecoveryRefused when the share is not the ceremony's."""
    check_shares([share], ceremony)
    committed = ceremony.share(share.index) or CommittedShare(share.index, "", share.commitment)
    words = words_of(share)
    rows = [
        "    "
        + "".join(f"{place + 1:>2}. {words[place]:<12}" for place in range(at, min(at + 4, WORDS))).rstrip()
        for at in range(0, WORDS, 4)
    ]
    return "\n".join(
        (
            "SENTO: SHARE OF A RECOVERY KEY. SECRET.",
            "",
            f"Held by       {holder}",
            f"Office of     {committed.officer}, share {share.index}",
            f"Ledger        {ledger_name}",
            f"              {ledger_id.hex()}",
            f"Recovery key  {ceremony.name}",
            f"Ceremony      {ceremony.ceremony_id.hex()}",
            f"Opens with    {ceremony.threshold_words} shares",
            f"Check words   {' '.join(check_words(committed.commitment))}",
            "",
            *rows,
            "",
            f"What it is for: {ceremony.threshold} different shares together open the registries' keys after a disaster. One alone opens nothing.",
            "How it is used: sento recovery share from-words, on an offline computer, with officers' unlock act in hand. The check words are public",
            "and may be said on the telephone; the numbered words never, to nobody, whoever asks.",
            "How it is kept: in a sealed, signed, numbered envelope, in another building than any other share. Never photographed, copied or typed elsewhere.",
            "Opened, lost or seen by somebody else: tell the officers the same day. A new ceremony is held.",
            "",
        )
    )
