"""From the section `keys` of the configuration to a signer and a seal opener, wherever the keys are: in files, or on a token that both share.

A passphrase is asked for only where a file is encrypted, and once for all files of the institution; the PIN only where the token holds a key that is named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from sento_client.config import KeyFiles
from sento_client.keyfiles import read_companion_key, read_seal_opener, read_signing_key
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import Ask, passphrase_source, pin_source
from sento_client.signers.pkcs11_module import module_at
from sento_client.signers.token import Token
from sento_client.signers.token_keys import TokenSealOpener, TokenSigner
from sento_proto.keys import Signer
from sento_proto.seal import SealOpener
from sento_proto.software_signers import HybridSigner


class KeySource:
    """Opens the keys that a configuration names. `ask`: asks a person for a passphrase or PIN, None where there is none; `environ`: the process's if not
    given."""

    def __init__(
        self, keys: KeyFiles, *, ask: Ask | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self._keys = keys
        self._ask = ask
        self._environ = os.environ if environ is None else environ
        self._passphrase = passphrase_source(self._environ, keys.passphrase_file, _once(ask))
        self._token: Token | None = None

    def signer(self) -> Signer | None:
        """The signer, with its companion where one is named; None for a client that only reads. Raises SetupError."""
        primary, companion = self.primary(), self.companion()
        return primary if primary is None or companion is None else HybridSigner(primary, companion)

    def primary(self) -> Signer | None:
        """The key that headers name. Raises SetupError."""
        token = self._keys.token
        if token is not None and token.key_label is not None:
            return TokenSigner(self._opened_token(), token.key_label)
        if self._keys.signing is None:
            return None
        return read_signing_key(self._keys.signing, self._passphrase)

    def companion(self) -> Signer | None:
        """Its companion, None where none is named. Raises SetupError."""
        path = self._keys.companion
        return None if path is None else read_companion_key(path, self._passphrase)

    def seal_opener(self) -> SealOpener:
        """What opens the seals made to this institution. Raises SetupError."""
        token = self._keys.token
        if token is not None and token.seal_label is not None:
            return TokenSealOpener(self._opened_token(), token.seal_label)
        if self._keys.seal is None:
            raise SetupError(Setup.CONFIG_INVALID, "keys.seal is missing")
        return read_seal_opener(self._keys.seal, self._passphrase)

    def _opened_token(self) -> Token:
        place = self._keys.token
        assert place is not None, "the caller has looked"
        if self._token is None:
            pin = pin_source(self._environ, place.pin_file, self._ask)
            self._token = Token(module_at(place.module.resolve()), place.token_label, pin)
        return self._token


def _once(ask: Ask | None) -> Ask | None:
    """The same answer whatever file it is for."""
    if ask is None:
        return None
    answers: list[str] = []

    def asked_once(what: str) -> str:
        if not answers:
            answers.append(ask(what))
        return answers[0]

    return asked_once
