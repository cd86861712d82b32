"""Files of the agent's own that somebody, or a bad disk, has damaged."""

import pytest

from hostagent.errors import CannotBe, Lost
from support.hostlives import Life

HARM = pytest.mark.parametrize("harm", ["", "{", "[]", '"text"', "\0", '{"more": []}'])


@HARM
def test_damaged_secrets_are_as_good_as_ended_and_are_sent_again(life: Life, harm: str) -> None:
    host = life.agent.host
    host.put_secrets("set", {"name": "value"})
    (host.layout.secrets / "set.json").write_text(harm)
    with pytest.raises(CannotBe, match="send the set"):
        _ = host.secrets("set")["name"]
    host.put_secrets("set", {"name": "other"})
    assert host.secrets("set")["name"] == "other"


@HARM
def test_damaged_files_of_a_container_are_told_with_what_to_do(life: Life, harm: str) -> None:
    host = life.agent.host
    path = host.layout.files("set", "c0")
    assert host.files("set", "c0") == ()
    path.parent.mkdir(parents=True)
    path.write_text(harm)
    with pytest.raises(Lost, match=f"{path} cannot be read: .*deploy the container's files"):
        host.files("set", "c0")
    path.unlink()
    assert host.files("set", "c0") == ()
