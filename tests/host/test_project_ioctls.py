"""Where limits hang on files staying in their project, nobody in a container takes them out."""

from runspec.bundle import program
from runspec.ioctls import PROJECT_CHANGES, refuse_ioctls
from setspec.normal import Exec
from support.agents import placed, running_agent, shop
from support.hostplaces import HostPlace

# The host's own program, with its loader and libraries, beside a container's busybox.
LIBRARIES = "/host/lib/x86_64-linux-gnu"
CHATTR = f"{LIBRARIES}/ld-linux-x86-64.so.2 --library-path {LIBRARIES} /host/bin/chattr"
SEEING = {
    "command": {"cmd": "/bin/sleep", "args": ["1000"]},
    "stop": {"grace_s": 0},
    "mounts": [{"path": "/host", "host_path": "/usr", "read_only": True}],
}


def test_flags_of_files_are_changed_only_where_no_limit_hangs_on_them(place: HostPlace) -> None:
    command = Exec(cmd="/bin/sh", args=("-c", f"echo x > /file && {CHATTR} +d /file"))
    with running_agent(place) as agent:
        ended = []
        assert agent.host.seccomp is not None
        narrow = refuse_ioctls(agent.host.seccomp, PROJECT_CHANGES)
        for profile in (agent.host.seccomp, narrow):
            object.__setattr__(agent.host, "seccomp", profile)
            desired = placed(shop(SEEING))
            agent.take(desired)
            agent.wait_running(desired)
            attempt = agent.current(desired, "c0")
            told = program(agent.host.process(attempt), command)
            ended.append(agent.host.runtime.run(attempt.id, told, 60))
            agent.delete(desired)
    free, bound = ended
    assert (free.code, free.output) == (0, b"")
    assert bound.code == 1
    assert b"while setting flags" in bound.output or b"while reading flags" in bound.output
