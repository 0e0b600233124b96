"""The second factor of the sign-in: a time-based code (RFC 6238) of a telephone, and recovery codes for its loss.

Invariants: off until its user asked for it and proved that his telephone knows the secret; the secret is
encrypted and told once; a code, of either kind, is taken once, whoever brings it at the same moment; wrong codes
slow the next ones down, by a count that is committed before the refusal is told.
"""

import hashlib
import hmac
import io
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
import segno
import structlog
from django.db import transaction

from apps.accounts.models import RecoveryCode, TwoFactor, User
from apps.core.adapters import secrets
from domain.errors import Conflict, InvalidInput, TooManyRequests

log = structlog.get_logger(__name__)

ISSUER = "Aristobot3"
RECOVERY_CODES = 10
_STEP_S = 30  # RFC 6238, 5.2
_DRIFT_STEPS = 1  # a telephone may be half a minute ahead or behind
_FREE_FAILURES = 5
_RECOVERY_SIGNS = 16  # of base32: 80 bits
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a telephone needs to know. `repr` hides it so that it cannot reach a log."""

    secret: str
    address: str
    qr_svg: str

    def __repr__(self) -> str:
        return "Enrolment(…)"


def is_on(user: User) -> bool:
    """Return whether the user's sign-in asks for a code."""
    return bool(TwoFactor.objects.filter(user=user, confirmed_at__isnull=False).exists())


def state(user: User) -> dict[str, object]:
    """Return the body of GET /api/session/two-factor/."""
    row = TwoFactor.objects.filter(user=user, confirmed_at__isnull=False).first()
    left = RecoveryCode.objects.filter(user=user, used_at=None).count() if row is not None else 0
    return {"is_on": row is not None, "since": row and row.confirmed_at, "recovery_codes_left": left}


def begin(user: User, *, now: datetime) -> Enrolment:
    """Draw a secret for the user's telephone; nothing changes for him until `confirm`.

    Raises:
        Conflict: it is on already.
    """
    secret = pyotp.random_base32()
    with transaction.atomic():
        held = TwoFactor.objects.select_for_update().filter(user=user).first()
        if held is not None and held.confirmed_at is not None:
            raise Conflict("Double authentification déjà active : la désactiver d'abord.", code="two_factor_on")
        fresh = {"secret": secrets.encrypt(secret), "created_at": now, "failures": 0, "locked_until": None}
        TwoFactor.objects.update_or_create(user=user, defaults=fresh)
    address = pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=ISSUER)
    return Enrolment(secret, address, _qr(address))


def confirm(user: User, code: str, *, now: datetime) -> list[str]:
    """Turn it on, once the telephone's code proves that it knows the secret; return the recovery codes.

    Raises:
        Conflict: nothing was begun, or it is on already.
        InvalidInput, TooManyRequests: as `check`.
    """
    if not TwoFactor.objects.filter(user=user, confirmed_at=None).exists():
        raise Conflict("Activation refusée : aucune n'est en cours.", code="no_enrolment")
    check(user, code, now=now, recovery=False)
    with transaction.atomic():
        begun = TwoFactor.objects.filter(user=user, confirmed_at=None)
        if not begun.update(confirmed_at=now):
            raise Conflict("Activation refusée : aucune n'est en cours.", code="no_enrolment")
        codes = _draw_recovery_codes(user)
    log.info("two_factor.turned_on", user_id=user.pk)
    return codes


def renew_recovery_codes(user: User, code: str, *, now: datetime) -> list[str]:
    """Replace the recovery codes. Raises Conflict when it is off, and as `check`."""
    _require_on(user)
    check(user, code, now=now)
    with transaction.atomic():
        codes = _draw_recovery_codes(user)
    log.info("two_factor.recovery_codes_renewed", user_id=user.pk)
    return codes


def turn_off(user: User, code: str, *, now: datetime) -> None:
    """Raises Conflict when it is off, and as `check`."""
    _require_on(user)
    check(user, code, now=now)
    forget(user)


