"""A day in a registry's life, step by step: what each step promises, and how to hold it to that."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx

from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import image, index
from support.server import ALICE

APP = "library/app"
COPY = "library/copy"
PROMPT = image("base", "", "prompt")
ARM = image("base", "arm", architecture="arm64")
PAIR = index(PROMPT, ARM)
ABOUT = image(
    "bill of materials",
    extra={
        "subject": {
            "mediaType": OCI_MANIFEST,
            "digest": str(PROMPT.digest),
            "size": len(PROMPT.manifest),
        }
    },
)
LONG = bytes(range(256)) * 2048
DIGEST = str(Digest.of(LONG))
TWICE = str(Digest.of(LONG, "sha512"))

NOT_IT = str(Digest.of(b"something else"))

Expected = tuple[int, bytes | None]
"""Status and body of a GET; body None: any."""
GONE: Expected = (404, None)


@dataclass
class Step:
    """One request or several; *claims* hold once it was answered, until a later step's do."""

    name: str
    work: Callable[["Day"], None]
    claims: Mapping[str, Expected]
    kept: bool = True
    """Whether the claims outlive the ledger: a link that no manifest names does not."""


@dataclass
class Day:
    """The client of one run, and what it remembers."""

    http: httpx.Client
    memory: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, *statuses: int, retry: int | None = None, **named: Any
    ) -> httpx.Response:
        """One request, which must be answered with one of *statuses*; *retry*: or this one."""
        answer = self.http.request(method, path, **named)
        wanted = (*statuses, *([] if retry is None else [retry]))
        assert answer.status_code in wanted, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def upload(self, name: str) -> str:
        return urljoin(
            name, self.ask("POST", f"/v2/{name}/blobs/uploads/", 202).headers["Location"]
        )


def blob(name: str, content: bytes) -> str:
    return f"/v2/{name}/blobs/{Digest.of(content)}"


def push(name: str, *contents: bytes) -> Step:
    def work(day: Day) -> None:
        for content in contents:
            digest = Digest.of(content)
            day.ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", 201, content=content)

    claims: dict[str, Expected] = {blob(name, content): (200, content) for content in contents}
    return Step(f"push {len(contents)} blobs to {name}", work, claims, kept=False)


def put(name: str, reference: str, content: bytes, media_type: str, **more: Expected) -> Step:
    """The PUT of a manifest; *more* claims by path, in which ``__`` stands for a slash."""

    def work(day: Day) -> None:
        headers = {"Content-Type": media_type}
        path = f"/v2/{name}/manifests/{reference}"
        day.ask("PUT", path, 201, content=content, headers=headers)

    claims: dict[str, Expected] = {
        f"/v2/{name}/manifests/{reference}": (200, content),
        f"/v2/{name}/manifests/{Digest.of(content)}": (200, content),
        **{key.replace("__", "/"): value for key, value in more.items()},
    }
    return Step(f"put {name}:{reference}", work, claims)


def sign_in(day: Day) -> None:
    answer = day.ask("GET", f"/auth/token?scope=repository:{APP}:pull&offline_token=true", 200)
    day.memory["token"] = answer.json()["token"]
    day.memory["refresh"] = answer.json()["refresh_token"]


def use_token(day: Day) -> None:
    headers = {"Authorization": f"Bearer {day.memory['token']}"}
    anonymous = httpx.Client(base_url=day.http.base_url, headers=headers, verify=False)  # noqa: S501
    with anonymous as http:
        assert http.get("/v2/").status_code in {200, 401}


def sign_out(day: Day) -> None:
    form = {"token": day.memory["refresh"]}
    day.ask("POST", "/auth/revoke", 200, data=form)
    form = {"grant_type": "refresh_token", "refresh_token": day.memory["refresh"]}
    assert day.http.post("/auth/token", data=form).status_code == httpx.codes.UNAUTHORIZED


def push_in_chunks(day: Day) -> None:
    location = day.upload(APP)
    half = len(LONG) // 2
    for start, stop in ((0, half), (half, len(LONG) - 9)):
        headers = {"Content-Range": f"{start}-{stop - 1}"}
        answer = day.ask("PATCH", location, 202, content=LONG[start:stop], headers=headers)
        location = answer.headers["Location"]
    day.ask("GET", location, 204)
    closing = httpx.URL(location).copy_merge_params({"digest": DIGEST})
    day.ask("PUT", str(closing), 201, content=LONG[-9:])


def push_with_sha512(day: Day) -> None:
    location = day.upload(APP)
    location = day.ask("PATCH", location, 202, content=LONG).headers["Location"]
    day.ask("PUT", str(httpx.URL(location).copy_merge_params({"digest": TWICE})), 201)


def close_with_a_wrong_digest(day: Day) -> None:
    location = day.upload(APP)
    location = day.ask("PATCH", location, 202, content=LONG).headers["Location"]
    day.ask("PUT", str(httpx.URL(location).copy_merge_params({"digest": NOT_IT})), 400)


def begin_and_cancel(day: Day) -> None:
    location = day.upload(APP)
    location = day.ask("PATCH", location, 202, content=LONG).headers["Location"]
    day.ask("DELETE", location, 204)
    day.ask("GET", location, 404)


def mount(day: Day) -> None:
    for query in (f"mount={Digest.of(PROMPT.config)}&from={APP}",):
        day.ask("POST", f"/v2/{COPY}/blobs/uploads/?{query}", 201)
    for layer in PROMPT.layers:
        day.ask("POST", f"/v2/{COPY}/blobs/uploads/?mount={Digest.of(layer)}", 201)


