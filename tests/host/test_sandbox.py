import json
from pathlib import Path

from runspec.bundle import program
from setspec.normal import Exec
from support.agents import placed, running_agent, shop
from support.environment import wait_until
from support.hostplaces import HostPlace

ESCAPES = (
    "mount -t tmpfs none /tmp",
    "mount -o remount,rw /sys",
    "mount -t proc proc /mnt",
    "umount /proc/kcore",
    "mknod /tmp/disk b 254 0",
    "mknod /tmp/mem c 1 1",
    "echo b > /proc/sysrq-trigger",
    "echo 0 > /proc/sys/kernel/randomize_va_space",
    "echo x > /proc/sys/kernel/core_pattern",
    "echo 1 > /sys/kernel/uevent_helper",
    "mkdir /sys/fs/cgroup/memory/out",
    "echo 1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
    "cat /proc/kcore | head -c 1 | grep -q .",
    "insmod /bin/busybox",
    "reboot -f",
    "swapoff -a; swapon /bin/busybox",
    "hostname other",
    "ip link set lo down",
    "chroot /proc/1/root/../../.. ls /var/lib/dpkg",
    "nsenter -t 1 -m ls /var/lib/dpkg",
    "unshare -m true",
    "pivot_root /tmp /tmp",
)
"""As root in the container; each must fail."""


def test_root_in_a_container_does_not_get_out_of_it(place: HostPlace) -> None:
    document = shop({"command": {"cmd": "/bin/sleep", "args": ["1000"]}, "stop": {"grace_s": 0}})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        attempt = agent.current(desired, "c0")
        process = agent.host.process(attempt)
        done = {}
        for words in ESCAPES:
            inner = " ".join(f"busybox {words}".split()) if words[0] != "e" else words
            command = Exec(cmd="/bin/sh", args=("-c", inner))
            done[words] = agent.host.runtime.run(attempt.id, program(process, command), 30).code
        assert [words for words, code in done.items() if code == 0] == []
        assert agent.current(desired, "c0") == attempt
        agent.delete(desired)


def test_a_filter_is_compiled_once_and_holds_in_every_container(place: HostPlace) -> None:
    sleep = {"command": {"cmd": "/bin/sleep", "args": ["1000"]}, "stop": {"grace_s": 0}}
    infra = {"image": "shop:1", "cpu": "0.1", "mem": "16Mi", "privileged": True, **sleep}
    desired = placed(shop(*[sleep] * 3, infra=infra))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        compiled, told, modes = [], [], []
        for name in ("infra", "c0", "c1", "c2"):
            attempt = agent.current(desired, name)
            bundle = agent.host.layout.attempt(desired.set, name, attempt.id)
            annotations = json.loads((bundle / "config.json").read_text())["annotations"]
            told.append("run.oci.seccomp_bpf_data" in annotations)
            state = place.run / "runtime" / attempt.id / "seccomp.bpf"
            compiled.append(state.read_bytes() if state.exists() else b"")
            for pid in ("1", "self"):
                look = Exec(cmd="/bin/sh", args=("-c", f"busybox grep Seccomp: /proc/{pid}/status"))
                process = program(agent.host.process(attempt), look)
                modes.append(agent.host.runtime.run(attempt.id, process, 30).output.split()[-1])
        assert told == [False, False, True, True]
        assert compiled[1] == compiled[2] == compiled[3] != compiled[0] == b""
        assert modes == [b"0"] * 2 + [b"2"] * 6
        agent.delete(desired)


def test_a_fork_bomb_stays_within_its_limit_and_is_deleted(place: HostPlace) -> None:
    # Some stay, and so does the first process, though the bomb's shells die where they cannot fork.
    script = (
        "for i in $(seq 52); do sleep 1000 & done; "
        "(b() { b | b & }; while true; do b; done) & exec sleep 1000"
    )
    bomb = {"cmd": "/bin/sh", "args": ["-c", script]}
    desired = placed(shop({"command": bomb, "limits": {"pids": 64}, "stop": {"grace_s": 0}}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        attempt = agent.current(desired, "c0")
        pids = Path(f"/sys/fs/cgroup/pids{place.cgroup}/sets/{desired.set}/{attempt.id}")
        count, refusals = pids / "pids.current", pids / "pids.events"
        most = 0

        def is_full() -> bool:
            nonlocal most
            if count.exists():
                most = max(most, int(count.read_text()))
            return most >= 50 and refusals.read_text() != "max 0\n"

        wait_until(is_full, "a full group", 60)
        assert most <= 64
        agent.delete(desired)


def test_all_of_a_containers_memory_is_its_own_limit_and_swap_is_none(place: HostPlace) -> None:
    eat = {"cmd": "/bin/sh", "args": ["-c", "sleep 1; x=$(head -c 90000000 /dev/zero | od -v)"]}
    document = shop({"command": eat, "mem": "16Mi", "restart": {"policy": "never"}})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        wait_until(lambda: agent.is_crashing(desired, "c0", 1), "the end", 60)
        ended = agent.current(desired, "c0")
        assert ended.exit_code == 137
        assert ended.oom
        agent.delete(desired)
