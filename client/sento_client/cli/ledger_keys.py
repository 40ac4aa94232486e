"""`sento keys make | reseal | show`: this institution's KEKs in the ledger: have one, seal it to whoever came later, see who holds it.

What a recipient will be able to open is said before anything is sealed to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from sento_client.asker import Terms
from sento_client.cli.app import App, pass_app
from sento_client.cli.parameters import whole_text
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.terminal import results_console
from sento_client.cli.waiting import bar_of
from sento_client.client import SentoClient
from sento_client.config import load_config
from sento_client.draft_writing import key_terms
from sento_client.governing.fitting import can_change
from sento_client.kek_keeping.keeper import FileKeks
from sento_client.kek_keeping.recipients import own_scopes, recipients_of
from sento_client.kek_keeping.standing_kek import StandingKek
from sento_client.kek_keeping.survey import KekState, Selection, grants_words, part_words, states_of
from sento_client.recovery.standing import KekScope
from sento_client.setup_errors import TABLE, Setup, SetupError
from sento_client.signers.opening import KeySource
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance

AT_ONCE = 256
"""KEKs that are sealed and written side by side."""
SHOWN_MAX = 50
ONLY_IN_FILE = "only in a file of this computer: run sento keys reseal"

_registry = click.option("--registry", type=whole_text, help="Only this registry.")
_compartment = click.option(
    "--compartment", type=whole_text, help="Only this compartment; '' is the open part."
)
_key_epoch = click.option("--key-epoch", type=click.IntRange(1), help="Only this key epoch.")
_deadline = click.option("--deadline-ms", type=click.IntRange(1), help="How long each step may take.")


@click.command(short_help="Have a key ready in the ledger for what this institution writes.")
@_registry
@_compartment
@_deadline
@pass_app
def make(app: App, registry: str | None, compartment: str | None, deadline_ms: int | None) -> None:
    """Have a key stand in the ledger for each scope that this institution writes, sealed to everybody who reads there and to the recovery key.

    Writing makes what it misses by itself; this is for having them before the first record. A key that stands is left as it is. A key that this institution has
    in the file keys.kek_seals and that does not stand is put into the ledger, not replaced.

    \b
    Examples:
        sento keys make
        sento keys make --registry health --compartment prescription
    """

    async def work(sento: SentoClient) -> list[tuple[KekScope, bool]]:
        terms = key_terms(_deadline_of(sento, deadline_ms))
        governance = await _governance(sento, terms)
        author = sento.institution
        with _bar(app, "making") as (bar, task):
            known: list[KekScope] = []
            if registry is None or compartment is None:
                known = [kek.scope for kek in await sento.keks.survey(terms)]
                known += [kek.scope for kek in (await sento.keks.in_file(())).only_here]
            if registry is not None and compartment is not None:
                known = [KekScope(author, registry, compartment, 1)]
            selection = Selection(None, registry, compartment)
            chosen = [scope for scope in own_scopes(governance, author, known) if selection.has(scope)]
            if not chosen:
                raise SentoError(Code.NOT_PERMITTED, f"{author} may write nothing that was named")
            bar.update(task, total=len(chosen))
            done: list[tuple[KekScope, bool]] = []
            differing: list[str] = []
            for scope in chosen:
                _say_before_making(app, governance, scope)
                try:
                    done.append((scope, await sento.keks.make(scope, terms)))
                except SetupError as error:
                    if error.code is not Setup.KEK_DIFFERS:
                        raise
                    differing += error.details
                bar.advance(task)
            if differing:
                raise SetupError(Setup.KEK_DIFFERS, *differing)
            return done

    done = app.run(work, deadline_ms=deadline_ms, waits=False)
    value = {"keys": [{**scope._asdict(), "made": made} for scope, made in done]}

    def people(console: Console) -> None:
        for scope, made in done:
            console.print(f"{scope.words}: {'made' if made else 'stands already'}", markup=False)

    app.show(value, people)


@click.command(short_help="Seal this institution's keys to readers that came later.")
@_registry
@_compartment
@_key_epoch
@click.option(
    "--again",
    multiple=True,
    metavar="INSTITUTION",
    help="Seal to it anew where a seal stands already: a wrong one.",
)
@click.option(
    "--former-seal-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of the seal key that was replaced, to open the seals that were made to it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sealed to whom, and seal nothing.")
@_deadline
@pass_app
def reseal(
    app: App,
    registry: str | None,
    compartment: str | None,
    key_epoch: int | None,
    again: tuple[str, ...],
    former_seal_key: Path | None,
    dry_run: bool,
    deadline_ms: int | None,
) -> None:
    """Open this institution's own seals and seal each key to those who should hold it and do not: later readers, replaced seal keys, a new recovery key.

    A key that is only in the file keys.kek_seals is put into the ledger with its seals: until then nobody can recover what was written under it.

    Says first what each of them will be able to open. No record is touched. It may be repeated and interrupted: what stands is not sealed again.

    \b
    Examples:
        sento keys reseal --dry-run
        sento keys reseal --registry health --key-epoch 3
        sento keys reseal --again pharmacy-desk
    """

    async def work(sento: SentoClient) -> tuple[list[KekState], int, FileKeks]:
        if former_seal_key is not None:
            keys = replace(load_config(app.config).keys, seal=former_seal_key, token=None)
            sento.keks.accept_former(KeySource(keys, ask=person_to_ask()).seal_opener())
        terms = key_terms(_deadline_of(sento, deadline_ms))
        governance = await _governance(sento, terms)
        with _bar(app, "reading keys") as (bar, task):
            standing = await sento.keks.survey(terms, lambda count: bar.update(task, completed=count))
        selection = Selection(sento.institution, registry, compartment, key_epoch)
        in_file = await sento.keks.in_file(standing)
        every = [*standing, *in_file.only_here]
        lacking = [one for one in states_of(governance, every, selection, again) if one.lacking]
        if not app.as_json:
            for sentence in grants_words(lacking):
                results_console().print(sentence, markup=False)
        sealed = 0 if dry_run else await _reseal_all(app, sento, lacking, again, terms)
        return lacking, sealed, in_file

    lacking, sealed, in_file = app.run(work, deadline_ms=deadline_ms, waits=False)
    value = {
        "keys": len(lacking),
        "from_file": sum(state.only_in_file for state in lacking),
        "sealed": sealed,
        "dry_run": dry_run,
        "grants": grants_words(lacking),
        **_file_value(in_file),
    }

    def people(console: Console) -> None:
        if not lacking:
            console.print("Nobody lacks a seal.")
        elif dry_run:
            console.print(f"{len(lacking):,} keys would be sealed again; nothing was written.")
        else:
            console.print(f"{len(lacking):,} keys looked at, {sealed:,} seals made.")
        _print_file_troubles(console, in_file)

    app.show(value, people)


@click.command(short_help="Show which keys stand in the ledger, who holds them, and who lacks one.")
@_registry
@_compartment
@_key_epoch
@click.option("--all", "everybody", is_flag=True, help="Also the keys of other authors.")
@click.option(
    "--sites", "with_sites", is_flag=True, help="Also the keys under which sites write the read log."
)
@_deadline
@pass_app
def show(
    app: App,
    registry: str | None,
    compartment: str | None,
    key_epoch: int | None,
    everybody: bool,
    with_sites: bool,
    deadline_ms: int | None,
) -> None:
    """Show which keys stand in the ledger, who holds a seal of each, and who should hold one and does not.

    The sites' own keys of the read log, which sites make and seal by themselves, are left out and counted.

    \b
    Examples:
        sento keys show
        sento --json keys show --all --registry health | jq '.keys[] | select(.lacking != [])'
    """

    async def work(sento: SentoClient) -> tuple[list[KekState], FileKeks]:
        terms = key_terms(_deadline_of(sento, deadline_ms))
        governance = await _governance(sento, terms)
        is_author = sento.institution in governance.authors
        author = None if everybody or not is_author else sento.institution
        standing: Sequence[StandingKek] = await sento.keks.survey(terms)
        in_file = await sento.keks.in_file(standing)
        selection = Selection(author, registry, compartment, key_epoch)
        return states_of(governance, [*standing, *in_file.only_here], selection), in_file

    found, in_file = app.run(work, deadline_ms=deadline_ms)
    states = [state for state in found if with_sites or not state.of_site]
    left_out = len(found) - len(states)
    value = {
        "site_keys_left_out": left_out,
        "keys": [
            {
                **state.scope._asdict(),
                "sealed_to": list(state.sealed_to),
                "lacking": [one.words for one in state.lacking],
                "contradicted_at": list(state.standing.strays),
                "only_in_file": state.only_in_file,
            }
            for state in states
        ],
        **_file_value(in_file),
    }

    def people(console: Console) -> None:
        _print_states(console, states)
        if left_out:
            console.print(f"{left_out:,} keys of sites' read logs are left out; --sites shows them.")
        _print_file_troubles(console, in_file)

    app.show(value, people)


def _print_states(console: Console, states: Sequence[KekState]) -> None:
    table = Table("author", "opens", "sealed to", "lacking", box=SIMPLE_HEAD, pad_edge=False)
    for state in states[:SHOWN_MAX]:
        author, registry, compartment, key_epoch = state.scope
        lacking = ", ".join(one.words for one in state.lacking)
        holders = ONLY_IN_FILE if state.only_in_file else ", ".join(state.sealed_to)
        table.add_row(author, part_words(registry, compartment, [key_epoch]), holders, lacking)
    console.print(table, soft_wrap=False)
    if len(states) > SHOWN_MAX:
        console.print(f"and {len(states) - SHOWN_MAX:,} more; --json shows all")
    missing = sum(state.only_in_file for state in states)
    behind = sum(bool(state.lacking) for state in states) - missing
    console.print(
        f"{len(states) - missing:,} keys stand, {behind:,} lack a seal{' (sento keys reseal)' if behind else ''}."
    )
    if missing:
        console.print(
            f"{missing:,} are only in a file of this computer: nobody can recover what was written under them; "
            "run sento keys reseal."
        )
    for state in states:
        if state.standing.strays:
            where = ", ".join(map(str, state.standing.strays))
            console.print(
                f"{state.scope.words}: contradicted at position {where}; tell its author", markup=False
            )


def _file_value(in_file: FileKeks) -> dict[str, object]:
    """What programs are told of own keys in the file that the ledger has otherwise, or that do not open."""
    return {
        "differs_from_file": [scope._asdict() for scope in in_file.other],
        "file_does_not_open": [scope._asdict() for scope in in_file.closed],
    }


def _print_file_troubles(console: Console, in_file: FileKeks) -> None:
    differs = TABLE[Setup.KEK_DIFFERS]
    for scope in in_file.other:
        console.print(f"{scope.words}: {differs.cause} {differs.remedy}", markup=False)
    for scope in in_file.closed:
        console.print(
            f"{scope.words}: the seal in keys.kek_seals does not open with this institution's seal key "
            "(--former-seal-key names the one before it)",
            markup=False,
        )


async def _reseal_all(
    app: App, sento: SentoClient, states: Sequence[KekState], again: Sequence[str], terms: Terms
) -> int:
    sealed = 0
    with _bar(app, "sealing") as (bar, task):
        bar.update(task, total=len(states))
        for start in range(0, len(states), AT_ONCE):
            portion = states[start : start + AT_ONCE]
            done = await asyncio.gather(
                *(
                    sento.keks.reseal(
                        state.standing, terms, [one.key_id for one in state.lacking if one.name in again]
                    )
                    for state in portion
                )
            )
            sealed += sum(map(len, done))
            bar.advance(task, len(portion))
    return sealed


async def _governance(sento: SentoClient, terms: Terms) -> Governance:
    governance = await sento.governance(deadline_ms=terms.timeout_ms)
    if not can_change(governance):
        raise SentoError(
            Code.NOT_PERMITTED,
            f"under rules {governance.rules} keys do not stand in the ledger but in keys.kek_seals",
        )
    return governance


def _say_before_making(app: App, governance: Governance, scope: KekScope) -> None:
    """What everybody gets who will hold a seal."""
    if app.as_json:
        return
    recipients = recipients_of(governance, scope.author, scope.registry, scope.compartment)
    who = ", ".join(one.words for one in recipients)
    part = part_words(scope.registry, scope.compartment, [scope.key_epoch])
    results_console().print(
        f"Whoever holds the key opens all that {scope.author} writes in {part}: {who}.", markup=False
    )


def _deadline_of(sento: SentoClient, deadline_ms: int | None) -> int:
    return sento.limits.deadline_ms if deadline_ms is None else deadline_ms


def _bar(app: App, words: str) -> AbstractContextManager[tuple[Progress, TaskID]]:
    return bar_of(app.progress_console(), words, shown=not app.as_json, total=None)
