"""Keys on a real token (SoftHSM): they sign and open as software keys do, and a token in trouble makes an error in words and never half a signature."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from golden_vectors.ground import digest
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.pkcs11_module import OneThread, Pkcs11Module, module_at
from sento_client.signers.token import OpenToken, Token
from sento_client.signers.token_keys import TokenSealOpener, TokenSigner
from sento_proto.kek_seal import KekName, open_kek, seal_kek
from sento_proto.keys import Suite, is_blocking, verifies
from sento_proto.sealing import CannotOpen
from sento_proto.suites.ecdsa_p256 import ORDER
from softhsm import LABEL, SoftToken, pin_of, soft_token

MESSAGE, KEK = b"message", digest("kek")
NAME = KekName(digest("ledger"), "iizuka-city", "health", "", 1)


@pytest.fixture
def soft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    with soft_token(tmp_path, monkeypatch) as token:
        yield token


def refusal(work: Callable[[], object]) -> SetupError:
    with pytest.raises(SetupError) as refused:
        work()
    return refused.value


@pytest.mark.parametrize(("curve", "suite"), [("P-256", Suite.ECDSA_P256), ("Ed25519", Suite.ED25519)])
def test_what_a_token_signs_counts(soft: SoftToken, curve: str, suite: Suite) -> None:
    soft.make_key("sign", curve)
    signer = TokenSigner(soft.token(), "sign")
    assert signer.public_key.suite == suite
    assert is_blocking(signer)
    for n in range(8):
        message = b"%d" % n
        signature = signer.sign(message)
        assert verifies(signer.public_key, signature, message)
        assert not verifies(signer.public_key, signature, message + b".")
        assert suite == Suite.ED25519 or int.from_bytes(signature.data[32:], "big") <= ORDER // 2


def test_a_seal_to_a_key_on_a_token_opens_there_and_for_its_purpose_alone(soft: SoftToken) -> None:
    soft.make_key("seal")
    opener = TokenSealOpener(soft.token(), "seal")
    assert is_blocking(opener)
    sealed = seal_kek(KEK, NAME, opener.public_key)
    assert open_kek(sealed, NAME, opener) == KEK
    other = KekName(NAME.ledger_id, "kaga-city", "health", "", 1)
    with pytest.raises(CannotOpen, match="another author"):
        open_kek(sealed, other, opener)


def test_opening_seals_leaves_nothing_on_the_token(soft: SoftToken) -> None:
    soft.make_key("seal")
    token = soft.token()
    opener = TokenSealOpener(token, "seal")

    def count(opened: OpenToken) -> int:
        return len(list(opened.session.get_objects()))

    before = token.use(count)
    for _ in range(5):
        open_kek(seal_kek(KEK, NAME, opener.public_key), NAME, opener)
    assert token.use(count) == before == 2


def test_a_signer_and_an_opener_share_one_login(soft: SoftToken) -> None:
    soft.make_key("sign", "Ed25519")
    soft.make_key("seal")
    token = soft.token()
    signer, opener = TokenSigner(token, "sign"), TokenSealOpener(token, "seal")
    second = TokenSigner(soft.token(), "sign")
    assert open_kek(seal_kek(KEK, NAME, opener.public_key), NAME, opener) == KEK
    assert signer.sign(MESSAGE) == second.sign(MESSAGE)


def test_wrong_pin_is_said_and_not_sent_again(soft: SoftToken) -> None:
    soft.make_key("sign")
    token = soft.token(pin="9999")
    tries: list[str] = []
    original = token._log_in

    def counted(found: object) -> object:
        tries.append("try")
        return original(found)  # type: ignore[arg-type]

    token._log_in = counted  # type: ignore[method-assign, assignment]
    for _ in range(5):
        error = refusal(lambda: TokenSigner(token, "sign"))
        assert error.code is Setup.PIN_WRONG
        assert "9999" not in str(error)
    assert tries == ["try"]
    assert TokenSigner(soft.token(), "sign").sign(MESSAGE).data


def test_no_pin_anywhere_is_said_before_the_token_is_asked(soft: SoftToken) -> None:
    from sento_client.signers.passphrases import pin_source

    token = Token(module_at(soft.module), LABEL, pin_source({}))
    assert refusal(lambda: TokenSigner(token, "sign")).code is Setup.PIN_MISSING


class Flagged:
    """A token that says how near it is to being locked."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.logins = 0

    def open(self, **_: object) -> None:
        self.logins += 1


