"""Everything that a registry answers, asked for and written down: to be compared with later."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx

TOLD = ("content-type", "content-length", "docker-content-digest", "etag", "oci-filters-applied")
"""Headers that are the same each time."""
_DIGEST = re.compile(rb"sha(?:256|512):[0-9a-f]{64,128}")
Answer = tuple[int, dict[str, str], bytes]
Answers = dict[str, Answer]


def crawl(http: httpx.Client) -> Answers:
    """By path: every list, every manifest by tag and digest, every blob, every image record.

    What is followed is what the answers themselves name, so nothing is missed that can be reached.
    """
    answers: Answers = {}
    repositories = [name for page in _pages(http, "/v2/_catalog?n=2", answers)
                    for name in page["repositories"]]  # fmt: skip
    for name in repositories:
        tags = [tag for page in _pages(http, f"/v2/{name}/tags/list?n=2", answers)
                for tag in page["tags"]]  # fmt: skip
        waiting = list(tags)
        while waiting:
            reference = waiting.pop()
            path = f"/v2/{name}/manifests/{reference}"
            if path in answers:
                continue
            status, _, content = _ask(http, path, answers)
            if status != httpx.codes.OK:
                _ask(http, f"/v2/{name}/blobs/{reference}", answers)
                continue
            waiting += [found.decode() for found in _DIGEST.findall(content)]
            if ":" in reference:
                for page in _pages(http, f"/v2/{name}/referrers/{reference}", answers):
                    waiting += [each["digest"] for each in page["manifests"]]
            else:
                waiting.append(answers[path][1]["docker-content-digest"])
    for hidden in ("false", "true"):
        for page in _pages(http, f"/image/v2/images?limit=3&os_hidden={hidden}", answers):
            for record in page["images"]:
                _ask(http, f"/image/v2/images/{record['id']}", answers)
                _ask(http, f"/image/v2/images/{record['id']}/members", answers)
    return answers


def _pages(http: httpx.Client, path: str, answers: Answers) -> Iterator[dict[str, Any]]:
    for _ in range(1000):
        response = http.get(path)
        _note(path, response, answers)
        assert response.status_code == httpx.codes.OK, response.text
        page = response.json()
        yield page
        if "url" in response.links.get("next", {}):
            path = urljoin(path, response.links["next"]["url"])
        elif "next" in page:  # Glance says it from its own root
            path = f"/image{page['next']}"
        else:
            return
    raise AssertionError("a list of a thousand pages")


def _ask(http: httpx.Client, path: str, answers: Answers) -> Answer:
    return _note(path, http.get(path), answers)


def _note(path: str, response: httpx.Response, answers: Answers) -> Answer:
    headers = {name: response.headers[name] for name in TOLD if name in response.headers}
    body = b"" if response.is_error else response.content
    answers[path] = response.status_code, headers, body
    return answers[path]
