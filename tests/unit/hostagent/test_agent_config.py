"""What a host's kernel or its files would refuse is refused by its key, before an agent begins."""

from pathlib import Path

import pytest

from hostagent.config import Config
from settings.reading import ConfigError, load

NETWORK = '[networks.a]\naddress = "10.9.0.1/24"\nbridge = '


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[agent]\nprefix = "é"', "agent.prefix"),
        ('[agent]\nprefix = "abcde"', "agent.prefix"),
        ('[agent]\nhealth = "127.0.0.1\\u0000:9317"', "agent.health"),
        ('[agent]\nhealth = "9317"', "agent.health"),
        ('[agent]\ncgroup = "/"', "agent.cgroup"),
        ('[agent]\ncgroup = "/a/../.."', "agent.cgroup"),
        ('[agent]\ncgroup = "a"', "agent.cgroup"),
        ('[agent]\nhealth = "127.0.0.1:0"', "agent.health"),
        ('[agent]\nhealth = "127.0.0.1:65536"', "agent.health"),
        ('[agent]\nhealth = "[zz]:9317"', "agent.health"),
        ('[agent]\nhealth = "[1:2]:9317"', "agent.health"),
        ('[agent]\nregistry = ""', "agent.registry"),
        ('[agent]\nregistry = "library"', "agent.registry"),
        ('[agent]\nregistry = "http://a.b"', "agent.registry"),
        ('[agent]\nregistry = "a.b:99999"', "agent.registry"),
        ('[agent]\nregistry = "a.b/UP"', "agent.registry"),
        ('[agent]\nregistry = "a.b/c:tag"', "agent.registry"),
        ("[agent]\nworkers = 100000", "agent.workers must lie between 1 and 256"),
        ('[agent]\nstate = "var"', "agent.state"),
        ('[agent]\nstate = "/"', "agent.state"),
        ('[agent]\nstate = "/a/../b"', "agent.state"),
        ('[agent]\nstate = "/a:b"', "agent.state"),
        ('[agent]\nrun = "/a,b"', "agent.run"),
        ('[agent]\nrun = "/a\\nb"', "agent.run"),
        (f'[agent]\nrun = "/{"a" * 200}"', "agent.run"),
        ('[agent]\nrun = "/a"\nstate = "/a"', "agent.state outlives boots"),
        (f'[agent]\nsocket = "/{"a" * 107}"', "agent.socket"),
        ('[agent]\nsocket = "a"', "agent.socket"),
        (f'[agent]\ncgroup = "/{"a" * 256}"', "agent.cgroup"),
        (f'[agent]\ncgroup = "{"/aaaa" * 300}"', "agent.cgroup"),
        ('[images]\nplain_http = ["http://a.b"]', "images.plain_http"),
        ('[images]\nplain_http = ["a.b/c"]', "images.plain_http"),
        ('[storage]\npool = "9999999Ti"', "storage.pool"),
        (f'{NETWORK}"a/b"', "bridge"),
        (f'{NETWORK}"-a"', "bridge"),
        (f'{NETWORK}"br%d"', "bridge"),
        (f'{NETWORK}"{"é" * 8}"', "bridge"),
        (f'{NETWORK}"a b"', "bridge"),
        (f'{NETWORK}".."', "bridge"),
        (f'{NETWORK}""', "bridge"),
        (f'{NETWORK}"sixteen-letters-"', "bridge"),
    ],
)
def test_what_could_not_be_is_refused_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        load(Config, path)


@pytest.mark.parametrize(
    "address",
    ["10.9.0.0/24", "10.9.0.255/24", "10.9.0.1", "10.9.0.1/31", "0.0.0.0/0", "224.0.0.1/24",
     "127.0.0.1/8", "fe80::1%eth0/64", "nan"],
)  # fmt: skip
def test_a_network_without_an_address_for_host_and_sets_is_refused(
    tmp_path: Path, address: str
) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(f'[networks.a]\nbridge = "a"\naddress = "{address}"')
    with pytest.raises(ConfigError, match="address"):
        load(Config, path)


def test_networks_that_overlap_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    other = '[networks.b]\nbridge = "b"\naddress = '
    path.write_text(f'{NETWORK}"a"\n{other}"10.9.0.129/25"')
    with pytest.raises(ConfigError, match=r"networks\.a\.address and networks\.b\.address overlap"):
        load(Config, path)
    path.write_text(f'{NETWORK}"a"\n{other}"fd00::1/64"')
    assert len(load(Config, path).networks) == 2


def test_what_can_be_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[agent]\nprefix = "b1"\nhealth = "[::1]:9317"\ncgroup = "/a.slice/..b"\n{NETWORK}"br-0.5"'
    )
    assert load(Config, path).networks["a"].bridge == "br-0.5"
