"""Alerts without a database: addresses, back-off, what is said together, when a service is called silent."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.alerts.services.watch import Outages
from apps.core.adapters import alerts
from domain.alerts import back_off, checked_address, compose, masked, service_of
from domain.errors import AlertNotSent, InvalidInput
from tests.fakes.http_server import Reply, local_server

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("address", "service", "shown"),
    [
        ("discord://4174216342/jeton-secret", "Discord", "discord://4174••••"),
        ("https://discord.com/api/webhooks/41742/jeton", "Discord", "https://disc••••"),
        ("mailto://dac:motdepasse@example.org", "Courriel", "mailto://dac:••••"),
        ("mailtos://dac:motdepasse@example.org", "Courriel", "mailtos://dac:••••"),
        ("ntfys://court", "ntfy", "ntfys://••••"),
        ("pushbullet://abcdefghijklmnop", "pushbullet", "pushbullet://abcd••••"),
    ],
)
def test_address_is_shown_by_its_service_and_a_few_characters(address: str, service: str, shown: str) -> None:
    assert (service_of(address), masked(address)) == (service, shown)


@pytest.mark.parametrize(
    "text", ["", "discord", "discord://", "://x/yz", "json://a b", "syslog://local", "dbus://xyz"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Adresse d'alerte refusée : "):
        checked_address(text)


def test_back_off_doubles_from_half_a_minute_to_an_hour() -> None:
    waits = [back_off(failures).total_seconds() for failures in (1, 2, 3, 7, 8, 100)]
    assert waits == [30, 60, 120, 1920, 3600, 3600]  # 30 s x 2^(n-1), at most 3600 s


def test_one_alert_is_its_sentence_and_several_are_a_list() -> None:
    assert compose([(NOON, "Ordre inconnu.")]) == (
        "Aristobot : alerte",
        "Ordre inconnu.\n2026-11-22 12:00:00 UTC",
    )
    many = [(NOON + timedelta(seconds=index), f"n{index}") for index in range(23)]
    title, body = compose(many)
    assert title == "Aristobot : 23 alertes"
    assert body.splitlines()[0] == "• 12:00:00 UTC : n0"
    assert body.splitlines()[-1] == "… et 3 autres, dans « Mon Compte »."


def test_silence_is_told_once_and_so_is_the_return() -> None:
    outages = Outages(silent_after_s=60)
    heard = [(True, 0), (False, 5), (False, 64), (False, 65), (False, 70), (True, 75), (True, 80), (False, 85)]
    told = [outages.note("heartbeat", up=up, at=at) for up, at in heard]
    assert told == [None, None, None, "down", None, "up", None, None]  # silent from 5: told at 65, not at 64


def test_short_silence_is_not_told() -> None:
    outages = Outages(silent_after_s=60)
    assert [outages.note("x", up=up, at=at) for up, at in [(False, 0), (True, 30), (False, 40), (False, 99)]] == [
        None
    ] * 4


def test_message_arrives_as_it_was_written() -> None:
    with local_server(lambda asked: Reply()) as server:
        alerts.send(server.url.replace("http", "json") + "/alerte", "Titre", "Ordre « inconnu » : 5 < 6")
    sent = server.asked[0]
    assert (sent.path, sent.body["title"], sent.body["message"]) == (
        "/alerte",
        "Titre",
        "Ordre « inconnu » : 5 < 6",
    )


def test_refusal_is_told_without_the_addresss_secrets() -> None:
    with local_server(lambda asked: Reply(500)) as server:
        address = server.url.replace("http://", "json://moi:mot-de-passe@") + "/jeton-secret"
        with pytest.raises(AlertNotSent) as refused:
            alerts.send(address, "T", "B")
    message = refused.value.message
    assert message.startswith("Envoi refusé par Webhook JSON : ")
    assert "error=500" in message
    assert not any(secret in message for secret in ("mot-de-passe", "jeton-secret", "127.0.0.1"))


def test_address_that_apprise_does_not_know_is_told() -> None:
    with pytest.raises(AlertNotSent, match="apprise ne la reconnaît pas"):
        alerts.send("nulle-part://abcdef", "T", "B")
