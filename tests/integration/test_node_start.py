"""A node that cannot start says why, in one sentence of cause and one of remedy and without a traceback, and a failed start leaves nothing that hinders
the next one."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from live_sites import ONE_SITE, running_sites, writes_again
from sento_drill.cluster import LocalCluster
from sento_drill.processes import node_command
from sento_drill.waiting import until
from sento_drill.world import World, make_world

MISTAKE, STOPPED = 2, 1
FAKE_ETCD = """#!/bin/sh
if [ "$1" = --version ]; then echo "etcd Version: 3.4.23"; exit 0; fi
echo "flag provided but not defined: -$1" >&2
exit 2
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world", ONE_SITE)


def config_of(world: World) -> Path:
    return world.sites[0].config


def run(config: Path) -> subprocess.CompletedProcess[str]:
    """The node's whole life, which is expected to be short."""
    return subprocess.run(node_command(config), capture_output=True, text=True, check=False, timeout=60)


def edit(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


def assert_in_words(result: subprocess.CompletedProcess[str], code: int, says: str) -> None:
    assert (result.returncode, says in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_that_another_program_has_is_said(world: World) -> None:
    host, _, port = world.sites[0].address.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        assert_in_words(run(config_of(world)), MISTAKE, "Find and stop that program, or change the address")


def test_a_metrics_address_that_another_program_has_is_said_by_its_field_and_nothing_is_begun(
    world: World,
) -> None:
    host, _, port = world.sites[0].metrics_address.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        assert_in_words(run(config_of(world)), MISTAKE, "metrics.address: ")
    assert not (world.sites[0].directory / "data" / "boot-number").exists()


def test_a_certificate_file_that_is_not_there_is_said(world: World) -> None:
    (world.sites[0].directory / "node.pem").unlink()
    assert_in_words(run(config_of(world)), MISTAKE, "node.pem cannot be read")


def test_a_boot_number_that_is_no_number_is_refused_in_words(world: World) -> None:
    data = world.sites[0].directory / "data"
    data.mkdir(mode=0o700)
    (data / "boot-number").write_text("seven", encoding="ascii")
    node = subprocess.Popen(node_command(config_of(world)), stderr=subprocess.PIPE, text=True)
    assert node.stderr is not None
    said = next(line for line in node.stderr if "takes no further part" in line)
    node.terminate()
    node.communicate(timeout=30)
    assert "does not hold a boot number" in said
    assert node.returncode == STOPPED


async def test_a_second_node_on_one_data_directory_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with running_sites(ONE_SITE) as sites:
        site = sites.files(sites.names[0])
        second = await asyncio.to_thread(run, site.config)
        assert_in_words(second, MISTAKE, "Another process has the ledger")
        await writes_again(sites, site.name)

        await asyncio.to_thread(sites.cluster.processes[site.name].stop)
        other = make_world(tmp_path / "other", ONE_SITE)
        shutil.copytree(site.directory / "data", other.sites[0].directory / "data")
        strangers = await asyncio.to_thread(run, other.sites[0].config)
        assert_in_words(strangers, MISTAKE, "Check which genesis file and which directory belong together")


async def test_a_member_that_never_began_leaves_nothing_that_the_next_start_is_refused_for(
    world: World, tmp_path: Path
) -> None:
    fake = tmp_path / "etcd"
    fake.write_text(FAKE_ETCD, encoding="ascii")
    fake.chmod(0o700)
    edit(config_of(world), 'etcd_path = ""', f'etcd_path = "{fake}"')
    first = await asyncio.to_thread(run, config_of(world))
    assert_in_words(first, STOPPED, "does not understand its command line")
    edit(config_of(world), f'etcd_path = "{fake}"', 'etcd_path = ""')
    async with LocalCluster(world) as cluster:
        try:
            cluster.start_all()
            await cluster.wait_serving()
            status = await cluster.status(world.sites[0].name)
        finally:
            await cluster.end_all()
    assert status is not None
    assert status.boot_number == 2


async def test_a_node_killed_before_its_member_began_starts_again(world: World) -> None:
    async with LocalCluster(world) as cluster:
        processes = cluster.processes[world.sites[0].name]
        data = world.sites[0].directory / "data"
        moments = (
            data / "ledger" / "database" / "data.mdb",
            data / "boot-number",
            data / "ordering" / "epoch-0000" / "boot-number",
        )
        try:
            for moment in moments:
                cluster.start_all()

                async def reached(path: Path = moment) -> bool:
                    return path.exists()

                await until(reached, deadline_s=30, poll_s=0.001, what=f"{moment.name} is not made")
                processes.kill()
            cluster.start_all()
            await cluster.wait_serving()
        finally:
            await cluster.end_all()


def test_the_command_without_arguments_says_what_it_can(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sento_node.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    for command in ("run", "verify", "check-config", "check-etcd"):
        assert command in result.stdout
