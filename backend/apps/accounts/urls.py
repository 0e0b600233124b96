"""Routes under /api/session/ and /api/assistant/."""

from django.urls import URLPattern, path

from apps.accounts import assistant_views, device_views, views
from apps.accounts.session import SessionFacts


def build(facts: SessionFacts) -> list[URLPattern]:
    """Return the room's routes; those of the session with the facts that higher rooms contribute."""
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
    return [
        *(path(f"session/{route}", view.as_view(facts=facts)) for route, view in routes.items()),
        path("session/devices/", device_views.DevicesView.as_view()),
        path("session/devices/close-others/", device_views.OtherDevicesView.as_view()),
        path("session/devices/<int:id>/", device_views.DeviceView.as_view()),
        path("assistant/settings/", assistant_views.AssistantSettingsView.as_view()),
        path("assistant/models/", assistant_views.AssistantModelsView.as_view()),
        path("assistant/test/", assistant_views.AssistantTestView.as_view()),
    ]
