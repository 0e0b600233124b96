"""REST of the second factor: its state, enrolment, recovery codes, end."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.serializers import (
    EnrolmentSerializer,
    PasswordAndCodeSerializer,
    PasswordSerializer,
    RecoveryCodesSerializer,
    SignInCodeSerializer,
    TwoFactorSerializer,
)
from apps.accounts.services import devices, sign_in, two_factor


class SecretAnswer(APIView):
    """Answers that no cache may keep."""

    def finalize_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(*args, **kwargs)
        response["Cache-Control"] = "no-store"
        return response


class TwoFactorView(SecretAnswer):
    @extend_schema(responses=TwoFactorSerializer)
    def get(self, request: Request) -> Response:
        """Tell whether the user's sign-in asks for a code."""
        return Response(two_factor.state(request.user))

    @extend_schema(request=PasswordSerializer, responses=EnrolmentSerializer)
    def post(self, request: Request) -> Response:
        """Begin: draw a secret for a telephone. Nothing changes until a code of it confirms."""
        asked = PasswordSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        sign_in.check_own_password(
            request._request, request.user, asked.validated_data["password"], action="Activation refusée"
        )
        return Response(EnrolmentSerializer(two_factor.begin(request.user, now=timezone.now())).data)


class TwoFactorConfirmView(SecretAnswer):
    @extend_schema(request=SignInCodeSerializer, responses=RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        """Turn it on by a code of the telephone; the user's other sessions end."""
        asked = SignInCodeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        codes = two_factor.confirm(request.user, asked.validated_data["code"], now=timezone.now())
        devices.close_others(request.user, keep_key=request.session.session_key)
        return Response({"recovery_codes": codes})


class _WithPasswordAndCode(SecretAnswer):
    def checked_code(self, request: Request, *, action: str) -> str:
        asked = PasswordAndCodeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        sign_in.check_own_password(request._request, request.user, given["password"], action=action)
        return str(given["code"])


class RecoveryCodesView(_WithPasswordAndCode):
    @extend_schema(request=PasswordAndCodeSerializer, responses=RecoveryCodesSerializer)
    def post(self, request: Request) -> Response:
        """Replace the recovery codes; the former ones are worth nothing any more."""
        code = self.checked_code(request, action="Nouveaux codes refusés")
        return Response({"recovery_codes": two_factor.renew_recovery_codes(request.user, code, now=timezone.now())})


class TwoFactorOffView(_WithPasswordAndCode):
    @extend_schema(request=PasswordAndCodeSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Turn it off."""
        code = self.checked_code(request, action="Désactivation refusée")
        two_factor.turn_off(request.user, code, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
