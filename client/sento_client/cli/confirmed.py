"""How a confirmation looks: as of which checkpoint, by whose word, and who said something else."""

from __future__ import annotations

from rich.console import Console

from sento_client.cli.show import time_text
from sento_client.confirming.values import Confirmed


def confirmed_value(word: Confirmed | None) -> dict[str, object] | None:
    """For JSON; None where the record is newer than what was confirmed."""
    if word is None:
        return None
    return {
        "size": word.size,
        "epoch": word.epoch,
        "time_s": word.time_s,
        "last_position": word.head.last_position,
        "link": word.head.link.hex(),
        "sites": list(word.sites),
        "superseded_by": word.superseded_by,
        "liars": [liar._asdict() for liar in word.liars],
    }


def print_confirmed(console: Console, word: Confirmed | None, newer: int = 0) -> None:
    """Sentences for people; `newer`: how many entries of the list came after the checkpoint."""
    if word is None:
        console.print("Not confirmed yet: the record is newer than the checkpoint. Ask again in a moment.")
        return
    words = word.words[0].upper() + word.words[1:]
    console.print(f"{words}, {time_text(word.time_s * 1000)}.", markup=False)
    if newer:
        console.print(f"{newer} newer, not yet confirmed.")
    if word.superseded_by is not None:
        console.print(f"A later version of the same fact stands at position {word.superseded_by}.")
    for liar in word.liars:
        proof = "The proof lies with the receipts: sento fraud list." if liar.proven else ""
        console.print(f"WARNING: {liar.words} {proof}".rstrip(), markup=False)
