"""Links at work between two programs: slow where they are to be slow, honest about bytes, and nothing left when they end, however they end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sento_drill.links.link import PACKETS, Link, LinkPlace, NoLink, open_link, place_link
from sento_drill.links.namespaces import why_impossible
from sento_drill.links.shaping import Shape
from sento_drill.ports import free_ports
from sento_drill.waiting import until_now

HERE, THERE = "here", "there"
BYTES = 300_000
SERVER = """
import socket, sys
held = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    connection, _ = held.accept()
    with connection:
        while data := connection.recv(100):
            connection.sendall(b"x" * int(data))
"""
CLIENT = """
import socket, sys
wanted = int(sys.argv[3])
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as connection:
    connection.sendall(str(wanted).encode())
    while wanted:
        wanted -= len(connection.recv(65536))
"""
KINDS = [
    pytest.param(
        True, id="packets", marks=pytest.mark.skipif(bool(why_impossible()), reason=why_impossible())
    ),
    pytest.param(False, id="relay"),
]


def place(packets: bool) -> LinkPlace:
    return place_link((HERE, THERE), dict(zip((HERE, THERE), free_ports(2), strict=True)), packets=packets)


@contextlib.contextmanager
def serving(link: Link) -> Iterator[None]:
    """A program at the first site that sends as many bytes as it is asked for."""
    host, port = link.place.ports[HERE].listen_address.split(":")
    command = [*link.inside.get(HERE, ()), sys.executable, "-c", SERVER, host, port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"
        try:
            yield
        finally:
            server.kill()


def fetch(link: Link, wanted: int) -> float:
    """The other site fetches so many bytes over the link; how long it took, without the program's start being of weight."""
    host, port = link.place.ports[HERE].peer_address.split(":")
    begun_s = time.monotonic()
    command = [*link.inside.get(THERE, ()), sys.executable, "-c", CLIENT, host, port, str(wanted)]
    subprocess.run(command, check=True, timeout=60)
    return time.monotonic() - begun_s


@pytest.mark.parametrize("packets", KINDS)
def test_a_link_is_as_narrow_as_its_rate_and_counts_what_went_over_it(packets: bool) -> None:
    with open_link(place(packets), Shape(2_400_000, delay_ms=20)) as link, serving(link):
        took_s = fetch(link, BYTES)
        there, back = link.counters()
    assert took_s > BYTES / 300_000
    assert BYTES < there.sent_bytes < 1.15 * BYTES
    assert 0 < back.sent_bytes < 0.15 * BYTES
    assert there.lost_packets == back.lost_packets == 0


@pytest.mark.parametrize("packets", KINDS)
def test_bytes_arrive_over_a_link_that_loses_and_the_loss_is_counted(packets: bool) -> None:
    with open_link(place(packets), Shape(20_000_000, delay_ms=5, loss=0.03), seed=5) as link, serving(link):
        fetch(link, BYTES)
        there, _ = link.counters()
    assert there.lost_packets > 0
    assert there.sent_bytes - there.lost_bytes >= BYTES


@pytest.mark.parametrize("packets", KINDS)
def test_a_site_is_asked_past_the_link_without_a_byte_on_it(packets: bool) -> None:
    with open_link(place(packets), Shape(2_400_000, delay_ms=300)) as link, serving(link):
        with socket.create_connection(("127.0.0.1", link.place.ports[HERE].listen), timeout=30) as asked:
            asked.sendall(b"9")
            assert asked.recv(100) == b"x" * 9
        there, back = link.counters()
    assert there.sent_packets == back.sent_packets == 0


@pytest.mark.parametrize("packets", KINDS)
def test_a_link_that_ended_leaves_no_process_and_gives_its_ports_back(packets: bool) -> None:
    before = children()
    placed = place(packets)
    for _ in range(2):
        with open_link(placed, Shape(2_400_000, delay_ms=1)) as link:
            assert children() - before
            link.counters()
        assert children() == before


@pytest.mark.parametrize("packets", KINDS)
def test_a_link_ends_with_the_program_that_made_it_even_by_kill_9(packets: bool) -> None:
    program = (
        "import sys, time; from sento_drill.links.link import *; from sento_drill.links.shaping import Shape\n"
        "from sento_drill.ports import free_ports\n"
        "ports = dict(zip('ab', free_ports(2)))\n"
        f"with open_link(place_link(('a', 'b'), ports, packets={packets}), Shape(1e6, 1)) as link:\n"
        "    print('open', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "open\n"
        helpers = children(maker.pid)
        assert len(helpers) == (3 if packets else 1)
        maker.send_signal(signal.SIGKILL)
    until_now(
        lambda: not any(is_running(pid) for pid in helpers), deadline_s=20, what="a link outlives its maker"
    )


def test_a_link_whose_process_ended_says_so() -> None:
    with open_link(place(packets=False), Shape(1e6, 1)) as link:
        for pid in children():
            if b"sento_drill.links.relay" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(NoLink, match=re.escape("sento_drill.links.relay ended")):
            link.counters()


@pytest.mark.skipif(bool(why_impossible()), reason=why_impossible())
def test_packets_are_taken_where_they_are_possible() -> None:
    ports = dict(zip((HERE, THERE), free_ports(2), strict=True))
    assert place_link((HERE, THERE), ports).kind == PACKETS


def children(of: int | None = None) -> set[int]:
    """Processes whose parent that is."""
    parent, found = of or os.getpid(), set[int]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.add(int(path.parent.name))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
