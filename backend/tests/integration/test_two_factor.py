"""The second factor of the sign-in: enrolled, asked, spent once, throttled, lost and taken off."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pyotp
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from pytest_django.fixtures import SettingsWrapper

from apps.accounts import two_factor_views, views
from apps.accounts.models import RecoveryCode, TwoFactor, User
from apps.accounts.services import sign_in, two_factor
from apps.core.adapters import secrets
from domain.errors import InvalidInput, TooManyRequests
from tests.engine_world import make_user

JSON = "application/json"
PASSWORD = "un-mot-de-passe-long"
# RFC 6238, appendix B (SHA-1): this key at 59 s gives 94287082, of which a telephone shows the last six digits.
RFC_KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
RFC_TIME, RFC_CODE = datetime.fromtimestamp(59, UTC), "287082"

NOW = datetime.now(UTC)

pytestmark = pytest.mark.django_db


class Stopped:
    """The views' clock: a half minute must not end in the middle of a test."""

    @staticmethod
    def now() -> datetime:
        return NOW


@pytest.fixture(autouse=True)
def world(settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "timezone", Stopped)
    monkeypatch.setattr(two_factor_views, "timezone", Stopped)
    monkeypatch.setattr(sign_in, "timezone", Stopped)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(f"/api/session/{path}", body, content_type=JSON)


def signed_in(name: str = "lea") -> Client:
    client = Client()
    if not User.objects.filter(username=name).exists():
        make_user(name)
    assert post(client, "login/", username=name, password=PASSWORD).status_code == 200
    return client


def who(client: Client) -> tuple[str | None, bool]:
    body = client.get("/api/session/").json()
    return (body["user"] and body["user"]["username"], body["awaits_code"])


def code_in(steps: int = 0) -> str:
    """The telephone's code, some half minutes away from now."""
    secret = secrets.decrypt(TwoFactor.objects.get().secret)
    return pyotp.TOTP(secret).at(NOW + timedelta(seconds=30 * steps))


@pytest.fixture
def enrolled() -> tuple[Client, list[str]]:
    """Léa with her telephone, and her recovery codes. The code of the former half minute is spent."""
    client = signed_in()
    assert post(client, "two-factor/", password=PASSWORD).status_code == 200
    answer = post(client, "two-factor/confirm/", code=code_in(-1))
    assert answer.status_code == 200, answer.content
    return client, answer.json()["recovery_codes"]


def test_enrolment_shows_the_secret_to_who_gives_the_password_and_binds_nothing_yet() -> None:
    client = signed_in()
    refused = post(client, "two-factor/", password="faux")
    assert (refused.status_code, refused.json()["code"]) == (400, "wrong_password")
    answer = post(client, "two-factor/", password=PASSWORD)
    body = answer.json()
    assert answer["Cache-Control"] == "no-store"
    assert body["address"] == f"otpauth://totp/Aristobot3:lea?secret={body['secret']}&issuer=Aristobot3"
    assert len(body["secret"]) == 32
    assert body["qr_svg"].startswith("<svg")
    assert body["secret"] not in TwoFactor.objects.get().secret
    assert client.get("/api/session/two-factor/").json() == {
        "is_on": False,
        "since": None,
        "recovery_codes_left": 0,
    }
    assert who(signed_in()) == ("lea", False)


def test_confirmed_enrolment_gives_ten_codes_once_and_ends_the_other_sessions() -> None:
    here, there = signed_in(), signed_in()
    post(here, "two-factor/", password=PASSWORD)
    assert post(here, "two-factor/confirm/", code="000000").json()["code"] == "wrong_code"
    codes = post(here, "two-factor/confirm/", code=code_in()).json()["recovery_codes"]
    assert len(set(codes)) == 10
    assert not RecoveryCode.objects.filter(code_hash__in=[code.replace("-", "") for code in codes]).exists()
    state = here.get("/api/session/two-factor/").json()
    assert (state["is_on"], state["recovery_codes_left"]) == (True, 10)
    assert [who(client)[0] for client in (here, there)] == ["lea", None]
    assert post(here, "two-factor/", password=PASSWORD).json()["code"] == "two_factor_on"


def test_password_alone_signs_nobody_in(enrolled: Any) -> None:
    client = Client()
    answer = post(client, "login/", username="lea", password=PASSWORD)
    assert (answer.status_code, answer.json()["user"], answer.json()["awaits_code"]) == (200, None, True)
    assert who(client) == (None, True)
    assert client.get("/api/brokers/").status_code in (401, 403)
    assert post(client, "code/", code="12345").json()["code"] == "wrong_code"
    assert who(client) == (None, True)
    entered = post(client, "code/", code=code_in())
    assert (entered.json()["user"]["username"], entered.json()["awaits_code"]) == ("lea", False)
    assert client.get("/api/brokers/").status_code == 200


