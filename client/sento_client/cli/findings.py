"""One thing that `sento keys` looked at, and what it found: in order, soon to be seen to, or wrong, with the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sento_client.setup_errors import TABLE, Setup


class State(StrEnum):
    """How the thing stands."""

    IN_ORDER = "in order"
    SOON = "soon"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` and `remedy` are empty when it is in order; `value`: what a program may want to know of it, never a secret."""

    item: str
    state: State
    words: str
    code: str = ""
    remedy: str = ""
    value: Mapping[str, object] = field(default_factory=dict)


def in_order(item: str, words: str, value: Mapping[str, object] | None = None) -> Finding:
    """Nothing to do."""
    return Finding(item, State.IN_ORDER, words, value=value or {})


def soon(item: str, words: str, remedy: str, value: Mapping[str, object] | None = None) -> Finding:
    """It works today."""
    return Finding(item, State.SOON, words, "NEAR_END", remedy, value or {})


def wrong(
    item: str, code: Setup, words: str, value: Mapping[str, object] | None = None, remedy: str = ""
) -> Finding:
    """It must be mended; without a `remedy` of its own the table's stands."""
    return Finding(item, State.WRONG, words, str(code), remedy or TABLE[code].remedy, value or {})
