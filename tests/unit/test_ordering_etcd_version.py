"""Which etcd releases may hold an ordering log, how to get one, and which flags each release is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sento_node.ordering.etcd.settings import MemberSettings, PeerTls, member_arguments, member_environment
from sento_node.ordering.etcd.version import (
    EtcdUnusable,
    EtcdVersion,
    find_etcd,
    how_to_install,
    parse_version,
    why_refused,
)

TLS = PeerTls(Path("/tls/ca.pem"), Path("/tls/member.pem"), Path("/tls/member.key"))
URL = "https://10.0.0.1:7480"
SETTINGS = MemberSettings(
    site="jp-ishikawa",
    data_dir=Path("/data"),
    run_dir=Path("/run/member"),
    peer_listen_url="https://0.0.0.0:7480",
    peer_url=URL,
    members={"jp-ishikawa": URL, "jp-fukuoka": "https://10.0.0.2:7480"},
    cluster_token="sento-ledger-1",
    tls=TLS,
)


def version(text: str) -> EtcdVersion:
    found = parse_version(f"etcd Version: {text}\nGit SHA: x\nGo Version: go1.19.8\n")
    assert found is not None
    return found


@pytest.mark.parametrize("text", ["3.4.23", "3.4.30", "3.5.8", "3.5.30", "3.6.0", "3.10.1", "4.0.0"])
def test_a_release_without_known_loss_of_data_is_accepted(text: str) -> None:
    assert str(version(text)) == text
    assert why_refused(version(text)) is None


@pytest.mark.parametrize("text", ["2.3.8", "3.3.25", "3.4.22", "3.5.0", "3.5.7"])
def test_a_release_that_lacks_learners_or_loses_data_is_refused(text: str) -> None:
    assert why_refused(version(text))


@pytest.mark.parametrize("output", ["", "etcdctl version: 3.5.1", "etcd Version: three"])
def test_what_is_not_etcds_version_is_not_taken_for_one(output: str) -> None:
    assert parse_version(output) is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("etcd Version: 3.4.22", "3.4.22 .* is too old"),
        ("etcd Version: 3.3.25", "3.3.25 .* is too old"),
        ("etcd Version: 3.5.0", "3.5.0 .* has defects"),
        ("etcd Version: 3.5.7", "3.5.7 .* has defects"),
        ("not an etcd", "does not answer --version as etcd does"),
    ],
)
def test_an_etcd_that_loses_data_is_refused_and_a_better_one_named(
    tmp_path: Path, answer: str, words: str
) -> None:
    fake = tmp_path / "etcd"
    fake.write_text(f"#!/bin/sh\necho '{answer}'\n")
    fake.chmod(0o755)
    with pytest.raises(EtcdUnusable, match=f"{words}.*Sento needs etcd 3.4.23 or later"):
        find_etcd(str(fake))
    with pytest.raises(EtcdUnusable, match="There is no etcd at"):
        find_etcd(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("system", "os_release", "words"),
    [
        ("Linux", 'ID=debian\nVERSION_ID="12"\n', "apt-get install etcd-server"),
        ("Linux", 'ID=linuxmint\nID_LIKE="ubuntu debian"\n', "apt-get install etcd-server"),
        ("Linux", "ID=fedora\n", "dnf install etcd"),
        ("Linux", "ID=nixos\n", "release archive"),
        ("Linux", "", "release archive"),
        ("Darwin", "", "brew install etcd"),
    ],
)
def test_how_to_get_etcd_is_said_for_the_system_at_hand(system: str, os_release: str, words: str) -> None:
    assert words in how_to_install(system, os_release)


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("3.4.23", ["--pre-vote=true", "--logger=zap", "--snapshot-count=500"], ["catchup"]),
        ("3.5.13", ["--snapshot-count=500"], ["pre-vote", "logger", "catchup"]),
        ("3.5.14", ["--experimental-snapshot-catchup-entries=200"], ["pre-vote"]),
        ("3.6.0", ["--snapshot-catchup-entries=200", "--snapshot-count=500"], ["experimental"]),
        ("3.7.0", ["--snapshot-catchup-entries=200"], ["snapshot-count", "experimental"]),
    ],
)
def test_flags_that_differ_between_releases_are_chosen_by_release(
    text: str, present: list[str], absent: list[str]
) -> None:
    arguments = member_arguments(SETTINGS, version(text))
    assert set(present) <= set(arguments)
    assert not [argument for argument in arguments if any(piece in argument for piece in absent)]


@pytest.mark.parametrize(("text", "prefix"), [("3.4.23", "experimental-"), ("3.6.1", "")])
def test_members_behind_address_translation_skip_only_the_check_of_the_address(
    text: str, prefix: str
) -> None:
    behind = replace(SETTINGS, tls=replace(TLS, checks_client_address=False))
    arguments = member_arguments(behind, version(text))
    assert f"--{prefix}peer-skip-client-san-verification=true" in arguments
    assert "--peer-client-cert-auth=true" in arguments
    assert "--peer-cert-allowed-hostname=ordering.sento.internal" in arguments


def test_a_member_is_reachable_by_its_peers_with_certificates_and_by_its_node_alone() -> None:
    arguments = member_arguments(SETTINGS, version("3.4.23"))
    urls = [argument for argument in arguments if "listen" in argument and "://" in argument]
    assert urls == ["--listen-client-urls=unix://client:1", "--listen-peer-urls=https://0.0.0.0:7480"]
    assert "--initial-cluster=jp-fukuoka=https://10.0.0.2:7480,jp-ishikawa=https://10.0.0.1:7480" in arguments
    assert not any("unsafe" in argument or "force" in argument for argument in arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"site": "jp,ishikawa"},
        {"site": ""},
        {"peer_url": "http://10.0.0.1:7480"},
        {"peer_url": "https://10.0.0.9:7480"},
        {"members": {"jp-fukuoka": "https://10.0.0.2:7480"}},
        {"heartbeat_ms": 300},
    ],
)
def test_settings_that_etcd_would_misread_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SETTINGS, **changes)  # type: ignore[arg-type]


def test_the_members_environment_cannot_configure_it_behind_our_back() -> None:
    ours = {
        "PATH": "/usr/bin",
        "ETCD_FORCE_NEW_CLUSTER": "true",
        "NOTIFY_SOCKET": "/run/notify",
        "https_proxy": "http://proxy:3128",
        "GOGC": "off",
    }
    assert member_environment(ours) == {"PATH": "/usr/bin", "GOGC": "100"}