def test_code_is_taken_once_over_all_sessions(enrolled: Any) -> None:
    code, first, second = code_in(), Client(), Client()
    for client in (first, second):
        post(client, "login/", username="lea", password=PASSWORD)
    assert post(first, "code/", code=code).status_code == 200
    assert post(second, "code/", code=code).json()["code"] == "wrong_code"
    assert post(second, "code/", code=code_in(-1)).json()["code"] == "wrong_code"  # older than one that was taken
    assert post(second, "code/", code=code_in(1)).status_code == 200


def test_recovery_code_stands_for_the_telephone_once(enrolled: Any) -> None:
    spare, client = enrolled[1][3], Client()
    for status in (200, 400):
        post(client, "login/", username="lea", password=PASSWORD)
        assert post(client, "code/", code=spare.lower().replace("-", " ")).status_code == status
    assert enrolled[0].get("/api/session/two-factor/").json()["recovery_codes_left"] == 9


def test_second_step_ends_with_time_and_with_a_change_of_password(
    enrolled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, changed = Client(), Client()
    for client in (late, changed):
        post(client, "login/", username="lea", password=PASSWORD)
    body = {"old_password": PASSWORD, "new_password": "un-autre-mot-de-passe"}
    assert post(enrolled[0], "password/", **body).status_code == 204
    assert post(changed, "code/", code=code_in()).json()["code"] == "sign_in_again"
    post(late, "login/", username="lea", password="un-autre-mot-de-passe")
    monkeypatch.setattr(sign_in, "_SECOND_STEP_WITHIN", timedelta(seconds=-1))
    refused = post(late, "code/", code=code_in())
    assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_again")
    assert who(late) == (None, False)
    assert post(Client(), "code/", code=code_in()).json()["code"] == "sign_in_again"


def test_turning_off_asks_password_and_code(enrolled: Any) -> None:
    client = enrolled[0]
    wrong = [("faux", code_in(), "wrong_password"), (PASSWORD, "000000", "wrong_code")]
    for password, code, refusal in wrong:
        assert post(client, "two-factor/off/", password=password, code=code).json()["code"] == refusal
    assert post(client, "two-factor/off/", password=PASSWORD, code=code_in()).status_code == 204
    assert (TwoFactor.objects.count(), RecoveryCode.objects.count()) == (0, 0)
    assert who(signed_in()) == ("lea", False)
    assert post(client, "two-factor/off/", password=PASSWORD, code="000000").json()["code"] == "two_factor_off"


def test_new_recovery_codes_replace_the_former(enrolled: Any) -> None:
    client, former = enrolled
    answer = post(client, "two-factor/recovery-codes/", password=PASSWORD, code=former[0])
    renewed = answer.json()["recovery_codes"]
    assert set(renewed).isdisjoint(former)
    with pytest.raises(InvalidInput):
        two_factor.check(User.objects.get(), former[1], now=NOW)
    two_factor.check(User.objects.get(), renewed[0], now=NOW)


def test_debug_login_asks_the_code_of_a_dev_who_wants_one(settings: SettingsWrapper) -> None:
    settings.DEBUG_ARISTOBOT = True
    client = signed_in("dev")
    client.post("/api/session/debug/", {"active": True}, content_type=JSON)
    assert who(client) == ("dev", False)
    post(client, "two-factor/", password=PASSWORD)
    post(client, "two-factor/confirm/", code=code_in(-1))
    other = Client()
    other.post("/api/session/debug/", {"active": True}, content_type=JSON)
    assert who(other) == (None, True)


def of_the_rfc() -> User:
    user = make_user("lea")
    TwoFactor.objects.create(user=user, secret=secrets.encrypt(RFC_KEY), created_at=RFC_TIME, confirmed_at=RFC_TIME)
    return user


@pytest.mark.parametrize(("seconds", "taken"), [(-30, True), (0, True), (30, True), (-60, False), (60, False)])
def test_clock_may_differ_by_one_step(seconds: int, taken: bool) -> None:
    user, now = of_the_rfc(), RFC_TIME + timedelta(seconds=seconds)
    if taken:
        two_factor.check(user, RFC_CODE, now=now)
    else:
        with pytest.raises(InvalidInput):
            two_factor.check(user, RFC_CODE, now=now)


def test_wrong_codes_make_the_next_ones_wait_longer_and_a_quarter_of_an_hour_at_most() -> None:
    user, now = of_the_rfc(), RFC_TIME + timedelta(days=1)
    waits = []
    for _ in range(12):
        with pytest.raises(InvalidInput):
            two_factor.check(user, "000000", now=now)
        until = TwoFactor.objects.get().locked_until
        waits.append(0 if until is None else int((until - now).total_seconds()))
        if until is not None:
            right = pyotp.TOTP(RFC_KEY).at(now)
            with pytest.raises(TooManyRequests, match="réessayer dans"):
                two_factor.check(user, right, now=now)  # not looked at
            now = until
    assert waits == [0, 0, 0, 0, 60, 120, 240, 480, 900, 900, 900, 900]
    two_factor.check(user, pyotp.TOTP(RFC_KEY).at(now), now=now)
    assert TwoFactor.objects.get().failures == 0


def test_operator_takes_it_off_for_who_lost_the_telephone(enrolled: Any) -> None:
    out = StringIO()
    call_command("reset_totp", "Lea", stdout=out)
    assert "Double authentification de « lea » retirée, 1 session(s) fermée(s)" in out.getvalue()
    assert who(enrolled[0]) == (None, False)
    assert who(signed_in()) == ("lea", False)
    call_command("reset_totp", "lea", stdout=out)
    assert "rien n'a changé" in out.getvalue()
    with pytest.raises(CommandError, match="Aucun utilisateur « absent »"):
        call_command("reset_totp", "absent")


def test_enrolment_hides_its_secret_from_logs() -> None:
    enrolment = two_factor.begin(make_user("lea"), now=RFC_TIME)
    assert enrolment.secret not in f"{enrolment!r} {enrolment}"


@pytest.mark.django_db(transaction=True)
def test_same_code_brought_twice_at_the_same_moment_enters_once() -> None:
    user = of_the_rfc()
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def bring() -> None:
        try:
            together.wait(10)
            two_factor.check(user, RFC_CODE, now=RFC_TIME)
            outcomes.append("taken")
        except InvalidInput as refused:
            outcomes.append(refused.error_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=bring) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["taken", "wrong_code"]


@pytest.fixture
def knock(rf: Any) -> Callable[..., str]:
    """Try a password from an address; return what came out."""

    def make(password: str, address: str, *, cookies: dict[str, str] | None = None) -> str:
        request = rf.post("/api/session/login/", REMOTE_ADDR=address)
        request.user = AnonymousUser()
        request.COOKIES.update(cookies or {})
        try:
            sign_in.check_credentials(request, username="lea", password=password)
        except sign_in.LoginRefused as refused:
            return refused.error_code
        return "in"

    return make


def test_guessing_from_many_addresses_closes_the_account_to_strangers_only(knock: Callable[..., str]) -> None:
    client = signed_in()  # from 127.0.0.1
    remembered = {sign_in.KNOWN_BROWSER: client.cookies[sign_in.KNOWN_BROWSER].value}
    for address in range(5):
        for _ in range(10):
            assert knock("faux", f"203.0.113.{address}") == "login_refused"
    assert knock(PASSWORD, "203.0.113.77") == "locked_out"
    assert knock(PASSWORD, "203.0.113.78", cookies={sign_in.KNOWN_BROWSER: "forgé"}) == "locked_out"
    assert knock(PASSWORD, "127.0.0.1") == "in"
    assert knock(PASSWORD, "203.0.113.79", cookies=remembered) == "in"


def test_address_that_guesses_at_many_accounts_is_closed(rf: Any, knock: Callable[..., str]) -> None:
    make_user("lea")
    for index in range(30):
        request = rf.post("/api/session/login/", REMOTE_ADDR="203.0.113.9")
        request.user = AnonymousUser()
        with pytest.raises(sign_in.LoginRefused):
            sign_in.check_credentials(request, username=f"inconnu{index}", password="faux")
    assert knock(PASSWORD, "203.0.113.9") == "locked_out"
    assert knock(PASSWORD, "203.0.113.10") == "in"


def test_own_password_is_throttled_like_a_sign_in() -> None:
    client = signed_in()
    answers = [post(client, "two-factor/", password="faux").json() for _ in range(11)]
    assert [body["code"] for body in answers] == ["wrong_password"] * 10 + ["locked_out"]
    assert post(client, "two-factor/", password=PASSWORD).json()["code"] == "locked_out"
