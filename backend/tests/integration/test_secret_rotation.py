"""A rotation of SECRET_KEY loses no secret, and no encrypted column is forgotten."""

import re
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import models
from django.utils import timezone
from pytest_django.fixtures import SettingsWrapper

from apps.accounts.models import TwoFactor, User
from apps.alerts.models import AlertAddress
from apps.brokers.models import Broker
from apps.core.adapters import secrets
from apps.core.fields import EncryptedTextField, encrypted_columns
from tests.engine_world import make_broker, make_user
from tests.integration.test_access_matrix import make_world

OLD, NEW = "ancienne-cle-secrete", "nouvelle-cle-secrete"
# Columns whose names sound like secrets and that are none.
NOT_SECRET = {
    "accounts.User.password",  # a hash
    "webhooks.WebhookSource.token_hash",  # of 256 random bits
    "webhooks.WebhookSource.previous_token_hash",
    "webhooks.WebhookSource.token_hint",  # too little of it to be used
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def secrets_of_old(settings: SettingsWrapper) -> dict[str, Any]:
    """Seven secrets of four tables under the old key; the new one is in force."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    user = make_user("lea")
    User.objects.filter(pk=user.pk).update(ai_api_key=secrets.encrypt("cle-ia"))
    broker = make_broker(user)
    tokens = {column: secrets.encrypt(column) for column in ("api_key", "api_secret", "api_password", "api_extra")}
    Broker.objects.filter(pk=broker.pk).update(**tokens)
    address = AlertAddress.objects.create(user=user, address=secrets.encrypt("discord://identifiant/jeton"))
    now = timezone.now()
    TwoFactor.objects.create(user=user, secret=secrets.encrypt("secret-du-telephone"), created_at=now)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    return {"user": user.pk, "broker": broker.pk, "address": address.pk}


def run() -> str:
    out = StringIO()
    call_command("reencrypt_secrets", stdout=out)
    return out.getvalue()


def clear_texts() -> list[str]:
    user, broker, address = User.objects.get(), Broker.objects.get(), AlertAddress.objects.get()
    tokens = [
        user.ai_api_key,
        broker.api_key,
        broker.api_secret,
        broker.api_password,
        broker.api_extra,
        address.address,
        TwoFactor.objects.get().secret,
    ]
    return [secrets.decrypt(token) for token in tokens]


def test_every_secret_is_readable_under_the_new_key_alone(
    secrets_of_old: dict[str, Any], settings: SettingsWrapper
) -> None:
    updated_at = Broker.objects.get().updated_at
    assert "7 chiffrés à nouveau, 0 déjà sous la clé présente, 0 illisibles" in run()
    settings.SECRET_KEY_FALLBACKS = []
    assert clear_texts() == [
        "cle-ia",
        "api_key",
        "api_secret",
        "api_password",
        "api_extra",
        "discord://identifiant/jeton",
        "secret-du-telephone",
    ]
    assert "0 chiffrés à nouveau, 7 déjà sous la clé présente" in run()
    assert Broker.objects.get().updated_at == updated_at


def test_interrupted_rotation_is_finished_by_the_next(
    secrets_of_old: dict[str, Any], settings: SettingsWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypt, calls = secrets.encrypt, []

    def interrupted(text: str) -> str:
        calls.append(text)
        if len(calls) == 4:  # in the middle of a row of four
            raise KeyboardInterrupt
        return encrypt(text)

    monkeypatch.setattr(secrets, "encrypt", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    monkeypatch.setattr(secrets, "encrypt", encrypt)
    clear_texts()  # old and new keys side by side: everything is still readable
    counts = re.findall(r"(\d+) (?:chiffrés|déjà|illisibles)", run())
    assert int(counts[0]) + int(counts[1]) == 7
    assert (int(counts[0]) > 0, int(counts[1]) > 0, counts[2]) == (True, True, "0")
    settings.SECRET_KEY_FALLBACKS = []
    clear_texts()


def test_unreadable_secret_is_named_without_its_content_and_the_others_are_done(
    secrets_of_old: dict[str, Any], settings: SettingsWrapper
) -> None:
    settings.SECRET_KEY = "une-troisieme-cle"
    lost = secrets.encrypt("perdue")
    settings.SECRET_KEY = NEW
    Broker.objects.update(api_secret=lost)
    with pytest.raises(CommandError) as refused:
        run()
    assert refused.value.returncode == 1
    assert f"table brokers, id {secrets_of_old['broker']}, colonne api_secret" in str(refused.value)
    assert lost not in str(refused.value)
    assert Broker.objects.get().api_secret == lost
    settings.SECRET_KEY_FALLBACKS = []
    assert secrets.decrypt(Broker.objects.get().api_key) == "api_key"
    assert secrets.decrypt(User.objects.get().ai_api_key) == "cle-ia"


def test_clear_text_never_reaches_an_encrypted_column(secrets_of_old: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Broker\.api_key takes a token"):
        Broker.objects.update(api_key="en clair")


def test_columns_named_like_secrets_are_encrypted() -> None:
    name = re.compile(r"(?:^|_)(key|secret|token|password|credential|passphrase)s?(?:$|_)")
    forgotten = [
        label
        for model in apps.get_models()
        if model.__module__.startswith("apps.")
        for column in model._meta.concrete_fields
        if isinstance(column, models.TextField | models.CharField) and name.search(column.attname)
        if (label := f"{model._meta.app_label}.{model.__name__}.{column.attname}") not in NOT_SECRET
        if not isinstance(column, EncryptedTextField)
    ]
    assert forgotten == []
    assert {model.__name__ for model, _ in encrypted_columns()} >= {"User", "Broker", "AlertAddress", "TwoFactor"}


def test_tokens_are_found_in_encrypted_columns_only() -> None:
    """The world of the access matrix has a row of everything a user owns."""
    make_world()
    tokens = []
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, models.TextField | models.CharField):
                found = model._base_manager.filter(**{f"{column.attname}__startswith": "v1:gAAAA"}).exists()
                if found:
                    tokens.append(column)
    assert len(tokens) >= 4
    assert [column for column in tokens if not isinstance(column, EncryptedTextField)] == []
