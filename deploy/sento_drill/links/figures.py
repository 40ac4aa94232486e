"""Figures of links that a state has left when its cables are cut; the direction that counts is the terminal's way up, which is the narrow one.

Source: Starlink 37 to 45 ms and 13.5 to 16 Mbit/s up (Ookla; APNIC, 6 December 2022); geostationary 600 to 724 ms and 2.4 to 3.4 Mbit/s up (Ookla, second
quarter of 2021; RCR Wireless, 4 August 2021); loss of 1 to 2 % is what both are to stand. 64 kbit/s is one channel of a satellite telephone terminal.
"""

from __future__ import annotations

from sento_drill.links.shaping import Shape

LOW_ORBIT = Shape(rate_bits_per_s=13_500_000, delay_ms=22.5, loss=0.01, queue_ms=100)
"""45 ms there and back, 1 % of packets lost."""
GEOSTATIONARY = Shape(rate_bits_per_s=2_500_000, delay_ms=325, queue_ms=650)
"""650 ms there and back."""
TELEPHONE = Shape(rate_bits_per_s=64_000, delay_ms=325, queue_ms=2_000)
"""One channel: 8,000 bytes a second."""
LINKS = {"low-orbit": LOW_ORBIT, "geostationary": GEOSTATIONARY, "telephone": TELEPHONE}
"""By the names that commands take."""


def in_words(shape: Shape) -> str:
    """The figures as people say them."""
    rate = shape.rate_bits_per_s / 1e6
    rate_words = f"{rate:g} Mbit/s" if rate >= 1 else f"{rate * 1000:g} kbit/s"
    loss_words = f", {shape.loss:.1%} loss" if shape.loss else ""
    return f"{rate_words}, {shape.round_trip_ms:g} ms there and back{loss_words}"
