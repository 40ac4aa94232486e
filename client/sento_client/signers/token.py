"""One token of a PKCS#11 module: found by its label, logged in once, found again after it was unplugged.

What it promises:

1. Work is done whole or not at all. When the token fails in the middle, what was begun is thrown away, the module is started anew, and the work is done
once more from
   its beginning; when that fails too, SetupError says what is the matter. Nothing is tried a third time.
2. A PIN that the token refused is never sent again by this object, and a token that says that one try is left is not given one: three wrong PINs lock most
tokens.
3. A token that comes back is used again by the next call; nobody restarts the program.
4. The login is the process's, not the session's: where this process is logged in to the token already, the PIN is not asked anew, so a wrong one goes
unnoticed until then.

Source: PKCS#11 v2.40, sections 6.7 (sessions), 5.6 (C_Login), CK_TOKEN_INFO flags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import SecretSource
from sento_client.signers.pkcs11_module import Pkcs11Module, check_binding

if TYPE_CHECKING:
    from pkcs11 import Key, PKCS11Error, PrivateKey, PublicKey, Session
    from pkcs11 import Token as Pkcs11Token

T = TypeVar("T")


class TokenTrouble(Exception):
    """What went wrong inside the module's thread; it may be over once the module is started anew."""

    def __init__(self, code: Setup, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


class OpenToken:
    """A session in which the user is logged in, and the keys found in it. Lives on the module's thread."""

    def __init__(self, session: Session, label: str) -> None:
        self.session = session
        self._label = label
        self._keys: dict[tuple[str, bool], Key] = {}

    def private_key(self, label: str) -> PrivateKey:
        """The private key of that label. Raises TokenTrouble TOKEN_KEY_MISSING."""
        from pkcs11 import PrivateKey

        key = self._key(label, private=True)
        if not isinstance(key, PrivateKey):
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{label} is no private key")
        return key

    def public_key(self, label: str) -> PublicKey:
        """The public key of that label. Raises TokenTrouble TOKEN_KEY_MISSING."""
        from pkcs11 import PublicKey

        key = self._key(label, private=False)
        if not isinstance(key, PublicKey):
            raise TokenTrouble(Setup.TOKEN_KEY_UNSUITED, f"{label} is no public key")
        return key

    def _key(self, label: str, *, private: bool) -> Key:
        from pkcs11 import Attribute, Key, ObjectClass

        if (label, private) not in self._keys:
            kind = ObjectClass.PRIVATE_KEY if private else ObjectClass.PUBLIC_KEY
            # To the end of the search: one that is left open blocks the session's next.
            found = list(self.session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label}))
            words = f"{'private' if private else 'public'} key {label} on token {self._label}"
            if len(found) != 1 or not isinstance(found[0], Key):
                count = "more than one" if found else "no"
                raise TokenTrouble(Setup.TOKEN_KEY_MISSING, f"there is {count} {words}")
            self._keys[label, private] = found[0]
        return self._keys[label, private]


class Token:
    """A token by its label. `use` is called from any thread."""

    def __init__(self, module: Pkcs11Module, label: str, pin: SecretSource) -> None:
        self._module = module
        self._label = label
        self._pin_source = pin
        self._pin: str | None = None
        self._pin_refused: tuple[Setup, str] | None = None
        self._open: OpenToken | None = None
        self._generation = -1

    @property
    def label(self) -> str:
        """What the configuration calls it."""
        return self._label

    def use(self, work: Callable[[OpenToken], T]) -> T:
        """What `work` makes of the logged-in token; it may be run twice. Raises SetupError, and what `work` raises itself."""
        if self._pin_refused is not None:
            raise SetupError(*self._pin_refused)
        if self._pin is None:
            # Asked of a person if need be, so not on the module's thread and its time limit.
            self._pin = self._pin_source.get(f"token {self._label}").decode("utf-8", "replace")
        return self._module.run(lambda: self._use(work))

    def _use(self, work: Callable[[OpenToken], T]) -> T:
        check_binding()
        from pkcs11 import PKCS11Error

        try:
            return work(self._ready())
        except (PKCS11Error, TokenTrouble):
            self._open = None
        try:
            self._module.restart()
        except PKCS11Error as error:
            raise SetupError(Setup.TOKEN_MISSING, self._not_found(error)) from None
        try:
            return work(self._ready())
        except TokenTrouble as trouble:
            self._open = None
            raise SetupError(trouble.code, trouble.detail) from None
        except PKCS11Error as error:
            self._open = None
            raise SetupError(Setup.TOKEN_FAILED, f"token {self._label}: {type(error).__name__}") from None

    def _ready(self) -> OpenToken:
        if self._open is None or self._generation != self._module.generation:
            self._open = OpenToken(self._log_in(self._find()), self._label)
            self._generation = self._module.generation
        return self._open

    def _find(self) -> Pkcs11Token:
        from pkcs11 import MultipleTokensReturned, NoSuchToken, PKCS11Error

        try:
            return self._module.library().get_token(token_label=self._label)
        except NoSuchToken:
            why = f"no token {self._label}"
        except MultipleTokensReturned:
            why = f"more than one token {self._label}"
        except PKCS11Error as error:
            raise TokenTrouble(Setup.TOKEN_MISSING, self._not_found(error)) from None
        raise TokenTrouble(Setup.TOKEN_MISSING, f"{why} in {self._module.path}")

    def _not_found(self, error: PKCS11Error) -> str:
        return f"token {self._label} was not found in {self._module.path}: {type(error).__name__}"

    def _log_in(self, token: Pkcs11Token) -> Session:
        from pkcs11 import PinIncorrect, PinInvalid, PinLenRange, PinLocked, TokenFlag, UserAlreadyLoggedIn

        if token.flags & TokenFlag.USER_PIN_LOCKED:
            raise self._refuse(Setup.PIN_LOCKED, "the token is locked")
        if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise self._refuse(
                Setup.PIN_LOCKED, "one try is left before it locks, and this program does not use it"
            )
        try:
            return token.open(user_pin=self._pin)
        except UserAlreadyLoggedIn:
            return token.open()
        except (PinIncorrect, PinInvalid, PinLenRange):
            raise self._refuse(Setup.PIN_WRONG, "the token refused it") from None
        except PinLocked:
            raise self._refuse(Setup.PIN_LOCKED, "the token is locked") from None

    def _refuse(self, code: Setup, why: str) -> SetupError:
        self._pin_refused = code, f"token {self._label}: {why}"
        return SetupError(*self._pin_refused)
