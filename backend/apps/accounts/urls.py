"""Routes under /api/session/ and /api/assistant/."""

from django.urls import URLPattern, path

from apps.accounts import assistant_views, device_views, two_factor_views, views
from apps.accounts.session import SessionFacts


def build(facts: SessionFacts) -> list[URLPattern]:
    """Return the room's routes; those of the session with the facts that higher rooms contribute."""
    routes: dict[str, type[views.SessionBase]] = {
        "": views.SessionView,
        "login/": views.LoginView,
        "code/": views.CodeView,
        "logout/": views.LogoutView,
        "register/": views.RegisterView,
        "debug/": views.DebugView,
        "password/": views.PasswordView,
        "preferences/": views.PreferencesView,
        "account/": views.AccountView,
    }
    return [
        *(path(f"session/{route}", view.as_view(facts=facts)) for route, view in routes.items()),
        path("session/devices/", device_views.DevicesView.as_view()),
        path("session/devices/close-others/", device_views.OtherDevicesView.as_view()),
        path("session/devices/<int:id>/", device_views.DeviceView.as_view()),
        path("session/two-factor/", two_factor_views.TwoFactorView.as_view()),
        path("session/two-factor/confirm/", two_factor_views.TwoFactorConfirmView.as_view()),
        path("session/two-factor/recovery-codes/", two_factor_views.RecoveryCodesView.as_view()),
        path("session/two-factor/off/", two_factor_views.TwoFactorOffView.as_view()),
        path("assistant/settings/", assistant_views.AssistantSettingsView.as_view()),
        path("assistant/models/", assistant_views.AssistantModelsView.as_view()),
        path("assistant/test/", assistant_views.AssistantTestView.as_view()),
    ]
