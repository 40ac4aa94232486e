"""`sento-node check-config`: each mistake in the configuration, and in every file that it names, is explained by field and remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_drill import pki
from sento_drill.world import make_world
from sento_node.cli import EXIT_MISTAKE, main
from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.keyfile import read_signer
from sento_node.preflight import mistakes
from sento_proto.identity import Identity

SITE, OTHER = "jp-fukuoka", "jp-ishikawa"
NOW = pki.now_utc()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("config") / "world").directory


@pytest.fixture
def site(world: Path, tmp_path: Path) -> Path:
    """A copy of one site's directory, to spoil."""
    return Path(shutil.copytree(world / "sites" / SITE, tmp_path / SITE))


def check(site: Path) -> Result:
    return CliRunner().invoke(main, ["check-config", "--config", str(site / "node.toml")])


def edit(site: Path, pattern: str, replacement: str) -> None:
    path = site / "node.toml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert changed != text, "the edit found nothing to change"
    path.write_text(changed, encoding="utf-8")


def test_a_configuration_without_mistakes_is_said_to_be_usable(site: Path) -> None:
    result = check(site)
    assert (result.exit_code, SITE in result.output) == (0, True), result.output


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [
        (r"^site = .*", 'site = "Fukuoka!"', "site: must be 1 to 32 characters of a-z 0-9 -"),
        (r"^site = .*", "", "site: is missing"),
        (r"(?<=^\[metrics\]\n)address = .*", 'address = "9101"', "metrics.address: must be host:port"),
        (r"(?<=^\[metrics\]\n)address", "adress", "metrics.adress: is not a setting of this release"),
        (r"^site = .*", 'site = "jp-okinawa"', "site jp-okinawa is not in the genesis file"),
        (r"^data_dir", "data_dri", "data_dri: is not a setting of this release; check the spelling"),
        (r"^address = .*", 'address = "127.0.0.1"', "listen.address: must be host:port"),
        (r"^address = .*", 'address = "127.0.0.1:70000"', "listen.address: must be host:port"),
        (r"https://", "http://", "ordering.peer_url: must be an https:// URL"),
        (r"^engine = .*", 'engine = "raft"', "ordering.engine: Input should be 'etcd'"),
        (r"^heartbeat_ms = .*", "heartbeat_ms = 900", "election_ms must be at least five times"),
        (r"^lanes = .*", "lanes = 0", "ordering.lanes: Input should be greater than or equal to 1"),
        (r"^lanes = .*", "lanes =", "is not TOML"),
        (r'^name = "jp-ishikawa"', 'name = "jp-fukuoka"', "peers names this site itself"),
        (r'^name = "jp-ishikawa"', 'name = "jp-ibaraki"', "peers has one site twice"),
        (r'^name = "jp-ishikawa"', 'name = "jp-okinawa"', "site jp-okinawa is not in the genesis file"),
        (r"\[\[peers\]\][^\[]*", "", "peers lacks jp-ishikawa"),
        (r"^genesis = .*", 'genesis = "nowhere.json"', "nowhere.json cannot be read"),
        (r"^genesis = .*", 'genesis = "node.pem"', "node.pem is not usable"),
        (r"^signing_key = .*", 'signing_key = "nowhere.key"', "nowhere.key cannot be read"),
        (r"^signing_key = .*", 'signing_key = "node.key"', "is not an Ed25519 key"),
        (r"^ml_dsa_key = .*", "", "name an ML-DSA-44 key for"),
        (r"^ml_dsa_key = .*", 'ml_dsa_key = "site.key"', "site.key is not an ML-DSA-44 key"),
        (r"^ml_dsa_key = .*", 'ml_dsa_key = "nowhere.key"', "nowhere.key cannot be read"),
        (r'^ca = "node-ca.pem"', 'ca = "nowhere.pem"', "nowhere.pem cannot be read"),
        (r'^ca = "ordering-ca.pem"', 'ca = "genesis.json"', "ordering.ca"),
        (r'^key = "node.key"', 'key = "ordering.key"', "is not the key of the certificate"),
        (r'^key = "ordering.key"', 'key = "nowhere.key"', "ordering.key"),
    ],
)
def test_a_mistake_in_the_configuration_is_explained_by_its_field(
    site: Path, pattern: str, replacement: str, says: str
) -> None:
    edit(site, pattern, replacement)
    result = check(site)
    assert result.exit_code == EXIT_MISTAKE
    assert says in result.output