def test_the_last_try_for_a_pin_is_not_used(soft: SoftToken) -> None:
    from pkcs11 import TokenFlag

    for flag in (TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED):
        token, flagged = soft.token(), Flagged(flag)
        token._find = lambda found=flagged: found  # type: ignore[method-assign, misc]
        error = refusal(lambda t=token: t.use(lambda _: None))  # type: ignore[misc]
        assert (error.code, flagged.logins) == (Setup.PIN_LOCKED, 0)


@pytest.mark.parametrize("curve", ["P-256", "Ed25519"])
def test_token_pulled_out_between_two_signatures(soft: SoftToken, curve: str) -> None:
    soft.make_key("sign", curve)
    signer = TokenSigner(soft.token(), "sign")
    signer.sign(MESSAGE)
    soft.unplug()
    for _ in range(2):
        error = refusal(lambda: signer.sign(MESSAGE))
        assert error.code is Setup.TOKEN_MISSING
    soft.plug_in()
    assert verifies(signer.public_key, signer.sign(MESSAGE), MESSAGE)


def test_token_pulled_out_before_a_seal_is_opened(soft: SoftToken) -> None:
    soft.make_key("seal")
    opener = TokenSealOpener(soft.token(), "seal")
    sealed = seal_kek(KEK, NAME, opener.public_key)
    soft.unplug()
    assert refusal(lambda: open_kek(sealed, NAME, opener)).code is Setup.TOKEN_MISSING
    soft.plug_in()
    assert open_kek(sealed, NAME, opener) == KEK


def test_token_pulled_out_and_put_back_while_a_signature_is_made(soft: SoftToken) -> None:
    """The first attempt fails half way; the second is made from the beginning, after a new login."""
    soft.make_key("sign")
    token = soft.token()
    signer = TokenSigner(token, "sign")
    attempts: list[int] = []

    def pulled_out_once(opened: OpenToken) -> bytes:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            soft.unplug()
            try:
                return signer._sign(opened, MESSAGE)
            finally:
                soft.plug_in()
        return signer._sign(opened, MESSAGE)

    assert len(token.use(pulled_out_once)) == 64
    assert attempts == [0, 1]


def test_sessions_closed_by_another_program_part_are_opened_again(soft: SoftToken) -> None:
    soft.make_key("sign")
    signer = TokenSigner(soft.token(), "sign")
    module = module_at(soft.module)
    module.run(module.stop)
    assert verifies(signer.public_key, signer.sign(MESSAGE), MESSAGE)


def test_a_token_plugged_in_after_the_program_started_is_found(soft: SoftToken) -> None:
    soft.make_key("sign")
    token = soft.token()
    soft.unplug()
    assert refusal(lambda: TokenSigner(token, "sign")).code is Setup.TOKEN_MISSING
    soft.plug_in()
    assert TokenSigner(token, "sign").sign(MESSAGE).data


def test_missing_token_and_missing_key_are_told_apart(soft: SoftToken) -> None:
    soft.make_key("sign")
    assert refusal(lambda: TokenSigner(soft.token(label="other"), "sign")).code is Setup.TOKEN_MISSING
    error = refusal(lambda: TokenSigner(soft.token(), "other"))
    assert (error.code, "other" in str(error)) == (Setup.TOKEN_KEY_MISSING, True)


