"""The session: who is signed in, signing in and out, registration, debug switch, password, preferences."""

from typing import Any, ClassVar

from django.contrib.auth import login, logout, update_session_auth_hash
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect, ensure_csrf_cookie
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.accounts.serializers import (
    CredentialsSerializer,
    DebugSerializer,
    PasswordChangeSerializer,
    PasswordSerializer,
    PreferencesSerializer,
    SessionSerializer,
    SignInCodeSerializer,
)
from apps.accounts.services import debug_mode, deletion, devices, registration, sign_in
from apps.accounts.session import SessionFacts, session_body
from apps.core.api_input import validated
from domain.errors import NotFound


class SessionBase(APIView):
    """Common to all: the facts joined at wiring, and the session as the answer."""

    facts: SessionFacts | None = None
    public: ClassVar[list[type[BasePermission]]] = [AllowAny]

    def answer(self, user: Any, code: int = status.HTTP_200_OK) -> Response:
        if self.facts is None:
            raise RuntimeError("session views need facts: build their routes with accounts.urls.build()")
        awaits_code = sign_in.awaits_code(self.request._request)
        return Response(session_body(user, self.facts, awaits_code=awaits_code), status=code)

    def entered(self, code: int = status.HTTP_200_OK) -> Response:
        """Answer after a sign-in, which may still await its second step."""
        user = self.request._request.user
        response = self.answer(user, code)
        if user.is_authenticated:
            sign_in.remember_browser(response, user)
        return response


@method_decorator(ensure_csrf_cookie, name="dispatch")
class SessionView(SessionBase):
    permission_classes = SessionBase.public

    @extend_schema(responses=SessionSerializer)
    def get(self, request: Request) -> Response:
        return self.answer(request.user)


@method_decorator(csrf_protect, name="dispatch")
class LoginView(SessionBase):
    permission_classes = SessionBase.public

    @extend_schema(request=CredentialsSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        asked = validated(CredentialsSerializer, request.data)
        http = request._request
        user = sign_in.check_credentials(http, username=asked["username"], password=asked["password"])
        sign_in.enter(http, user, now=timezone.now())
        return self.entered()


@method_decorator(csrf_protect, name="dispatch")
class CodeView(SessionBase):
    """The second step of the sign-in, where the user wants one."""

    permission_classes = SessionBase.public

    @extend_schema(request=SignInCodeSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        asked = validated(SignInCodeSerializer, request.data)
        sign_in.enter_with_code(request._request, asked["code"], now=timezone.now())
        return self.entered()


@method_decorator(csrf_protect, name="dispatch")
class RegisterView(SessionBase):
    permission_classes = SessionBase.public

    @extend_schema(request=CredentialsSerializer, responses={201: SessionSerializer})
    def post(self, request: Request) -> Response:
        asked = validated(CredentialsSerializer, request.data)
        user = registration.register(username=asked["username"], password=asked["password"])
        login(request._request, user, backend=sign_in.MODEL_BACKEND)
        return self.entered(status.HTTP_201_CREATED)


@method_decorator(csrf_protect, name="dispatch")
class DebugView(SessionBase):
    """Switches the debug mode; answers 404 where the server does not allow it."""

    permission_classes = SessionBase.public

    @extend_schema(request=DebugSerializer, responses=SessionSerializer)
    def post(self, request: Request) -> Response:
        if not debug_mode.is_allowed():
            raise NotFound("Mode développement indisponible sur ce serveur.", code="debug_not_allowed")
        active = validated(DebugSerializer, request.data)["active"]
        if active:
            user = debug_mode.dev_user()
            debug_mode.set_active(True)
            sign_in.enter(request._request, user, now=timezone.now())
            return self.entered()
        debug_mode.set_active(False)
        return self.answer(request.user)


class LogoutView(SessionBase):
    permission_classes: ClassVar[list[type[BasePermission]]] = [IsAuthenticated]

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordView(SessionBase):
    permission_classes: ClassVar[list[type[BasePermission]]] = [IsAuthenticated]

    @extend_schema(request=PasswordChangeSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        asked = validated(PasswordChangeSerializer, request.data)
        user: User = request.user
        sign_in.check_own_password(request._request, user, asked["old_password"], action="Changement refusé")
        registration.check_password_strength(user, asked["new_password"])
        user.set_password(asked["new_password"])
        user.save(update_fields=["password"])
        update_session_auth_hash(request._request, user)  # this session gets a new key and goes on
        devices.close_others(user, keep_key=request.session.session_key)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PreferencesView(SessionBase):
    permission_classes: ClassVar[list[type[BasePermission]]] = [IsAuthenticated]

    @extend_schema(request=PreferencesSerializer, responses=SessionSerializer)
    def patch(self, request: Request) -> Response:
        asked = validated(PreferencesSerializer, request.data)
        user: User = request.user
        for field, value in asked.items():
            setattr(user, field, value)
        user.save(update_fields=list(asked))
        return self.answer(user)


class AccountView(SessionBase):
    permission_classes: ClassVar[list[type[BasePermission]]] = [IsAuthenticated]

    @extend_schema(request=PasswordSerializer, responses={204: None})
    def delete(self, request: Request) -> Response:
        asked = validated(PasswordSerializer, request.data)
        user: User = request.user
        sign_in.check_own_password(
            request._request, user, asked["password"], action="Suppression du compte refusée"
        )
        deletion.delete_account(user)
        logout(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)