def test_metrics_are_not_served_where_the_node_listens_already(site: Path) -> None:
    listen = load_config(site / "node.toml").listen.address
    edit(site, r"(?<=^\[metrics\]\n)address = .*", f'address = "{listen}"')
    result = check(site)
    assert result.exit_code == EXIT_MISTAKE
    assert f"metrics.address is listen.address too ({listen})" in result.output


def test_without_a_metrics_table_there_are_none_and_that_is_no_mistake(site: Path) -> None:
    edit(site, r"^\[metrics\]\naddress = .*\n", "")
    assert check(site).exit_code == 0
    assert load_config(site / "node.toml").metrics is None


def test_all_mistakes_are_said_at_once(site: Path) -> None:
    edit(site, r"^lanes = .*", "lanes = 99")
    edit(site, r"^heartbeat_ms = .*", "heartbeat_ms = 1")
    edit(site, r"^data_dir", "data_dri")
    lines = check(site).output.splitlines()
    assert "has 4 mistake(s)" in lines[0]
    assert len(lines) == 5


def test_mistakes_in_several_files_are_said_at_once(site: Path) -> None:
    (site / "site.key").chmod(0o644)
    (site / "node.pem").write_bytes(b"nothing")
    (site / "ordering-ca.pem").unlink()
    assert len(check(site).output.splitlines()) == 3


def test_a_file_that_is_not_there_is_said_with_the_option_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigMistake, match="Pass --config"):
        load_config(tmp_path / "node.toml")


@pytest.mark.parametrize("key", ["site.key", "node.key", "ordering.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused_with_the_command_that_mends_it(
    site: Path, key: str, mode: int
) -> None:
    (site / key).chmod(mode)
    result = check(site)
    assert result.exit_code == EXIT_MISTAKE
    assert f"run: chmod 600 {site / key}" in result.output


def test_the_signing_key_of_another_site_is_refused(site: Path, world: Path) -> None:
    shutil.copy(world / "sites" / OTHER / "site.key", site / "site.key")
    result = check(site)
    assert result.exit_code == EXIT_MISTAKE
    assert f"is not the key that genesis file and acts name for {SITE}" in result.output


def test_what_a_key_file_holds_is_never_shown(site: Path) -> None:
    (site / "site.key").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ConfigMistake) as mistake:
        read_signer(site / "site.key")
    assert "c2VjcmV0" not in str(mistake.value)


def of_another_site(authority: pki.Authority) -> pki.KeyPair:
    return pki.issue_site(authority, OTHER, pki.Validity.around(NOW))


def of_a_client(authority: pki.Authority) -> pki.KeyPair:
    return pki.issue_client(authority, Identity("operator", "drill"), pki.Validity.around(NOW))


def expired(authority: pki.Authority) -> pki.KeyPair:
    return pki.issue_site(authority, SITE, pki.Validity.expired(NOW))


def without_its_server_name(authority: pki.Authority) -> pki.KeyPair:
    return pki.issue_client(authority, Identity("site", SITE), pki.Validity.around(NOW))


@pytest.mark.parametrize(
    ("issue", "says"),
    [
        (of_another_site, f"site/{OTHER}'s, not spiffe://sento.internal/site/{SITE}'s"),
        (of_a_client, "operator/drill's, not"),
        (expired, "issue a new one"),
        (without_its_server_name, "lacks the DNS name"),
    ],
)
def test_a_certificate_that_is_not_this_sites_or_not_valid_is_said(
    site: Path, issue: Callable[[pki.Authority], pki.KeyPair], says: str
) -> None:
    pair = issue(pki.Authority("test", pki.Validity.around(NOW)))
    (site / "node.pem").write_bytes(pair.certificate_pem)
    (site / "node.key").write_bytes(pair.key_pem)
    result = check(site)
    assert (result.exit_code, says in result.output) == (EXIT_MISTAKE, True), result.output


def test_a_certificate_is_judged_by_the_time_that_is_asked(site: Path) -> None:
    config = load_config(site / "node.toml")
    assert mistakes(config, NOW) == []
    (mistake,) = mistakes(config, NOW + timedelta(days=400))
    assert mistake.startswith("tls.certificate")


def test_a_training_ledger_is_refused_where_production_is_meant(site: Path) -> None:
    config = site / "node.toml"
    config.write_text('purpose = "production"\n' + config.read_text())
    result = check(site)
    assert result.exit_code == EXIT_MISTAKE
    assert "expected a production ledger, and the genesis file is of the TRAINING ledger" in result.output
    config.write_text(config.read_text().replace('purpose = "production"', 'purpose = "training"'))
    assert check(site).exit_code == 0
