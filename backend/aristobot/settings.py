"""Django settings, read from the environment and from `.env` (documented in `.env.example`)."""

from pathlib import Path

import environ

from apps.core.adapters.redis_address import CHANNEL_OPTIONS, channel_host
from aristobot.database_url import database_settings

BACKEND_DIR = Path(__file__).resolve().parent.parent
ROOT_DIR = BACKEND_DIR.parent

env = environ.Env()
if (ROOT_DIR / ".env").is_file():
    environ.Env.read_env(str(ROOT_DIR / ".env"))

SECRET_KEY: str = env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
# Django's own DEBUG stays off: tracebacks never reach a browser. DEBUG_ARISTOBOT is the login bypass.
DEBUG = False
DEBUG_ARISTOBOT: bool = env.bool("DEBUG_ARISTOBOT", default=False)

ARISTOBOT_HOST: str = env.str("ARISTOBOT_HOST", default="127.0.0.1")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
if ARISTOBOT_HOST not in ("127.0.0.1", "0.0.0.0", *ALLOWED_HOSTS):  # noqa: S104 — compared, not bound
    ALLOWED_HOSTS.append(ARISTOBOT_HOST)
# Who may say on whose behalf and by which scheme it calls (X-Forwarded-For, -Proto), and the address that the world
# reaches us by.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])
PUBLIC_URL: str = env.str("PUBLIC_URL", default="").rstrip("/")
# Who may read /metrics; empty: this machine alone, as long as no proxy is set up.
METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

ARISTOBOT_DATA_DIR = Path(env.str("ARISTOBOT_DATA_DIR", default=str(ROOT_DIR / ".aristobot")))
FRONTEND_DIST = Path(env.str("FRONTEND_DIST", default=str(ROOT_DIR / "frontend" / "dist")))
REDIS_URL: str = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")

BINANCE_WS_URL: str = env.str("BINANCE_WS_URL", default="wss://stream.binance.com:9443")
BINANCE_REST_URL: str = env.str("BINANCE_REST_URL", default="https://api.binance.com")
SIMEX_URL: str = env.str("SIMEX_URL", default="")  # empty: no simulated exchange is running
# The simulated exchange relays the market that the heartbeat follows: real prices, simulated money.
SIMEX_REAL_PRICES: bool = env.bool("SIMEX_REAL_PRICES", default=False)
HEARTBEAT_SYMBOLS: list[str] = env.list("HEARTBEAT_SYMBOLS", default=["BTCUSDT"])
HEARTBEAT_SOURCE: str = env.str("HEARTBEAT_SOURCE", default="primary")
HEARTBEAT_LOCATION: str = env.str("HEARTBEAT_LOCATION", default="local")
OPENROUTER_URL: str = env.str("OPENROUTER_URL", default="https://openrouter.ai/api/v1")

# After how many days rows go; money (orders, fills, positions) and candles of backtests never do.
RETENTION_DAYS: dict[str, int] = {
    name: env.int(f"RETENTION_{name.upper()}_DAYS", default=days)
    for name, days in {
        "signals": 90,  # candles the heartbeat closed (a backtest reads others), its incidents and runs
        "decisions": 60,  # a bot's closes that led to no order
        "order_decisions": 730,  # those that did
        "webhooks": 180,  # calls that led to no order
        "webhook_bodies": 30,  # the text of calls that led to one
        "commands": 90,  # cancellations and amendments carried out
        "sessions": 1,  # past their end
    }.items()
}

MAX_USERS = 5
MAX_ACTIVE_STRATEGIES = 20

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
    "rest_framework",
    "django_filters",
    "django.contrib.staticfiles",  # the API's page alone: the cockpit is Vite's
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
    "apps.core",
    "apps.accounts",
    "apps.alerts",
    "apps.brokers",
    "apps.market_data",
    "apps.strategies",
    "apps.orders",
    "apps.trading_engine",
    "apps.trading_manual",
    "apps.backtest",
    "apps.webhooks",
    "apps.stats",
    "apps.journal",
]

MIDDLEWARE = [
    "apps.core.security_headers.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.middleware.SessionUse",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

ROOT_URLCONF = "aristobot.urls"
ASGI_APPLICATION = "aristobot.asgi.application"

DATABASES = {
    "default": database_settings(env.str("DATABASE_URL", default="postgres://postgres@127.0.0.1:5432/aristobot"))
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [channel_host(REDIS_URL, **CHANNEL_OPTIONS)], "prefix": "websockets"},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "apps.accounts.services.sign_in.keep_answer"
AXES_VERBOSE = False

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "apps.core.views.refusals.csrf_failure"
# Cookies are marked Secure, and browsers told to come back by TLS only, where a request came by TLS (core.proxies).
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 30
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "fr-fr"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # out of the packages themselves: nothing to collect
WHITENOISE_ROOT = FRONTEND_DIST if FRONTEND_DIST.is_dir() else None
WHITENOISE_INDEX_FILE = False  # the page is answered by CockpitView, with its nonce

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "apps.core.pagination.Pagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.core.exception_handler.handle",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Aristobot3",
    "DESCRIPTION": "Poste de pilotage de trading crypto.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    # Where fields of one name have several choices, or one choice several names.
    "ENUM_NAME_OVERRIDES": {
        "BacktestStatusEnum": "apps.backtest.serializers.STATUSES",
        "LoadStateEnum": "apps.brokers.models.Exchange.LoadState",
        "LookAheadVerdictEnum": "apps.backtest.serializers.LOOK_AHEAD_VERDICTS",
        "PairModeEnum": ["oco", "linked", "none"],
        "ProtectionHolderEnum": "apps.orders.serializers.HOLDERS",
        "TradingModeEnum": "apps.core.api_fields.TRADING_MODES",
        "WebhookStatusEnum": "apps.webhooks.models.Webhook.Status",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "apps.core.api_description.describe_refusals",
    ],
    # From our own server: the page works without internet and under the policy of core.security_headers.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "openai": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
