"""A registry at which people sign in, and tokens that only look like its own."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.auth.htpasswd import HtpasswdIdentity
from registry.auth.tokens import KeyStore, Tokens
from registry.catalogue import imageapi
from registry.opening import Neighbours
from registry.storage.flusher import Flusher
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.storage import Storage
from registry.v2api import token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from registry.viewing.ledger import LedgerViewer
from support.ledgers import Clock

SERVICE = "registry.example"
ISSUER = "store-1"
URL = "http://registry.example:5000"
PROJECTS = {
    "shoes": {"alice": "member", "bob": "reader", "mona": "manager"},
    "hats": {"carol": "member", "alice": "reader"},
    "open": {"mona": "member"},
    "ops": {"root": "admin"},
}
PUBLIC = ("open",)
PEOPLE = ("alice", "bob", "carol", "mona", "root", "nobody")


def word_of(user: str) -> str:
    """The right password."""
    return f"{user}'s own: ünïcode"


def hashed(word: str, rounds: int = 4) -> str:
    return bcrypt.hashpw(word.encode(), bcrypt.gensalt(rounds)).decode()


def basic(user: str, word: str | None = None) -> dict[str, str]:
    """Basic credentials, right ones unless another *word* is given."""
    credentials = f"{user}:{word_of(user) if word is None else word}"
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def start_tokens(
    keys: KeyStore, clock: Callable[[], float], *, issuer: str = ISSUER, service: str = SERVICE
) -> Tokens:
    """Tokens as a process of the registry has them, or one of another registry."""
    tokens = Tokens(keys, service=service, clock=clock)
    await tokens.start(issuer)
    return tokens


@dataclass(frozen=True)
class Registry:
    """The application in memory, with all that its answers depend on."""

    app: Application
    client: httpx.AsyncClient
    tokens: Tokens
    keys: MemoryLedger
    clock: Clock
    people: Path

    def write_people(self, text: str) -> None:
        """Make *text* the password file."""
        self.people.write_text(text)

    async def sign_in(self, user: str, *scopes: str) -> dict[str, str]:
        """Headers with a fresh access token of *user* for *scopes*."""
        query = {"service": SERVICE, "scope": list(scopes)}
        headers = basic(user) if user else {}
        answer = await self.client.get("/auth/token", params=query, headers=headers)
        assert answer.status_code == 200, answer.text
        return bearer(answer.json()["token"])


@asynccontextmanager
async def open_registry(directory: Path, storage: Storage | None = None) -> AsyncIterator[Registry]:
    """Over *storage*, with the records of which others are let in; else over a memory of its own.

    The password file lies in *directory*.
    """
    if storage is None:
        ledger, journal = MemoryLedger(), MemoryJournal()
        storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    neighbours = None
    if storage.openings is not None:
        neighbours = Neighbours(LedgerViewer(storage.ledger), storage.openings)
    clock = Clock()
    keys = MemoryLedger(clock=clock)
    tokens = await start_tokens(keys, clock)
    people = directory / "htpasswd"
    people.write_text("".join(f"{user}:{hashed(word_of(user))}\n" for user in PEOPLE))
    identity = HtpasswdIdentity(people, PROJECTS, clock=clock)
    guard = Guard(identity, tokens, service=SERVICE, public_projects=PUBLIC, neighbours=neighbours)
    routes = [*token.routes, *imageapi.routes]
    app = Application(storage, guard, Settings(body_timeout=2), routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield Registry(app, client, tokens, keys, clock, people)
    await storage.flusher.close()


class Forger:
    """Knows a registry's newest key, and what its tokens say."""

    def __init__(self, kid: str, pem: bytes, now: float, access: object = ()) -> None:
        private = serialization.load_pem_private_key(pem, None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        self.kid = kid
        self.private = private
        self.claims: dict[str, Any] = {
            "aud": SERVICE,
            "access": access or [],
            "iss": ISSUER,
            "sub": "alice",
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + 300,
            "jti": "1",
        }

    @classmethod
    async def of(cls, keys: MemoryLedger, now: float, access: object = ()) -> "Forger":
        kid, pem, _ = (await keys.load_keys())[0]
        return cls(kid, pem, now, access)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey | None = None,
        header: Mapping[str, object] | None = None,
        **changes: object,
    ) -> str:
        """A well-formed token; a claim that is changed to None is left out."""
        claims = {name: each for name, each in {**self.claims, **changes}.items() if each}
        header = {"kid": self.kid} if header is None else header
        return jwt.encode(claims, key or self.private, "ES256", dict(header))

    def raw(self, header: object, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
        """A token as no library would make it."""
        words = f"{_encoded(json.dumps(header).encode())}.{self._payload()}"
        return f"{words}.{_encoded(sign(words.encode()))}"

    def by_secret(self, form: serialization.PublicFormat, encoding: serialization.Encoding) -> str:
        """HS256 with the public key, which everybody knows, as the secret."""
        secret = self.private.public_key().public_bytes(encoding, form)
        header = {"alg": "HS256", "typ": "JWT", "kid": self.kid}
        return self.raw(header, lambda words: hmac.digest(secret, words, hashlib.sha256))

    def swapped(self) -> str:
        """The signature of one token under the claims of another."""
        header, _, signature = self.sign().split(".")
        root = _encoded(json.dumps({**self.claims, "sub": "root"}).encode())
        return f"{header}.{root}.{signature}"

    def _payload(self) -> str:
        return _encoded(json.dumps(self.claims).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _nested(depth: int) -> str:
    return f"{_encoded(b'[' * depth + b']' * depth)}.e30.AAAA"


_STRANGER = ec.generate_private_key(ec.SECP256R1())
_OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())
_PEM = (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.PEM)
_POINT = (serialization.PublicFormat.UncompressedPoint, serialization.Encoding.X962)

BAD_TOKENS: Mapping[str, Callable[[Forger], str]] = {
    "nothing": lambda _: "",
    "no token": lambda _: "none",
    "two dots": lambda _: "..",
    "no text": lambda _: "\x80\xff.é.x",
    "cut off": lambda forger: forger.sign()[:-10],
    "without signature": lambda forger: forger.sign().rpartition(".")[0] + ".",
    "claims of another": Forger.swapped,
    "a stranger's key": lambda forger: forger.sign(_STRANGER),
    "another curve": lambda forger: jwt.encode(
        forger.claims, _OTHER_CURVE, "ES384", {"kid": forger.kid}
    ),
    "alg none": lambda forger: forger.raw({"alg": "none", "kid": forger.kid}),
    "alg None": lambda forger: forger.raw({"alg": "None", "kid": forger.kid}),
    "no alg": lambda forger: forger.raw({"kid": forger.kid}),
    "HS256 by the PEM": lambda forger: forger.by_secret(*_PEM),
    "HS256 by the point": lambda forger: forger.by_secret(*_POINT),
    "another audience": lambda forger: forger.sign(aud="other.example"),
    "a refresh token": lambda forger: forger.sign(aud=f"{SERVICE}/refresh"),
    "no audience": lambda forger: forger.sign(aud=None),
    "another store": lambda forger: forger.sign(iss="store-2"),
    "no issuer": lambda forger: forger.sign(iss=None),
    "expired": lambda forger: forger.sign(exp=forger.claims["iat"] - 1),
    "expires now": lambda forger: forger.sign(exp=forger.claims["iat"]),
    "no expiry": lambda forger: forger.sign(exp=None),
    "not yet valid": lambda forger: forger.sign(nbf=forger.claims["iat"] + 120),
    "no beginning": lambda forger: forger.sign(nbf=None),
    "no subject": lambda forger: forger.sign(sub=None),
    "unknown kid": lambda forger: forger.sign(header={"kid": "other"}),
    "empty kid": lambda forger: forger.sign(header={"kid": ""}),
    "no kid": lambda forger: forger.sign(header={}),
    "kid of a file": lambda forger: forger.sign(header={"kid": "../../../../dev/null"}),
    "kid of SQL": lambda forger: forger.sign(header={"kid": "' OR 1=1 --"}),
    "kid no text": lambda forger: forger.raw({"alg": "ES256", "kid": [forger.kid]}),
    "key in the header": lambda forger: forger.sign(
        _STRANGER, {"kid": "x", "jwk": {"kty": "EC"}, "jku": "https://example.org/jwks.json"}
    ),
    "deep header": lambda _: _nested(5000),
}
"""What is no access token of the registry, each for one reason."""


def bad_headers(forger: Forger) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    """Each of them as a request says it, by both headers that there are for it."""
    for name, forge in BAD_TOKENS.items():
        bad = forge(forger).encode("latin-1", "replace")
        yield name, {b"Authorization": b"Bearer " + bad}
        if bad:  # an empty one is none at all
            yield name, {b"X-Auth-Token": bad}
