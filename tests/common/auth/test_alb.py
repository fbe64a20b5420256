"""Tokens of the load balancer and of Cognito: each refused for its own reason, none remembered as good.

The access tokens are real ones of moto's Cognito; the balancer's are signed by a key server of the test's.
"""

from __future__ import annotations

import json
import logging
import time
import uuid

import pytest
from jose import jwk, jwt
from moto.server import ThreadedMotoServer

from common.auth.alb import AlbConfiguration, AlbVerifier, split_groups
from common.auth.keys import KeyCache
from common.errors import UnauthenticatedError
from tests.helpers.balancer import ARN, Balancer, encode
from tests.helpers.cognito import make_pool


@pytest.fixture(scope="module")
def pool():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    pool = make_pool(f"http://{host}:{port}")
    pool.add_user("alice", "ct", "research")
    pool.add_user("mallory", "admin")
    yield pool
    server.stop()


@pytest.fixture(scope="module")
def access(pool):
    return {name: pool.log_in(name) for name in ("alice", "mallory")}


@pytest.fixture
def balancer():
    balancer = Balancer()
    yield balancer
    balancer.stop()


@pytest.fixture
def make_verifier(pool, balancer):
    def make(**changes):
        values = {
            "arn": ARN,
            "client_id": pool.client_id,
            "issuer": pool.issuer,
            "keys_url": balancer.url,
            "pool_keys_url": pool.keys_url,
        }
        return AlbVerifier(AlbConfiguration(**{**values, **changes}))

    return make


@pytest.fixture
def sign(pool, balancer, access):
    """Give a function that makes the balancer's token for alice, with changed claims or header."""
    subject = jwt.get_unverified_claims(access["alice"]["AccessToken"])["sub"]

    def make(header=None, **claims):
        return balancer.token(
            {"sub": subject, "username": "alice", **claims}, header, issuer=pool.issuer, client=pool.client_id
        )

    return make


def test_alice_is_alice(make_verifier, sign, access):
    identity = make_verifier().verify(sign(), access["alice"]["AccessToken"])
    assert (identity.user, identity.groups, identity.method) == ("alice", {"ct", "research"}, "alb")


def test_the_balancers_padding_is_part_of_what_is_signed(make_verifier, sign, access):
    token = sign()
    assert "=" in token
    with pytest.raises(UnauthenticatedError):
        make_verifier().verify(token.replace("=", ""), access["alice"]["AccessToken"])


def _tampered(token):
    header, payload, signature = token.split(".")
    return f"{header}.{payload[:-6]}AAAA{payload[-2:]}.{signature}"


def _reheaded(token, **changes):
    """Change the header of a token without signing it again."""
    _, payload, signature = token.split(".")
    header = {"typ": "JWT", "kid": str(uuid.uuid4()), "alg": "ES256", **changes}
    return f"{encode(header)}.{payload}.{signature}"


