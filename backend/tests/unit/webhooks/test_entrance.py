"""Who calls, how often, with which secret and how late."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.webhooks import admission
from domain.webhooks.call import Action, Call
from domain.webhooks.origins import caller, networks
from domain.webhooks.rate import Bucket

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "52.89.214.238", "203.0.113.9"),  # nobody trusted said so
        ("127.0.0.1", "52.89.214.238", "52.89.214.238"),
        ("127.0.0.1", "52.89.214.238, 203.0.113.9", "203.0.113.9"),  # the caller invented the first
        ("127.0.0.1", "203.0.113.9, 10.0.0.7", "203.0.113.9"),  # two proxies of ours
        ("127.0.0.1", "n'importe quoi", "127.0.0.1"),
        ("::ffff:127.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("127.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
    ],
)
def test_caller_is_who_the_last_trusted_proxy_saw(peer: str, header: str, expected: str) -> None:
    assert caller(peer, header, networks(["127.0.0.1", "10.0.0.0/8"])) == expected


def test_bucket_lets_a_minute_s_worth_through_at_once_then_its_pace() -> None:
    bucket = Bucket.full(60, at=0.0)
    assert [bucket.take(at=0.0, per_minute=60) for _ in range(61)] == [True] * 60 + [False]
    assert [bucket.take(at=2.0, per_minute=60) for _ in range(3)] == [True, True, False]
    assert bucket.take(at=100.0, per_minute=1)
    assert not bucket.take(at=101.0, per_minute=1)


@pytest.mark.parametrize("given", ["", "faux", "le bon "])
def test_body_without_the_secret_is_refused(given: str) -> None:
    call = Call(action=Action.CLOSE, ticker="BTCUSDT", secret=given)
    with pytest.raises(admission.Forged):
        admission.check_secret(call, "le bon")
    admission.check_secret(call, "")


@pytest.mark.parametrize("age_s", [61, -61])
def test_call_of_another_time_is_refused(age_s: int) -> None:
    call = Call(action=Action.CLOSE, ticker="BTCUSDT", sent_at=NOW - timedelta(seconds=age_s))
    with pytest.raises(admission.Stale):
        admission.check_sent_at(call, received_at=NOW, max_age=MINUTE)


def test_call_that_waited_too_long_is_refused_and_says_for_what() -> None:
    admission.check_age(received_at=NOW, now=NOW + MINUTE, max_age=MINUTE)
    late = NOW + timedelta(seconds=61)
    with pytest.raises(admission.Stale, match="reçu il y a 61 s, limite 60 s ; l'ordre n° 3"):
        admission.check_age(received_at=NOW, now=late, max_age=MINUTE, waited_for="l'ordre n° 3 n'est pas fini")
