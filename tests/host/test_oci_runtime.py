import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostagent.errors import LimitRefused, RuntimeFailed
from hostagent.oci_runtime import OciRuntime
from hostagent.ports import Json, Launch, Made
from hostbase.process import Known, exit_code
from runspec.bundle import Surroundings, config, program
from runspec.limits import Limits
from runspec.users import Account
from setspec.normal import Command, Container, Exec
from support.environment import tool, wait_until
from support.hostplaces import HostPlace
from support.hostroots import make_root

MIB = 1 << 20


class Bench:
    """A runtime and what containers of it need."""

    def __init__(self, place: HostPlace, program: str) -> None:
        self.place = place
        self.program = program
        self.cgroups = place.cgroups()
        exits = place.state / "exits"
        self.runtime = OciRuntime(tool(program), tool("conmon"), self.cgroups, place.run, exits)
        self.root = make_root(place.directory / "root")
        self.bundles = place.directory / "bundles"

    def config(self, attempt: str, *words: str, mem: int = 32 * MIB) -> Json:
        container = Container(
            name="c", index=0, image="i", cpu=500, mem=mem,
            command=Command(cmd=words[0], args=words[1:]),
        )  # fmt: skip
        shm = self.place.directory / "shm"
        shm.mkdir(exist_ok=True)
        around = Surroundings(
            rootfs=self.root, cgroup=self.cgroups.container("s1", attempt), namespaces={}, binds=(),
            shm=shm, hostname="h", account=Account(0, 0), secrets={}, seccomp=None,
        )  # fmt: skip
        return config(container, {}, around)

    def launch(self, attempt: str, *words: str, mem: int = 32 * MIB) -> Launch:
        bundle = self.bundles / attempt
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(self.config(attempt, *words, mem=mem)))
        return Launch(set="s1", attempt=attempt, bundle=bundle, log=bundle / "log", log_bytes=MIB)

    def create(self, attempt: str, *words: str, mem: int = 32 * MIB) -> Made:
        return self.runtime.create(self.launch(attempt, *words, mem=mem))

    def run(self, attempt: str, *words: str) -> Made:
        made = self.create(attempt, *words)
        self.runtime.start(attempt)
        return made

    def process(self, attempt: str) -> Json:
        process: Json = json.loads((self.bundles / attempt / "config.json").read_text())["process"]
        return process

    def log(self, attempt: str) -> str:
        return (self.bundles / attempt / "log").read_text()

    def wait_exit(self, attempt: str) -> int:
        wait_until(lambda: self.runtime.exit_code(attempt) is not None, "the exit code")
        code = self.runtime.exit_code(attempt)
        assert code is not None
        return code


@pytest.fixture(params=["crun", "runc"])
def bench(request: pytest.FixtureRequest, place: HostPlace) -> Iterator[Bench]:
    made = Bench(place, request.param)
    yield made
    for path in (place.state / "exits").iterdir():
        path.unlink()
    attempts = [path.name for path in made.bundles.iterdir()] if made.bundles.exists() else []
    for attempt in attempts:
        made.runtime.delete("s1", attempt)
    made.runtime.remove_set("s1")


def test_a_created_container_has_not_run_an_instruction_until_it_is_started(bench: Bench) -> None:
    made = bench.create("a1", "/bin/sh", "-c", "echo hello; exit 7")
    assert bench.runtime.status("a1") == "created"
    assert made.init.alive
    assert made.monitor.alive
    assert bench.log("a1") == ""
    bench.runtime.start("a1")
    assert bench.wait_exit("a1") == 7
    assert bench.log("a1").endswith("stdout F hello\n")
    bench.runtime.start("a1")  # it has run; it is not run again
    assert bench.log("a1").count("hello") == 1


def test_a_runtime_that_says_well_and_starts_nothing_is_not_believed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create("a1", "/bin/sleep", "1000")
    program = bench.runtime._program
    idle = bench.place.directory / "idle"
    idle.write_text(f'#!/bin/sh\n[ "$3" = start ] || exec {program.path} "$@"\n')
    idle.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(program, "path", str(idle))
        for _ in range(2):
            with pytest.raises(RuntimeFailed, match="has not started"):
                bench.runtime.start("a1")
    with monkeypatch.context() as patch:  # of one that has started nothing more is asked
        patch.delattr(OciRuntime, "status")
        bench.runtime.start("a1")
    assert bench.runtime.status("a1") == "running"


def test_a_signal_ends_it_and_the_monitor_writes_down_which(bench: Bench) -> None:
    made = bench.run("a1", "/bin/sleep", "1000")
    assert made.init.signal(9)
    assert bench.wait_exit("a1") == 137


def test_a_program_that_is_not_there_is_told_as_such_and_nothing_stays(bench: Bench) -> None:
    with pytest.raises(RuntimeFailed, match="nothing-like-it"):
        bench.run("a1", "/bin/nothing-like-it")
    bench.runtime.delete("s1", "a1")
    assert bench.runtime.status("a1") is None
    assert bench.cgroups.is_empty("s1", "a1")


def test_deleting_kills_whatever_runs_and_can_be_repeated(bench: Bench) -> None:
    made = bench.run("a1", "/bin/sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000")
    for _ in range(2):
        bench.runtime.delete("s1", "a1")
        assert not made.init.alive
        assert not made.monitor.alive
        assert bench.runtime.status("a1") is None


