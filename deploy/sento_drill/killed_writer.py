"""The program that is killed: a ministry's writer that notes, before and after each write, what it knows; with `kill -9` in mind, one line a step.

    python -m sento_drill.killed_writer sento.toml LIFE NOTES

Notes, each written whole to a file opened for appending, so that what was written before a kill is there after it:

    ready                        the client is open
    try <record id> <subject>    about to hand the record to the client
    told <record id> <position>  the client returned an acknowledgement
    kept <record id>             the client said that the outbox keeps it
    not <record id> <code>       the client said that it does not stand and is not kept
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from sento_client import Draft, SentoClient, WriteError
from sento_proto.record import Record

WRITERS = 6
REGISTRY, KIND, COMPARTMENT, FACT = "residency", "residence/entry", "basic", "address"


class Notes:
    """What survives of a life."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, *words: str) -> None:
        """One line."""
        os.write(self._file, (" ".join(words) + "\n").encode())


async def write_until_killed(config: Path, life: str, notes: Notes) -> None:
    """Several writers, each one record after the other, now and then a few at once."""
    chance = random.Random(life)  # noqa: S311 - the same life writes the same
    async with SentoClient.open(config) as client:
        notes.write("ready")

        async def writer(number: int) -> None:
            count = 0
            while True:
                subjects = [
                    f"killed {life} {number} {count + at}" for at in range(chance.choice((1, 1, 1, 3)))
                ]
                count += len(subjects)
                records = [
                    client.compose(Draft(REGISTRY, KIND, subject, FACT, {"life": life}, None, COMPARTMENT))
                    for subject in subjects
                ]
                for record, subject in zip(records, subjects, strict=True):
                    notes.write("try", _id(record), subject.replace(" ", "_"))
                for record, result in zip(records, await client.send(records), strict=True):
                    if not isinstance(result, WriteError):
                        notes.write("told", _id(record), str(result.position))
                    elif result.kept:
                        notes.write("kept", _id(record))
                    else:
                        notes.write("not", _id(record), result.code.name)

        await asyncio.gather(*(writer(number) for number in range(WRITERS)))


def _id(record: Record) -> str:
    return record.header.record_id.hex()


if __name__ == "__main__":
    asyncio.run(write_until_killed(Path(sys.argv[1]), sys.argv[2], Notes(Path(sys.argv[3]))))