BAD_DATA = {
    "missing": lambda sign, _: None,
    "empty": lambda sign, _: "",
    "doubled": lambda sign, _: f"{sign()},{sign()}",
    "two parts": lambda sign, _: ".".join(sign().split(".")[:2]),
    "too long": lambda sign, _: sign(filler="x" * 20000),
    "no base64": lambda sign, _: "!" + sign(),
    "header is no object": lambda sign, _: encode(b"[1]") + "." + ".".join(sign().split(".")[1:]),
    "algorithm none": lambda sign, _: _reheaded(sign(), alg="none"),
    "algorithm none, signed": lambda sign, _: sign({"alg": "none"}),
    "algorithm HS256": lambda sign, _: sign({"alg": "HS256"}),
    "algorithm RS256": lambda sign, _: sign({"alg": "RS256"}),
    "another balancer": lambda sign, _: sign({"signer": ARN.replace("portal", "other")}),
    "a longer ARN": lambda sign, _: sign({"signer": ARN + "1"}),
    "no signer": lambda sign, _: sign({"signer": None}),
    "another client": lambda sign, _: sign({"client": "another"}),
    "another issuer": lambda sign, _: sign({"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_x"}),
    "another issuer in the payload": lambda sign, _: sign(iss="https://evil.example"),
    "no issuer in the payload": lambda sign, _: sign(iss=None),
    "expired": lambda sign, _: sign(exp=int(time.time()) - 61),
    "no expiry": lambda sign, _: sign(exp=None),
    "kid is a path": lambda sign, _: sign({"kid": "../../etc/passwd"}),
    "kid is a host": lambda sign, _: sign({"kid": "@evil.example/"}),
    "kid is unknown": lambda sign, _: sign({"kid": str(uuid.uuid4())}),
    "kid is no text": lambda sign, _: sign({"kid": 7}),
    "payload changed": lambda sign, _: _tampered(sign()),
    "no subject": lambda sign, _: sign(sub=None),
    "another subject": lambda sign, _: sign(sub=str(uuid.uuid4())),
    "the access token": lambda sign, access: access["alice"]["AccessToken"],
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_headers_are_refused(case, make_verifier, sign, access):
    with pytest.raises(UnauthenticatedError):
        make_verifier().verify(BAD_DATA[case](sign, access), access["alice"]["AccessToken"])


def test_hs256_with_the_public_key_as_secret_is_refused(make_verifier, sign, balancer, pool, access):
    import base64
    import hashlib
    import hmac

    header, payload, _ = sign({"alg": "HS256"}).split(".")
    mac = hmac.new(balancer.public_key(balancer.kid), f"{header}.{payload}".encode(), hashlib.sha256).digest()
    forged = f"{header}.{payload}.{base64.urlsafe_b64encode(mac).decode()}"
    with pytest.raises(UnauthenticatedError):
        make_verifier().verify(forged, access["alice"]["AccessToken"])


def _other_client(pool):
    return pool.log_in("alice", pool.add_client())["AccessToken"]


def _forged_access(pool, access, algorithm="RS256", **changes):
    """Sign alice's claims with a key of our own under the pool's key ID."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    token = access["alice"]["AccessToken"]
    claims = {**jwt.get_unverified_claims(token), **changes}
    kid = jwt.get_unverified_header(token)["kid"]
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return jwt.encode(claims, jwk.construct(key, "RS256") if algorithm == "RS256" else "x", algorithm, {"kid": kid})


BAD_ACCESS = {
    "missing": lambda pool, access: None,
    "doubled": lambda pool, access: ",".join([access["alice"]["AccessToken"]] * 2),
    "someone else's": lambda pool, access: access["mallory"]["AccessToken"],
    "the ID token": lambda pool, access: access["alice"]["IdToken"],
    "of another client": lambda pool, access: _other_client(pool),
    "payload changed": lambda pool, access: _tampered(access["alice"]["AccessToken"]),
    "signed by another key": lambda pool, access: _forged_access(pool, access, **{"cognito:groups": ["admin"]}),
    "HS256": lambda pool, access: _forged_access(pool, access, "HS256"),
    "none": lambda pool, access: _reheaded(access["alice"]["AccessToken"], alg="none"),
    "kid is unknown": lambda pool, access: _reheaded(access["alice"]["AccessToken"], alg="RS256", kid="x"),
}


@pytest.mark.parametrize("case", BAD_ACCESS)
def test_bad_access_tokens_are_refused(case, make_verifier, sign, pool, access):
    with pytest.raises(UnauthenticatedError):
        make_verifier().verify(sign(), BAD_ACCESS[case](pool, access))


def test_an_unreachable_key_server_lets_nobody_in_and_is_not_remembered_as_good(make_verifier, sign, balancer, access):
    verifier = make_verifier()
    good = sign()
    balancer.status = 500
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            verifier.verify(good, access["alice"]["AccessToken"])
    assert len(balancer.requests) == 1  # the failure is remembered for seconds: no storm of fetches


def test_a_redirecting_key_server_is_not_followed(make_verifier, sign, balancer, access):
    balancer.status = 302
    with pytest.raises(UnauthenticatedError):
        make_verifier().verify(sign(), access["alice"]["AccessToken"])
    assert len(balancer.requests) == 1


def test_a_dead_key_server_lets_nobody_in(make_verifier, sign, access):
    with pytest.raises(UnauthenticatedError, match="does not answer"):
        make_verifier(keys_url="http://127.0.0.1:9").verify(sign(), access["alice"]["AccessToken"])
    with pytest.raises(UnauthenticatedError, match="does not answer"):
        make_verifier(pool_keys_url="http://127.0.0.1:9").verify(sign(), access["alice"]["AccessToken"])


def test_a_key_is_fetched_once(make_verifier, sign, balancer, access):
    verifier = make_verifier()
    for _ in range(5):
        verifier.verify(sign(), access["alice"]["AccessToken"])
    assert balancer.requests == [balancer.kid]


def test_failures_are_remembered_shortly_and_never_push_out_keys():
    now = [0.0]
    asked: list[str] = []

    def load(kid):
        asked.append(kid)
        if kid.startswith("bad"):
            raise UnauthenticatedError("no such key")
        return kid.upper()

    cache = KeyCache(load, size=2, lifetime=100, failure_lifetime=10, clock=lambda: now[0])
    assert cache.get("good") == "GOOD"
    for kid in ("bad1", "bad2", "bad3", "bad3"):
        with pytest.raises(UnauthenticatedError):
            cache.get(kid)
    assert asked == ["good", "bad1", "bad2", "bad3"]
    assert cache.get("good") == "GOOD"
    assert asked[-1] == "bad3"
    now[0] = 11
    with pytest.raises(UnauthenticatedError):
        cache.get("bad3")
    assert asked.count("bad3") == 2
    now[0] = 101
    cache.get("good")
    assert asked.count("good") == 2


def test_groups_of_federated_users_come_from_the_balancers_token(make_verifier, sign, access):
    verifier = make_verifier(claim_groups="custom:groups")
    identity = verifier.verify(sign(**{"custom:groups": "[ct, research group]"}), access["alice"]["AccessToken"])
    assert identity.groups == {"ct", "research group"}


@pytest.mark.parametrize(
    ("value", "groups"),
    [(["a", "b"], {"a", "b"}), ("a,b", {"a", "b"}), ("[a, b]", {"a", "b"}), ("", set()), (None, set()), (7, set()),
     (["a", 7, ""], {"a"}), (json.dumps(["a"]), {'"a"'})],
)  # fmt: skip
def test_a_claim_of_groups_is_a_list_or_text(value, groups):
    assert split_groups(value) == groups
