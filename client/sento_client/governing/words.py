"""An act in words: what each of its changes does, said against the governance that the change meets.

Pure. The sentences are the changes' own (`sento_proto.governance`), so that the dry run, the signing officer and whoever reads the list of acts see the same.
"""

from __future__ import annotations

from sento_proto.governance.acts import Act
from sento_proto.governance.changing import Unfit
from sento_proto.governance.state import Governance


def change_words(governance: Governance, act: Act, at: int) -> tuple[str, ...]:
    """One sentence for each change of an act at position `at`. Raises Unfit with the number and name of the first that does not fit."""
    words = []
    for number, change in enumerate(act.changes, 1):
        words.append(change.words(governance))
        try:
            governance = change.effect(governance, at)
        except Unfit as error:
            raise Unfit(f"Change {number} ({change.DO}): {error}") from None
    return tuple(words)


def ledger_words(purpose: str, name: str, ledger_id: bytes) -> str:
    """Which ledger this is, so that nobody takes a training ledger for a production one or the other way round."""
    meant = {
        "training": "nothing here is real",
        "production": "what is decided here is in force",
    }.get(purpose, "its purpose is its own")
    return f"{purpose.upper()} ledger {name} ({ledger_id.hex()[:16]}): {meant}."
