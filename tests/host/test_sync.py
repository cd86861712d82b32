"""What somebody did to a host behind the agent's back is found, and mended or told."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hostagent.describe import describe
from hostagent.records import OperationState
from inside.port import takes_connection
from setspec.desired import DesiredSet, SyncStatus
from setspec.status import ContainerState, ContainerStatus, SetState
from support.agents import Agent, operated, placed, running_agent, shop
from support.environment import wait_until
from support.hostplaces import HostPlace

NETWORK = [{"name": "default"}]
SERVER = {"command": {"cmd": "/bin/nc", "args": ["-ll", "-p", "7000", "-e", "/bin/cat"]}}


@pytest.fixture
def agent(place: HostPlace) -> Iterator[Agent]:
    with running_agent(place) as running:
        yield running


def took(act: Callable[[], object], until: Callable[[], bool]) -> float:
    """Seconds from *act* until something is so."""
    began = time.monotonic()
    act()
    wait_until(until, "what was looked for", 20, poll=0.01)
    return time.monotonic() - began


def told(agent: Agent, desired: DesiredSet, place: int = 0) -> ContainerStatus:
    return describe(agent.host, agent.row(desired)).containers[place]


def sync(agent: Agent, desired: DesiredSet) -> None:
    asked, operation = operated(desired, SyncStatus())
    agent.take(asked)
    assert agent.wait_operation(operation).state is OperationState.DONE


@pytest.mark.parametrize("policy", ["always", "never"])
def test_a_kill_by_somebody_else_is_told_within_a_second(agent: Agent, policy: str) -> None:
    desired = placed(shop({"restart": {"policy": policy, "base_s": 5}}, {}))
    agent.take(desired)
    agent.wait_running(desired)
    other = told(agent, desired, 1)
    victim = told(agent, desired).pid
    assert victim is not None
    after = ContainerState.BACKOFF if policy == "always" else ContainerState.EXITED
    seconds = took(
        lambda: os.kill(victim, signal.SIGKILL),
        lambda: told(agent, desired).state is after,
    )
    assert seconds < 1
    status = describe(agent.host, agent.row(desired))
    assert status.state is SetState.DEGRADED
    assert status.reason == "c0: ended with 137"
    assert told(agent, desired, 1).pid == other.pid
    agent.delete(desired)


def test_a_monitor_that_is_gone_is_told_within_a_second(agent: Agent) -> None:
    desired = placed(shop())
    agent.take(desired)
    agent.wait_running(desired)
    monitor = agent.current(desired, "c0").monitor_pid
    assert monitor is not None
    seconds = took(
        lambda: os.kill(monitor, signal.SIGKILL),
        lambda: told(agent, desired).state is ContainerState.UNMONITORED,
    )
    assert seconds < 1
    agent.delete(desired)


@pytest.mark.parametrize("harm", ["delete", "set down", "set nomaster"])
def test_an_interface_that_was_taken_away_is_there_again_within_a_second(
    agent: Agent, place: HostPlace, harm: str
) -> None:
    desired = placed(shop(SERVER, networks=NETWORK))
    agent.take(desired)
    agent.wait_running(desired)
    pid = told(agent, desired).pid
    (link,) = place.links()
    mac = address_of(agent, desired)

    def harmed() -> None:
        verb, *rest = harm.split()
        subprocess.run(["ip", "link", verb, link, *rest], check=True)

    def is_well() -> bool:
        end = Path("/sys/class/net", link)
        return (
            end.exists()
            and (end / "master").exists()
            and int((end / "flags").read_text(), 16) & 1 == 1
        )

    harmed()
    assert not is_well()
    assert took(lambda: sync(agent, desired), is_well) < 1
    namespace = agent.host.namespaces.path(desired.set, "network")
    assert takes_connection(namespace, "10.211.0.2", 7000, 2)
    assert address_of(agent, desired) == mac
    assert told(agent, desired).pid == pid
    agent.delete(desired)


def address_of(agent: Agent, desired: DesiredSet) -> str:
    """The addresses of the interface within: of its link, and of the network."""
    words = agent.run_in(desired, "c0", "ip", "addr", "show", "eth0").split()
    return " ".join(words[words.index(kind) + 1] for kind in ("link/ether", "inet"))


def test_without_being_asked_the_agent_finds_it_by_itself(agent: Agent, place: HostPlace) -> None:
    desired = placed(shop(networks=NETWORK))
    agent.take(desired)
    agent.wait_running(desired)
    (link,) = place.links()
    subprocess.run(["ip", "link", "delete", link], check=True)
    wait_until(lambda: place.links() == [link], "the interface", 15)
    agent.delete(desired)


def test_the_first_connection_of_an_application_works(agent: Agent) -> None:
    """The network is there before the first instruction; nobody tries again."""
    server = placed(shop(SERVER, networks=NETWORK))
    agent.take(server)
    agent.wait_running(server)
    namespace = agent.host.namespaces.path(server.set, "network")
    wait_until(lambda: takes_connection(namespace, "10.211.0.2", 7000, 1), "the server")
    script = "echo hello | /bin/nc -w 2 10.211.0.2 7000"
    clients = [
        placed(
            shop(
                {
                    "command": {"cmd": "/bin/sh", "args": ["-c", script]},
                    "restart": {"policy": "never"},
                },
                networks=NETWORK,
            ),
            octet=octet,
        )
        for octet in range(10, 18)
    ]
    for each in clients:
        agent.take(each)

    def have_ended() -> bool:
        return all(told(agent, each).state is ContainerState.EXITED for each in clients)

    wait_until(have_ended, "the clients' ends", 60)
    for each in clients:
        assert (told(agent, each).exit_code, told(agent, each).attempts) == (0, 1)
        assert "hello" in agent.log(each, "c0")
        agent.delete(each)
    agent.delete(server)
