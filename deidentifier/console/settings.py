"""What the console is told by environment variables."""

from __future__ import annotations

from collections.abc import Mapping

from common.auth.alb_settings import NEEDED_FOR_ALB, AlbSettings, authentication_problems
from common.errors import SettingsError
from common.settings import base_url, choice, integer, load, option, random_key, settings, url
from deidentifier.settings import DeidentifierSettings


@settings
class ConsoleSettings(DeidentifierSettings, AlbSettings):
    """What the ingest side's console is told."""

    port: int = option("RPACS_CONSOLE_PORT", "Port of the console.", parse=integer(1, 65535), default=8081)
    address: str = option("RPACS_CONSOLE_ADDRESS", "Address that the console listens on.", default="127.0.0.1")
    public_url: str = option(
        "RPACS_CONSOLE_PUBLIC_URL",
        "Base URL of the console as browsers see it; http:// only on one machine: cookies are then not marked Secure.",
        parse=base_url,
    )
    authentication: str = option(
        "RPACS_CONSOLE_AUTHENTICATION",
        "How users of the console log in: local (accounts file), or alb (a listener of its own of the load balancer).",
        parse=choice("local", "alb"),
        default="local",
    )
    accounts_file: str = option(
        "RPACS_CONSOLE_ACCOUNTS_FILE",
        "The console's accounts, with local; the group of administrators may see originals and decide about tasks.",
        default="",
    )
    administrators: str = option(
        "RPACS_CONSOLE_ADMINISTRATORS",
        "Group that may see originals and decide about tasks; with alb, nobody else is let in at all.",
        default="admin",
    )
    sign_out_url: str = option(
        "RPACS_CONSOLE_SIGN_OUT_URL",
        "Where logging out of the console leads with alb: Cognito's /logout with client and return address.",
        parse=url,
        default="",
    )
    secret_key: str = option(
        "RPACS_CONSOLE_SECRET_KEY", "Key that signs the console's cookies.", parse=random_key, secret=True
    )
    audit_key: str = option(
        "RPACS_CONSOLE_AUDIT_KEY", "Key that chains the console's audit trail.", parse=random_key, secret=True
    )
    session_idle_minutes: int = option(
        "RPACS_CONSOLE_SESSION_IDLE_MINUTES",
        "A session of the console ends after so long without a request.",
        parse=integer(1, 1440),
        default=15,
    )
    session_hours: int = option(
        "RPACS_CONSOLE_SESSION_HOURS",
        "A session of the console ends so long after its login.",
        parse=integer(1, 24),
        default=8,
    )

    quarantine_alarm_days: int = option(
        "RPACS_QUARANTINE_ALARM_DAYS",
        "Days after which an original that waits for a person's decision raises an alarm.",
        parse=integer(1, 3650),
        default=7,
    )

    @property
    def secure_cookies(self) -> bool:
        """Whether browsers see the console by TLS."""
        return self.public_url.startswith("https://")


_NEEDED = {"local": ("accounts_file",), "alb": NEEDED_FOR_ALB}


def load_settings(environ: Mapping[str, str] | None = None) -> ConsoleSettings:
    """Read the console's settings.

    Raises
    ------
    SettingsError
        Lists everything that is missing, malformed or contradicts.
    """
    loaded = load(ConsoleSettings, environ)
    problems = authentication_problems(loaded, loaded.authentication, _NEEDED[loaded.authentication])
    if problems:
        raise SettingsError(problems)
    return loaded
