"""Where a passphrase or a PIN is found: in a file that only its owner reads, in the environment, or asked of a person.

In this order, and the first that is there counts, also when it is wrong: a wrong one is never followed by another, because three wrong PINs lock a token.
The file
suits systemd credentials (`LoadCredential=`). Only the command asks a person, through the callable that it hands in; a program without one is told what is
missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sento_client.secret_files import read_secret
from sento_client.setup_errors import Setup, SetupError

PASSPHRASE_VARIABLE = "SENTO_PASSPHRASE"  # noqa: S105  a variable's name
PIN_VARIABLE = "SENTO_PIN"
SECRET_MAX_BYTES = 1024

Ask = Callable[[str], str]
"""Shows a prompt, returns what was typed."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One secret's places. `missing`: the error when it is at none of them."""

    missing: Setup
    variable: str
    environ: Mapping[str, str]
    file: Path | None = None
    ask: Ask | None = None

    def get(self, what: str) -> bytes:
        """The secret for `what`, a file's or token's name; one line end after it is taken off. Raises SetupError `missing`, and what reading a secret file
        raises."""
        if self.file is not None:
            return self._checked(read_secret(self.file), f"{self.file} for {what}")
        if self.variable in self.environ:
            return self._checked(self.environ[self.variable].encode(), f"{self.variable} for {what}")
        if self.ask is not None:
            return self._checked(self.ask(what).encode(), what)
        raise SetupError(self.missing, what)

    def _checked(self, secret: bytes, where: str) -> bytes:
        secret = secret.removesuffix(b"\n").removesuffix(b"\r")
        if not secret:
            raise SetupError(self.missing, f"{where} is empty")
        if len(secret) > SECRET_MAX_BYTES or b"\0" in secret:
            raise SetupError(self.missing, f"{where} is not one line of at most {SECRET_MAX_BYTES} bytes")
        return secret


def passphrase_source(
    environ: Mapping[str, str], file: Path | None = None, ask: Ask | None = None
) -> SecretSource:
    """For encrypted key files."""
    return SecretSource(Setup.PASSPHRASE_MISSING, PASSPHRASE_VARIABLE, environ, file, ask)


def pin_source(environ: Mapping[str, str], file: Path | None = None, ask: Ask | None = None) -> SecretSource:
    """For a token."""
    return SecretSource(Setup.PIN_MISSING, PIN_VARIABLE, environ, file, ask)


NO_PASSPHRASE = passphrase_source({})
"""For files that are expected not to be encrypted."""