def test_a_frozen_set_stands_still_and_can_be_deleted(bench: Bench) -> None:
    made = bench.run("a1", "/bin/sh", "-c", "while true; do true; done")
    bench.runtime.freeze("s1")
    assert bench.runtime.is_frozen("s1")
    before = _cpu_ticks(made.init.pid)
    time.sleep(0.3)
    assert _cpu_ticks(made.init.pid) == before
    bench.runtime.thaw("s1")
    wait_until(lambda: _cpu_ticks(made.init.pid) > before, "a moment on the processor")
    bench.runtime.freeze("s1")
    made.init.signal(9)
    bench.runtime.thaw("s1")
    bench.runtime.delete("s1", "a1")
    assert not made.init.alive


def test_a_program_runs_in_a_container_with_input_output_and_a_limit_of_time(bench: Bench) -> None:
    bench.run("a1", "/bin/sleep", "1000")
    process = bench.process("a1")
    said = bench.runtime.run("a1", program(process, Exec(cmd="/bin/cat")), 30, b"word")
    assert (said.code, said.output) == (0, b"word")
    failed = program(process, Exec(cmd="/bin/sh", args=("-c", "exit 3")))
    assert bench.runtime.run("a1", failed, 30).code == 3
    own = program(process, Exec(cmd="/bin/sh", args=("-c", "exit 255")))
    assert (bench.runtime.run("a1", own, 30).code, own["cwd"]) == (255, "/")
    slow = program(process, Exec(cmd="/bin/sleep", args=("987",)))
    assert bench.runtime.run("a1", slow, 0.5).code is None
    wait_until(lambda: not _with_words("sleep 987"), "the program's end")


def test_what_cannot_be_run_in_a_container_ends_as_in_a_shell(bench: Bench) -> None:
    script = "echo words > /plain; mkdir /directory; echo '#!/no/such' > /astray; chmod +x /astray"
    bench.run("a1", "/bin/sh", "-c", f"{script}; sleep 1000")
    process = bench.process("a1")
    wait_until((bench.root / "astray").exists, "the files")
    for name in ("nothing-like-it", "/bin/nothing-like-it"):
        ended = bench.runtime.run("a1", program(process, Exec(cmd=name)), 30)
        assert (ended.code, name in ended.output.decode()) == (127, True)
    for name, word in {
        "/plain": "denied", "/directory": "", "/plain/file": "not a directory",
    }.items():  # fmt: skip
        ended = bench.runtime.run("a1", program(process, Exec(cmd=name)), 30)
        assert (ended.code, word in ended.output.decode().lower()) == (126, True), name
    ended = bench.runtime.run("a1", program(process, Exec(cmd="/astray")), 30)
    assert ended.code == (127 if bench.program == "crun" else 1)  # runc says nothing of it
    assert b"no such file" in ended.output.lower()
    assert not list(bench.place.run.glob("exec-*"))


def test_limits_change_while_it_runs_and_not_below_what_it_uses(bench: Bench) -> None:
    made = bench.run("a1", "/bin/sh", "-c", "x=$(head -c 12000000 /dev/zero | od -v); sleep 1000")
    wait_until(lambda: (bench.runtime.memory_used("s1", "a1") or 0) > 20 * MIB, "memory in use", 60)
    bench.runtime.update("s1", "a1", Limits(96 * MIB, 800, 50))
    memory = Path(f"/sys/fs/cgroup/memory{bench.place.cgroup}/sets/s1/a1/memory.limit_in_bytes")
    assert int(memory.read_text()) == 96 * MIB
    with pytest.raises(LimitRefused, match="uses"):
        bench.runtime.update("s1", "a1", Limits(8 * MIB, 800, 50))
    assert int(memory.read_text()) == 96 * MIB
    assert made.init.alive


def test_without_its_monitor_an_exit_is_known_to_whoever_holds_the_process(bench: Bench) -> None:
    script = "trap 'exit 5' TERM; echo up; while true; do sleep 0.1; done"
    made = bench.run("a1", "/bin/sh", "-c", script)
    wait_until(lambda: "up" in bench.log("a1"), "the trap")
    handle = made.init.open()
    assert handle is not None
    try:
        made.monitor.signal(9)
        made.init.signal(15)
        wait_until(lambda: exit_code(handle) is not None, "the kernel's word")
        assert exit_code(handle) == 5
        assert bench.runtime.exit_code("a1") is None
    finally:
        os.close(handle)


_DYING = """
import os, sys
from pathlib import Path
from hostagent import points
from hostagent.cgroups import Cgroups
from hostagent.oci_runtime import OciRuntime
from hostagent.ports import Launch
program, conmon, root, run, exits, bundle, attempt, deadly = sys.argv[1:]
points.listen(lambda point: os.kill(os.getpid(), 9) if point == deadly else None)
runtime = OciRuntime(program, conmon, Cgroups(root), Path(run), Path(exits))
bundle = Path(bundle)
launch = Launch(set="s1", attempt=attempt, bundle=bundle, log=bundle / "log", log_bytes=1000000)
runtime.create(launch)
"""


@pytest.mark.parametrize("deadly", ["create:spawned", "create:answered"])
def test_whoever_starts_a_monitor_may_die_and_all_of_it_is_found_by_its_group(
    bench: Bench, deadly: str
) -> None:
    launch = bench.launch("a1", "/bin/sleep", "1000")
    place = bench.place
    words = [
        tool("crun"), tool("conmon"), place.cgroup, str(place.run), str(place.state / "exits"),
        str(launch.bundle), "a1", deadly,
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _DYING, *words], check=False)
    assert done.returncode == -9
    bench.runtime.delete("s1", "a1")
    assert bench.cgroups.is_empty("s1", "a1")
    assert {words for words in place.processes().values() if "a1" in words} == set()


def test_a_pid_that_was_given_anew_is_not_signalled() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        known = Known.of(process.pid)
        assert known is not None
        assert not Known(known.pid, known.began + 1).signal(9)
        assert process.poll() is None
        assert known.signal(9)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _with_words(words: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if words in text:
            found.append(text)
    return found
