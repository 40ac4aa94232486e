"""Where copies and votes stand, and what one event can take: findings by name, losses in words. Pure: no IO, no clock.

`place_words` reads what governance says of a place, `findings` judges it, `losses` says what may be lost now and what may not, `round_trips` and `timeouts`
turn what sites measured between each other into what the ordering log should be set to.
"""

from __future__ import annotations

from sento_client.placement.findings import Finding, findings
from sento_client.placement.losses import Event, Loss, losses
from sento_client.placement.round_trips import RoundTrips

__all__ = ["Event", "Finding", "Loss", "RoundTrips", "findings", "losses"]
