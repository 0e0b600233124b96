"""What every terminal's wiring does first: send its lines to its file and its sentences to the screen."""

from django.conf import settings

from apps.core.logs import setup


def start_logs(terminal: str) -> None:
    """Begin to log as that terminal."""
    setup.start(terminal, data_dir=settings.ARISTOBOT_DATA_DIR, known_secrets=setup.secrets_of(settings))
