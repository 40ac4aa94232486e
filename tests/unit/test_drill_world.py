"""A development world on disk: complete, readable by those who need it, closed to everybody else."""

from __future__ import annotations

import stat
import tomllib
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
from cryptography import x509

from sento_client import keyfiles
from sento_client.config import load_config
from sento_client.governing.place import open_place
from sento_client.keyring import Keyring
from sento_client.setup_errors import Setup, SetupError
from sento_drill.municipality import SCOPES
from sento_drill.places import EVERYWHERE, PLACES, place_of
from sento_drill.plan import FIVE_SITES, OFFICERS, OFFICERS_THRESHOLD, PREPARED, TIE_BREAKER_WORLD, WorldPlan
from sento_drill.ports import SitePorts
from sento_drill.world import NoWorld, World, make_world, open_world
from sento_proto.genesis import decode_genesis

NOW = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("drill") / "world", now=NOW)


def keyring_of(world: World, institution: str) -> Keyring:
    keys = load_config(world.institution(institution).config).keys
    assert keys.pseudonyms is not None
    assert keys.seal is not None
    assert keys.kek_seals is not None
    return Keyring(
        world.genesis.ledger_id,
        keyfiles.read_seal_opener(keys.seal),
        keyfiles.read_kek_seals(keys.kek_seals),
        keyfiles.read_pseudonyms(keys.pseudonyms),
    )


def test_genesis_decodes_and_everybody_has_the_same_bytes(world: World) -> None:
    data = (world.directory / "genesis.json").read_bytes()
    genesis = decode_genesis(data)
    assert genesis.purpose == "training"
    assert genesis.voting_sites == ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
    assert (genesis.receipt_set.sites, genesis.receipt_set.quorum) == (genesis.voting_sites, 2)
    assert (tuple(genesis.officers.keys), genesis.officers.threshold) == (OFFICERS, OFFICERS_THRESHOLD)
    copies = list(world.directory.rglob("genesis.json"))
    assert len(copies) == 1 + 3 + 5 + 1 + 2 * len(OFFICERS)
    assert {copy.read_bytes() for copy in copies} == {data}


def test_no_two_sites_share_a_hazard_a_grid_or_a_carrier() -> None:
    for one, other in combinations(EVERYWHERE, 2):
        assert one.region != other.region
        assert not {one.hazard_zone, one.power, one.carrier, one.provider} & {
            other.hazard_zone,
            other.power,
            other.carrier,
            other.provider,
        }
    with pytest.raises(KeyError, match="jp-fukuoka, jp-ishikawa, jp-ibaraki, lu-betzdorf, tw-taipei"):
        place_of("jp-atlantis")


def test_directories_are_their_owners_and_key_files_too(world: World) -> None:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in world.directory.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    secret = {"kek-seals.json", "pseudonyms.json"}
    keys = {path: mode for path, mode in modes.items() if path.suffix == ".key" or path.name in secret}
    assert len(keys) == 3 * 4 + 2 * 5 + 3 * 4 + 1 + 3 * 2 * len(OFFICERS)
    assert set(keys.values()) == {0o600}


def test_signing_keys_are_the_ones_that_genesis_names(world: World) -> None:
    genesis = world.genesis
    for site in genesis.sites:
        file = world.sites_directory / site.name / "site.key"
        assert keyfiles.read_signing_key(file).public_key == site.key
    for author in genesis.authors:
        signing = load_config(world.institution(author.name).config).keys.signing
        assert signing is not None
        assert (keyfiles.read_signing_key(signing).public_key,) == author.keys
    for officer, key in genesis.officers.keys.items():
        assert open_place(world.officer(officer).config).signer().public_key == key
        deputy = genesis.officers.people[officer].deputy
        assert deputy is not None
        assert open_place(world.officer(deputy.name).config).signer().public_key == deputy.key


def test_each_author_may_write_and_open_every_scope_of_the_municipality(world: World) -> None:
    for scope in SCOPES:
        author = next(author for author in world.genesis.authors if author.name == scope.author)
        assert any(mine.covers(scope.registry, scope.compartment) for mine in author.may_write)
        keyring = keyring_of(world, scope.author)
        assert len(keyring.kek_for(scope.author, scope.registry, scope.compartment, 1)) == 32
        assert len(keyring.subject(scope.registry, "a number")) == 32


