"""TLS in front of the portal, as the profile tls puts it there."""

from __future__ import annotations

import shutil

import pytest
import requests

from tests.containers.platform import RESEARCH_SIDE
from tests.helpers.certificates import Authority


@pytest.fixture
def by_tls(platform, tmp_path):
    """Give the platform with the proxy before the portal, its certificate by an authority of the hospital's."""
    authority = Authority(tmp_path / "ca")
    folder = platform.folder / "config" / "tls"
    for file in authority.issue("portal", mode=0o444).iterdir():
        shutil.copy(file, folder / file.name)
    platform.write_env(
        {
            "COMPOSE_PROFILES": "all,tls",
            "RPACS_PUBLIC_URL": f"https://localhost:{platform.https_port}",
            "RPACS_TRUSTED_PROXIES": "1",
            "RPACS_PROXY_TLS": "/tls/certificate.pem /tls/key.pem",
        }
    )
    try:
        platform.up(services=("proxy", *RESEARCH_SIDE))
        yield platform, str(authority.trusted)
    finally:
        platform("rm", "--stop", "--force", "proxy")
        platform.write_env({})
        platform.up()


def test_the_portal_by_tls(by_tls):
    platform, trusted = by_tls
    url = f"https://localhost:{platform.https_port}"
    answer = requests.get(f"{url}/login", verify=trusted, timeout=30)
    assert answer.ok
    assert answer.headers["Strict-Transport-Security"]
    cookies = answer.headers["Set-Cookie"]
    assert "Secure" in cookies
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{url}/login", timeout=30)
    inspected = platform.inspect("proxy")["HostConfig"]
    assert (inspected["ReadonlyRootfs"], inspected["CapDrop"]) == (True, ["ALL"])
