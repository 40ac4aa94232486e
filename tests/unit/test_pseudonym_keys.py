"""Keys of the pseudonym service in both forms: the same names from a file and from a token, made once, sealed first, never given out."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from genesis_builder import build_genesis
from sento_client.cli.main import main
from sento_client.pseudonym_service.answering import answer_names, answer_tags, cost_of_names, cost_of_tags
from sento_client.pseudonym_service.config import TokenPlace, decode_service_config
from sento_client.pseudonym_service.key_file import make_keys, read_keys, write_keys
from sento_client.pseudonym_service.macs import KeyName, MacFailed, SoftwareMac, key_ids
from sento_client.pseudonym_service.recovery_seals import ENTRY_KINDS, read_seals, same_keys
from sento_client.secret_files import write_secret
from sento_client.setup_errors import Setup, SetupError
from sento_client.signers.passphrases import passphrase_source
from sento_proto.errors import Code, SentoError
from sento_proto.pseudonyms import KeyKind, fact_of, subject_of, tag_of
from sento_proto.recovery import registry_key_info
from sento_proto.seal import XWING_SECRET_BYTES, XWingOpener, open_seal, xwing_public
from sento_proto.v1 import common_pb2, pseudonyms_pb2

KEYS = make_keys(("residency", "tax"), lambda size: bytes(range(size)))
NUMBER = "123456789018"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL, PIN = "sento-test", "271828"


def names_request(**changed: object) -> pseudonyms_pb2.NamesRequest:
    facts = [pseudonyms_pb2.FactAsked(kind="health/prescription", natural_key="17")]
    fields = {
        "registry": "tax",
        "names": [
            pseudonyms_pb2.NameAsked(identifier=NUMBER, facts=facts * 2),
            pseudonyms_pb2.NameAsked(identifier="2"),
        ],
    }
    return pseudonyms_pb2.NamesRequest(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "genesis.json").write_bytes(build_genesis().genesis_bytes)
    return write_config(tmp_path, '[keys]\nfile = "keys.json"\n')


def write_config(directory: Path, keys: str) -> Path:
    path = directory / "pseudonyms.toml"
    path.write_text(
        'name = "iizuka"\ngenesis = "genesis.json"\n[listen]\naddress = "127.0.0.1:1"\n'
        '[tls]\nca = "ca.pem"\ncertificate = "s.pem"\nkey = "s.key"\n'
        f'{keys}[[allow]]\ninstitution = "iizuka-city"\nregistries = ["tax"]\n'
    )
    return path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--json", "pseudonyms", *arguments])
    return result.exit_code, result.output


# Names.


def test_answers_are_the_names_that_the_formulas_give() -> None:
    key = KEYS[KeyName("tax", KeyKind.PSEUDONYM)]
    request = names_request()
    assert cost_of_names(request) == 3
    first, second = answer_names(SoftwareMac(KEYS), request).names
    subject = subject_of(key, NUMBER)
    assert (first.subject, list(first.facts)) == (
        subject,
        [fact_of(key, subject, "health/dispense", "17")] * 2,
    )
    assert (second.subject, list(second.facts)) == (subject_of(key, "2"), [])
    tags = pseudonyms_pb2.TagsRequest(
        registry="tax", tags=[pseudonyms_pb2.TagAsked(name="kana-birth", fields=["ア", "1970"])]
    )
    assert cost_of_tags(tags) == 1
    index = KEYS[KeyName("tax", KeyKind.INDEX)]
    assert list(answer_tags(SoftwareMac(KEYS), tags).tags) == [tag_of(index, "kana-birth", ("ア", "1970"))]


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"names": []}, Code.BAD_REQUEST, "names is empty"),
        ({"names": [pseudonyms_pb2.NameAsked(identifier="1")] * 501}, Code.TOO_LARGE, "costs 501"),
        ({"names": [pseudonyms_pb2.NameAsked(identifier="")]}, Code.BAD_REQUEST, "names[0].identifier"),
        (
            {"names": [pseudonyms_pb2.NameAsked(identifier="8" * 257)]},
            Code.BAD_REQUEST,
            "names[0].identifier",
        ),
        (
            {"purpose": common_pb2.Purpose(purpose=f"for {NUMBER}")},
            Code.BAD_REQUEST,
            "purpose.purpose quotes",
        ),
        ({"purpose": common_pb2.Purpose(case_number=NUMBER)}, Code.BAD_REQUEST, "purpose.case_number quotes"),
        ({"purpose": common_pb2.Purpose(purpose="x" * 201)}, Code.BAD_REQUEST, "at most 200 characters"),
    ],
)
def test_call_out_of_bounds_is_refused_without_repeating_it(
    changed: dict[str, object], code: Code, words: str
) -> None:
    with pytest.raises(SentoError) as refused:
        cost_of_names(names_request(**changed))
    assert refused.value.code is code
    assert words in refused.value.detail
    assert NUMBER not in str(refused.value)
    assert "888" not in str(refused.value)


# Files.


def test_key_file_comes_back_and_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, KEYS)
    assert read_keys(path) == KEYS
    path.chmod(0o640)
    with pytest.raises(SetupError) as refused:
        read_keys(path)
    assert refused.value.code is Setup.KEY_FILE_OPEN


def test_encrypted_key_file_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    path, passphrase_file = tmp_path / "keys.json", tmp_path / "passphrase"
    write_keys(path, KEYS, b"a long passphrase")
    assert not [key for key in KEYS.values() if base64.b64encode(key) in path.read_bytes()]
    source = passphrase_source({}, passphrase_file)
    write_secret(passphrase_file, b"a long passphrase\n")
    assert read_keys(path, source) == KEYS
    write_secret(passphrase_file, b"another\n")
    with pytest.raises(SetupError) as refused:
        read_keys(path, source)
    assert refused.value.code is Setup.PASSPHRASE_WRONG
    with pytest.raises(SetupError) as refused:
        read_keys(path)
    assert refused.value.code is Setup.PASSPHRASE_MISSING


def test_key_ids_differ_by_key_kind_and_registry_and_show_no_key() -> None:
    same = dict.fromkeys(KEYS, bytes(32))
    ids = key_ids(SoftwareMac(same))
    assert len(set(ids.values())) == len(same)
    assert all(len(key_id) == 16 for key_id in ids.values())


def test_keys_are_made_sealed_shown_and_never_made_twice(config: Path) -> None:
    secret = bytes(XWING_SECRET_BYTES)
    recovery = config.parent / "recovery.json"
    recovery.write_text(json.dumps({"public_key": base64.b64encode(xwing_public(secret)).decode()}))
    made = ["keys", "make", "--service", str(config), "--registry", "tax", "--registry", "health"]
    code, output = run(*made, "--to", str(recovery), "--out", str(config.parent / "seals.json"))
    assert code == 0, output
    keys = read_keys(config.parent / "keys.json")
    assert not [key for key in keys.values() if base64.b64encode(key).decode() in output]
    ledger_id = build_genesis().ledger_id
    opened = {}
    for entry, key_id in read_seals(config.parent / "seals.json").entries:
        (kind,) = [kind for kind, entry_kind in ENTRY_KINDS.items() if entry_kind is entry.kind]
        info = registry_key_info(ledger_id, entry.kind, entry.name)
        key = opened[KeyName(entry.name, kind)] = open_seal(entry.seal, info, XWingOpener(secret))
        assert same_keys({KeyName(entry.name, kind): key}, {KeyName(entry.name, kind): key_id})
    assert opened == keys
    code, output = run(*made)
    assert (code, "can never be replaced" in output) == (1, True)
    assert read_keys(config.parent / "keys.json") == keys
    code, output = run(
        "seal", "--service", str(config), "--to", str(recovery), "--out", str(config.parent / "2")
    )
    assert (code, json.loads(output)["sealed"]) == (0, 4)
    code, output = run(
        "seal", "--service", str(config), "--to", str(recovery), "--out", str(config.parent / "2")
    )
    assert (code, "is there already" in output) == (1, True)


def test_all_mistakes_of_a_configuration_come_at_once() -> None:
    text = (
        'name = "Iizuka City"\ngenesis = "g"\n[listen]\naddress = "nowhere"\n[tls]\nca = "a"\ncertificate = "b"\nkey = "c"\n'
        '[keys]\nfile = "k"\n[token]\nmodule = "m"\nlabel = "l"\npin_file = "p"\n'
        '[[allow]]\ninstitution = "a"\nregistries = []\n[[allow]]\ninstitution = "a"\nregistries = ["tax"]\n'
        'names_per_minute = 0\n[[allow]]\ninstitution = "a"\nregistries = ["tax"]\n'
    )
    with pytest.raises(SetupError) as refused:
        decode_service_config(text.encode(), Path("/etc/pseudonyms.toml"))
    fields = [mistake.split(":")[0] for mistake in refused.value.details]
    assert fields == [
        "name",
        "listen.address",
        "keys",
        "allow[0].registries",
        "allow[1].names_per_minute",
        "allow",
    ]


# The token.


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenPlace:
    if not MODULE.exists():
        pytest.skip("SoftHSM2 is not installed: apt-get install softhsm2")
    settings = tmp_path / "softhsm2.conf"
    (tmp_path / "tokens").mkdir()
    settings.write_text(f"directories.tokendir = {tmp_path}/tokens\nobjectstore.backend = file\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    initialise = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        LABEL,
        "--pin",
        PIN,
        "--so-pin",
        "3141",
    ]
    subprocess.run(initialise, check=True, capture_output=True)
    pin_file = tmp_path / "pin"
    pin_file.touch(0o600)
    pin_file.write_text(f"{PIN}\n")
    return TokenPlace(MODULE, LABEL, pin_file)


TOKEN_PROGRAM = """
import sys, time
from pathlib import Path
from sento_client.pseudonym_service.config import TokenPlace
from sento_client.pseudonym_service.key_file import read_keys
from sento_client.pseudonym_service.macs import MacFailed, SoftwareMac, key_ids
from sento_client.pseudonym_service.token_mac import import_keys, open_token_mac
place = TokenPlace(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
keys = read_keys(Path(sys.argv[4]))
import_keys(place, keys)
try:
    import_keys(place, keys)
except MacFailed as error:
    print("again:", error)
mac, software = open_token_mac(place), SoftwareMac(keys)
print("same keys:", key_ids(mac) == key_ids(software))
for name in keys:
    assert mac.of(name, [b"1", b"", b"x" * 400]) == software.of(name, [b"1", b"", b"x" * 400])
handle = next(iter(mac._handles.values()))
from pkcs11 import Attribute
print("sensitive:", handle[Attribute.SENSITIVE], "extractable:", handle[Attribute.EXTRACTABLE])
try:
    handle[Attribute.VALUE]
except Exception as error:
    print("value:", type(error).__name__)
mac._session.close()
assert mac.of(name, [b"1"]) == software.of(name, [b"1"]), "a session that was lost is opened again"
mac.close()
Path(sys.argv[3]).write_text("000000")
try:
    open_token_mac(place)
except MacFailed as error:
    print("wrong PIN:", error)
"""


def test_token_gives_the_same_names_and_gives_no_key_out(token: TokenPlace, tmp_path: Path) -> None:
    """In a process of its own: a PKCS #11 library reads its settings once."""
    write_keys(tmp_path / "keys.json", KEYS)
    arguments = [str(token.module), token.label, str(token.pin_file), str(tmp_path / "keys.json")]
    done = subprocess.run(
        [sys.executable, "-c", TOKEN_PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "already; nothing was put into it" in lines["again"]
    assert lines["same keys"] == "True"
    assert lines["sensitive"] == "True extractable: False"
    assert lines["value"] == "AttributeSensitive"
    assert "PinIncorrect" in lines["wrong PIN"]


def test_keys_in_a_token_cannot_be_sealed_and_the_command_says_when_they_could_have_been(
    config: Path,
) -> None:
    write_config(config.parent, '[token]\nmodule = "m.so"\nlabel = "l"\npin_file = "p"\n')
    recovery = config.parent / "recovery.txt"
    recovery.write_text(base64.b64encode(xwing_public(bytes(XWING_SECRET_BYTES))).decode())
    code, output = run(
        "seal", "--service", str(config), "--to", str(recovery), "--out", str(config.parent / "o")
    )
    assert (code, "gives none out" in output, "keys make --to" in output) == (1, True, True)
    assert not (config.parent / "o").exists()


def test_library_that_is_none_is_said_to_be(tmp_path: Path) -> None:
    from sento_client.pseudonym_service.token_mac import open_token_mac

    pin_file = tmp_path / "pin"
    write_secret(pin_file, b"1234\n")
    with pytest.raises(MacFailed, match=r"no-such\.so"):
        open_token_mac(TokenPlace(tmp_path / "no-such.so", LABEL, pin_file))
