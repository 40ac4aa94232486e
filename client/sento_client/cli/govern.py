"""`sento govern`: proposing, signing and submitting officers' acts. What governance is, `govern_show.py` shows."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from pathlib import Path
from typing import NamedTuple, cast

import click
from rich.console import Console

from sento_client.cli.app import App, pass_app
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.govern_common import (
    PROPOSAL_FILE,
    print_review,
    read_proposal,
    review_value,
    run_governing,
)
from sento_client.cli.govern_completers import complete_change
from sento_client.cli.govern_show import show
from sento_client.cli.govern_trust import trust
from sento_client.cli.parameters import INPUT_FILE, read_input, whole_text
from sento_client.cli.prompts import person_to_ask
from sento_client.governing.client import GoverningClient, Standing
from sento_client.governing.following import Followed
from sento_client.governing.proposal import (
    FILE_MAX_BYTES,
    Proposal,
    act_content,
    encode_proposal,
    make_proposal,
)
from sento_client.governing.reviewing import Review, review
from sento_client.governing.shortcuts import FORMS, Given, NotAShortcut, Value, change_of
from sento_client.secret_files import write_secret
from sento_client.setup_errors import SetupError
from sento_proto.errors import TABLE, Code, SentoError
from sento_proto.errors import Standing as CodeStanding
from sento_proto.governance.read_log_changes import SALT_BYTES
from sento_proto.governance.state import Governance
from sento_proto.ids import RANDOM_BYTES, uuid7
from sento_proto.strict_json import load
from sento_proto.wire import Malformed

_FORMS = "\n".join(f"    {name} {form}" for name, form in FORMS.items())
_MAY_STAND = (Code.UNREACHABLE, Code.DEADLINE)


@click.group(short_help="Officers' acts: propose, sign, submit; show who may do what.")
def govern() -> None:
    """Who may do what on the ledger, and how officers change it.

    An act is proposed into a file, which goes from officer to officer; each signs it at the own computer; any of them submits it. It holds when enough signed
    and it still fits what was decided meanwhile. Every command says in its first line whether the ledger is for TRAINING or for PRODUCTION.

    \b
    In this order:
        sento govern show
        sento govern propose --reason "..." --out act.json permit clinic-a write health:clinic-a
        sento govern sign act.json            at each officer's computer
        sento govern submit act.json
    """


class Drafted(NamedTuple):
    """A proposal with its dry run."""

    governance: Governance
    proposal: Proposal
    review: Review


@govern.command(
    epilog=f"\b\nChanges in words (KEY_ID as sento govern show gives it; SCOPE is health, health:clinic-a or health:*):\n{_FORMS}\n"
)
@click.option(
    "--reason", type=whole_text, metavar="TEXT", help="Why; it stands in the act for everybody to read."
)
@click.option(
    "--change",
    "changes",
    multiple=True,
    type=whole_text,
    metavar="WORDS",
    help="A further change in words, quoted as one; as often as needed.",
)
@click.option(
    "--file",
    "path",
    type=INPUT_FILE,
    metavar="FILE",
    help="An act or its list of changes as JSON, or the proposal of a recovery ceremony.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("act.json"),
    show_default=True,
    metavar="FILE",
    help="Where the proposal goes; nothing is written over.",
)
@click.argument("words", nargs=-1, type=whole_text, metavar="[CHANGE...]", shell_complete=complete_change)
@pass_app
def propose(
    app: App, reason: str | None, changes: tuple[str, ...], path: Path | None, out: Path, words: tuple[str, ...]
) -> None:  # fmt: skip
    """Write an act into a file, after a dry run in words against governance as it is now. Nothing is sent.

    What does not fit is refused with the change that does not, and nothing is written. All changes of an act hold together or not at all, in their order:
    whoever takes reading away from a reader starts a new key epoch in the same act.

    \b
    Examples:
        sento govern propose --reason "clinic opens" permit clinic-a write health:clinic-a
        sento govern propose --reason "laptop stolen" revoke-key iizuka-city 0f3a...
        sento govern propose --reason "contract ended" --change "start-key-epoch health accepted" revoke-reader relief-desk
        sento govern propose --file enrol.json --out enrol-act.json
    """
    if out.exists() or out.is_symlink():
        raise click.UsageError(f"{out} is there already; name another file with --out.")
    spoken = [list(words)] if words else []
    spoken += [shlex.split(change) for change in changes]
    file = _read_file(path) if path is not None else _File(None, (), b"")
    why = reason or file.reason
    if not why:
        raise click.UsageError("Name a --reason: it stands in the act.")
    if not spoken and not file.changes:
        raise click.UsageError("Name a change in words, or a --file with changes.")

    async def work(client: GoverningClient) -> Drafted:
        followed = await client.follow()
        governance = followed.governance
        values = [
            change_of(one, Given(governance, why, client.random_bytes(SALT_BYTES))) for one in spoken
        ] + list(file.changes)
        proposal = make_proposal(
            governance.ledger_id,
            client.epoch,
            act_content(why, values),
            governance.last_act,
            record_id=uuid7(client.wall_ms, client.random_bytes(RANDOM_BYTES)),
            time_ms=client.wall_ms,
            payload=file.payload,
        )
        return Drafted(governance, proposal, review(followed, client.epoch, client.size, proposal))

    try:
        drafted = run_governing(app, work)
    except NotAShortcut as error:
        raise click.UsageError(str(error)) from None
    except Malformed as error:
        raise click.UsageError(f"{error}.") from None
    _write_new(out, encode_proposal(drafted.proposal))

    def people(console: Console) -> None:
        print_review(console, drafted.review)
        console.print(
            f"Written to {out}. Next, at each officer's computer: sento govern sign {out}", markup=False
        )

    app.show(review_value(drafted.governance, drafted.review) | {"file": str(out)}, people)


class _File(NamedTuple):
    """What --file brings."""

    reason: str | None
    changes: tuple[Value, ...]
    payload: bytes


def _read_file(path: Path) -> _File:
    """An act, a list of changes under `changes`, or a ceremony's proposal with its payload. Raises click.UsageError."""
    data = read_input(path, FILE_MAX_BYTES)
    try:
        root = load(data, str(path))
        payload = root.blob("payload") if root.has("payload") else b""
        value = root.raw("act") if root.has("act") else json.loads(data)
    except Malformed as error:
        raise click.UsageError(f"{error}.") from None
    fields = cast("Value", value) if isinstance(value, dict) else {}
    changes, reason = fields.get("changes"), fields.get("reason")
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise click.UsageError(f'{path} has no list "changes" of objects.')
    return _File(reason if isinstance(reason, str) else None, tuple(changes), payload)