def look_around(day: Day) -> None:
    for name in (APP, COPY):
        day.ask("GET", f"/v2/{name}/tags/list", 200)
        day.ask("HEAD", blob(name, PROMPT.config), 200)
    day.ask("GET", "/v2/_catalog", 200)
    answer = day.ask("GET", f"/v2/{APP}/referrers/{PROMPT.digest}", 200)
    assert [each["digest"] for each in answer.json()["manifests"]] == [str(ABOUT.digest)]


def find_image(day: Day) -> str:
    answer = day.ask("GET", "/image/v2/images?name=copy:1", 200)
    (found,) = answer.json()["images"]
    return str(found["id"])


def share(day: Day) -> None:
    path = f"/image/v2/images/{find_image(day)}"
    patch = [{"op": "replace", "path": "/visibility", "value": "shared"}]
    kind = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert (
        day.ask("PATCH", path, 200, content=json.dumps(patch), headers=kind).json()["visibility"]
        == "shared"
    )
    day.ask("POST", f"{path}/members", 200, json={"member": "other"}, retry=409)
    members = day.ask("GET", f"{path}/members", 200).json()["members"]
    assert [each["member_id"] for each in members] == ["other"]


def delete(name: str, *references: str, kind: str = "manifests") -> Step:
    def work(day: Day) -> None:
        for reference in references:
            # A repeat may find it gone already: the request before was carried out.
            day.ask("DELETE", f"/v2/{name}/{kind}/{reference}", 202, retry=404)

    paths = {f"/v2/{name}/{kind}/{each}": GONE for each in references}
    return Step(f"delete {kind} {', '.join(references)[:30]}", work, paths)


def silent(work: Callable[[Day], None], **claims: Expected) -> Step:
    return Step(work.__name__, work, {k.replace("__", "/"): v for k, v in claims.items()})


def steps() -> list[Step]:
    """The whole day."""
    whole = {blob(APP, content): (200, content) for content in (*PROMPT.blobs, *ARM.blobs)}
    mounted = {blob(COPY, content): (200, content) for content in PROMPT.blobs}
    long = {f"/v2/{APP}/blobs/{DIGEST}": (200, LONG)}
    twice = {f"/v2/{APP}/blobs/{TWICE}": (200, LONG)}
    prompt = put(APP, "1", PROMPT.manifest, OCI_MANIFEST)
    pair = put(APP, "latest", PAIR, OCI_INDEX)
    copy = put(COPY, "1", PROMPT.manifest, OCI_MANIFEST)
    prompt.claims = {**prompt.claims, **{k: v for k, v in whole.items() if v[1] in PROMPT.blobs}}
    pair.claims = {**pair.claims, **whole}
    copy.claims = {**copy.claims, **mounted}
    return [
        silent(sign_in),
        silent(use_token),
        push(APP, *PROMPT.blobs),
        prompt,
        push(APP, *PROMPT.blobs, *ARM.blobs),
        put(APP, str(ARM.digest), ARM.manifest, OCI_MANIFEST),
        pair,
        push(APP, *ABOUT.blobs),
        put(APP, str(ABOUT.digest), ABOUT.manifest, OCI_MANIFEST),
        Step("push in chunks", push_in_chunks, long, kept=False),
        Step("push with sha512", push_with_sha512, twice, kept=False),
        silent(close_with_a_wrong_digest),
        silent(begin_and_cancel),
        Step("mount", mount, mounted, kept=False),
        copy,
        silent(look_around),
        silent(share),
        put(APP, "old", PROMPT.manifest, OCI_MANIFEST),
        delete(APP, "old"),
        put(APP, "old", ARM.manifest, OCI_MANIFEST),
        delete(APP, DIGEST, TWICE, kind="blobs"),
        delete(APP, str(ABOUT.digest)),
        silent(sign_out),
    ]


@dataclass
class Story:
    """What was acknowledged so far, and what hangs in the air."""

    known: dict[str, Expected] = field(default_factory=dict)
    kept: dict[str, Expected] = field(default_factory=dict)
    """Of *known*, what is promised even where the ledger is lost."""
    open: Step | None = None

    def acknowledge(self, step: Step) -> None:
        self.known.update(step.claims)
        for path, expected in step.claims.items():
            if step.kept:
                self.kept[path] = expected
            elif path in self.kept:
                continue
        self.open = None

    def check(self, http: httpx.Client, *, ledger_lost: bool) -> None:
        """Hold the registry to its word; raises AssertionError."""
        claims = self.kept if ledger_lost else self.known
        in_the_air = dict(self.open.claims) if self.open else {}
        for path, expected in claims.items():
            if path not in in_the_air:
                assert observed(http, path, expected) == expected, f"{path} was acknowledged"
        fates = set()
        for path, after in in_the_air.items():
            before = claims.get(path, GONE)
            is_after = observed(http, path, after) == after
            is_before = observed(http, path, before) == before
            assert is_after or is_before, f"{path} is neither as before nor as after"
            if after != before and "/manifests/" in path:
                fates.add(is_after)
        single = self.open is not None and self.open.name.startswith("put ")
        assert not (single and len(fates) > 1), f"{self.open and self.open.name} is half visible"


def whole_story() -> Story:
    """After a whole day."""
    story = Story()
    for step in steps():
        story.acknowledge(step)
    return story


def observed(http: httpx.Client, path: str, like: Expected) -> Expected:
    """What a GET answers, as far as *like* looks."""
    answer = http.get(path)
    served = answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR
    assert served, f"{path} is half there: {answer.text}"
    return answer.status_code, None if like[1] is None else answer.content


def client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, auth=ALICE.pair, timeout=30, verify=False)  # noqa: S501
