"""Alerts from the fact to the address: recorded with it, sent once, bundled, retried, told on the card."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import User
from apps.alerts.models import Alert, AlertAddress, AlertDelivery
from apps.alerts.services import addresses, outbox, recording
from apps.alerts.services.sender import AlertSender
from apps.alerts.services.watch import ServiceWatch
from apps.core.adapters import alerts, secrets
from apps.core.adapters.clock import SystemClock
from domain.alerts import AlertKind
from domain.errors import AlertNotSent, Unavailable
from tests.engine_world import make_user
from tests.fakes.clock import FakeClock
from tests.fakes.http_server import Reply, local_server

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
JSON = "application/json"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def lea(settings: SettingsWrapper) -> User:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return make_user("lea")


def address_of(user: User, text: str = "json://127.0.0.1:9/jeton-secret") -> AlertAddress:
    made: AlertAddress = AlertAddress.objects.create(user=user, address=secrets.encrypt(text))
    return made


def order_alert(user: User, number: int = 1, *, now: datetime = NOW) -> Alert | None:
    return recording.record(
        user.pk,
        kind=AlertKind.ORDER,
        code="order_unknown",
        subject=f"trade:{number}",
        message=f"Ordre {number} : issue inconnue.",
        now=now,
    )


class Post:
    """Remembers what was sent; raises what the test says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.error: Exception | None = None

    def __call__(self, address: str, title: str, body: str) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((address, title, body))


def serve(post: Post, now: datetime) -> int:
    """Let one sender look once at that time."""
    sender = AlertSender(send=post, clock=FakeClock(now))
    return asyncio.run(sender.step())