def test_two_keys_or_two_tokens_of_one_label_are_not_guessed_at(soft: SoftToken) -> None:
    soft.make_key("sign")
    soft.make_key("sign")
    error = refusal(lambda: TokenSigner(soft.token(), "sign"))
    assert (error.code, "more than one" in str(error)) == (Setup.TOKEN_KEY_MISSING, True)
    soft.add(LABEL)
    module_at(soft.module).run(module_at(soft.module).restart)
    error = refusal(lambda: TokenSigner(soft.token(), "sign"))
    assert (error.code, "more than one" in str(error)) == (Setup.TOKEN_MISSING, True)


def test_a_key_that_was_replaced_under_its_label_signs_nothing(soft: SoftToken) -> None:
    soft.make_key("sign")
    signer = TokenSigner(soft.token(), "sign")
    module = module_at(soft.module)
    module.run(module.stop)
    soft.forget_key("sign")
    soft.make_key("sign")
    module.run(module.stop)
    error = refusal(lambda: signer.sign(MESSAGE))
    assert (error.code, "does not verify" in str(error)) == (Setup.TOKEN_FAILED, True)


@pytest.mark.parametrize(
    ("curve", "usage", "words"),
    [
        ("P-256", {"extractable": True}, "read out"),
        ("P-256", {"sensitive": False}, "read out"),
        ("P-384", {}, "neither"),
    ],
    ids=["extractable", "not sensitive", "another curve"],
)
def test_key_that_cannot_be_used_is_refused(
    soft: SoftToken, curve: str, usage: dict[str, object], words: str
) -> None:
    soft.make_key("sign", curve, **usage)
    for kind in (TokenSigner, TokenSealOpener):
        error = refusal(lambda k=kind: k(soft.token(), "sign"))  # type: ignore[misc]
        assert (error.code, words in str(error)) == (Setup.TOKEN_KEY_UNSUITED, True)


def test_seals_are_not_opened_with_an_ed25519_key(soft: SoftToken) -> None:
    soft.make_key("sign", "Ed25519")
    assert refusal(lambda: TokenSealOpener(soft.token(), "sign")).code is Setup.TOKEN_KEY_UNSUITED


@pytest.mark.parametrize(
    "usage", [{"sign": False}, {"derive": False}], ids=["not for signing", "not for ECDH"]
)
def test_key_with_another_purpose_is_refused(soft: SoftToken, usage: dict[str, object]) -> None:
    soft.make_key("key", "P-256", **usage)
    if "sign" in usage:
        signer = TokenSigner(soft.token(), "key")
        assert refusal(lambda: signer.sign(MESSAGE)).code is Setup.TOKEN_KEY_UNSUITED
    else:
        opener = TokenSealOpener(soft.token(), "key")
        sealed = seal_kek(KEK, NAME, opener.public_key)
        assert refusal(lambda: open_kek(sealed, NAME, opener)).code is Setup.TOKEN_KEY_UNSUITED


def test_module_that_is_not_there_or_is_none_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: pip install 'sento[token]'")
    other = tmp_path / "other.so"
    other.write_bytes(b"no library")
    for path in (tmp_path / "missing.so", other):
        token = Token(Pkcs11Module(path), LABEL, pin_of("1234"))
        assert refusal(lambda t=token: t.use(lambda _: None)).code is Setup.TOKEN_MODULE_MISSING  # type: ignore[misc]


def test_without_the_extra_the_remedy_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    token = Token(Pkcs11Module(Path("any.so")), LABEL, pin_of("1234"))
    error = refusal(lambda: token.use(lambda _: None))
    assert (error.code, "sento[token]" in str(error)) == (Setup.TOKEN_MODULE_MISSING, True)


def test_a_module_that_does_not_come_back_stops_nobody() -> None:
    release, thread = threading.Event(), OneThread("module", limit_s=0.05)
    assert refusal(lambda: thread.run(release.wait)).code is Setup.TOKEN_SILENT
    error = refusal(lambda: thread.run(lambda: "never run"))
    assert "earlier call" in str(error)
    release.set()
    while thread._is_stuck():
        pass
    assert thread.run(lambda: "again") == "again"


def test_what_fails_on_the_modules_thread_is_raised_where_it_was_asked() -> None:
    def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        OneThread("module").run(fail)
