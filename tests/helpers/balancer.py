"""A load balancer's key server, and the tokens it would sign (no real balancer can run here)."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/portal/50dc6c495c0c9188"


def encode(data: bytes | dict[str, Any], *, padded: bool = True) -> str:
    """Write base64url; with padding, as the balancer does."""
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    text = base64.urlsafe_b64encode(raw).decode()
    return text if padded else text.rstrip("=")


class Balancer:
    """Keys, served at ``url/KID``, and tokens signed with them."""

    def __init__(self) -> None:
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.requests: list[str] = []
        self.status = 200
        self.kid = self.add_key()
        balancer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kid = self.path.rsplit("/", 1)[-1]
                balancer.requests.append(kid)
                known = kid in balancer.keys
                body = balancer.public_key(kid) if known else b"no such key"
                self.send_response(balancer.status if known else 404)
                if balancer.status == 302:
                    self.send_header("Location", f"http://127.0.0.1:{balancer.server.server_port}/x/{kid}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add_key(self) -> str:
        """Make a key; returns its ID."""
        kid = str(uuid.uuid4())
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())
        return kid

    def public_key(self, kid: str) -> bytes:
        """Return a key as the key server serves it."""
        public = self.keys[kid].public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def token(self, claims: dict[str, Any], header: dict[str, Any] | None = None, *, issuer: str, client: str) -> str:
        """Sign a token as the balancer does: ES256, padded parts, the expiry in header and payload."""
        expires = int(time.time()) + 120
        full = {"typ": "JWT", "kid": self.kid, "alg": "ES256", "signer": ARN, "exp": expires}
        full |= {"iss": issuer, "client": client}
        signed = f"{encode(full | (header or {}))}.{encode({'exp': expires, 'iss': issuer} | claims)}"
        signature = self.keys[self.kid].sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signature)
        return f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def stop(self) -> None:
        """Stop the key server."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
