"""Links: their figures come out of them, and whoever measures over them is told the truth about bytes."""

from __future__ import annotations

import random
import sys

import pytest

from sento_drill.links.figures import GEOSTATIONARY, LINKS, LOW_ORBIT, TELEPHONE, in_words
from sento_drill.links.inside import inside_command
from sento_drill.links.link import PACKETS, RELAY, place_link
from sento_drill.links.relay import HEADERS_BYTES, SEGMENT_BYTES, ByteDirection
from sento_drill.links.shaping import Counters, Direction, Shape
from sento_drill.ports import SitePorts

PACKET_BYTES = 1500


def test_a_packet_on_an_idle_link_takes_the_delay_and_its_own_sending_time() -> None:
    direction = Direction(Shape(rate_bits_per_s=12_000, delay_ms=325))
    assert direction.offer(10.0, PACKET_BYTES, 0.5) == pytest.approx(10.0 + 1.0 + 0.325)


def test_packets_leave_no_faster_than_the_rate() -> None:
    direction = Direction(Shape(rate_bits_per_s=1_200_000, delay_ms=0, queue_ms=1_000))
    due_s = [direction.offer(0.0, PACKET_BYTES, 0.5) for _ in range(20)]
    assert due_s == pytest.approx([0.01 * number for number in range(1, 21)])


def test_what_finds_the_queue_full_is_refused_and_never_counted_as_sent() -> None:
    direction = Direction(Shape(rate_bits_per_s=1_200_000, delay_ms=0, queue_ms=100))
    due_s = [direction.offer(0.0, PACKET_BYTES, 0.5) for _ in range(20)]
    kept = [due for due in due_s if due is not None]
    assert len(kept) == 11
    assert direction.counters == Counters(11, 11 * PACKET_BYTES, 0, 0, 9)
    assert direction.offer(kept[-1], PACKET_BYTES, 0.5) is not None


def test_a_lost_packet_has_used_the_link_and_is_counted_as_sent_and_as_lost() -> None:
    direction = Direction(Shape(rate_bits_per_s=12_000, delay_ms=0, loss=0.01, queue_ms=5_000))
    assert direction.offer(0.0, PACKET_BYTES, 0.009) is None
    assert direction.offer(0.0, PACKET_BYTES, 0.011) == pytest.approx(2.0)
    assert direction.counters == Counters(2, 2 * PACKET_BYTES, 1, PACKET_BYTES, 0)


def test_loss_is_the_share_that_was_asked_for() -> None:
    direction, dice = Direction(Shape(1e9, 0, loss=0.02, queue_ms=1e9)), random.Random(7)
    for _ in range(20_000):
        direction.offer(0.0, PACKET_BYTES, dice.random())
    assert direction.counters.lost_packets / 20_000 == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(
    "wrong", [{"rate_bits_per_s": 0}, {"delay_ms": -1}, {"loss": 1.0}, {"loss": -0.1}, {"queue_ms": 0}]
)
def test_a_link_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a rate and a queue above 0"):
        Shape(**{"rate_bits_per_s": 1.0, "delay_ms": 1.0, **wrong})


def test_figures_are_those_of_the_links_that_are_left_when_cables_are_cut() -> None:
    assert (LOW_ORBIT.rate_bits_per_s, LOW_ORBIT.round_trip_ms, LOW_ORBIT.loss) == (13_500_000, 45, 0.01)
    assert (GEOSTATIONARY.rate_bits_per_s, GEOSTATIONARY.round_trip_ms) == (2_500_000, 650)
    assert TELEPHONE.rate_bytes_per_s == 8_000
    assert [in_words(shape) for shape in LINKS.values()] == [
        "13.5 Mbit/s, 45 ms there and back, 1.0% loss",
        "2.5 Mbit/s, 650 ms there and back",
        "64 kbit/s, 650 ms there and back",
    ]


def test_relayed_segments_are_counted_with_the_headers_of_their_packets() -> None:
    direction = ByteDirection(Shape(1_200_000, delay_ms=20), random.Random(1))
    due_s = [direction.due_s(0.0, SEGMENT_BYTES) for _ in range(3)]
    assert due_s == pytest.approx([0.03, 0.04, 0.05])
    assert direction.counters == Counters(3, 3 * (SEGMENT_BYTES + HEADERS_BYTES))


def test_a_relayed_segment_that_is_lost_is_late_by_a_time_out_and_uses_the_link_twice() -> None:
    direction = ByteDirection(Shape(1_200_000_000, delay_ms=50, loss=0.5), random.Random(3))
    due_s = [direction.due_s(0.0, SEGMENT_BYTES) for _ in range(100)]
    counters = direction.counters
    assert 60 < counters.lost_packets < 140
    assert counters.sent_packets == 100 + counters.lost_packets
    once_lost = [due for due in due_s if 0.2 < due < 0.4]
    assert once_lost
    assert all(due > 0.25 for due in once_lost)
    assert min(due_s) == pytest.approx(0.05, abs=0.01)


def test_between_namespaces_sites_find_each_other_by_address_and_over_a_relay_by_its_ports() -> None:
    ports = {"here": SitePorts(7101, 7102, 7103), "there": SitePorts(7111, 7112, 7113)}
    packets = place_link(("here", "there"), ports, packets=True)
    assert packets.kind == PACKETS
    assert [found.peer_address for found in packets.ports.values()] == ["10.77.0.1:7101", "10.77.0.2:7111"]
    assert [found.listen_address for found in packets.ports.values()] == ["0.0.0.0:7101", "0.0.0.0:7111"]
    relayed = place_link(("here", "there"), ports, packets=False)
    assert relayed.kind == RELAY
    for site, found in relayed.ports.items():
        assert found.listen_address == ports[site].address
        assert found.peer_address == f"127.0.0.1:{found.peer_port}" != found.address


def test_a_program_is_put_inside_a_namespace_in_front_of_its_command() -> None:
    command = inside_command("/proc/12/fd/5")
    assert command == [sys.executable, "-m", "sento_drill.links.inside", "/proc/12/fd/5"]
