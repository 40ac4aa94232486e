"""A SoftHSM token of a test's own: in a temporary directory, found through SOFTHSM2_CONF, gone with the test.

The module is loaded once a process and reads SOFTHSM2_CONF when it is initialized, so each token finalizes it at its end; tests of one process run one
after the other, and those of others have processes of their own. `unplug` and `plug_in` move the token's directory away and back, which SoftHSM answers as
a real token does that is pulled out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sento_client.signers.passphrases import SecretSource, pin_source
from sento_client.signers.pkcs11_module import module_at
from sento_client.signers.token import Token

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL, PIN, SO_PIN = "sento-test", "1234", "87654321"


class SoftToken:
    """A token with a label, a PIN and no keys yet."""

    def __init__(self, directory: Path) -> None:
        self.module = MODULE.resolve()
        self._tokens = directory / "tokens"
        self._away = directory / "away"
        self._tokens.mkdir()
        self.configuration = directory / "softhsm2.conf"
        self.configuration.write_text(
            f"directories.tokendir = {self._tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.add(LABEL)

    def add(self, label: str) -> None:
        """One token more in the same reader."""
        environment = {**os.environ, "SOFTHSM2_CONF": str(self.configuration)}
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            label,
            "--pin",
            PIN,
            "--so-pin",
            SO_PIN,
        ]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def make_key(self, label: str, curve: str = "P-256", **usage: object) -> None:
        """A key pair on the token; `curve`: P-256, P-384 or Ed25519. `usage`: attributes of the private key by name, such as extractable=True."""
        from pkcs11 import Attribute, KeyType
        from pkcs11.util.ec import encode_named_curve_parameters

        kinds = {
            "P-256": (KeyType.EC, "secp256r1"),
            "P-384": (KeyType.EC, "secp384r1"),
            "Ed25519": (KeyType.EC_EDWARDS, "1.3.101.112"),
        }
        kind, name = kinds[curve]
        library = module_at(self.module).library()
        with library.get_token(token_label=LABEL).open(user_pin=PIN, rw=True) as session:
            parameters = session.create_domain_parameters(
                kind, {Attribute.EC_PARAMS: encode_named_curve_parameters(name)}, local=True
            )
            attributes = {Attribute[part.upper()]: value for part, value in usage.items()}
            parameters.generate_keypair(store=True, label=label, private_template=attributes)

    def forget_key(self, label: str) -> None:
        """Both halves of a key leave the token."""
        from pkcs11 import Attribute

        library = module_at(self.module).library()
        with library.get_token(token_label=LABEL).open(user_pin=PIN, rw=True) as session:
            for found in list(session.get_objects({Attribute.LABEL: label})):
                found.destroy()

    def token(self, pin: str = PIN, label: str = LABEL) -> Token:
        """As the client opens it."""
        return Token(module_at(self.module), label, pin_of(pin))

    def unplug(self) -> None:
        """Pull it out."""
        self._tokens.rename(self._away)

    def plug_in(self) -> None:
        """Put it back."""
        self._away.rename(self._tokens)


def pin_of(pin: str) -> SecretSource:
    """The PIN as the environment gives it."""
    return pin_source({"SENTO_PIN": pin})


@contextmanager
def soft_token(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    """A token for the time of a test. Skips the test where SoftHSM or python-pkcs11 is not installed."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'sento[token]'")
    if not MODULE.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed: apt-get install softhsm2")
    token = SoftToken(directory)
    monkeypatch.setenv("SOFTHSM2_CONF", str(token.configuration))
    module = module_at(token.module)
    module.run(module.library)
    try:
        yield token
    finally:
        module.run(module.stop)
