"""What the commands of `sento recovery` share: where the ledger is read from, how a refusal is shown, how files are named and written."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.terminal import printable
from sento_client.recovery.ledger_copy import LedgerCopy
from sento_client.recovery.proposal import read_proposal
from sento_client.recovery.refusals import TABLE, RecoveryRefused, Refusal
from sento_client.recovery.share_files import read_share
from sento_client.recovery.standing import Standing, StandingCeremony
from sento_client.setup_errors import SetupError
from sento_proto.errors import SentoError
from sento_proto.recovery import RecoveryShare

CommandT = TypeVar("CommandT", bound=Callable[..., object])
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_PATH = click.Path(path_type=Path)


@contextlib.contextmanager
def refusals_shown(app: App) -> Iterator[None]:
    """A refusal, a mistake on this computer or a file that cannot be written ends the command with its words and its exit code."""
    try:
        yield
    except RecoveryRefused as refused:
        show_refusal(app, refused)
        sys.exit(Exit.REFUSED)
    except (SetupError, SentoError) as error:
        app.show_error(error)
        sys.exit(Exit.USAGE if isinstance(error, SetupError) else Exit.REFUSED)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or 'A file'} cannot be written: {error.strerror}."
        ) from None


def show_refusal(app: App, refused: RecoveryRefused) -> None:
    """In the form that every error has: code and cause, the particulars, the remedy."""
    words = TABLE[refused.code]
    if app.as_json:
        value = {
            "code": str(refused.code),
            "details": list(refused.details),
            "cause": words.cause,
            "remedy": words.remedy,
            "exit": int(Exit.REFUSED),
        }
        app.show_line({"error": value})
        return
    details = [f"  - {printable(detail)}" for detail in refused.details]
    click.echo("\n".join([f"{refused.code}: {words.cause}", *details, words.remedy]), err=True)


def copy_option(command: CommandT) -> CommandT:
    """--copy."""
    return click.option(
        "--copy",
        "copy_path",
        type=READABLE,
        metavar="FILE",
        help="A copy that sento recovery copy made; needs no network. Without it the ledger is asked.",
    )(command)


def proposal_option(command: CommandT) -> CommandT:
    """--proposal."""
    return click.option(
        "--proposal",
        "proposal_path",
        type=READABLE,
        metavar="FILE",
        help="The file of a ceremony whose act does not stand yet.",
    )(command)


def shares_option(command: CommandT) -> CommandT:
    """--share, as often as there are."""
    return click.option(
        "--share",
        "share_paths",
        type=READABLE,
        multiple=True,
        required=True,
        metavar="FILE",
        help="A share file; once for each share.",
    )(command)


def open_standing(app: App, copy_path: Path | None) -> Standing:
    """The copy, or what the ledger says. Raises RecoveryRefused, SetupError, SentoError."""
    if copy_path is not None:
        return LedgerCopy(copy_path)
    return app.recovery_standing(app.config)


@dataclass(frozen=True, slots=True)
class Known:
    """The ledger and its ceremonies, as far as this command was given them."""

    ledger_id: bytes
    ledger_name: str
    ceremonies: Sequence[StandingCeremony]

    def named(self, recovery_key: str | None) -> StandingCeremony:
        """The ceremony of that name; without one the newest. Raises RecoveryRefused CEREMONY_UNKNOWN."""
        for one in reversed(self.ceremonies):
            if recovery_key in (None, one.ceremony.name):
                return one
        known = ", ".join(one.ceremony.words for one in self.ceremonies) or "none"
        raise RecoveryRefused(
            Refusal.CEREMONY_UNKNOWN, f"recovery key {recovery_key or '(any)'}; known here: {known}"
        )


def open_known(app: App, copy_path: Path | None, proposal_path: Path | None) -> Known:
    """What a proposal, a copy or the ledger says. Raises click.UsageError for two of them, and what `open_standing` raises."""
    if proposal_path is not None and copy_path is not None:
        raise click.UsageError("Name --proposal or --copy, not both.")
    if proposal_path is not None:
        proposal = read_proposal(proposal_path)
        return Known(proposal.ledger_id, proposal.ledger_name, (proposal.standing,))
    standing = open_standing(app, copy_path)
    return Known(standing.ledger_id, standing.ledger_name, standing.ceremonies())


def read_shares(paths: Sequence[Path]) -> list[RecoveryShare]:
    """The shares in the files."""
    return [read_share(path) for path in paths]


def refuse_existing(path: Path) -> None:
    """What is there is never written over: it may be somebody's only copy. Raises click.UsageError."""
    if path.exists() or path.is_symlink():
        raise click.UsageError(f"{path} is there already; name another place.")
