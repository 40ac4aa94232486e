"""Why recovery says no, in one table: a stable code, one sentence of cause, one of remedy; particulars name ceremonies, indices and scopes, never a secret."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Refusal(StrEnum):
    """Stable names; programs compare them."""

    CEREMONY_UNFIT = "CEREMONY_UNFIT"
    CEREMONY_UNKNOWN = "CEREMONY_UNKNOWN"
    NO_SHARE_HELD = "NO_SHARE_HELD"
    SHARE_INVALID = "SHARE_INVALID"
    SHARES_MIXED = "SHARES_MIXED"
    SHARE_WRONG = "SHARE_WRONG"
    TOO_FEW_SHARES = "TOO_FEW_SHARES"
    KEY_MISMATCH = "KEY_MISMATCH"
    WORDS_INVALID = "WORDS_INVALID"
    NO_UNLOCK_ACT = "NO_UNLOCK_ACT"
    FILE_INVALID = "FILE_INVALID"


class Words(NamedTuple):
    """One row of the table."""

    cause: str
    remedy: str


TABLE: dict[Refusal, Words] = {
    Refusal.CEREMONY_UNFIT: Words(
        "A ceremony cannot be held like this.", "Change what is named, then hold it; nothing was made."
    ),
    Refusal.CEREMONY_UNKNOWN: Words(
        "The ceremony of this share does not stand in this ledger.",
        "Look for the share of a ceremony that stands; for a new one, name the copy or the proposal that has it.",
    ),
    Refusal.NO_SHARE_HELD: Words(
        "Nothing is sealed to this holder in this ceremony, or not to this key.",
        "Name the holder as the act names them, and use the seal key that they had at the ceremony.",
    ),
    Refusal.SHARE_INVALID: Words(
        "This is not a whole share.", "Make the file anew: from the sealed share, or from the words on paper."
    ),
    Refusal.SHARES_MIXED: Words(
        "The shares are of more than one ceremony, and those never fit together.",
        "Leave out the shares of the other ceremony.",
    ),
    Refusal.SHARE_WRONG: Words(
        "A share is not the one that the ceremony's act commits to.",
        "Leave it out and ask another officer, or the deputy of the same one; keep the wrong one and find out where it came from.",
    ),
    Refusal.TOO_FEW_SHARES: Words(
        "There are not enough shares, and so nothing was opened.",
        "Ask further officers or deputies; an officer and the deputy hold the same share, which counts once.",
    ),
    Refusal.KEY_MISMATCH: Words(
        "The shares fit their commitments, but the key that they give is not the one in the act.",
        "The ceremony itself dealt a wrong share: add the share of one more officer, and hold a new ceremony at once in any case.",
    ),
    Refusal.WORDS_INVALID: Words(
        "The words are not a share.", "Compare them with the paper, word by word and in their order."
    ),
    Refusal.NO_UNLOCK_ACT: Words(
        "No act of the officers that stands in the ledger unlocks this.",
        "Have an unlock act with these registries, key epochs and this recovery key signed and submitted first.",
    ),
    Refusal.FILE_INVALID: Words(
        "A file is not in the form that is expected here.",
        "Make it anew with the command that writes such files.",
    ),
}


class RecoveryRefused(Exception):
    """Nothing was opened, made or written. `details`: one line for each particular."""

    def __init__(self, code: Refusal, *details: str) -> None:
        self.code = code
        self.details = details
        words = TABLE[code]
        middle = f" ({'; '.join(details)})" if details else ""
        super().__init__(f"{code}: {words.cause}{middle} {words.remedy}")
