"""What the console is told by environment variables."""

from __future__ import annotations

from common.settings import base_url, integer, option, random_key, settings
from deidentifier.settings import DeidentifierSettings


@settings
class ConsoleSettings(DeidentifierSettings):
    """What the ingest side's console is told."""

    port: int = option("RPACS_CONSOLE_PORT", "Port of the console.", parse=integer(1, 65535), default=8081)
    address: str = option("RPACS_CONSOLE_ADDRESS", "Address that the console listens on.", default="127.0.0.1")
    public_url: str = option(
        "RPACS_CONSOLE_PUBLIC_URL",
        "Base URL of the console as browsers see it; http:// only on one machine: cookies are then not marked Secure.",
        parse=base_url,
    )
    accounts_file: str = option(
        "RPACS_CONSOLE_ACCOUNTS_FILE", "The console's accounts; group admin may see originals and decide about tasks."
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
