"""`sento-node restore --from`: a ledger from backup volumes alone, told to a person or a program, and gone on with after a kill.

    DIR/restore.json     what is restored here: ledger, moment, whether it is whole; a second call must ask for the same
    DIR/ledger-draft/    the ledger while it is made
    DIR/ledger/          the ledger, once it is what was asked for

The directory that volumes lie in is not changed. Exit codes: 0 whole, 1 the volumes or the disk do not allow it, 2 the call or a file is wrong, 4 restored as
far as the volumes go: something is missing, and a second call goes on once better copies lie there.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import lmdb

from sento_node.config_mistake import ConfigMistake
from sento_node.durable_files import sync_directory, write_durably
from sento_node.genesis_file import read_genesis
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.rebuild.places import Places
from sento_node.restoring.draft import Draft, NoRoom
from sento_node.restoring.seal_key import read_seal_key
from sento_node.restoring.volumes import Report, scan
from sento_node.restoring.walking import NothingThen, Restored, Walk
from sento_proto.genesis import Genesis
from sento_proto.wire import Malformed

EXIT_WHOLE, EXIT_REFUSED, EXIT_MISTAKE, EXIT_IN_PART = 0, 1, 2, 4
NOTE_NAME = "restore.json"
FORMAT = "sento-restore-1"
NAMED_MAX = 50


def restore_from(
    backup: Path,
    genesis_path: Path,
    as_of_ms: int | None,
    into: Path,
    key: Path | None,
    *,
    as_json: bool,
    progress: bool,
) -> int:
    """Restore and tell. Returns the exit code."""
    try:
        genesis = read_genesis(genesis_path)
        restored = _restore(backup, genesis, as_of_ms, into, key, _Bars(shown=progress))
    except (NothingThen, NoRoom, UnknownRules, LedgerDamaged, lmdb.Error) as error:
        return _failed(error, EXIT_REFUSED, as_json=as_json)
    except LedgerNotOpened as error:
        return _failed(error, EXIT_MISTAKE, as_json=as_json)
    except LedgerFailed as error:
        return _failed(error, EXIT_REFUSED, as_json=as_json)
    except (ConfigMistake, Malformed) as error:
        return _failed(error, EXIT_MISTAKE, as_json=as_json)
    except OSError as error:
        return _failed(_disk_words(error), EXIT_REFUSED, as_json=as_json)
    click.echo(json.dumps(_value(restored, into)) if as_json else _words(restored, into))
    return EXIT_WHOLE if is_whole(restored) else EXIT_IN_PART


def is_whole(restored: Restored) -> bool:
    """Whether nothing that was asked for is missing; a signature that nobody knows is only named."""
    return not restored.awaited and not any(one.verdict != "unsigned" for one in restored.troubles)


def _failed(error: object, code: int, *, as_json: bool) -> int:
    click.echo(json.dumps({"error": str(error)}) if as_json else f"sento-node: {error}", err=not as_json)
    return code


def _disk_words(error: OSError) -> str:
    return (
        f"{error.filename or 'The disk'}: {error.strerror}. Make room, or see to the disk, and run the same command again: "
        "it goes on where it was."
    )


def _restore(
    backup: Path, genesis: Genesis, as_of_ms: int | None, into: Path, key: Path | None, bars: _Bars
) -> Restored:
    opener = None if key is None else read_seal_key(key)
    if not backup.is_dir():
        raise ConfigMistake(f"--from: {backup} is no directory; name the one that sento backup wrote.")
    draft, ledger = Places(into).draft, Places(into).ledger
    asked: dict[str, object] = {"format": FORMAT, "ledger_id": genesis.ledger_id.hex(), "as_of_ms": as_of_ms}
    _begin(into, asked)
    with bars.bar("Reading volumes") as report:
        scanned = scan(backup, genesis.ledger_id, opener, report)
    if not scanned.volumes:
        named = "".join(f"\n  {one}" for one in scanned.troubles[:NAMED_MAX])
        raise NothingThen(f"No volume in {backup} can be used.{named}")
    with closing(Draft(draft, genesis)) as made, bars.bar("Restoring") as report:
        restored = Walk(made, scanned, opener, report).run(None if as_of_ms is None else as_of_ms // 1000)
    draft.rename(ledger)
    write_durably(into / NOTE_NAME, json.dumps(asked | {"whole": is_whole(restored)}).encode())
    sync_directory(into)
    return restored


def _begin(into: Path, asked: dict[str, object]) -> None:
    """Take the directory for this restore, or go on in it. Raises ConfigMistake when it is for something else, LedgerNotOpened."""
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    note, places = into / NOTE_NAME, Places(into)
    try:
        found = json.loads(note.read_bytes())
    except FileNotFoundError:
        if any(into.iterdir()):
            raise ConfigMistake(
                f"{into} is not empty; name a new directory, so that nothing is mixed."
            ) from None
        write_durably(note, json.dumps(asked | {"whole": False}).encode())
        return
    except ValueError:
        found = {}
    whole = found.pop("whole", None) if isinstance(found, dict) else None
    if found != asked:
        raise ConfigMistake(
            f"{into} holds another restore: of another ledger or moment. Name a new directory, or ask for the same again."
        )
    if places.ledger.exists():
        if whole:
            raise ConfigMistake(f"{into} holds this very restore already, whole. Nothing was changed.")
        places.ledger.rename(places.draft)


class _Bars:
    """Progress on a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown

    @contextlib.contextmanager
    def bar(self, label: str) -> Iterator[Report]:
        """A bar, told how much of how much is done."""
        if not self._shown:
            yield lambda _done, _of: None
            return
        with click.progressbar(length=1, label=label, file=sys.stderr) as bar:
            yield _reporting(bar)


def _reporting(bar: object) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        bar.length = max(total, 1)  # type: ignore[attr-defined]  # click's bar, whose class it does not export
        bar.update(done - bar.pos)  # type: ignore[attr-defined]

    return report


def _value(restored: Restored, into: Path) -> dict[str, object]:
    value = restored._asdict()
    value["troubles"] = [one._asdict() for one in restored.troubles]
    return {"into": str(into), "whole": is_whole(restored), **value}


def _words(restored: Restored, into: Path) -> str:
    lines = [
        f"{into} holds the first {restored.size} records, epoch {restored.epoch}, as a quorum had cosigned them at {_time(restored.agreed_at_s)}."
    ]
    if restored.next_agreed_at_s is not None:
        lines.append(
            f"The next state that the volumes prove was cosigned at {_time(restored.next_agreed_at_s)}."
        )
    if restored.ended:
        lines.append(
            f"{restored.ended} blocks of an epoch that ended were left aside: they stand above the fork (runbook: restore)."
        )
    if restored.erased:
        lines.append(f"{restored.erased} payloads were destroyed by order and are not restored.")
    lines += [f"  {one}" for one in restored.troubles[:NAMED_MAX]]
    if len(restored.troubles) > NAMED_MAX:
        lines.append(f"  and {len(restored.troubles) - NAMED_MAX} more (--json names all).")
    if restored.awaited:
        lines.append(
            f"{restored.awaited} payloads are in no volume that can be used. Put good copies there and run the same command again."
        )
    lines.append("Everything is there." if is_whole(restored) else "It is restored as far as the volumes go.")
    return "\n".join(lines)


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