def test_medical_team_opens_health_of_both_authors_and_nothing_else(world: World) -> None:
    team = keyring_of(world, "disaster-medical-team")
    for author, compartment in (("iizuka-hospital", "prescription"), ("iizuka-city", "coverage")):
        kek = keyring_of(world, author).kek_for(author, "health", compartment, 1)
        assert team.kek_for(author, "health", compartment, 1) == kek
    with pytest.raises(SetupError) as refused:
        team.kek_for("iizuka-city", "tax", "income", 1)
    assert refused.value.code is Setup.NO_KEK


def test_hospital_does_not_open_what_the_city_writes_in_the_same_registry(world: World) -> None:
    with pytest.raises(SetupError):
        keyring_of(world, "iizuka-hospital").kek_for("iizuka-city", "health", "coverage", 1)


def test_auditor_opens_nothing_and_names_nobody(world: World) -> None:
    auditor = keyring_of(world, "auditor-board")
    for scope in SCOPES:
        with pytest.raises(SetupError):
            auditor.kek_for(scope.author, scope.registry, scope.compartment, 1)
        with pytest.raises(SetupError):
            auditor.subject(scope.registry, "a number")


def test_pseudonym_keys_agree_between_institutions_and_differ_between_registries(world: World) -> None:
    city, team = keyring_of(world, "iizuka-city"), keyring_of(world, "disaster-medical-team")
    assert city.subject("health", "a number") == team.subject("health", "a number")
    assert city.subject("health", "a number") != city.subject("tax", "a number")


def test_node_configuration_names_files_that_exist_and_the_other_sites_as_they_listen(world: World) -> None:
    configs = {site.name: tomllib.loads(site.config.read_text(encoding="utf-8")) for site in world.sites}
    for site in world.sites:
        config = configs[site.name]
        files = [config["genesis"], config["signing_key"]]
        files += [
            config[table][name] for table in ("tls", "ordering") for name in ("ca", "certificate", "key")
        ]
        assert all((site.directory / file).is_file() for file in files)
        assert config["listen"]["address"] == site.address
        assert {peer["name"] for peer in config["peers"]} == set(configs) - {site.name}
        for peer in config["peers"]:
            theirs = configs[peer["name"]]
            assert peer["address"] == theirs["listen"]["address"]
            assert peer["ordering_peer_url"] == theirs["ordering"]["peer_url"]
    ports = {config["listen"]["address"] for config in configs.values()}
    ports |= {config["ordering"]["peer_url"].removeprefix("https://") for config in configs.values()}
    assert len(ports) == 6


def test_client_configuration_names_every_site(world: World) -> None:
    for name in ("iizuka-city", "iizuka-hospital", "disaster-medical-team", "auditor-board", "read-log-desk"):
        config = load_config(world.institution(name).config)
        assert config.institution == name
        assert [(site.name, site.address) for site in config.sites] == [
            (site.name, site.address) for site in world.sites
        ]


def test_ordering_trusts_another_authority_than_grpc(world: World) -> None:
    for site in world.sites:
        for certificate, own, other in (
            ("ordering.pem", "ordering-ca.pem", "node-ca.pem"),
            ("node.pem", "node-ca.pem", "ordering-ca.pem"),
        ):
            leaf = x509.load_pem_x509_certificate((site.directory / certificate).read_bytes())
            authority = x509.load_pem_x509_certificate((site.directory / own).read_bytes())
            stranger = x509.load_pem_x509_certificate((site.directory / other).read_bytes())
            leaf.verify_directly_issued_by(authority)
            with pytest.raises(ValueError, match="subject does not match"):
                leaf.verify_directly_issued_by(stranger)


