"""Which image service is meant."""

import pytest

from climg.errors import WrongUsage
from climg.target import DEFAULT_URL, Cloud, Registry, choose

OS = {"OS_AUTH_URL": "http://keystone/v3"}
BERTH = {"BERTH_URL": "https://registry.example.org/"}


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        ((None, None, None, None), {}, Registry(DEFAULT_URL)),
        ((None, None, None, None), BERTH, Registry("https://registry.example.org")),
        ((None, None, None, None), OS, Cloud()),
        ((None, None, None, None), {"OS_CLOUD": "x"}, Cloud()),
        ((None, None, None, None), {"OS_CLOUD": ""}, Registry(DEFAULT_URL)),
        ((None, None, None, None), OS | BERTH, Registry("https://registry.example.org")),
        ((None, None, None, "mine"), OS | BERTH, Cloud("mine")),
        (("http://[::1]:5", None, None, None), OS | BERTH, Registry("http://[::1]:5")),
        ((None, "alice", None, None), OS, Registry(DEFAULT_URL, "alice")),
        (
            (None, None, None, None),
            {"BERTH_USER": "bob", "BERTH_CACERT": "ca.pem"},
            Registry(DEFAULT_URL, "bob", "ca.pem"),
        ),
        (("http://a", "alice", "b", None), BERTH, Registry("http://a", "alice", "b")),
    ],
)
def test_options_go_over_variables(
    options: tuple[str | None, str | None, str | None, str | None],
    variables: dict[str, str],
    expected: Registry | Cloud,
) -> None:
    assert choose(*options, variables) == expected


@pytest.mark.parametrize(
    "url",
    ["registry", "ftp://x", "http://", "http://x:port", "http://x?y", "http://x#y", "http://[x"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(WrongUsage, match="address"):
        choose(url, None, None, None, {})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(WrongUsage) as refused:
        choose("http://alice:secret@x", None, None, None, {})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("url", "user"), [("http://x", None), (None, "alice")])
def test_a_cloud_and_a_registry_at_once_are_refused(url: str | None, user: str | None) -> None:
    with pytest.raises(WrongUsage):
        choose(url, user, None, "mine", {})


def test_loopback_is_near() -> None:
    near = ("http://127.0.0.1:5000", "http://localhost", "http://[::1]:5000")
    assert all(Registry(url).is_near for url in near)
    assert not any(Registry(url).is_near for url in ("http://10.0.0.1", "https://example.org"))
