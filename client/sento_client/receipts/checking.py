"""Judging receipts by hand, without any site: a receipt's bytes, and `trust.json` to say whose keys counted.

One that a recovery left in doubt needs a site after all: what is proven to stand at its position comes from the caller."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sento_client.governing.following import Followed
from sento_client.governing.trust_file import FILE_MAX_BYTES, Trusted, decode_trust_alone
from sento_proto.governance.gaps import as_of_ms
from sento_proto.governance.state import Governance
from sento_proto.receipt import Receipt, Verified, decode_receipt, verify_receipt


@dataclass(frozen=True, slots=True)
class ReceiptJudge:
    """Who judges: governance as far as it was followed. `proven_to`: size of the checkpoint under which its acts were proven; None where they were not."""

    followed: Followed
    proven_to: int | None

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """By a trust file that came along. Nothing in it is believed but the genesis file, which the reader must know by its ledger id.

        Raises OSError, Malformed, SetupError RULES_UNKNOWN."""
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
        return cls.of(decode_trust_alone(data))

    @classmethod
    def of(cls, trusted: Trusted) -> Self:
        """By a trust file that was read."""
        return cls(trusted.followed, None if trusted.proof is None else trusted.proof.checkpoint.size)

    @property
    def governance(self) -> Governance:
        """The newest that is known."""
        return self.followed.governance

    def verify(
        self, data: bytes, expected_hash: bytes | None = None, shown: Receipt | None = None
    ) -> tuple[Receipt, Verified]:
        """The receipt in `data`, and what verifying it found. `shown`: what a site proved to stand at its position. Raises Malformed when it is not in form."""
        receipt = decode_receipt(data)
        return receipt, verify_receipt(receipt, self.governance, expected_hash=expected_hash, shown=shown)

    def as_of_ms(self, receipt: Receipt) -> int | None:
        """As of when the record is, where it stands below a gap that is open as far as the trust file reaches; None for every other."""
        return as_of_ms(self.governance, receipt.position)

    def reach_words(self, receipt: Receipt) -> str:
        """How far the trust file reaches, in words for people; empty where it reaches beyond the receipt."""
        if self.proven_to is None:
            return "The trust file shows no places of acts (format 1): who counted at the receipt's size rests on the word of whoever made it."
        if self.proven_to < receipt.checkpoint.size:
            return (
                f"The trust file reaches to size {self.proven_to}, the receipt to {receipt.checkpoint.size}: "
                "whether officers changed the receipt set between is not known here."
            )
        return ""
