"""sento.toml: every mistake is named with its field, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sento_client.config import Limits, OutboxPlace, decode_config, load_config
from sento_client.setup_errors import Setup, SetupError

GOOD = """
genesis = "genesis.json"
institution = "iizuka-city"
[tls]
ca = "node-ca.pem"
certificate = "client.pem"
key = "/keys/client.key"
[keys]
signing = "signing.key"
seal = "seal.key"
kek_seals = "kek-seals.json"
pseudonyms = "pseudonyms.json"
[[sites]]
name = "jp-fukuoka"
address = "127.0.0.1:7101"
[[sites]]
name = "jp-ishikawa"
address = "[::1]:7111"
"""
PLACE = Path("/etc/sento/sento.toml")


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(SetupError) as refused:
        decode_config(text.encode(), PLACE)
    assert refused.value.code is Setup.CONFIG_INVALID
    return refused.value.details


def test_paths_are_relative_to_the_file_and_limits_have_defaults() -> None:
    config = decode_config(GOOD.encode(), PLACE)
    assert config.genesis == Path("/etc/sento/genesis.json")
    assert config.tls.key == Path("/keys/client.key")
    assert config.keys.signing == Path("/etc/sento/signing.key")
    assert [(site.name, site.address) for site in config.sites] == [
        ("jp-fukuoka", "127.0.0.1:7101"),
        ("jp-ishikawa", "[::1]:7111"),
    ]
    assert config.limits == Limits(deadline_ms=30_000, linger_ms=20, in_flight=16)


def test_reader_has_no_signing_key() -> None:
    assert decode_config(GOOD.replace('signing = "signing.key"\n', "").encode(), PLACE).keys.signing is None


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('genesis = "genesis.json"\n', "", "genesis: expected a path; it is missing"),
        ('"genesis.json"', "7", "genesis: expected a path; it is empty or not text"),
        ('"iizuka-city"', '"Iizuka City"', "institution: expected 1 to 32 characters of a-z 0-9 -"),
        ('ca = "node-ca.pem"\n', "", "tls.ca: expected a path; it is missing"),
        ('seal = "seal.key"', 'seal = ""', "keys.seal: expected a path; it is empty or not text"),
        ("signing =", "singing =", "keys.singing: not known to this release; check its spelling"),
        ("127.0.0.1:7101", "127.0.0.1", 'sites[0].address: expected "host:port" with a port from 1 to 65535'),
        ("[::1]:7111", "[::1]:70000", 'sites[1].address: expected "host:port" with a port from 1 to 65535'),
        ("jp-ishikawa", "jp-fukuoka", "sites: one site stands twice; each has one entry"),
        (
            "[tls]",
            "[limits]\nlinger_ms = -1\n[tls]",
            "limits.linger_ms: expected a whole number from 0 to 1000",
        ),
        (
            "[tls]",
            "[limits]\nin_flight = true\n[tls]",
            "limits.in_flight: expected a whole number from 1 to 256",
        ),
        (
            "[tls]",
            "[limits]\ndeadline = 3\n[tls]",
            "limits.deadline: not known to this release; check its spelling",
        ),
    ],
)
def test_mistake_is_named_with_its_field_and_what_is_expected(old: str, new: str, mistake: str) -> None:
    assert old in GOOD
    assert mistakes(GOOD.replace(old, new)) == (mistake,)


def test_all_mistakes_come_at_once() -> None:
    found = mistakes('institution = "X"\n[tls]\nca = 1\n[[sites]]\nname = "a"\naddress = "b"\n')
    assert [line.partition(":")[0] for line in found] == [
        "genesis",
        "institution",
        "tls.ca",
        "tls.certificate",
        "tls.key",
        "keys",
        "sites[0].address",
    ]


def test_missing_sections_are_asked_for_as_sections() -> None:
    assert mistakes('genesis = "g"\ninstitution = "i"\ntls = 3\nsites = []\n') == (
        "tls: expected a section [tls]; it is not a table",
        "keys: expected a section [keys]; it is missing",
        "sites: expected at least one section [[sites]]",
    )


def test_text_that_is_not_toml_says_where() -> None:
    (line,) = mistakes("genesis = \n[tls]\n")
    assert "/etc/sento/sento.toml" in line
    assert "line 1" in line


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as refused:
        load_config(tmp_path / "sento.toml")
    assert refused.value.code is Setup.CONFIG_MISSING
    assert "sento.toml" in str(refused.value)


def test_outbox_has_defaults_beside_the_file_and_may_be_moved_or_switched_off() -> None:
    def outbox_of(section: str) -> OutboxPlace | None:
        return decode_config((GOOD + section).encode(), PLACE).outbox

    assert outbox_of("") == OutboxPlace(Path("/etc/sento/outbox"), 256 * 1024 * 1024)
    moved = outbox_of('[outbox]\ndirectory = "/var/lib/outbox"\nmax_mib = 2\n')
    assert moved == OutboxPlace(Path("/var/lib/outbox"), 2 * 1024 * 1024)
    assert outbox_of("[outbox]\nenabled = false\n") is None


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("max_mib = 0", "outbox.max_mib: expected a whole number from 1 to 1048576"),
        ('enabled = "no"', "outbox.enabled: expected true or false"),
        ('directory = ""', "outbox.directory: expected a path; it is empty or not text"),
        ('path = "x"', "outbox.path: not known to this release; check its spelling"),
    ],
)
def test_mistake_in_the_outbox_is_named(line: str, mistake: str) -> None:
    assert mistakes(f"{GOOD}[outbox]\n{line}\n") == (mistake,)


SERVICE = '[pseudonyms]\nname = "iizuka"\naddress = "127.0.0.1:7301"\n'
KEY_FILE = 'pseudonyms = "pseudonyms.json"\n'


def test_program_that_asks_the_pseudonym_service_has_no_key_file() -> None:
    config = decode_config((GOOD.replace(KEY_FILE, "") + SERVICE).encode(), PLACE)
    assert config.keys.pseudonyms is None
    assert config.pseudonym_service is not None
    assert (config.pseudonym_service.name, config.pseudonym_service.address) == ("iizuka", "127.0.0.1:7301")
    (mistake,) = mistakes(GOOD + SERVICE)
    assert mistake.startswith("keys.pseudonyms: not beside a section [pseudonyms]")
    (mistake,) = mistakes(GOOD.replace(KEY_FILE, ""))
    assert mistake == "keys.pseudonyms: expected a path; it is missing"
