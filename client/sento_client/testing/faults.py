"""What can go wrong with a site in memory: one switch for each fault. A site has switches of its own, and shares those of `Registry.everywhere`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from sento_proto.errors import Code
from sento_proto.head_statement import HeadStatement

Watcher = Callable[[], None]


class Faults:
    """Everything is off at first. What counts down switches itself off.

    `mute`: it connects and never answers; a question ends with DEADLINE at once, as if the time had passed. `delay_ms`: an answer takes so long.
    `calls_to_fail`: so many submissions and questions end with a broken connection, unread. `answers_to_lose`: so many submissions are applied and the
    connection breaks before the answer. `turn_away`: write streams are refused with this code. `refuse_with`: submissions are, see `refuse`.
    `alter` may change any message before it is given out, `alter_head` a head statement before the site signs it: so a site lies under its own name.
    `before_submission` are called with a submission's bytes before it is applied."""

    def __init__(self) -> None:
        self.mute = False
        self.delay_ms = 0
        self.calls_to_fail = 0
        self.answers_to_lose = 0
        self.refuse_with: Code | None = None
        self.refusals_left: int | None = None
        self.turn_away: Code | None = None
        self.alter: Callable[[Message], None] | None = None
        self.alter_head: Callable[[HeadStatement], HeadStatement] | None = None
        self.before_submission: list[Callable[[bytes], None]] = []
        self._down = False
        self._watchers: set[Watcher] = set()

    @property
    def down(self) -> bool:
        """No connection, and those that stood are broken."""
        return self._down

    @down.setter
    def down(self, down: bool) -> None:
        self._down = down
        for watcher in tuple(self._watchers):
            watcher()

    def refuse(self, code: Code, times: int | None = None) -> None:
        """Answer the next `times` submissions (None: all) with this code, unread: QUEUE_FULL, DISK_LOW, NOT_READY, ..."""
        self.refuse_with, self.refusals_left = code, times

    @contextmanager
    def watched(self, watcher: Watcher) -> Iterator[None]:
        """Call `watcher` when `down` is switched."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def next_call_fails(self) -> bool:
        """Count one call."""
        fails = self.calls_to_fail > 0
        self.calls_to_fail -= fails
        return fails

    def next_answer_is_lost(self) -> bool:
        """Count one answer."""
        lost = self.answers_to_lose > 0
        self.answers_to_lose -= lost
        return lost

    def next_refusal(self) -> Code | None:
        """Count one submission."""
        code = self.refuse_with
        if code is not None and self.refusals_left is not None:
            self.refusals_left -= 1
            if self.refusals_left <= 0:
                self.refuse_with = self.refusals_left = None
        return code
