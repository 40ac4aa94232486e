"""Who answers whom, since when: what each survivor says of the others, and what this computer met itself, in sentences that officers read before they sign.

No sentence says that a site is destroyed: nobody can see that over a network. It says who does not hear from it, and since when. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sento_client.recovering.collected import Silent
from sento_client.recovering.survey_files import Witness
from sento_client.site_status.wording import counted, listed
from sento_proto.errors import Code

UNHEARD = (Code.UNREACHABLE.name, Code.DEADLINE.name)
"""What the words on a silent site begin with where nothing came from it; a site that refused is not silent, and must not be called so."""


def evidence_words(witnesses: Sequence[Witness], silent: Sequence[Silent]) -> tuple[str, ...]:
    """One sentence for each survivor, then one for each site that did not answer."""
    answering = {one.site for one in witnesses if one.answered}
    return (
        *(_of_witness(one) for one in sorted(witnesses, key=lambda one: one.site)),
        *(_of_silent(one, witnesses) for one in sorted(silent) if one.site not in answering),
    )


def _of_witness(witness: Witness) -> str:
    survey = witness.survey
    how = "answered" if witness.answered else "was surveyed from its disk"
    signed = "signed by the site" if witness.signed else "NOT SIGNED"
    holds = f"{counted(survey.extended.size, 'record')} of epoch {survey.epoch}"
    words = [f"{survey.site} {how} at {moment(survey.made_at_ms)} ({signed}): {holds}"]
    if not witness.answered:
        return f"{words[0]}."
    reached = sorted(one.site for one in survey.contacts if one.reached)
    words.append(f"reaches {listed(reached)}" if reached else "reaches no other site")
    words += [f"not {one.site}, {_last(one.last_ms)}" for one in survey.contacts if not one.reached]
    words.append("reaches a majority" if survey.has_majority else "reaches no majority")
    return "; ".join(words) + "."


def _of_silent(silent: Silent, witnesses: Iterable[Witness]) -> str:
    heard = [
        (contact.last_ms, one.site)
        for one in witnesses
        for contact in one.survey.contacts
        if contact.site == silent.site and contact.last_ms
    ]
    last = (
        f"last heard by {max(heard)[1]} at {moment(max(heard)[0])}"
        if heard
        else "no survivor has heard from it"
    )
    if not silent.words.startswith(UNHEARD):
        return f"{silent.site} answered this computer at {moment(silent.at_ms)} and gave no survey ({silent.words}); {last}."
    return f"{silent.site} did not answer this computer at {moment(silent.at_ms)} ({silent.words}); {last}."


def _last(last_ms: int) -> str:
    return f"last heard {moment(last_ms)}" if last_ms else "not heard from in its present life"


def moment(time_ms: int) -> str:
    """A moment as people compare it with their own notes, in UTC to the second."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
