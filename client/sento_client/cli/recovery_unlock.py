"""`sento recovery unlock` and `rehearse`: a threshold of shares put together, for what an act names or to see that it would work."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit
from sento_client.cli.recovery_common import (
    NEW_PATH,
    copy_option,
    open_standing,
    read_shares,
    refusals_shown,
    refuse_existing,
    shares_option,
)
from sento_client.cli.waiting import spinner_column
from sento_client.recovery.kek_workers import try_all
from sento_client.recovery.keks import OpenedKeks, Wanted, choose, gather
from sento_client.recovery.reconstruct import RecoveredKey, ceremony_of, check_shares, reconstruct
from sento_client.recovery.standing import Standing
from sento_client.recovery.unlocked_files import write_unlocked
from sento_client.recovery.unlocking import RegistryKeys, acts_for, check_named, open_registry_keys, wanted_of

_SHOW_EVERY = 250


@click.command(short_help="Open the keys of named registries with a threshold of shares.")
@click.option(
    "--registry",
    "registries",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A registry; once for each.",
)
@click.option(
    "--epoch",
    "epochs",
    multiple=True,
    required=True,
    type=click.IntRange(0, 2**32 - 1),
    metavar="NUMBER",
    help="A key epoch; once for each.",
)
@shares_option
@copy_option
@click.option(
    "--out",
    type=NEW_PATH,
    required=True,
    metavar="DIR",
    help="A new directory for the opened keys, mode 0700.",
)
@pass_app
def unlock(
    app: App, registries: tuple[str, ...], epochs: tuple[int, ...], share_paths: tuple[Path, ...], copy_path: Path | None, out: Path
) -> None:  # fmt: skip
    """Open the KEKs of named registries and key epochs, and the registries' pseudonym and index keys.

    An act `unlock` must stand in the ledger that names these registries, epochs, the recovery key, and the officers whose shares are used. Everything
    that does not open is listed by author, registry, compartment and epoch; then the command ends with 5, and what did open is written nevertheless.

    DIR has keys in the open. Use it on a computer without network where possible, and destroy it when the emergency is over. Then hold a new ceremony:
    this key has been seen.

    \b
    Example:
        sento recovery unlock --registry health --epoch 1 --epoch 2 --share a.share --share b.share --share c.share --copy recovery.copy --out unlocked
    """
    refuse_existing(out)
    with refusals_shown(app):
        ledger = open_standing(app, copy_path)
        shares = read_shares(share_paths)
        standing = ceremony_of(shares, ledger.ceremonies())
        check_shares(shares, standing.ceremony)
        acts = acts_for(standing.ceremony.name, registries, epochs, ledger.unlock_acts())
        check_named([one.index for one in shares], standing.ceremony, acts)
        key = reconstruct(shares, standing.ceremony)
        keys = open_registry_keys(ledger.ledger_id, key, standing.payload, registries)
        opened, took_s = _try_keks(app, ledger, key, wanted_of(registries, epochs), keep=True)
        paths = write_unlocked(out, ledger.ledger_id, standing.ceremony.name, opened, keys)
    value = _value(key, opened, keys, took_s) | {
        "opened": len(opened.keks),
        "acts": [
            {"position": act.position, **_act_value(act.unlock.officers, act.unlock.reason)} for act in acts
        ],
        "files": [str(path) for path in paths],
    }

    def people(console: Console) -> None:
        console.print(f"Recovery key {key.ceremony.words} is put together.", markup=False)
        for act in acts:
            who = ", ".join(act.unlock.officers)
            console.print(
                f"By the act at position {act.position} of {who}: {act.unlock.reason}", markup=False
            )
        console.print(
            f"Opened {len(opened.keks)} KEKs of {', '.join(sorted(set(registries)))} in {took_s:.1f} s, and {len(keys.keys)} registry keys.",
            markup=False,
        )
        _print_bad(console, opened, keys)
        console.print(
            f"{out} has them in the open. Destroy it when the emergency is over, then hold a new ceremony.",
            markup=False,
        )

    _end(app, value, people, opened, keys)


def _act_value(officers: tuple[str, ...], reason: str) -> dict[str, object]:
    return {"officers": list(officers), "reason": reason}


@click.command(short_help="Try every seal with a threshold of shares, keeping nothing.")
@shares_option
@copy_option
@pass_app
def rehearse(app: App, share_paths: tuple[Path, ...], copy_path: Path | None) -> None:
    """Put the recovery key together and try every seal that stands for it; nothing is kept, and nothing shown but counts and what is bad.

    A seal that its author made wrongly is found here, while the author can make it again. Ends with 0 when all is in order, with 5 when something is bad.
    Needs no act.

    \b
    Example:
        sento recovery rehearse --copy recovery.copy --share a.share --share b.share --share c.share
    """
    with refusals_shown(app):
        ledger = open_standing(app, copy_path)
        shares = read_shares(share_paths)
        standing = ceremony_of(shares, ledger.ceremonies())
        key = reconstruct(shares, standing.ceremony)
        registries = {scope.registry for scope in ledger.seal_source.scopes_with_records()}
        keys = open_registry_keys(ledger.ledger_id, key, standing.payload, registries)
        opened, took_s = _try_keks(app, ledger, key, Wanted(), keep=False)
    value = _value(key, opened, keys, took_s)

    def people(console: Console) -> None:
        console.print(f"Recovery key {key.ceremony.words} can be put together.", markup=False)
        good = opened.tried - sum(bad.of_seal for bad in opened.bad)
        console.print(
            f"{good} of {opened.tried} seals open, {len(keys.keys)} registry keys, in {took_s:.1f} s. Nothing was kept.",
            markup=False,
        )
        _print_bad(console, opened, keys)

    _end(app, value, people, opened, keys)


def _try_keks(
    app: App, ledger: Standing, key: RecoveredKey, wanted: Wanted, *, keep: bool
) -> tuple[OpenedKeks, float]:
    began_s = time.monotonic()
    chosen = choose(ledger.seal_source.seals(key.ceremony.public_key), wanted)
    with _progress(app) as seen:
        opened = gather(
            try_all(chosen, key.secret),
            wanted,
            ledger.seal_source.scopes_with_records(),
            keep=keep,
            seen=seen,
        )
    return opened, time.monotonic() - began_s


@contextlib.contextmanager
def _progress(app: App) -> Iterator[Callable[[int], None]]:
    """Counts for people once it has taken a while; how many seals there are is not known before they are read."""
    console = app.progress_console()
    if app.as_json or not console.is_terminal:
        yield lambda count: None
        return
    bar = Progress(
        spinner_column(), TextColumn("{task.completed:,.0f} KEK seals tried"), TimeElapsedColumn(), console=console, transient=True
    )  # fmt: skip
    task, show_from_s = bar.add_task(""), time.monotonic() + app.patience_s

    def seen(count: int) -> None:
        if count % _SHOW_EVERY == 0 or app.patience_s == 0:
            bar.update(task, completed=count)
            if time.monotonic() >= show_from_s:
                bar.start()

    try:
        yield seen
    finally:
        bar.stop()


def _value(key: RecoveredKey, opened: OpenedKeks, keys: RegistryKeys, took_s: float) -> dict[str, object]:
    return {
        "recovery_key": key.ceremony.name,
        "ceremony": key.ceremony.ceremony_id.hex(),
        "in_order": not opened.bad and not keys.bad,
        "seals_tried": opened.tried,
        "took_s": round(took_s, 3),
        "registry_keys": [{"registry": name.registry, "kind": name.kind.word} for name in sorted(keys.keys)],
        "bad_keks": [{**bad.scope._asdict(), "fault": str(bad.fault), "why": bad.why} for bad in opened.bad],
        "bad_registry_keys": list(keys.bad),
    }


def _print_bad(console: Console, opened: OpenedKeks, keys: RegistryKeys) -> None:
    if not opened.bad and not keys.bad:
        console.print("Everything is in order.")
        return
    console.print(
        f"NOT IN ORDER: {len(opened.bad)} KEKs, {len(keys.bad)} registry keys. Tell these authors to seal their keys anew:"
    )
    for bad in opened.bad:
        console.print(f"  {bad.words}", markup=False)
    for sentence in keys.bad:
        console.print(f"  {sentence}", markup=False)


def _end(
    app: App,
    value: dict[str, object],
    people: Callable[[Console], None],
    opened: OpenedKeks,
    keys: RegistryKeys,
) -> None:
    app.show(value, people)
    if opened.bad or keys.bad:
        sys.exit(Exit.DEGRADED)
