"""What recovery needs of a ledger, in one file of JSON lines: so that the key is put together on a computer that no network reaches.

    {"format": "sento-recovery-copy-1", "ledger": hex, "name": "..."}                                 the first line
    {"ceremony": {the change set-recovery-key}, "payload": base64}
    {"unlock": {"registries", "key_epochs", "recovery_key", "officers", "reason"}, "position": of the act}
    {"scope": [author, registry, compartment, key epoch]}                                             one that has records
    {"seal": [author, registry, compartment, key epoch], "to": recipient key id, "commitment": hex, "bytes": base64}
    {"end": number of lines before this one}                                                          the last line

Nothing in it is secret. Seals are read as they are needed: 100,000 of them are some 170 MB. A file without its last line was cut off, and is refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar, cast

from sento_client.recovery.proposal import change_of
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import (
    CommittedSeal,
    KekScope,
    Standing,
    StandingCeremony,
    UnlockAct,
    check_payload,
    read_ceremony,
)
from sento_proto.governance.ledger_changes import Unlock
from sento_proto.kek_seal import KekName
from sento_proto.recovery import decode_payload
from sento_proto.seal import SealSuite, recipient_key_id
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-recovery-copy-1"
_LINE_MAX_BYTES = 256 * 1024
_T = TypeVar("_T")


def copy_lines(ledger: Standing) -> Iterator[bytes]:
    """The lines of a copy of `ledger`, each with its line feed."""
    count = 0
    for value in _values(ledger):
        yield json.dumps(value, ensure_ascii=False).encode() + b"\n"
        count += 1
    yield json.dumps({"end": count}).encode() + b"\n"


def _values(ledger: Standing) -> Iterator[dict[str, object]]:
    yield {"format": FORMAT, "ledger": ledger.ledger_id.hex(), "name": ledger.ledger_name}
    ceremonies = ledger.ceremonies()
    for standing in ceremonies:
        yield {"ceremony": change_of(standing.ceremony), "payload": _base64(standing.payload.encode())}
    for act in ledger.unlock_acts():
        yield {
            "unlock": {
                "registries": act.unlock.registries,
                "key_epochs": act.unlock.key_epochs,
                "recovery_key": act.unlock.recovery_key,
                "officers": act.unlock.officers,
                "reason": act.unlock.reason,
            },
            "position": act.position,
        }
    for scope in ledger.seal_source.scopes_with_records():
        yield {"scope": scope}
    for standing in ceremonies:
        public = standing.ceremony.public_key
        for sealed in ledger.seal_source.seals(public):
            yield {
                "seal": KekScope.of(sealed.name),
                "to": recipient_key_id(SealSuite.XWING, public).hex(),
                "commitment": sealed.commitment.hex(),
                "bytes": _base64(sealed.seal),
            }


class LedgerCopy:
    """A copy, read from its file: a `Standing` and its `SealSource`. Raises RecoveryRefused FILE_INVALID, naming the line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ceremonies: list[StandingCeremony] = []
        self._unlock_acts: list[UnlockAct] = []
        self._scopes: list[KekScope] = []
        self._whole = False
        for number, line in self._lines():
            self._take(number, line)
        if not self._whole:
            raise self._invalid("it ends before its last line")

    @property
    def ledger_id(self) -> bytes:
        """32 bytes."""
        return self._ledger_id

    @property
    def ledger_name(self) -> str:
        """The genesis file's name for people."""
        return self._ledger_name

    def ceremonies(self) -> Sequence[StandingCeremony]:
        """Oldest first."""
        return self._ceremonies

    def unlock_acts(self) -> Sequence[UnlockAct]:
        """Those that stood when the copy was made."""
        return self._unlock_acts

    @property
    def seal_source(self) -> LedgerCopy:
        """This file."""
        return self

    def scopes_with_records(self) -> Iterable[KekScope]:
        """Every scope that had a record when the copy was made."""
        return self._scopes

    def seals(self, recovery_public: bytes) -> Iterator[CommittedSeal]:
        """The seals for this key, off the file one by one."""
        wanted = recipient_key_id(SealSuite.XWING, recovery_public)
        for number, line in self._lines():
            if line.startswith(b'{"seal"'):
                to, sealed = self._read(number, line, self._seal)
                if to == wanted:
                    yield sealed

    def _take(self, number: int, line: bytes) -> None:
        if self._whole:
            raise self._invalid(f"line {number} stands after the last one")
        if number == 1:
            self._ledger_id, self._ledger_name = self._read(number, line, _head)
        elif line.startswith(b'{"ceremony"'):
            self._ceremonies.append(self._read(number, line, _ceremony))
        elif line.startswith(b'{"unlock"'):
            self._unlock_acts.append(self._read(number, line, _unlock))
        elif line.startswith(b'{"scope"'):
            self._scopes.append(self._read(number, line, lambda fields: _scope(fields, "scope")))
        elif line.startswith(b'{"end"'):
            count = self._read(number, line, lambda fields: fields.number("end", 1, 1 << 40))
            self._whole = count == number - 1
        elif not line.startswith(b'{"seal"'):
            raise self._invalid(f"line {number} is of no known kind")

    def _seal(self, fields: Fields) -> tuple[bytes, CommittedSeal]:
        name = KekName(self._ledger_id, *_scope(fields, "seal"))
        return fields.hex("to", 16), CommittedSeal(name, fields.hex("commitment", 32), fields.blob("bytes"))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self._path.open("rb") as file:
                number = 0
                while line := file.readline(_LINE_MAX_BYTES):
                    number += 1
                    yield number, line
        except OSError as error:
            raise self._invalid(str(error.strerror)) from None

    def _read(self, number: int, line: bytes, read: Callable[[Fields], _T]) -> _T:
        try:
            fields = load(line, f"line {number}")
            value = read(fields)
            fields.end()
        except Malformed as error:
            raise self._invalid(str(error)) from None
        return value

    def _invalid(self, why: str) -> RecoveryRefused:
        return RecoveryRefused(Refusal.FILE_INVALID, f"{self._path}: {why}")


def _head(fields: Fields) -> tuple[bytes, str]:
    fields.choice("format", (FORMAT,))
    return fields.hex("ledger", 32), fields.text("name")


def _ceremony(fields: Fields) -> StandingCeremony:
    ceremony, payload = fields.inner("ceremony", read_ceremony), decode_payload(fields.blob("payload"))
    check_payload(ceremony, payload)
    return StandingCeremony(ceremony, payload)


def _unlock(fields: Fields) -> UnlockAct:
    return UnlockAct(fields.inner("unlock", Unlock.read), fields.number("position", 0, 1 << 62))


def _scope(fields: Fields, name: str) -> KekScope:
    value = fields.raw(name)
    items = cast("list[object]", value) if isinstance(value, list) else []
    texts = [item for item in items[:3] if isinstance(item, str) and item.isascii()]
    if len(items) != 4 or len(texts) != 3:
        raise fields.wrong(name, "must be author, registry and compartment in ASCII, and a key epoch")
    key_epoch = items[3]
    if type(key_epoch) is not int or not 0 <= key_epoch <= 0xFFFFFFFF:
        raise fields.wrong(name, "must end with a key epoch from 0 to 4294967295")
    return KekScope(texts[0], texts[1], texts[2], key_epoch)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
