"""What the commands around a plan of an epoch share: opening it by what this computer last followed, saying it, and signing its file.

No site is asked, because all of them may be stopped or gone. The sites judge the plan again, at its fork.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console

from sento_client.cli.app import App
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.prompts import person_to_ask
from sento_client.cli.terminal import printable
from sento_client.governing.deciding_words import decided_words
from sento_client.governing.following import Followed
from sento_client.governing.place import GoverningPlace, open_place
from sento_client.governing.words import ledger_words
from sento_client.secret_files import write_secret
from sento_client.setup_errors import SetupError
from sento_client.site_status.wording import counted
from sento_proto.epoch_plan import (
    PLAN_MAX_BYTES,
    RECOVER,
    EpochPlan,
    PlanRefused,
    act_of,
    decode_plan,
    encode_plan,
    offices_of,
    plan_hash,
    signed_plan,
)
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

PLAN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class OpenedPlan(NamedTuple):
    """A plan, whose computer this is, and governance as far as it was followed here."""

    plan: EpochPlan
    place: GoverningPlace
    followed: Followed

    @property
    def governance(self) -> Governance:
        """The newest that is known here."""
        return self.followed.governance


def open_plan(app: App, path: Path) -> OpenedPlan:
    """The plan in the file. Raises click.UsageError; ends the command where the plan is another ledger's, or a signature under it is nobody's in office."""
    try:
        with path.open("rb") as file:
            plan = decode_plan(file.read(PLAN_MAX_BYTES + 1))
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except Malformed as error:
        raise click.UsageError(f"{path} is no plan of an epoch: {error}.") from None
    try:
        place = open_place(app.config)
        followed = place.trust_file.read()
        if plan.ledger_id != followed.governance.ledger_id:
            raise SentoError(
                Code.WRONG_LEDGER, "the plan is of another ledger than the one in this configuration"
            )
        signed_by(plan, followed.governance)
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    return OpenedPlan(plan, place, followed)


def must_be_recovery(plan: EpochPlan, *, wanted: bool) -> None:
    """Raises click.UsageError for a plan that belongs to the other command, which asks other things of who signs."""
    if (plan.reason == RECOVER) is not wanted:
        right = "sento restore" if wanted else "sento recover"
        raise click.UsageError(f"This is a plan to {plan.reason}: use {right} with it.")


def signed_by(plan: EpochPlan, governance: Governance) -> list[str]:
    """The offices under the plan. Raises SentoError where a signature is not of somebody in office over this very plan."""
    try:
        return list(offices_of(plan, governance))
    except PlanRefused as error:
        raise SentoError(Code.BAD_SIGNATURE, str(error)) from None


def sign_plan(app: App, path: Path, opened: OpenedPlan) -> tuple[EpochPlan, str]:
    """Put the signature of this computer's officer under the plan, into its file: the plan then, and the office. An error ends the command."""
    plan, place, governance = opened.plan, opened.place, opened.governance
    try:
        signer = place.signer(person_to_ask())
        office = governance.office_of_key(signer.public_key.key_id)
        if office is None:
            raise SentoError(
                Code.NOT_AN_OFFICER, "this key is not in office, by what this computer last followed"
            )
        if office in signed_by(plan, governance):
            raise SentoError(
                Code.BAD_REQUEST, f"{office} signed this plan already; an officer and the deputy count once"
            )
        after = asyncio.run(asyncio.to_thread(signed_plan, plan, signer))
    except (SentoError, SetupError) as error:
        app.show_error(error)
        sys.exit(exit_of(error))
    write_secret(path, encode_plan(after))
    return after, office


def heading(app: App, place: GoverningPlace) -> None:
    """Which ledger, in the first line."""
    genesis = place.trust_file.genesis
    if not app.as_json:
        click.echo(ledger_words(genesis.purpose, genesis.name, genesis.ledger_id))


def confirm(question: str) -> None:
    """Ends the command unless the person says yes. Raises click.UsageError where nobody sits."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask at: read what is shown, then give --yes.")
    if not click.confirm(question, err=True):
        sys.exit(Exit.INTERRUPTED)


def signatures_words(plan: EpochPlan, governance: Governance) -> str:
    """Who signed, and how many are missing."""
    signed, needed = signed_by(plan, governance), governance.officers.threshold
    names = f" ({', '.join(signed)})" if signed else ""
    if len(signed) >= needed:
        return f"Signed by {len(signed)} of {needed} officers needed{names}: it can be carried out."
    return f"Needs {needed} officers, has {len(signed)}{names}."


def print_plan(console: Console, plan: EpochPlan, governance: Governance) -> None:
    """The plan for people: the evidence first, where it rests on any."""
    made = datetime.fromtimestamp(plan.made_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    console.print(
        f"Plan {plan_hash(plan).hex()[:16]} ({plan.reason}), made {made}. Legal basis: {plan.legal_basis}",
        markup=False,
    )
    if plan.evidence:
        console.print("Evidence, who answers whom and since when:")
    for words in plan.evidence:
        console.print(f"  * {printable(words)}", markup=False)
    if plan.evidence:
        console.print("What is decided, in the words of who made the plan:")
    for words in plan.words:
        console.print(f"  - {printable(words)}", markup=False)
    console.print(
        "What is signed, read from the plan's fields by this program; where the two differ, do not sign:"
    )
    for words in decided_of(plan, governance):
        console.print(f"  = {printable(words)}", markup=False)
    console.print(signatures_words(plan, governance), markup=False)


def decided_of(plan: EpochPlan, governance: Governance) -> list[str]:
    """What the plan's fields decide, whatever its sentences say."""
    at = plan.parent.size
    words: list[str] = []
    for content in (act_of(plan).header.content, *plan.acts):
        said, governance = decided_words(governance, content, at)
        words += said
        at += 1
    words += [f"The members of {site} are reached at {url}." for site, url in plan.ordering]
    if plan.readmit:
        words.append(f"{counted(len(plan.readmit), 'record')} from behind the fork are taken over again.")
    if plan.alone:
        words.append("One voting member is enough.")
    if plan.although:
        words.append(f"It goes on while a majority may answer: {plan.although}")
    return words


def plan_value(plan: EpochPlan, governance: Governance) -> dict[str, object]:
    """The same for programs."""
    parent = plan.parent
    return {
        "plan": plan_hash(plan).hex(),
        "reason": plan.reason,
        "legal_basis": plan.legal_basis,
        "epoch": plan.epoch,
        "parent": {
            "epoch": parent.epoch,
            "size": parent.size,
            "root": parent.root.hex(),
            "block": parent.block,
        },
        "voting": list(plan.voting),
        "evidence": list(plan.evidence),
        "words": list(plan.words),
        "decided": decided_of(plan, governance),
        "taken_over_again": len(plan.readmit),
        "acts": len(plan.acts),
        "signed": signed_by(plan, governance),
        "needed": governance.officers.threshold,
    }
