"""What a call asks for, checked, and what it is answered: pure but for the MACs, which come through a port.

Every field is bounded before anything is computed. A refusal names the field and its number in the list, never what stood in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sento_client.pseudonym_service import bounds
from sento_client.pseudonym_service.macs import KeyName, Mac
from sento_proto.errors import Code, SentoError
from sento_proto.limits import NAME_MAX_BYTES, TAG_BYTES
from sento_proto.pseudonyms import FACT_BYTES, KeyKind, fact_message, subject_message, tag_message
from sento_proto.v1 import common_pb2, pseudonyms_pb2


def cost_of_names(request: pseudonyms_pb2.NamesRequest) -> int:
    """What the call costs. Raises SentoError BAD_REQUEST, TOO_LARGE."""
    cost = sum(max(1, len(asked.facts)) for asked in request.names)
    _bound_cost(cost, "names")
    for index, asked in enumerate(request.names):
        _bound(asked.identifier, f"names[{index}].identifier", 1, bounds.IDENTIFIER_MAX_BYTES)
        for number, fact in enumerate(asked.facts):
            place = f"names[{index}].facts[{number}]"
            _bound(fact.kind, f"{place}.kind", 1, NAME_MAX_BYTES)
            _require(fact.kind.isascii(), f"{place}.kind must be ASCII")
            _bound(fact.natural_key, f"{place}.natural_key", 0, bounds.NATURAL_KEY_MAX_BYTES)
    _check_purpose(request.purpose, [asked.identifier for asked in request.names])
    return cost


def cost_of_tags(request: pseudonyms_pb2.TagsRequest) -> int:
    """What the call costs. Raises SentoError BAD_REQUEST, TOO_LARGE."""
    _bound_cost(len(request.tags), "tags")
    for index, tag in enumerate(request.tags):
        place = f"tags[{index}]"
        _bound(tag.name, f"{place}.name", 1, NAME_MAX_BYTES)
        _require(tag.name.isascii(), f"{place}.name must be ASCII")
        # One field alone would make the tags a dictionary of that field.
        _require(
            2 <= len(tag.fields) <= bounds.TAG_FIELDS_MAX,
            f"{place}.fields must be 2 to {bounds.TAG_FIELDS_MAX} fields",
        )
        for number, field in enumerate(tag.fields):
            _bound(field, f"{place}.fields[{number}]", 0, bounds.TAG_FIELD_MAX_BYTES)
    _check_purpose(request.purpose, [field for tag in request.tags for field in tag.fields])
    return len(request.tags)


def answer_names(mac: Mac, request: pseudonyms_pb2.NamesRequest) -> pseudonyms_pb2.NamesReply:
    """The names, in two rounds of MACs: persons, then facts about them. Raises MacFailed."""
    key = KeyName(request.registry, KeyKind.PSEUDONYM)
    subjects = mac.of(key, [subject_message(asked.identifier) for asked in request.names])
    messages = [
        fact_message(subject, fact.kind, fact.natural_key)
        for asked, subject in zip(request.names, subjects, strict=True)
        for fact in asked.facts
    ]
    facts = iter(mac.of(key, messages))
    return pseudonyms_pb2.NamesReply(
        names=[
            pseudonyms_pb2.Named(
                subject=subject, facts=[next(facts)[:FACT_BYTES] for _ in range(len(asked.facts))]
            )
            for asked, subject in zip(request.names, subjects, strict=True)
        ]
    )


def answer_tags(mac: Mac, request: pseudonyms_pb2.TagsRequest) -> pseudonyms_pb2.TagsReply:
    """The tags. Raises MacFailed."""
    key = KeyName(request.registry, KeyKind.INDEX)
    messages = [tag_message(tag.name, tuple(tag.fields)) for tag in request.tags]
    return pseudonyms_pb2.TagsReply(tags=[mac_[:TAG_BYTES] for mac_ in mac.of(key, messages)])


def _check_purpose(purpose: common_pb2.Purpose, secrets: Sequence[str]) -> None:
    """The purpose goes into the log, so it must be short, and must not quote whom the call is about."""
    for field in ("purpose", "case_number"):
        text: str = getattr(purpose, field)
        _require(
            len(text) <= bounds.PURPOSE_MAX_CHARACTERS,
            f"purpose.{field} has at most {bounds.PURPOSE_MAX_CHARACTERS} characters",
        )
        _require(
            not any(secret in text for secret in secrets if secret),
            f"purpose.{field} quotes what the call asks for; it is written into a log",
        )


def _bound_cost(cost: int, field: str) -> None:
    _require(cost > 0, f"{field} is empty")
    if cost > bounds.NAMES_AT_ONCE_MAX:
        raise SentoError(
            Code.TOO_LARGE, f"{field} costs {cost}, at most {bounds.NAMES_AT_ONCE_MAX} in one call"
        )


def _bound(text: str, place: str, low: int, high: int) -> None:
    _require(low <= len(text.encode("utf-8")) <= high, f"{place} must have {low} to {high} bytes")


def _require(holds: bool, mistake: str) -> None:
    if not holds:
        raise SentoError(Code.BAD_REQUEST, mistake)
