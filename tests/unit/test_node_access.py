"""A connection outlives no certificate: until when a caller may go on, to the second."""

from __future__ import annotations

import datetime as dt

import pytest

from sento_drill.pki import Authority, Validity, issue_client
from sento_node.service.access import require_unexpired
from sento_node.tls import _end_s, certificate_end_s
from sento_proto.errors import Code, SentoError
from sento_proto.identity import Identity

END = dt.datetime(2026, 11, 22, 3, 0, 0, tzinfo=dt.UTC)
END_S = int(END.timestamp())


class Call:
    """What gRPC tells a servicer of the caller's certificates."""

    def __init__(self, *pems: bytes) -> None:
        self._pems = list(pems)

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": self._pems} if self._pems else {}


def test_a_certificate_holds_through_its_last_second() -> None:
    require_unexpired(END_S, END_S * 1000 + 999)


@pytest.mark.parametrize("after_ms", [1_000, 1_001, 86_400_000])
def test_after_its_last_second_a_caller_is_refused_in_words(after_ms: int) -> None:
    with pytest.raises(SentoError) as refused:
        require_unexpired(END_S, END_S * 1000 + after_ms)
    assert refused.value.code is Code.IDENTITY_EXPIRED
    assert f"ended {after_ms // 1000} s ago" in str(refused.value)


def test_a_caller_without_a_certificate_is_others_to_refuse() -> None:
    require_unexpired(None, END_S * 1000)


def test_the_end_is_read_from_the_certificate_once_for_all_calls_that_show_it() -> None:
    days = Validity(END - dt.timedelta(days=1), END)
    pair = issue_client(Authority("test", days), Identity("author", "iizuka-city"), days)
    _end_s.cache_clear()
    for _ in range(3):
        assert certificate_end_s(Call(pair.certificate_pem)) == END_S  # type: ignore[arg-type]
    assert (_end_s.cache_info().misses, _end_s.cache_info().hits) == (1, 2)
    assert certificate_end_s(Call()) is None  # type: ignore[arg-type]
