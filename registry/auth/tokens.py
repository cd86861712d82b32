"""Bearer tokens, refresh tokens and upload capabilities: signed, verified, their keys rotated."""

import base64
import hmac
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import ECAlgorithm

from registry.auth.seal import Seal
from registry.oci.errors import StorageUnavailable, Unauthorized

ALGORITHM = "ES256"
ROTATE_AFTER = 30 * 86400.0
"""Seconds for which a key signs."""
REFRESH_SECONDS = 30 * 86400.0
"""For which a refresh token is good."""
KEEP = ROTATE_AFTER + REFRESH_SECONDS + 86400.0
"""Seconds after which nothing that a key signed can still be good."""
CAPABILITY_SECONDS = 86400.0
"""For which an upload's address is good, whatever becomes of the token."""
CLOCKS_APART = 60.0
"""Seconds by which the clocks of a registry's machines may differ."""
REMEMBERED = 4096
"""Tokens whose signatures need no second look."""


class KeyStore(Protocol):
    """What tokens need of a ledger."""

    async def load_keys(self) -> list[tuple[str, bytes, float]]: ...
    async def store_key(self, kid: str, pem: bytes) -> None: ...
    async def drop_key(self, kid: str) -> None: ...
    async def revoke(self, token: str, expires_at: float) -> None: ...
    async def is_revoked(self, token: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good signature says. An expired one is good for a capability's sake alone."""

    subject: str
    access: Sequence[Mapping[str, Any]]
    expires_at: float
    id: str
    principal: Mapping[str, Any] = field(default_factory=dict)
    """What was said of the subject, where nobody can be asked later."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh token says: whose it is, and the proof of it that was sealed, if any."""

    subject: str
    proof: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    secret: bytes = field(repr=False)
    """For capabilities."""
    seal: Seal = field(repr=False)
    """For what refresh tokens hold."""
    created_at: float


class Tokens:
    """Signs and verifies; all processes of a registry share the keys, which lie in its ledger."""

    def __init__(
        self,
        keys: KeyStore,
        *,
        service: str,
        seconds: int = 300,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """*seconds*: how long an access token lasts."""
        self._store = keys
        self._service = service
        self._clock = clock
        self.seconds = seconds
        self._issuer = ""
        self._keys: dict[str, _Key] = {}
        self._loaded_at = 0.0
        self._known: OrderedDict[str, Claims] = OrderedDict()

    async def start(self, issuer: str) -> None:
        """Load the keys, or make the first; *issuer* is the store's id, which all tokens carry."""
        self._issuer = issuer
        await self.rotate()

    async def rotate(self) -> None:
        """Make a new key where the newest is old, and drop those that nothing needs any more."""
        await self._load()
        now = self._clock()
        newest = max((key.created_at for key in self._keys.values()), default=0.0)
        if now - newest > ROTATE_AFTER:
            private = ec.generate_private_key(ec.SECP256R1())
            pem = private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            await self._store.store_key(str(uuid.uuid4()), pem)
        for key in self._keys.values():
            if now - key.created_at > KEEP:
                await self._store.drop_key(key.kid)
        await self._load()

    def lasts(self, until: float | None) -> int:
        """Seconds for which an access token is good now, if the credentials end at *until*."""
        if until is None:
            return self.seconds
        return max(0, int(min(self.seconds, until - self._clock())))

    def issue(
        self,
        subject: str,
        access: Sequence[Mapping[str, Any]],
        *,
        until: float | None = None,
        principal: Mapping[str, Any] | None = None,
    ) -> str:
        """An access token for *subject* that is good for *access* (docker's claim of that name).

        It never outlives *until*, and says *principal* where there is something to be said.
        """
        claims: dict[str, Any] = {"aud": self._service, "access": list(access)}
        if principal is not None:
            claims["principal"] = principal
        return self._sign(claims, subject, self.lasts(until))

    def issue_refresh(
        self, subject: str, *, proof: str | None = None, until: float | None = None
    ) -> str:
        """A refresh token: good for new access tokens only, and not after *until*."""
        claims: dict[str, Any] = {"aud": f"{self._service}/refresh"}
        if proof is not None:
            claims["proof"] = self._newest().seal.close(proof, subject)
        lasts = REFRESH_SECONDS if until is None else min(REFRESH_SECONDS, until - self._clock())
        return self._sign(claims, subject, lasts)

    async def read(self, token: str, *, expired: bool = False) -> Claims:
        """Verify an access token; *expired* ones only where asked for. Raises Unauthorized."""
        claims = self._known.get(token)
        if claims is None:
            claims = _read_claims(await self._verify(token, self._service))
            self._known[token] = claims
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if claims.expires_at <= self._clock() and not expired:
            raise Unauthorized("the token has expired: get a new one")
        return claims

    async def read_refresh(self, token: str) -> Refresh:
        """What a refresh token says that is neither expired nor revoked. Raises Unauthorized."""
        claims = await self._verify(token, f"{self._service}/refresh")
        if claims["exp"] <= self._clock() or await self._store.is_revoked(claims["jti"]):
            raise Unauthorized("the refresh token is not good any more: sign in again")
        if "proof" not in claims:
            return Refresh(claims["sub"])
        key = await self._find(jwt.get_unverified_header(token)["kid"])
        return Refresh(claims["sub"], key.seal.open(claims["proof"], claims["sub"]))

    async def revoke(self, token: str) -> None:
        """Make a refresh token void. Raises Unauthorized if it is none of ours."""
        claims = await self._verify(token, f"{self._service}/refresh")
        await self._store.revoke(claims["jti"], claims["exp"])

    def is_past(self, expires_at: float) -> bool:
        """Whether that moment has come."""
        return expires_at <= self._clock()

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        keys = []
        for key in self._keys.values():
            public = ECAlgorithm.to_jwk(key.private.public_key(), as_dict=True)
            keys.append({**public, "kid": key.kid, "use": "sig", "alg": ALGORITHM})
        return {"keys": keys}

    def seal_upload(self, upload: str, repository: str, subject: str) -> str:
        """A capability: good for going on with this upload, by this subject, for a day."""
        key = self._newest()
        expiry = str(int(self._clock() + CAPABILITY_SECONDS))
        return f"{key.kid}.{expiry}.{self._mac(key, upload, repository, subject, expiry)}"

    async def check_upload(self, state: str, upload: str, repository: str, subject: str) -> bool:
        """Whether *state* is what ``seal_upload`` gave for just this, and not too long ago."""
        kid, _, rest = state.partition(".")
        expiry, _, mac = rest.partition(".")
        if not (state.isascii() and expiry.isdecimal() and len(expiry) < 15):
            return False
        try:
            key = await self._find(kid)
        except Unauthorized:
            return False
        expected = self._mac(key, upload, repository, subject, expiry)
        return hmac.compare_digest(expected, mac) and int(expiry) > self._clock()

    def _mac(self, key: _Key, upload: str, repository: str, subject: str, expiry: str) -> str:
        words = f"{self._issuer}\0{upload}\0{repository}\0{subject}\0{expiry}"
        mac = hmac.digest(key.secret, words.encode(), "sha256")
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def _sign(self, claims: Mapping[str, Any], subject: str, seconds: float) -> str:
        key = self._newest()
        now = int(self._clock())
        standing = {
            "iss": self._issuer,
            "sub": subject,
            "iat": now,
            "nbf": now,
            "exp": now + int(seconds),
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode({**claims, **standing}, key.private, ALGORITHM, {"kid": key.kid})

    async def _verify(self, token: str, audience: str) -> dict[str, Any]:
        """Everything but the expiry, which the callers judge."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._find(kid)
            claims: dict[str, Any] = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=self._issuer,
                options={
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "require": ["exp", "nbf", "sub", "jti", "aud", "iss"],
                },
            )
            begins_at, claims["exp"] = float(claims["nbf"]), float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthorized("the token is not this registry's") from error
        if begins_at > self._clock() + CLOCKS_APART:
            raise Unauthorized("the token is not good yet: look after the machines' clocks")
        return claims

    async def _find(self, kid: object) -> _Key:
        if kid not in self._keys and self._clock() - self._loaded_at > 1:
            await self._load()  # another process may have made it
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthorized("the token is not this registry's")
        return key

    def _newest(self) -> _Key:
        if not self._keys:
            raise StorageUnavailable("the ledger has no signing keys just now")
        return max(self._keys.values(), key=lambda key: (key.created_at, key.kid))

    async def _load(self) -> None:
        self._keys = {
            kid: _read_key(kid, pem, made) for kid, pem, made in await self._store.load_keys()
        }
        self._loaded_at = self._clock()


def _read_claims(claims: Mapping[str, Any]) -> Claims:
    return Claims(
        claims["sub"],
        claims.get("access", []),
        claims["exp"],
        claims["jti"],
        claims.get("principal", {}),
    )


def _read_key(kid: str, pem: bytes, created_at: float) -> _Key:
    private = serialization.load_pem_private_key(pem, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    secret = _derive(pem, b"berth upload capability")
    return _Key(kid, private, secret, Seal(_derive(pem, b"berth refresh token")), created_at)


def _derive(pem: bytes, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, None, purpose).derive(pem)
