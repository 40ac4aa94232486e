"""Keys in a PKCS #11 token: generic secret keys that never leave it, MACs by CKM_SHA256_HMAC, imported once and found by label.

    label = "sento <pseudonym|index> <registry>"      sensitive, not extractable, may sign and verify and nothing else

A token that was gone and is back is opened again at the next call. One session serves one question at a time: the caller brings a thread of its own.

Source: PKCS #11 v3.0 (generic secret keys; SHA-256 HMAC).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error

from sento_client.pseudonym_service.config import TokenPlace
from sento_client.pseudonym_service.macs import KeyName, MacFailed
from sento_client.signers.passphrases import pin_source
from sento_proto.pseudonyms import KeyKind

_PREFIX = "sento"


class _TokenKey(Protocol):
    """What of a PKCS #11 key is used here."""

    @property
    def label(self) -> str: ...

    def sign(self, data: bytes, *, mechanism: Mechanism) -> bytes: ...


class TokenMac:
    """MACs by a token. Raises MacFailed when it cannot be opened or holds no key of ours."""

    form = "token"
    blocks = True

    def __init__(self, place: TokenPlace, pin: str) -> None:
        self._place = place
        self._pin = pin
        self._session: pkcs11.Session | None = None
        self._handles: dict[KeyName, _TokenKey] = {}
        self._open()
        self._keys = frozenset(self._handles)
        if not self._keys:
            raise MacFailed(
                f"token {place.label}: it holds no key of ours; make them with sento pseudonyms keys make"
            )

    @property
    def keys(self) -> frozenset[KeyName]:
        """The keys that the token held when it was first opened."""
        return self._keys

    def of(self, key: KeyName, messages: Sequence[bytes]) -> list[bytes]:
        """The MAC of each message. Raises KeyError, MacFailed."""
        if key not in self._keys:
            raise KeyError(key)
        try:
            return self._sign(key, messages)
        except PKCS11Error:
            # The token may have been away; a second failure is one.
            self._forget()
        self._open()
        try:
            return self._sign(key, messages)
        except PKCS11Error as error:
            raise MacFailed(f"token {self._place.label}: {_words(error)}") from None

    def close(self) -> None:
        """End the session."""
        self._forget()

    def _sign(self, key: KeyName, messages: Sequence[bytes]) -> list[bytes]:
        handle = self._handles.get(key)
        if handle is None:
            raise MacFailed(
                f"token {self._place.label}: the {key.kind.word} key of {key.registry} is no longer there"
            )
        return [handle.sign(message, mechanism=Mechanism.SHA256_HMAC) for message in messages]

    def _open(self) -> None:
        self._session = _open_session(self._place, self._pin, writes=False)
        try:
            self._handles = _find_keys(self._session)
        except PKCS11Error as error:
            raise MacFailed(f"token {self._place.label}: {_words(error)}") from None

    def _forget(self) -> None:
        session, self._session, self._handles = self._session, None, {}
        if session is not None:
            with contextlib.suppress(PKCS11Error):
                session.close()


def open_token_mac(place: TokenPlace) -> TokenMac:
    """The keys in that token. Raises SetupError for the PIN's file, MacFailed."""
    return TokenMac(place, read_pin(place))


def read_pin(place: TokenPlace) -> str:
    """The PIN in its file. Raises SetupError."""
    return pin_source({}, place.pin_file).get(f"token {place.label}").decode("utf-8", "replace")


def import_keys(place: TokenPlace, keys: Mapping[KeyName, bytes]) -> None:
    """Put keys into the token, from which they cannot be taken out again. Raises MacFailed, also when one of that name is there already."""
    session = _open_session(place, read_pin(place), writes=True)
    try:
        there = set(_find_keys(session)) & set(keys)
        if there:
            words = ", ".join(_label(name) for name in sorted(there))
            raise MacFailed(f"token {place.label}: it holds {words} already; nothing was put into it")
        for name, key in sorted(keys.items()):
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.SECRET_KEY,
                    Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                    Attribute.LABEL: _label(name),
                    Attribute.VALUE: key,
                    Attribute.TOKEN: True,
                    Attribute.PRIVATE: True,
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.SIGN: True,
                    Attribute.VERIFY: True,
                    Attribute.ENCRYPT: False,
                    Attribute.DECRYPT: False,
                    Attribute.WRAP: False,
                    Attribute.UNWRAP: False,
                    Attribute.DERIVE: False,
                }
            )
    except PKCS11Error as error:
        raise MacFailed(f"token {place.label}: {_words(error)}") from None
    finally:
        with contextlib.suppress(PKCS11Error):
            session.close()


def _open_session(place: TokenPlace, pin: str, *, writes: bool) -> pkcs11.Session:
    try:
        token = pkcs11.lib(str(place.module)).get_token(token_label=place.label)
        return token.open(rw=writes, user_pin=pin)
    except PKCS11Error as error:
        raise MacFailed(f"token {place.label}: {_words(error)}") from None
    except RuntimeError:
        raise MacFailed(f"token.module: {place.module} is no PKCS #11 library that can be loaded") from None


def _find_keys(session: pkcs11.Session) -> dict[KeyName, _TokenKey]:
    found: dict[KeyName, _TokenKey] = {}
    wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET}
    for item in session.get_objects(wanted):
        key = cast("_TokenKey", item)
        name = _name(key.label)
        if name is None:
            continue
        if name in found:
            raise MacFailed(f"the token holds two keys labelled {key.label}; which one is right is not known")
        found[name] = key
    return found


def _label(name: KeyName) -> str:
    return f"{_PREFIX} {name.kind.word} {name.registry}"


def _name(label: str) -> KeyName | None:
    words = {kind.word: kind for kind in KeyKind}
    prefix, _, rest = label.partition(" ")
    word, _, registry = rest.partition(" ")
    return KeyName(registry, words[word]) if prefix == _PREFIX and word in words and registry else None


def _words(error: PKCS11Error) -> str:
    """The class says what happened, as in PinIncorrect or TokenNotPresent; the general class has words of the system."""
    name = type(error).__name__
    return str(error) if type(error) is PKCS11Error else name
