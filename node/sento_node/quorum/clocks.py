"""Whose clock is wrong, as far as one site can tell from what the others' clocks say.

A site hears the other sites' times: in answers to its questions, and in cosignatures. One that is more than five minutes away from its own is off, or its own
is. The more clocks agree, the righter they are: a site that is away from most of the others says it of itself, one that is beside most of them says it of the
odd one, and two alone say that they differ. Nothing but alarms and uncounted cosignatures comes of it: the ledger knows no clock.

Pure: offsets go in, words come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

CLOCK_APART_MAX_S = 300
"""Clocks kept by a time server differ by milliseconds, a forgotten one by seconds a month; a record that waited in an outbox is older, never younger."""
ALARM = "clock-off"


class Verdict(NamedTuple):
    """What is wrong: `own` when it is this site's clock, None when two stand against each other; and which sites are away, on which side."""

    own: bool | None
    away: tuple[tuple[str, bool], ...]


class Clocks:
    """What one site has heard of the others' clocks. Offsets are whole seconds, positive where the other is ahead."""

    def __init__(self) -> None:
        self._off_s: dict[str, int] = {}
        self._said: Verdict | None = None

    def heard(self, site: str, off_s: int) -> str | None:
        """A site told its time. Returns the words of an alarm, "" when one is over, None when nothing changed."""
        self._off_s[site] = off_s
        verdict = judge(self._off_s)
        if verdict == self._said:
            return None
        self._said = verdict
        return "" if verdict is None else _words(verdict, self._off_s)


def is_off(off_s: int) -> bool:
    """Whether clocks that far apart cannot both be right."""
    return abs(off_s) > CLOCK_APART_MAX_S


def judge(off_s: Mapping[str, int]) -> Verdict | None:
    """The verdict over the clocks heard; None when all go with this site's."""
    away = tuple(sorted((site, off > 0) for site, off in off_s.items() if is_off(off)))
    if not away:
        return None
    with_us = 1 + len(off_s) - len(away)
    if len(away) == with_us:
        return Verdict(None, away)
    return Verdict(len(away) > with_us, away)


def _words(verdict: Verdict, off_s: Mapping[str, int]) -> str:
    names = [site for site, _ in verdict.away]
    if verdict.own:
        return (
            f"This site's clock is {_apart(-off_s[names[0]])} most others' ({_listed(names)}): they do not count its cosignatures, and records made at "
            "the right time may be refused here. Set this machine's clock by a time server."
        )
    each = "; ".join(f"{name}'s clock is {_apart(off_s[name])} this site's" for name in names)
    if verdict.own is None:
        return f"{each}, and no further clock tells which is wrong; cosignatures so far off are not counted here. Compare both with a time server."
    return f"{each}: its cosignatures are not counted here. Set that machine's clock by a time server."


def _apart(off_s: int) -> str:
    return f"{abs(off_s)} s {'ahead of' if off_s > 0 else 'behind'}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
