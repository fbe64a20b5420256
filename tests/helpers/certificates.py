"""Certificates of an authority of the test's own, for TLS between DICOM peers and in front of servers."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; its own is in ``trusted.pem``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = rsa.generate_private_key(65537, 2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self._own = self._sign(self._name, self._key, authority=True)
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, mode: int = 0o644) -> Path:
        """Make a folder with ``certificate.pem``, ``key.pem`` and ``trusted.pem``, for localhost and a name."""
        folder = self._folder / name
        folder.mkdir()
        key = rsa.generate_private_key(65537, 2048)
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (folder / "trusted.pem").write_bytes(self.trusted.read_bytes())
        for file in folder.iterdir():
            file.chmod(mode)
        return folder

    def _sign(self, subject: x509.Name, key: rsa.RSAPrivateKey, *, authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
