"""How the second fact of a record that is to survive the country looks: a sentence for people, a value for programs."""

from __future__ import annotations

from sento_client.results import Abroad


def abroad_words(abroad: Abroad, *, kept: bool) -> str:
    """One sentence. `kept`: there is an outbox that goes on looking."""
    if abroad.stands:
        return (
            f"It stands abroad: {abroad.site} cosigned the checkpoint of size {abroad.size}, which covers it."
        )
    if kept:
        return "Abroad it is pending: no site abroad has cosigned a checkpoint over it yet. The outbox keeps it open until one has: sento outbox."
    return (
        "Abroad it is pending: no site abroad has cosigned a checkpoint over it yet, and no outbox looks on."
    )


def abroad_value(abroad: Abroad | None) -> dict[str, object]:
    """Fields for a JSON object; none where nobody asked for it."""
    if abroad is None:
        return {}
    if not abroad.stands:
        return {"abroad": {"state": abroad.word}}
    return {"abroad": {"state": abroad.word, "site": abroad.site, "size": abroad.size}}
