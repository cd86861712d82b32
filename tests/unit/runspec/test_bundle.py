from dataclasses import replace
from pathlib import Path

import pytest

from runspec.bundle import Bind, Surroundings, arguments, config, stop_signal, user_of
from runspec.limits import CannotRun
from runspec.users import Account
from setspec.normal import Command, Container, Infra, SecretRef, Stop

CONTAINER = Container(name="web", index=0, image="i", cpu=800, mem=20 << 20)
IMAGE = {
    "config": {
        "Entrypoint": ["/entry"],
        "Cmd": ["one", "two"],
        "Env": ["PATH=/image", "FROM=image"],
        "WorkingDir": "/srv",
        "User": "web",
        "StopSignal": "SIGQUIT",
    }
}
AROUND = Surroundings(
    rootfs=Path("/r"),
    cgroup="/berth/sets/s/a",
    namespaces={"network": Path("/n/net"), "ipc": Path("/n/ipc")},
    binds=(Bind(Path("/v/logs"), "/opt/logs", read_only=True),),
    shm=Path("/n/shm"),
    hostname="web-1",
    account=Account(1000, 100, (2000,), "/srv"),
    secrets={"ref-1": "sesame"},
    seccomp={"defaultAction": "SCMP_ACT_ERRNO"},
)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (None, ["/entry", "one", "two"]),
        (Command(args=("x",)), ["/entry", "x"]),
        (Command(args=()), ["/entry"]),
        (Command(cmd="/bin/bash", args=("-c", "run.sh")), ["/bin/bash", "-c", "run.sh"]),
        (Command(cmd="/bin/bash", args=()), ["/bin/bash"]),
    ],
)
def test_command_and_arguments_stand_for_the_images_own(
    command: Command | None, words: list[str]
) -> None:
    assert arguments(command, IMAGE) == words


def test_a_container_with_nothing_to_run_is_refused_with_what_to_write() -> None:
    with pytest.raises(CannotRun, match=r"options\.command\.cmd"):
        arguments(None, {"config": {}})


def test_the_documents_variables_go_over_the_images_and_secrets_are_filled_in() -> None:
    secret = SecretRef(secret_ref="ref-1")  # noqa: S106 - a reference
    container = replace(CONTAINER, env=(("FROM", "document"), ("TOKEN", secret)))
    env = config(container, IMAGE, AROUND)["process"]["env"]
    assert env == ["PATH=/image", "HOME=/srv", "HOSTNAME=web-1", "FROM=document", "TOKEN=sesame"]


def test_limits_are_a_quota_of_the_processor_memory_without_swap_and_processes() -> None:
    resources = config(CONTAINER, IMAGE, AROUND)["linux"]["resources"]
    assert resources["cpu"] == {"period": 100_000, "quota": 80_000}
    assert resources["memory"] == {"limit": 20 << 20, "swap": 20 << 20}
    assert resources["pids"] == {"limit": 512}
    assert resources["devices"] == [{"allow": False, "access": "rwm"}]


def test_by_default_a_container_is_shut_in() -> None:
    made = config(CONTAINER, IMAGE, AROUND)
    assert "CAP_MKNOD" not in made["process"]["capabilities"]["bounding"]
    assert "CAP_SYS_ADMIN" not in made["process"]["capabilities"]["bounding"]
    assert made["linux"]["seccomp"] == AROUND.seccomp
    assert "/proc/kcore" in made["linux"]["maskedPaths"]
    assert "/proc/sys" in made["linux"]["readonlyPaths"]
    assert {each["type"] for each in made["linux"]["namespaces"]} == {
        "pid", "mount", "cgroup", "network", "ipc",
    }  # fmt: skip
    volume = next(each for each in made["mounts"] if each["destination"] == "/opt/logs")
    assert {"nodev", "nosuid", "ro"} <= set(volume["options"])
    shown = next(each for each in made["mounts"] if each["destination"] == "/sys")
    assert "ro" in shown["options"]


def test_only_a_privileged_infra_container_is_not() -> None:
    infra = Infra(image="i", cpu=100, mem=4 << 20, privileged=True)
    made = config(infra, IMAGE, AROUND)
    assert "seccomp" not in made["linux"]
    assert "maskedPaths" not in made["linux"]
    assert made["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_user_and_stop_signal_are_the_documents_or_else_the_images() -> None:
    assert user_of(CONTAINER, IMAGE) == "web"
    assert user_of(replace(CONTAINER, user="0:0"), IMAGE) == "0:0"
    assert stop_signal(CONTAINER, IMAGE) == "SIGQUIT"
    assert stop_signal(replace(CONTAINER, stop=Stop(signal="SIGINT")), IMAGE) == "SIGINT"
    assert stop_signal(CONTAINER, {}) == "SIGTERM"
    user = config(CONTAINER, IMAGE, AROUND)["process"]["user"]
    assert user == {"uid": 1000, "gid": 100, "additionalGids": [2000]}
