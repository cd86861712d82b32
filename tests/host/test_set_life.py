import json
from itertools import pairwise

from hostagent.describe import describe
from hostagent.records import AttemptState, SetRow, Trouble
from setspec.desired import Deploy, Level, Restart
from setspec.normal import File
from support.agents import at, operated, placed, running_agent, shop, stays
from support.environment import many_files_open, wait_until
from support.hostplaces import HostPlace

TALK = """{"version": "v2", "id": 1, "appkey": "com.sankuai.inf.hulk.test",
 "containers": [{"index": 0, "image": "hulk.test-prod",
   "options": {"name": "test", "cpu": 80, "mem": 20,
     "volumes": [{"path": "/opt/logs", "quota": 100}],
     "command": {"cmd": "/bin/bash", "args": ["-c", "run.sh"]}}}]}"""


def test_the_talks_set_lives_from_creation_to_deletion(place: HostPlace) -> None:
    desired = placed(json.loads(TALK))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        wait_until(lambda: "run by" in agent.log(desired, "test"), "its output")
        first = agent.current(desired, "test")
        agent.take(at(desired, Level.STOPPED))
        wait_until(lambda: not agent.attempts(desired), "the stop")
        assert "bye" in agent.log(desired, "test")
        assert agent.current(desired, "test").exit_code == 0
        agent.take(at(desired, Level.RUNNING))
        agent.wait_running(desired)
        second = agent.current(desired, "test")
        assert second.id != first.id
        assert second.disk == first.disk
        agent.delete(desired, purge=True)
        assert agent.host.store.rows(type(first)) == []
    assert not agent.images.disks()


def test_a_host_with_hundreds_of_containers_takes_one_more(place: HostPlace) -> None:
    desired = placed(shop(networks=[{"name": "default"}]))
    with many_files_open(), running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        assert not agent.host.store.rows(Trouble)
        agent.delete(desired)


def test_containers_start_in_order_each_when_the_one_before_is_ready_and_stop_in_reverse(
    place: HostPlace,
) -> None:
    slow = {"readiness": {"min_ready_s": 1}}
    infra = {"image": "shop:1", "cpu": "0.1", "mem": "16Mi", **slow}
    desired = placed(shop(slow, slow, infra=infra))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        names = ["infra", "c0", "c1"]
        found = [agent.current(desired, name) for name in names]
        for before, after in pairwise(found):
            assert before.ready_at is not None
            assert after.started_at is not None
            assert before.started_at is not None
            assert before.ready_at >= before.started_at + 1
            assert after.started_at >= before.ready_at
        agent.take(at(desired, Level.STOPPED))
        wait_until(lambda: not agent.attempts(desired), "the stop", 60)
        ended = [agent.current(desired, name).ended_at or 0 for name in names]
        assert ended == sorted(ended, reverse=True)
        agent.delete(desired)


