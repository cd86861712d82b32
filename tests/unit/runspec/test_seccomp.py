from typing import Any

from runspec.seccomp import profile

TEXT: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {
            "names": ["mount"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "excludes": {"caps": ["CAP_SYS_ADMIN"]},
        },
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1}]},
    ],
}


def allowed(machine: str, kernel: str, *capabilities: str) -> set[str]:
    made = profile(TEXT, machine, kernel, capabilities)
    rules = made["syscalls"]
    return {each["names"][0] for each in rules if each["action"] == "SCMP_ACT_ALLOW"}


def test_conditions_are_decided_for_one_machine() -> None:
    assert allowed("x86_64", "6.1.0-13-amd64") == {"read", "arch_prctl", "ptrace", "clone"}
    assert allowed("aarch64", "4.4.0") == {"read", "clone"}
    assert "mount" in allowed("x86_64", "6.1", "CAP_SYS_ADMIN")


def test_arguments_errors_and_architectures_stay() -> None:
    made = profile(TEXT, "x86_64", "6.1", ())
    assert made["defaultErrnoRet"] == 38
    assert made["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1} in made["syscalls"]
    clone = next(each for each in made["syscalls"] if each["names"] == ["clone"])
    assert clone["args"] == [{"index": 0, "value": 1}]
