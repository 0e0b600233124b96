"""Signing in: the password under a throttle, then, where the user wants it, a code.

Between the two steps the session knows who gave his password, and nobody is signed in. The throttle counts wrong
passwords (django-axes keeps them) by account and address together, by address, and by account. The last one binds
only browsers and addresses that the account was never used from, so that a stranger who guesses at an account
does not lock its owner out; a browser that signed in once holds a signed cookie that says so.
"""

import threading
from datetime import datetime, timedelta
from typing import Any

import structlog
from axes.handlers.proxy import AxesProxyHandler
from axes.helpers import get_client_ip_address
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core import signing
from django.db.models import Sum
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from apps.accounts.models import User, UserSession
from apps.accounts.services import two_factor
from domain.errors import AristobotError, InvalidInput

log = structlog.get_logger(__name__)

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
ADDRESS_LIMIT, ACCOUNT_LIMIT = 30, 50
KNOWN_BROWSER, _KNOWN_FOR = "known_browser", timedelta(days=400)  # cookie; browsers keep none longer
_AWAITED = "second_factor"  # key in the session
_SECOND_STEP_WITHIN = timedelta(minutes=5)
# One password costs Argon2 100 MiB: those of a flood wait for one another.
_hashing = threading.BoundedSemaphore(2)


class LoginRefused(AristobotError):
    code = "login_refused"
    http_status = 403


def check_credentials(request: Any, *, username: str, password: str) -> User:
    """Return the user whose password it is.

    Raises:
        LoginRefused: wrong, or not looked at after too many wrong ones.
    """
    if _is_locked(request, username):
        raise LoginRefused(
            "Connexion refusée : trop d'essais pour ce compte, réessayer dans 15 minutes.", code="locked_out"
        )
    with _hashing:
        user: User | None = authenticate(request, username=username, password=password)
    if user is None:
        raise LoginRefused("Connexion refusée : utilisateur ou mot de passe inconnu.")
    return user


def check_own_password(request: Any, user: User, password: str, *, action: str) -> None:
    """Before what an open session alone must not do; wrong ones count as at the sign-in.

    Args:
        action: what is refused, « Changement ».

    Raises:
        InvalidInput: wrong.
        LoginRefused: too many wrong ones.
    """
    try:
        check_credentials(request, username=user.username, password=password)
    except LoginRefused as refused:
        if refused.error_code == "locked_out":
            raise
        raise InvalidInput(f"{action} : le mot de passe est faux.", code="wrong_password") from refused


def enter(request: Any, user: User, *, now: datetime) -> bool:
    """Sign the user in, or await his code; return whether he is in."""
    if two_factor.is_on(user):
        request.session.flush()
        request.session[_AWAITED] = {
            "user": user.pk,
            "at": now.timestamp(),
            "hash": user.get_session_auth_hash(),  # a change of password meanwhile ends it
        }
        return False
    login(request, user, backend=MODEL_BACKEND)
    return True


def enter_with_code(request: Any, code: str, *, now: datetime) -> User:
    """Finish the sign-in that awaits a code.

    Raises:
        LoginRefused: none is awaited any more.
        InvalidInput, TooManyRequests: as `two_factor.check`.
    """
    user = _awaited_user(request, now)
    if user is None:
        request.session.pop(_AWAITED, None)
        raise LoginRefused("Connexion refusée : délai dépassé, redonner le mot de passe.", code="sign_in_again")
    two_factor.check(user, code, now=now)
    del request.session[_AWAITED]
    login(request, user, backend=MODEL_BACKEND)
    return user


def remember_browser(response: Any, user: User) -> None:
    """Let this browser try again where strangers may not. The cookie opens nothing."""
    response.set_cookie(
        KNOWN_BROWSER,
        signing.dumps(user.pk, salt=KNOWN_BROWSER),
        max_age=_KNOWN_FOR,
        httponly=True,
        samesite="Lax",
    )


def keep_answer(request: Any, response: Any, credentials: Any) -> Any:
    """For django-axes: the view has said what there is to say, in the API's shape."""
    return response


def awaits_code(request: Any) -> bool:
    """Return whether the session stands between the two steps."""
    return not request.user.is_authenticated and _awaited_user(request, timezone.now()) is not None


def _awaited_user(request: Any, now: datetime) -> User | None:
    awaited = request.session.get(_AWAITED)
    if awaited is None or now.timestamp() - awaited["at"] > _SECOND_STEP_WITHIN.total_seconds():
        return None
    user: User | None = User.objects.filter(pk=awaited["user"], is_active=True).first()
    if user is None or not constant_time_compare(awaited["hash"], user.get_session_auth_hash()):
        return None
    return user if two_factor.is_on(user) else None


def _is_locked(request: Any, username: str) -> bool:
    if AxesProxyHandler.is_locked(request, {"username": username}):
        return True
    address = get_client_ip_address(request)
    since = timezone.now() - timedelta(hours=settings.AXES_COOLOFF_TIME)
    recent = AccessAttempt.objects.filter(attempt_time__gte=since)
    if _failures(recent.filter(ip_address=address)) >= ADDRESS_LIMIT:
        log.warning("sign_in.address_locked", address=address)
        return True
    if _failures(recent.filter(username=username)) < ACCOUNT_LIMIT:
        return False
    known = (
        UserSession.objects.filter(user__username=username, address=address).exists()
        or User.objects.filter(pk=_remembered(request), username=username).exists()
    )
    if not known:
        log.warning("sign_in.account_closed_to_new_addresses", address=address)
    return not known


def _failures(attempts: Any) -> int:
    return attempts.aggregate(total=Sum("failures_since_start"))["total"] or 0


def _remembered(request: Any) -> int | None:
    cookie = request.COOKIES.get(KNOWN_BROWSER, "")
    try:
        return int(signing.loads(cookie, salt=KNOWN_BROWSER, max_age=_KNOWN_FOR))
    except signing.BadSignature:
        return None
