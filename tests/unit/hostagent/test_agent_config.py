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
        (f'{NETWORK}"a/b"', "bridge"),
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


def test_what_can_be_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        f'[agent]\nprefix = "b1"\nhealth = "[::1]:9317"\ncgroup = "/a.slice/..b"\n{NETWORK}"br-0.5"'
    )
    assert load(Config, path).networks["a"].bridge == "br-0.5"