def forget(user: User) -> bool:
    """Remove the second factor without a code (the server's operator may); return whether there was one."""
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user).delete()
        removed, _ = TwoFactor.objects.filter(user=user).delete()
    if removed:
        log.warning("two_factor.turned_off", user_id=user.pk)
    return bool(removed)


def check(user: User, code: str, *, now: datetime, recovery: bool = True) -> None:
    """Take a code, once.

    Raises:
        InvalidInput: wrong, or spent already.
        TooManyRequests: too many wrong ones; the right one is not looked at either until the wait is over.
        SecretUnreadable: the secret was written under another SECRET_KEY.
    """
    given = "".join(code.split()).replace("-", "").upper()
    with transaction.atomic():
        row = TwoFactor.objects.select_for_update().get(user=user)  # one code at a time
        _refuse_while_locked(row, now)
        taken = _take_step(row, given, now) or (recovery and _take_recovery_code(user, given, now))
        if taken:
            row.failures, row.locked_until = 0, None
        else:
            row.failures += 1
            row.locked_until = _wait_after(row.failures, now)
        row.save(update_fields=["last_step", "failures", "locked_until"])
    if not taken:
        log.warning("two_factor.wrong_code", user_id=user.pk, failures=row.failures)
        raise InvalidInput(
            "Code refusé : faux, ou déjà utilisé. Attendre le code suivant ; s'il est refusé aussi, vérifier "
            "l'heure du téléphone.",
            code="wrong_code",
        )


def _refuse_while_locked(row: TwoFactor, now: datetime) -> None:
    if row.locked_until is None or row.locked_until <= now:
        return
    seconds = int((row.locked_until - now).total_seconds()) + 1
    raise TooManyRequests(
        f"Code non vérifié : {row.failures} codes faux de suite, réessayer dans {seconds} s.",
        details={"retry_after_s": seconds},
        code="code_locked",
    )


def _wait_after(failures: int, now: datetime) -> datetime | None:
    """1, 2, 4, 8, 15 minutes from the fifth wrong code on: 15 minutes at most, whoever knows the password."""
    if failures < _FREE_FAILURES:
        return None
    doubled = _FIRST_WAIT * 2 ** min(failures - _FREE_FAILURES, 10)
    return now + min(doubled, _LONGEST_WAIT)


def _take_step(row: TwoFactor, given: str, now: datetime) -> bool:
    """Accept the code of this half minute or of its neighbours, if none as recent was taken."""
    totp = pyotp.TOTP(secrets.decrypt(row.secret), interval=_STEP_S)
    here = int(now.timestamp()) // _STEP_S
    for step in range(here - _DRIFT_STEPS, here + _DRIFT_STEPS + 1):
        if step > row.last_step and hmac.compare_digest(totp.generate_otp(step).encode(), given.encode()):
            row.last_step = step
            return True
    return False


def _take_recovery_code(user: User, given: str, now: datetime) -> bool:
    unused = RecoveryCode.objects.filter(user=user, code_hash=_hash_of(given), used_at=None)
    taken = bool(unused.update(used_at=now))
    if taken:
        log.warning("two_factor.recovery_code_used", user_id=user.pk)
    return taken


def _draw_recovery_codes(user: User) -> list[str]:
    RecoveryCode.objects.filter(user=user).delete()
    plain = [pyotp.random_base32()[:_RECOVERY_SIGNS] for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, code_hash=_hash_of(code)) for code in plain)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in plain]


def _hash_of(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _require_on(user: User) -> None:
    if not is_on(user):
        raise Conflict("Double authentification inactive : rien à changer.", code="two_factor_off")


def _qr(address: str) -> str:
    picture = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        picture, kind="svg", scale=4, border=3, dark="#000", light="#fff", xmldecl=False
    )
    return picture.getvalue().decode()
