"""Whether the session a socket was opened with still stands: looked at before anything that moves money.

A socket outlives the page's login: a logout in another tab, a changed password or an ended session must stop
orders at once, not when the socket happens to close.
"""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.utils.crypto import constant_time_compare

from apps.accounts.models import User


def still_signed_in(user_id: int, session_key: str) -> bool:
    """Tell whether the session exists, is this user's, and was opened with his present password."""
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    if session.get(SESSION_KEY) != str(user_id):
        return False
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return False
    known = {user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()}
    return any(constant_time_compare(session.get(HASH_SESSION_KEY, ""), each) for each in known)