def _write_new(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written: {error.strerror}.") from None


@govern.command()
@click.argument("path", type=PROPOSAL_FILE, metavar="FILE")
@click.option("--yes", is_flag=True, help="Do not ask; for scripts that have looked themselves.")
@pass_app
def sign(app: App, path: Path, yes: bool) -> None:
    """Sign a proposal, after the same dry run, made anew from this computer's own view of the ledger.

    Refused are: a proposal for another ledger or epoch, one that other acts overtook (it says who changed what), one that does not fit, a key that is not in
    office, and a second signature for one office: an officer and the deputy count once.

    \b
    Example:
        sento govern sign act.json
    """
    proposal = read_proposal(path)

    async def look(client: GoverningClient) -> Drafted:
        followed = await client.follow()
        return Drafted(followed.governance, proposal, review(followed, client.epoch, client.size, proposal))

    drafted = run_governing(app, look)
    if not app.as_json:
        app.show({}, lambda console: print_review(console, drafted.review))
    if not yes:
        _confirm()

    async def put_under(client: GoverningClient) -> tuple[str, Review]:
        signer = client.place.signer(person_to_ask())
        followed = await client.follow()
        office = _free_office(followed, proposal, signer.public_key.key_id)
        signed = await asyncio.to_thread(proposal.signed, signer)
        after = review(followed, client.epoch, client.size, signed)
        write_secret(path, encode_proposal(signed))
        return office, after

    office, after = run_governing(app, put_under, heading=False)

    def people(console: Console) -> None:
        console.print(f"Signed for {office}. {path} {after.signatures_words}", markup=False)
        if after.is_enough:
            console.print(f"Next: sento govern submit {path}", markup=False)

    app.show(review_value(drafted.governance, after) | {"office": office, "file": str(path)}, people)


def _confirm() -> None:
    """Raises click.Abort unless the person says yes, click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: read what is shown, then give --yes.")
    if not click.confirm("Sign this?", err=True):
        raise click.Abort


def _free_office(followed: Followed, proposal: Proposal, key_id: bytes) -> str:
    """The office for which this key may still sign. Raises SentoError NOT_AN_OFFICER, BAD_REQUEST."""
    governance = followed.governance
    office = governance.office_of_key(key_id)
    if office is None:
        raise SentoError(
            Code.NOT_AN_OFFICER, f"the key {key_id.hex()} of this computer is of nobody in office"
        )
    for signed_by, _ in proposal.officers:
        if governance.office_of_key(signed_by) == office:
            raise SentoError(Code.BAD_REQUEST, f"{office} signed this already, in person or by the deputy")
    return office


@govern.command()
@click.argument("path", type=PROPOSAL_FILE, metavar="FILE")
@pass_app
def submit(app: App, path: Path) -> None:
    """Send a signed act to the sites, and say at which position it stands and what holds from there on.

    Sending the same file again is safe: it stands once. With too few signatures nothing is sent, and it says whose are missing.

    \b
    Example:
        sento govern submit act.json
    """
    proposal = read_proposal(path)

    async def work(client: GoverningClient) -> tuple[Followed, Standing, tuple[str, ...]]:
        followed = await client.follow()
        known = _standing(followed, proposal)
        if known is not None:
            return followed, *known
        judged = review(followed, client.epoch, client.size, proposal)
        if not judged.is_enough:
            raise SentoError(Code.TOO_FEW_OFFICERS, judged.signatures_words)
        standing = await client.submit(proposal)
        return followed, standing, judged.words

    followed, standing, words = run_governing(
        app, work, exit_code=_submit_exit, if_interrupted=lambda: "Interrupted. The act may stand: submit the same file again, it stands once."
    )  # fmt: skip

    def people(console: Console) -> None:
        already = " already" if standing.repeated else ""
        console.print(
            f"The act stands{already} at position {standing.position}. From position {standing.position + 1} on:"
        )
        for sentence in words:
            console.print(f"  - {sentence}", markup=False)

    value = {
        "position": standing.position,
        "epoch": standing.epoch,
        "repeated": standing.repeated,
        "changes": list(words),
    }
    app.show(
        {"ledger": {"name": followed.governance.name, "purpose": followed.governance.purpose}} | value, people
    )


def _standing(followed: Followed, proposal: Proposal) -> tuple[Standing, tuple[str, ...]] | None:
    """Where the act stands if it does already, with its words."""
    for step in followed.steps:
        if step.stored.record_hash == proposal.record.record_hash:
            return Standing(step.position, proposal.epoch, True), step.words
    return None


def _submit_exit(error: SentoError | SetupError) -> Exit:
    unknown = isinstance(error, SentoError) and (
        error.code in _MAY_STAND or TABLE[error.code].standing is CodeStanding.UNKNOWN
    )
    if not unknown:
        return exit_of(error)
    click.echo("The act may stand. Submit the same file again: it stands once.", err=True)
    return Exit.OUTCOME_UNKNOWN


govern.add_command(show)
govern.add_command(trust)
