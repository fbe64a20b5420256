"""Telling that a job ended or waits: by the administrator's webhook, by e-mail. No value of an element is in it."""

from __future__ import annotations

import json
import logging
import re
import smtplib
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

import urllib3

from common.errors import RefusedError
from common.metrics import ERRORS
from website.exports.export import Export

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}")
_WORDS = {"done": "is complete", "failed": "failed", "paused": "waits for you"}
_SECONDS = 10.0


@dataclass(frozen=True)
class Notifier:
    """How users and other systems hear of the end of a job; what is not set is not used.

    Attributes
    ----------
    webhook
        Receives a POST with JSON; redirects are not followed. The administrator names it, users cannot.
    smtp_host, smtp_port, smtp_user, smtp_password
        The mail server; STARTTLS where it has it, always with a password.
    sender
        From address.
    domains
        Domains of addresses that users may give.
    portal_url
        Base of the link to the job.
    """

    webhook: str = ""
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    sender: str = ""
    domains: tuple[str, ...] = ()
    portal_url: str = ""

    @property
    def mails(self) -> bool:
        """Tell whether messages by e-mail can be asked for."""
        return bool(self.smtp_host and self.domains)

    def check_address(self, address: str) -> str | None:
        """Return an address to which messages may go; None for none.

        Raises
        ------
        RefusedError
            It is malformed, or not of a domain that the administrator allows.
        """
        address = address.strip()
        if not address:
            return None
        if not self.mails or not _ADDRESS.fullmatch(address) or address.split("@")[1].lower() not in self.domains:
            allowed = ", ".join(self.domains) if self.mails else "no domain: the administrator set up no mail server"
            raise RefusedError(f"notify must be an e-mail address of {allowed}")
        return address

    def tell(self, export: Export) -> None:
        """Tell what became of a job; a peer that does not answer costs nobody the job."""
        if self.webhook:
            self._attempt("webhook", self._post, export)
        if export.notify and self.mails:
            self._attempt("mail", self._mail, export)

    def _attempt(self, way: str, tell: Any, export: Export) -> None:
        try:
            tell(export)
        except (OSError, smtplib.SMTPException, urllib3.exceptions.HTTPError) as exc:
            ERRORS.labels("notify", type(exc).__name__).inc()
            logger.warning("nobody could be told of an export", extra={"way": way, "error": type(exc).__name__})

    def _post(self, export: Export) -> None:
        counts = {name: getattr(export, name) for name in ("instances", "sent", "failed", "objects", "bytes")}
        document = {"export": export.id, "user": export.user, "state": export.state, "url": self._url(export), **counts}
        answer = urllib3.request(
            "POST",
            self.webhook,
            body=json.dumps(document).encode(),
            headers={"Content-Type": "application/json"},
            timeout=urllib3.Timeout(_SECONDS),
            retries=False,
            redirect=False,
        )
        if answer.status >= 300:
            raise OSError(f"the webhook answered {answer.status}")

    def _mail(self, export: Export) -> None:
        message = EmailMessage()
        message["From"], message["To"] = self.sender, export.notify
        message["Subject"] = f"Your export {_WORDS.get(export.state, export.state)}"
        message.set_content(
            f"{export.sent:,} of {export.instances:,} instances were sent, {export.failed:,} could not be.\n\n"
            f"{self._url(export)}\n"
        )
        with smtplib.SMTP(self.smtp_host, self.smtp_port, timeout=_SECONDS) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls()
                server.ehlo()
            elif self.smtp_user:
                raise OSError("the mail server has no TLS, and a password does not travel without")
            if self.smtp_user:
                server.login(self.smtp_user, self.smtp_password)
            server.send_message(message)

    def _url(self, export: Export) -> str:
        return f"{self.portal_url}/exports/{export.id}"
