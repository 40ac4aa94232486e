"""Process control: a site's node and member are ended, frozen and found by id, with stand-ins for both programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sento_drill import procfs
from sento_drill.processes import SiteProcesses
from sento_drill.procfs import ProcessId
from sento_drill.waiting import TooLate, until_now

DEADLINE_S = 10.0
NODE = """
import signal, subprocess, sys, time
member = subprocess.Popen([sys.argv[1], "600"])
def stop(number, frame):
    member.terminate()
    member.wait()
    sys.exit(0)
if sys.argv[2] == "polite":
    signal.signal(signal.SIGTERM, stop)
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("started", flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A site's directory with a program called etcd in it that only sleeps."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    (tmp_path / "etcd").symlink_to(sleep)
    (tmp_path / "node.py").write_text(NODE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def site(directory: Path) -> Iterator[SiteProcesses]:
    processes = make_site(directory, "polite")
    yield processes
    processes.end()


def make_site(directory: Path, manner: str, *, bound: bool = True) -> SiteProcesses:
    command = [sys.executable, str(directory / "node.py"), str(directory / "etcd"), manner]
    return SiteProcesses("jp-fukuoka", directory, command, bound=bound)


def start(site: SiteProcesses) -> tuple[ProcessId, ProcessId]:
    """Start and wait until the stand-in has its member and listens to signals; returns both ids."""
    log_before = site.log_tail(1000).count("started")
    node = site.start()
    until_now(lambda: site.member() is not None, deadline_s=DEADLINE_S, what="no member")
    until_now(
        lambda: site.log_tail(1000).count("started") > log_before, deadline_s=DEADLINE_S, what="not ready"
    )
    member = site.member()
    assert member is not None
    return node, member


def state_of(process: ProcessId) -> str:
    info = procfs.info_of(process.pid)
    return "gone" if info is None or info.id != process else info.state


def test_start_finds_node_and_member_and_a_second_start_is_refused(site: SiteProcesses) -> None:
    node, member = start(site)
    assert site.node() == node
    info = procfs.info_of(member.pid)
    assert info is not None
    assert info.parent_pid == node.pid
    with pytest.raises(RuntimeError, match="runs already"):
        site.start()


def test_stop_ends_node_and_member(site: SiteProcesses) -> None:
    node, member = start(site)
    site.stop(DEADLINE_S)
    assert not procfs.is_alive(node)
    assert not procfs.is_alive(member)
    assert site.node() is None


def test_kill_ends_both_at_once_and_the_site_starts_again(site: SiteProcesses) -> None:
    node, member = start(site)
    site.kill()
    assert not procfs.is_alive(node)
    assert not procfs.is_alive(member)
    again, _ = start(site)
    assert again != node


def test_pause_freezes_both_and_resume_lets_them_go_on(site: SiteProcesses) -> None:
    both = start(site)
    site.pause()
    until_now(lambda: all(state_of(p) == "T" for p in both), deadline_s=DEADLINE_S, what="not frozen")
    site.resume()
    until_now(lambda: all(state_of(p) != "T" for p in both), deadline_s=DEADLINE_S, what="still frozen")


def test_stop_of_a_deaf_node_says_so_and_end_kills_it(directory: Path) -> None:
    site = make_site(directory, "deaf")
    try:
        node, member = start(site)
        with pytest.raises(TooLate, match="jp-fukuoka still has processes running"):
            site.stop(0.2)
        assert procfs.is_alive(node)
    finally:
        site.end(0.2)
    assert not procfs.is_alive(node)
    assert not procfs.is_alive(member)


def test_member_that_outlived_its_node_is_found_and_ended(site: SiteProcesses) -> None:
    node, member = start(site)
    os.kill(node.pid, signal.SIGKILL)
    until_now(lambda: site.node() is None, deadline_s=DEADLINE_S, what="the node lives")
    assert [info.id for info in site.left_behind()] == [member]
    site.end()
    until_now(lambda: not procfs.is_alive(member), deadline_s=DEADLINE_S, what="the member lives")
    assert site.left_behind() == []


def test_another_program_finds_what_this_one_started(site: SiteProcesses, directory: Path) -> None:
    node, _ = start(site)
    assert make_site(directory, "polite").node() == node


def test_a_process_id_given_out_again_is_not_ours(site: SiteProcesses) -> None:
    node, _ = start(site)
    stranger = ProcessId(node.pid, node.start_ticks + 1)
    assert not procfs.is_alive(stranger)
    assert not procfs.send(stranger, signal.SIGKILL)
    assert procfs.is_alive(node)


@pytest.mark.parametrize("bound", [True, False])
def test_a_bound_site_ends_with_its_starter_and_an_unbound_one_stays(directory: Path, bound: bool) -> None:
    starter = (
        "import sys; from pathlib import Path; from sento_drill.processes import SiteProcesses\n"
        "from sento_drill.waiting import until_now\n"
        "directory = Path(sys.argv[1])\n"
        "command = [sys.executable, str(directory / 'node.py'), str(directory / 'etcd'), 'polite']\n"
        f"site = SiteProcesses('jp-fukuoka', directory, command, bound={bound})\n"
        "site.start()\n"
        "until_now(lambda: 'started' in site.log_tail(), deadline_s=10, what='not ready')\n"
    )
    subprocess.run([sys.executable, "-c", starter, str(directory)], check=True, timeout=30)
    site = make_site(directory, "polite")
    try:
        if bound:
            until_now(
                lambda: site.node() is None, deadline_s=DEADLINE_S, what="the node outlived its starter"
            )
            until_now(lambda: not site.left_behind(), deadline_s=DEADLINE_S, what="the member stayed")
        else:
            assert site.node() is not None
            assert site.member() is not None
    finally:
        site.end()
    assert procfs.processes_in(directory) == []
