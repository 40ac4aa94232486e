"""What a file of officers' acts would decide, read from the acts themselves and from nothing that stands beside them.

A plan carries sentences, and whoever made the file wrote them; the ledger never reads them. Who signs reads both, and compares. Pure.
"""

from __future__ import annotations

from sento_proto.governance.acts import decode_act
from sento_proto.governance.changing import Unfit
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed


def decided_words(governance: Governance, content: bytes, at: int) -> tuple[tuple[str, ...], Governance]:
    """One sentence for each change of an act at position `at`, and the governance behind it as far as its changes fit. What does not fit, or cannot be read by
    this release, is said to: what nobody can say in words is not to be signed."""
    try:
        act = decode_act(content)
    except Malformed as error:
        return (f"NOT READABLE by this release: {error}.",), governance
    words: list[str] = []
    for change in act.changes:
        try:
            said = change.words(governance)
            governance = change.effect(governance, at)
        except Unfit as error:
            said = f"{change.DO}: does not fit governance as it is known here: {error}"
        except (KeyError, LookupError):
            said = f"{change.DO}: names something that governance, as it is known here, does not have."
        words.append(said)
    return tuple(words), governance
