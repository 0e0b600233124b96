"""Routes under /api/session/."""

from django.urls import URLPattern, path

from apps.accounts import views
from apps.accounts.session import SessionFacts


def build(facts: SessionFacts) -> list[URLPattern]:
    """Return the session's routes with the facts that higher rooms contribute."""
    routes: dict[str, type[views.SessionBase]] = {
        "": views.SessionView,
        "login/": views.LoginView,
        "logout/": views.LogoutView,
        "register/": views.RegisterView,
        "debug/": views.DebugView,
        "password/": views.PasswordView,
        "preferences/": views.PreferencesView,
        "account/": views.AccountView,
    }
    return [path(f"session/{route}", view.as_view(facts=facts)) for route, view in routes.items()]
