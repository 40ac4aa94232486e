"""What an office was told of each of its records, and when it gives one up.

A caller is told what the first round of delivery came to. Later rounds have no caller: that a record stands is seen when the outbox keeps it no longer, that
it was refused for good is seen among what the outbox set aside.

The office gives up a record when the outbox is about to send it again, no site took it the last time, and it was not meant to stand (`Write.bad`), or follows
a record that never will stand, or writing is over and the author's
budget or a missing permission holds it. A kept submission is discarded, as with `sento outbox discard`, when each
of its records was given up, or refused for good, or stands under a quorum's checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.office_checks import OfficeChecks
from tests.simulation.outbox_host import Owner
from tests.simulation.workload import Desk, Write

from sento_client.delivery_values import Settle
from sento_proto.errors import FINAL_CODES, STANDING_CODES, TABLE, Code, Standing
from sento_proto.record import Record

PEOPLE_DECIDE = (Code.HELD, Code.NOT_PERMITTED)
"""Only officers can change these, and when writing is over they have gone home."""


class Telling:
    """What one office knows; a crash of its program does not change it. `writing`: whether further writes may come."""

    def __init__(self, checks: OfficeChecks, desk: Desk) -> None:
        self._checks = checks
        self._desk = desk
        self._never: set[bytes] = set()
        self._last_word: dict[bytes, Code] = {}
        self.writing = True

    def heard(self, write: Write, index: int, settle: Settle, *, awaited: bool) -> bool:
        """One round of delivery is over for this record. Returns whether the record has its end."""
        code, record = settle.code, write.records[index]
        self._last_word.pop(record.record_hash, None)
        if code in STANDING_CODES:
            # What was not meant to stand is not built upon: a site may have acknowledged it falsely.
            if write.told[index] is None and not write.bad:
                self._desk.learned(record)
        elif code in FINAL_CODES or settle.because is not None:
            if not awaited:
                return True
            self._checks.refusal_told(record.record_hash, settle.because)
            self._never.add(record.record_hash)
        elif TABLE[code].standing is not Standing.FIX_CALL:
            self._last_word[record.record_hash] = settle.told or code
            return False
        write.told[index] = write.told[index] or code
        return True

    def set_aside(self, owner: Owner, code: Code) -> None:
        """The outbox has put it aside, for people to see."""
        write, index = owner
        self._checks.set_aside(write, index)
        self._never.add(write.records[index].record_hash)
        if write.told[index] is None:
            write.told[index] = code

    def gives_up(self, owners: Sequence[Owner]) -> bool:
        """The outbox is about to send these again: whether the submission is discarded instead."""
        return all(self._has_its_end(*owner) for owner in owners)

    def _has_its_end(self, write: Write, index: int) -> bool:
        record_hash = write.records[index].record_hash
        code = self._last_word.get(record_hash)
        if self._checks.covered(record_hash):
            code = Code.KNOWN
        elif record_hash not in self._never:
            if code is None or not self._never_will_stand(write, write.together(index)):
                return False
            self._checks.given_up(write, index)
            self._never.add(record_hash)
        write.told[index] = write.told[index] or code or Code.DEADLINE
        return True

    def _never_will_stand(self, write: Write, together: Sequence[Record]) -> bool:
        if write.bad or any(one.header.previous in self._never for one in together):
            return True
        return not self.writing and any(
            self._last_word.get(one.record_hash) in PEOPLE_DECIDE for one in together
        )
