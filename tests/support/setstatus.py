"""A status report that says everything."""

from datetime import UTC, datetime, timedelta

from setspec.desired import Epoch
from setspec.status import (
    Alarm,
    Cache,
    CachedImage,
    ContainerState,
    ContainerStatus,
    Gone,
    Pool,
    Progress,
    Refusal,
    Resources,
    Result,
    ResultState,
    RolledBack,
    SetState,
    SetStatus,
    Status,
    VolumeStatus,
)
from support.setdesired import DIGEST, HOST, OPERATION, OTHER_SET, SET, SHIM
from support.setdocs import UUID

NOON = datetime(2026, 2, 3, 12, 0, 0, 500000, UTC)

WHOLE = Status(
    shim=SHIM,
    host=HOST,
    boot=UUID,
    epoch=Epoch(incarnation=1, n=2),
    rev=40,
    seq=7,
    complete=True,
    sets=(
        SetStatus(
            set=SET,
            generation=3,
            state=SetState.DEGRADED,
            reason="web is not ready",
            progress=Progress(stage="pulling", done=5, total=10),
            containers=(
                ContainerStatus(
                    name="web",
                    state=ContainerState.EXITED,
                    reason="it ended",
                    ready=False,
                    attempt=UUID,
                    attempts=3,
                    digest=DIGEST,
                    pid=17,
                    started=NOON,
                    ended=NOON + timedelta(seconds=1),
                    exit_code=137,
                    exit_known=False,
                    oom_killed=True,
                    mem_used=4096,
                ),
                ContainerStatus(name="infra", state=ContainerState.UNMONITORED),
            ),
            rolled_back=(RolledBack(container="web", generation=2, digest=DIGEST, reason="slow"),),
            volumes=(
                VolumeStatus(
                    name="test/opt/logs",
                    id=UUID,
                    driver="ext4-loop",
                    quota_bytes=1,
                    used_bytes=1,
                    used_inodes=1,
                ),
            ),
            host_keys=("ssh-ed25519 AAAA",),
        ),
    ),
    gone=(Gone(set=OTHER_SET, generation=9, kept_volumes=(UUID,)),),
    operations=(
        Result(
            id=OPERATION.format(1),
            set=SET,
            state=ResultState.DONE,
            reason="as asked",
            digest=DIGEST,
            started=NOON,
            ended=NOON,
        ),
    ),
    refused=(Refusal(kind="set", id=SET, generation=4, reason="/colour is not known here"),),
    alarms=(Alarm(kind="sets-dropped", reason="12 of 30 sets"),),
    resources=Resources(
        architecture="amd64",
        cpu_millicores=2000,
        mem_bytes=1,
        networks=("prod",),
        watchdog=True,
        pools=(
            Pool(
                name="ssd",
                driver="btrfs",
                capacity_bytes=9,
                used_bytes=3,
                reserved_bytes=1,
                capacity_inodes=5,
                used_inodes=2,
                reserved_inodes=1,
            ),
        ),
        cache=Cache(
            layers=5,
            used_bytes=6,
            used_inodes=7,
            pinned_bytes=2,
            hits=8,
            misses=9,
            images=(CachedImage(digest=DIGEST, bytes=4),),
        ),
    ),
)