@pytest.mark.django_db(transaction=True)
class TestOutbox:
    def test_alert_reaches_every_active_address_once(self, lea: User) -> None:
        address_of(lea, "json://a.example/1")
        address_of(lea, "json://b.example/2")
        AlertAddress.objects.filter(pk=address_of(lea, "json://c.example/3").pk).update(is_active=False)
        order_alert(lea)
        post = Post()
        assert serve(post, NOW) == 2
        assert sorted(address for address, _, _ in post.sent) == ["json://a.example/1", "json://b.example/2"]
        assert serve(post, NOW + timedelta(hours=1)) == 0

    def test_same_alert_within_ten_minutes_is_recorded_once(self, lea: User) -> None:
        assert order_alert(lea) is not None
        assert order_alert(lea, now=NOW + timedelta(minutes=9)) is None
        assert order_alert(lea, number=2, now=NOW + timedelta(minutes=9)) is not None
        assert order_alert(lea, now=NOW + timedelta(minutes=10)) is not None

    def test_burst_becomes_two_messages(self, lea: User) -> None:
        address_of(lea)
        order_alert(lea, 1)
        post = Post()
        serve(post, NOW)
        for number in range(2, 30):
            order_alert(lea, number, now=NOW + timedelta(seconds=1))
        assert serve(post, NOW + timedelta(seconds=29)) == 0  # the quiet span is 30 s
        assert serve(post, NOW + timedelta(seconds=30)) == 1
        assert [title for _, title, _ in post.sent] == ["Aristobot : alerte", "Aristobot : 28 alertes"]

    def test_muted_kind_is_kept_but_not_sent(self, lea: User) -> None:
        address_of(lea)
        addresses.choose_kinds(lea, ["service"])
        order_alert(lea)
        assert serve(Post(), NOW) == 0
        assert Alert.objects.count() == 1
        addresses.choose_kinds(lea, ["order"])
        order_alert(lea, 2)
        assert serve(Post(), NOW) == 1

    def test_failure_is_retried_later_and_later_then_sent(self, lea: User) -> None:
        address = address_of(lea)
        order_alert(lea)
        post = Post()
        post.error = AlertNotSent("Envoi refusé par Webhook JSON : 500")
        assert serve(post, NOW) == 1
        address.refresh_from_db()
        assert (address.failures, address.last_error) == (1, "Envoi refusé par Webhook JSON : 500")
        assert serve(post, NOW + timedelta(seconds=29)) == 0
        assert serve(post, NOW + timedelta(seconds=30)) == 1  # then it rests 60 s
        assert serve(post, NOW + timedelta(seconds=89)) == 0
        post.error = None
        assert serve(post, NOW + timedelta(seconds=90)) == 1
        address.refresh_from_db()
        assert (address.failures, address.last_error, len(post.sent)) == (0, "", 1)

    def test_bug_of_a_plugin_is_a_failure_like_another_and_quotes_nothing(
        self, lea: User, capfd: pytest.CaptureFixture[str]
    ) -> None:
        address, post = address_of(lea), Post()
        order_alert(lea)
        post.error = ZeroDivisionError("jeton-secret")
        serve(post, NOW)
        address.refresh_from_db()
        assert address.last_error == "Envoi impossible : erreur interne, voir le journal du service."
        logged = "".join(capfd.readouterr())
        assert "ZeroDivisionError" in logged
        assert "jeton-secret" not in logged

    def test_old_alert_is_abandoned_instead_of_told(self, lea: User) -> None:
        address_of(lea)
        order_alert(lea)
        assert serve(Post(), NOW + timedelta(hours=24, seconds=1)) == 0
        assert AlertDelivery.objects.get().error == "Abandonnée : pas délivrée en 24 heures."

    def test_alerts_of_three_months_are_forgotten(self, lea: User) -> None:
        order_alert(lea)
        serve(Post(), NOW + timedelta(days=89))
        assert Alert.objects.count() == 1
        serve(Post(), NOW + timedelta(days=91))
        assert Alert.objects.count() == 0

    def test_two_senders_at_once_send_once(self, lea: User) -> None:
        address_of(lea)
        order_alert(lea)
        claimed: list[int] = []
        gate = threading.Barrier(2)

        def claim() -> None:
            from django.db import connection

            gate.wait(10)
            claimed.append(len(outbox.claim_due(NOW)))
            connection.close()

        threads = [threading.Thread(target=claim) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(claimed) == [0, 1]

    def test_sender_that_died_is_replaced_when_its_lease_ran_out(self, lea: User) -> None:
        address_of(lea)
        order_alert(lea)
        assert len(outbox.claim_due(NOW)) == 1  # and it dies here
        assert serve(Post(), NOW + timedelta(seconds=89)) == 0
        assert serve(Post(), NOW + timedelta(seconds=90)) == 1

    def test_rolled_back_fact_leaves_no_alert(self, lea: User) -> None:
        from django.db import transaction

        with transaction.atomic():
            order_alert(lea)
            transaction.set_rollback(True)
        assert Alert.objects.count() == 0


class Presences:
    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = {}

    async def read(self, names: Sequence[str]) -> Any:
        return None if self.answer is None else (self.answer, 0.1)


@pytest.mark.django_db(transaction=True)
async def test_silent_service_and_silent_redis_are_told_to_everybody(lea: User) -> None:
    await sync_to_async(make_user)("max")
    clock, presences = FakeClock(NOW), Presences()
    watch = ServiceWatch(["heartbeat"], presences=presences, clock=clock)
    await watch.step()
    clock.advance(60)
    await watch.step()
    presences.answer = None
    await watch.step()
    clock.advance(60)
    await watch.step()
    rows = await sync_to_async(
        lambda: list(Alert.objects.order_by("pk").values_list("user__username", "subject"))
    )()
    assert sorted(rows) == [
        ("lea", "service:heartbeat"),
        ("lea", "service:redis"),
        ("max", "service:heartbeat"),
        ("max", "service:redis"),
    ]


@pytest.fixture
def client(lea: User) -> Client:
    signed_in = Client()
    signed_in.force_login(lea, backend=BACKEND)
    return signed_in


@pytest.mark.django_db
class TestApi:
    def test_address_is_stored_encrypted_and_shown_masked(self, client: Client) -> None:
        given = {"address": " discord://4174216342/jeton-secret "}
        answer = client.post("/api/alerts/addresses/", given, content_type=JSON)
        assert answer.status_code == 201, answer.content
        assert (answer.json()["service"], answer.json()["masked"]) == ("Discord", "discord://4174••••")
        stored = AlertAddress.objects.get()
        assert "jeton" not in stored.address
        assert secrets.decrypt(stored.address) == "discord://4174216342/jeton-secret"
        assert "jeton" not in client.get("/api/alerts/addresses/").content.decode()

    def test_malformed_and_sixth_address_are_refused(self, client: Client, lea: User) -> None:
        refused = client.post("/api/alerts/addresses/", {"address": "discord"}, content_type=JSON)
        assert (refused.status_code, refused.json()["code"]) == (400, "alert_address_malformed")
        for _ in range(5):
            address_of(lea)
        full = client.post("/api/alerts/addresses/", {"address": "json://x.example/"}, content_type=JSON)
        assert (full.status_code, full.json()["code"]) == (409, "limit_reached")

    def test_switching_off_drops_what_waited(self, client: Client, lea: User) -> None:
        address = address_of(lea)
        order_alert(lea)
        assert client.get("/api/alerts/").json()["results"][0]["state"] == "waiting"
        path = f"/api/alerts/addresses/{address.pk}/"
        assert client.patch(path, {"is_active": False}, content_type=JSON).json()["is_active"] is False
        row = client.get("/api/alerts/").json()["results"][0]
        assert (row["state"], row["error"]) == ("failed", "Abandonnée : adresse éteinte.")
        assert client.delete(path).status_code == 204
        assert client.get("/api/alerts/").json()["results"][0]["state"] == "kept"

    def test_alert_that_reached_one_of_two_addresses_is_sent(self, client: Client, lea: User) -> None:
        address_of(lea)
        order_alert(lea)
        late = address_of(lea)
        AlertDelivery.objects.create(alert=Alert.objects.get(), address=late)
        assert client.get("/api/alerts/").json()["results"][0]["state"] == "waiting"
        AlertDelivery.objects.exclude(address=late).update(sent_at=NOW)
        assert client.get("/api/alerts/").json()["results"][0]["state"] == "sent"

    def test_kinds_are_kept_and_checked(self, client: Client) -> None:
        assert client.get("/api/alerts/preferences/").json() == {"kinds": ["order", "bot_paused", "service"]}
        answer = client.put("/api/alerts/preferences/", {"kinds": ["service"]}, content_type=JSON)
        assert answer.json() == {"kinds": ["service"]}
        assert client.put("/api/alerts/preferences/", {"kinds": ["autre"]}, content_type=JSON).status_code == 400


@pytest.mark.django_db(transaction=True)
class TestOfAnAddress:
    """The test goes through a real sender to a real server on this machine."""

    @pytest.fixture
    def sender(self) -> Any:
        stop = threading.Event()

        def work() -> None:
            async def serve_until_stopped() -> None:
                from apps.core.adapters.database import close_database

                sender = AlertSender(send=alerts.send, clock=SystemClock())
                while not stop.is_set():
                    await sender.step()
                    await asyncio.to_thread(stop.wait, 0.05)
                await close_database()

            asyncio.run(serve_until_stopped())

        thread = threading.Thread(target=work)
        thread.start()
        yield
        stop.set()
        thread.join(20)

    def test_message_leaves_and_the_time_is_told(self, client: Client, lea: User, sender: None) -> None:
        with local_server(lambda asked: Reply()) as server:
            address = address_of(lea, server.url.replace("http", "json") + "/jeton-secret")
            answer = client.post(f"/api/alerts/addresses/{address.pk}/test/")
        assert answer.status_code == 200, answer.content
        assert server.asked[0].body["message"].startswith("Message de test")

    def test_refusal_is_told_and_not_tried_again(self, client: Client, lea: User, sender: None) -> None:
        with local_server(lambda asked: Reply(404)) as server:
            address = address_of(lea, server.url.replace("http", "json") + "/jeton-secret")
            answer = client.post(f"/api/alerts/addresses/{address.pk}/test/")
            assert (answer.status_code, answer.json()["code"]) == (502, "alert_not_sent")
            assert "error=404" in answer.json()["message"]
            assert "jeton-secret" not in answer.content.decode()
            assert len(server.asked) == 1
        assert AlertDelivery.objects.get().abandoned_at is not None

    def test_without_a_sender_it_says_which_terminals_to_look_at(self, lea: User) -> None:
        address = address_of(lea)
        with pytest.raises(Unavailable, match="terminaux 3 et 5"):
            addresses.send_test(lea, address.pk, timeout_s=0.2)
