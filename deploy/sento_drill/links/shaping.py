"""Shaping: when a packet that enters a link comes out of it, or that it never does; pure, so that the figures of a link are tested without one.

A direction of a link is a queue in front of a sender of fixed rate. What finds the queue full is dropped; what was sent takes the way's delay and may be
lost on it: a lost packet has used the link like any other. Loss is independent from packet to packet, which is kinder than the bursts of real radio.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction. `rate_bits_per_s`; `delay_ms` one way; `loss`: share of packets, 0 to 1; `queue_ms`: how long the queue is at that rate."""

    rate_bits_per_s: float
    delay_ms: float
    loss: float = 0.0
    queue_ms: float = 200.0

    def __post_init__(self) -> None:
        if self.rate_bits_per_s <= 0 or self.delay_ms < 0 or not 0 <= self.loss < 1 or self.queue_ms <= 0:
            raise ValueError("a link has a rate and a queue above 0, a delay of at least 0, a loss below 1")

    @property
    def rate_bytes_per_s(self) -> float:
        """What goes through in a second."""
        return self.rate_bits_per_s / 8

    @property
    def round_trip_ms(self) -> float:
        """There and back over an idle link whose other direction is like this one."""
        return 2 * self.delay_ms


@dataclass(slots=True)
class Counters:
    """What one direction did. `sent` went over the link, lost or not; `lost` of it on the way; `refused` found the queue full and was never sent."""

    sent_packets: int = 0
    sent_bytes: int = 0
    lost_packets: int = 0
    lost_bytes: int = 0
    refused_packets: int = 0

    def add(self, other: Counters) -> None:
        """Count what another counted too."""
        self.sent_packets += other.sent_packets
        self.sent_bytes += other.sent_bytes
        self.lost_packets += other.lost_packets
        self.lost_bytes += other.lost_bytes
        self.refused_packets += other.refused_packets


class Direction:
    """One direction of a link at work. Times are seconds of one clock that never goes back."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._free_at_s = 0.0
        self.counters = Counters()

    def offer(self, now_s: float, size_bytes: int, dice: float) -> float | None:
        """When a packet that enters now is delivered; None when it is not. `dice`: a number from [0, 1), drawn for this packet."""
        start_s = max(now_s, self._free_at_s)
        if (start_s - now_s) * 1000 > self._shape.queue_ms:
            self.counters.refused_packets += 1
            return None
        self._free_at_s = start_s + size_bytes / self._shape.rate_bytes_per_s
        self.counters.sent_packets += 1
        self.counters.sent_bytes += size_bytes
        if dice < self._shape.loss:
            self.counters.lost_packets += 1
            self.counters.lost_bytes += size_bytes
            return None
        return self._free_at_s + self._shape.delay_ms / 1000