def test_fixed_base_port_gives_the_ports_of_the_documents(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", now=NOW, base_port=7100)
    assert [site.address for site in world.sites] == ["127.0.0.1:7101", "127.0.0.1:7111", "127.0.0.1:7121"]


def test_two_worlds_share_no_key_and_no_ledger(world: World, tmp_path: Path) -> None:
    other = make_world(tmp_path / "world", now=NOW)
    assert other.genesis.ledger_id != world.genesis.ledger_id
    keys = {key.key_id for author in world.genesis.authors for key in author.keys}
    assert keys.isdisjoint(key.key_id for author in other.genesis.authors for key in author.keys)


def test_a_single_site_is_a_world_with_a_quorum_of_one(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", WorldPlan(sites=PLACES[:1]), now=NOW)
    assert world.genesis.receipt_set.quorum == 1
    assert "peers" not in tomllib.loads(world.sites[0].config.read_text(encoding="utf-8"))


def test_embassies_hold_copies_and_have_no_vote_no_member_and_nothing_of_the_ordering_authority(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "world", FIVE_SITES, now=NOW)
    voting = tuple(place.site for place in PLACES)
    embassies = {"lu-betzdorf": "LU", "tw-taipei": "TW"}
    assert world.genesis.voting_sites == voting
    assert (world.genesis.receipt_set.sites, world.genesis.receipt_set.quorum) == (voting, 2)
    assert {site.name: site.country for site in world.genesis.sites if not site.votes} == embassies
    for site in world.sites:
        config = tomllib.loads(site.config.read_text(encoding="utf-8"))
        members = {peer["name"] for peer in config["peers"] if "ordering_peer_url" in peer}
        assert len(config["peers"]) == 4
        assert members == set(voting) - {site.name}
        assert ("ordering" in config) == (site.name in voting)
        assert bool(list(site.directory.glob("ordering*"))) == (site.name in voting)
        assert (site.directory / "node.pem").is_file()


def test_a_prepared_embassy_has_a_place_for_a_member_and_its_certificates_lie_in_the_safe(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "world", PREPARED, now=NOW)
    embassy = next(site for site in world.sites if site.name == "tw-taipei")
    config = tomllib.loads(embassy.config.read_text(encoding="utf-8"))
    enrolled = next(site for site in world.genesis.sites if site.name == "tw-taipei")
    assert (enrolled.votes, enrolled.ordering_url) == (False, config["ordering"]["peer_url"])
    assert not list(embassy.directory.glob("ordering*"))
    authorities = []
    for epoch in (0, 1):
        world.hand_over_certificates("tw-taipei", epoch)
        named = [
            config["ordering"][name].format(epoch=f"{epoch:04d}") for name in ("ca", "certificate", "key")
        ]
        ca, certificate, key = (embassy.directory / name for name in named)
        authorities.append(x509.load_pem_x509_certificate(ca.read_bytes()))
        x509.load_pem_x509_certificate(certificate.read_bytes()).verify_directly_issued_by(authorities[-1])
        assert key.stat().st_mode & 0o077 == 0
    assert authorities[0] != authorities[1]
    assert not (tmp_path / "world" / "safe" / "epoch-0000" / "jp-fukuoka").exists()


def test_with_a_tie_breaker_receipts_count_on_the_embassy_and_never_on_the_tie_breaker(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "world", TIE_BREAKER_WORLD, now=NOW)
    assert world.genesis.voting_sites == ("jp-fukuoka", "jp-ishikawa", "jp-ibaraki")
    assert world.genesis.receipt_set.sites == ("jp-fukuoka", "jp-ishikawa", "lu-betzdorf")
    assert world.genesis.receipt_set.quorum == 2
    assert [site.name for site in world.genesis.sites if not site.ledger] == ["jp-ibaraki"]


def test_a_site_on_a_link_listens_everywhere_and_only_its_peers_dial_it_there(tmp_path: Path) -> None:
    ports = {
        "jp-fukuoka": SitePorts(7101, 7102, 7103, host="10.77.0.1"),
        "jp-ishikawa": SitePorts(7111, 7112, 7113),
    }
    world = make_world(tmp_path / "world", WorldPlan(sites=PLACES[:2]), now=NOW, ports=ports)
    there, here = (tomllib.loads(site.config.read_text(encoding="utf-8")) for site in world.sites)
    assert there["listen"]["address"] == "0.0.0.0:7101"
    assert there["ordering"]["peer_url"] == "https://10.77.0.1:7102"
    assert here["peers"][0]["address"] == "10.77.0.1:7101"
    assert here["listen"]["address"] == "127.0.0.1:7111"
    assert there["peers"][0]["address"] == "127.0.0.1:7111"
    assert world.sites[0].address == "127.0.0.1:7101"
    clients = load_config(world.institution("iizuka-city").config).sites
    assert [site.address for site in clients] == ["127.0.0.1:7101", "127.0.0.1:7111"]


def test_a_world_is_never_written_over_and_opens_again(world: World, tmp_path: Path) -> None:
    with pytest.raises(NoWorld, match="not empty"):
        make_world(world.directory)
    assert open_world(world.directory) == world
    with pytest.raises(NoWorld, match="holds no world"):
        open_world(tmp_path)
