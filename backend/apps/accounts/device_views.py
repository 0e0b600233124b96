"""REST of the open sessions."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.serializers import DeviceSerializer
from apps.accounts.services import devices


class DevicesView(APIView):
    @extend_schema(responses=DeviceSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the user's open sessions, this one first."""
        found = devices.open_devices(request.user, current_key=request.session.session_key)
        return Response(DeviceSerializer(found, many=True).data)


class DeviceView(APIView):
    @extend_schema(responses={204: None})
    def delete(self, request: Request, id: int) -> Response:
        """Close another session of the user."""
        devices.close(request.user, id, current_key=request.session.session_key)
        return Response(status=status.HTTP_204_NO_CONTENT)


class OtherDevicesView(APIView):
    @extend_schema(request=None, responses=DeviceSerializer(many=True))
    def post(self, request: Request) -> Response:
        """Close every session of the user but this one; the answer is what remains."""
        devices.close_others(request.user, keep_key=request.session.session_key)
        found = devices.open_devices(request.user, current_key=request.session.session_key)
        return Response(DeviceSerializer(found, many=True).data)