def test_one_that_does_not_become_ready_leaves_those_after_it_created_and_those_before_running(
    place: HostPlace,
) -> None:
    never = {"exec": {"cmd": "/bin/false"}, "min_ready_s": 1, "ready_timeout_s": 2}
    desired = placed(shop({}, {"readiness": never}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_state(desired, "c1", AttemptState.STARTED)
        assert stays(
            lambda: agent.states(desired) == {"c0": "started", "c1": "started", "c2": "created"}, 3
        )
        assert agent.current(desired, "c1").ready_at is None
        shown = describe(agent.host, agent.row(desired))
        assert (shown.state, shown.reason) == ("degraded", "c1: not ready within 2 s")
        agent.delete(desired)


def test_ports_and_answers_to_get_say_that_a_container_is_ready(place: HostPlace) -> None:
    serve = {"cmd": "/bin/sh", "args": ["-c", "sleep 1.5; exec httpd -f -p 8080 -h /bin"]}
    http = {"http": {"port": 8080, "path": "/run.sh"}, "min_ready_s": 1}
    tcp = {"tcp": {"port": 8080}, "min_ready_s": 1}
    desired = placed(
        shop(
            {"command": serve, "readiness": http},
            {"readiness": tcp},
            networks=[{"name": "default"}],
        )
    )
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        web = agent.current(desired, "c0")
        assert web.started_at is not None
        assert (web.ready_at or 0) > web.started_at + 2
        agent.delete(desired)


def test_what_ends_by_itself_is_started_again_as_its_policy_says_and_waits_longer_each_time(
    place: HostPlace,
) -> None:
    crash = {"cmd": "/bin/sh", "args": ["-c", "exit 3"]}
    once = {"cmd": "/bin/true", "args": []}
    desired = placed(
        shop(
            {"command": once, "restart": {"policy": "on-failure"}},
            {"command": once, "restart": {"policy": "never"}},
            {"command": crash, "restart": {"base_s": 1, "factor": 2, "cap_s": 60}},
        )
    )
    with running_agent(place) as agent:
        agent.take(desired)
        wait_until(lambda: agent.is_crashing(desired, "c2", 3), "three crashes", 60)
        assert [agent.container(desired, name).attempts for name in ("c0", "c1")] == [1, 1]
        assert agent.current(desired, "c1").exit_code == 0
        last = agent.current(desired, "c2")
        shown = {each.name: each for each in describe(agent.host, agent.row(desired)).containers}
        assert shown["c0"].state == "exited"
        assert (shown["c2"].state, shown["c2"].exit_code) == ("backoff", 3)
        assert stays(lambda: agent.current(desired, "c2").id == last.id, 2)
        agent.delete(desired)


def test_after_a_crash_only_that_container_starts_again_on_its_own_disk(place: HostPlace) -> None:
    desired = placed(shop({}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first, second = (agent.current(desired, name) for name in ("c0", "c1"))
        assert first.init is not None
        first.init.signal(9)
        wait_until(lambda: agent.current(desired, "c0").id != first.id, "a new attempt")
        agent.wait_running(desired)
        assert agent.current(desired, "c0").disk == first.disk
        assert agent.current(desired, "c1") == second
        agent.delete(desired)


def test_a_suspended_set_keeps_its_processes_and_can_be_resumed_stopped_and_deleted(
    place: HostPlace,
) -> None:
    desired = placed(shop({}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        former = agent.attempts(desired)
        agent.take(at(desired, Level.SUSPENDED))
        wait_until(lambda: agent.host.runtime.is_frozen(desired.set), "the freezing")
        assert describe(agent.host, agent.row(desired)).state == "suspended"
        agent.take(at(desired, Level.RUNNING))
        wait_until(lambda: not agent.host.runtime.is_frozen(desired.set), "the thaw")
        assert agent.attempts(desired) == former
        agent.take(at(desired, Level.SUSPENDED))
        wait_until(lambda: agent.host.runtime.is_frozen(desired.set), "the freezing")
        agent.take(at(desired, Level.STOPPED))
        wait_until(lambda: not agent.attempts(desired), "the stop")
        assert agent.log(desired, "c1").count("bye") == 1
        agent.take(at(desired, Level.RUNNING))
        agent.wait_running(desired)
        agent.take(at(desired, Level.SUSPENDED))
        wait_until(lambda: agent.host.runtime.is_frozen(desired.set), "the freezing")
        agent.delete(desired)
        assert not agent.host.store.rows(SetRow)


def test_what_ignores_its_signal_is_killed_when_its_grace_is_over(place: HostPlace) -> None:
    deaf = {"cmd": "/bin/sh", "args": ["-c", "trap '' TERM; while true; do sleep 0.1; done"]}
    desired = placed(shop({"command": deaf, "stop": {"grace_s": 1}}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        agent.take(at(desired, Level.STOPPED))
        wait_until(lambda: not agent.attempts(desired), "the stop")
        last = agent.current(desired, "c0")
        assert last.exit_code == 137
        assert (last.ended_at or 0) >= (last.stopping_at or 0) + 1
        agent.delete(desired)


def test_an_image_that_is_not_to_be_had_stops_nothing_and_says_so(place: HostPlace) -> None:
    desired = placed(shop({}, {"image": "absent:1"}))
    with running_agent(place) as agent:
        agent.take(desired)
        wait_until(lambda: bool(agent.host.store.rows(Trouble)), "the trouble")
        assert not agent.attempts(desired)
        shown = describe(agent.host, agent.row(desired))
        assert shown.state == "creating"
        assert "absent:1 is not to be had" in (shown.reason or "")
        agent.delete(desired)


def test_a_created_set_is_there_and_has_not_begun(place: HostPlace) -> None:
    desired = placed(shop({}))
    with running_agent(place) as agent:
        agent.take(at(desired, Level.CREATED))
        agent.wait_state(desired, "c0", AttemptState.CREATED)
        assert stays(lambda: agent.states(desired) == {"c0": "created"}, 0.5)
        assert agent.log(desired, "c0") == ""
        agent.take(desired)
        agent.wait_running(desired)
        agent.delete(desired)


def test_files_users_variables_and_host_names_are_as_the_document_says(place: HostPlace) -> None:
    script = "cat /srv/conf/a; id; echo $WORD; cat /etc/hostname; hostname; cat /vol/kept; sleep 9"
    document = shop(
        {
            "command": {"cmd": "/bin/sh", "args": ["-c", script]},
            "env": {"WORD": {"secret": "sesame"}},
            "user": "web",
            "files": [{"path": "/srv/conf/a", "content": "deployed\n"},
                      {"path": "/bin/extra", "content": "", "mode": "0755"}],
            "mounts": [{"path": "/vol", "volume": "v"}],
        },
        volumes=[{"name": "v", "quota": "1Gi"}],
    )  # fmt: skip
    desired = placed(document, octet=7)
    with running_agent(place) as agent:
        volume = place.directory / "kept" / desired.allocation.volumes[0].id / "data"
        volume.mkdir(parents=True)
        (volume / "kept").write_text("from before\n")
        agent.take(desired)
        agent.wait_running(desired)
        # It is ready as soon as it has started, perhaps before it has said anything.
        wait_until(lambda: agent.log(desired, "c0").count("\n") >= 6, "its six lines")
        words = [line.partition(" F ")[2] for line in agent.log(desired, "c0").splitlines()]
        assert words == [
            "deployed", "uid=1000(web) gid=1000(web) groups=2000(logs)", "sesame", "h7", "h7",
            "from before",
        ]  # fmt: skip
        assert "sesame" not in agent.row(desired).document
        secrets = place.run / "secrets" / f"{desired.set}.json"
        assert secrets.stat().st_mode & 0o777 == 0o600
        agent.delete(desired)
        assert (volume / "kept").exists()


def test_a_file_that_cannot_be_there_fails_once_and_keeps_no_container_from_its_next_run(
    place: HostPlace,
) -> None:
    desired = placed(shop())
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        former = agent.current(desired, "c0")
        files = (File(path="/edition/file", content="words"),)
        asked, deploy = operated(desired, Deploy(container="c0", files=files))
        agent.take(asked)
        ended = agent.wait_operation(deploy)
        assert ended.state == "failed"
        assert ended.reason == "/edition/file cannot be written: Not a directory"
        asked, restart = operated(desired, Restart())
        agent.take(asked)
        assert agent.wait_operation(restart).state == "done"
        assert agent.current(desired, "c0").id != former.id
        agent.delete(desired)
