"""Real clients, one small class each, with everything they keep in a directory of their own."""

import contextlib
import json
import os
import subprocess
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from support.environment import Process, tool
from support.images import TAG, Layout, StoredImage
from support.server import Account

SECONDS = 180
"""No single command takes a tenth of this on an idle machine."""


class ClientFailed(AssertionError):
    """A client ended with another status than 0; the message is what it printed."""


class Client(Protocol):
    """Pushes, and logs in. A reference is host:port/repository:tag."""

    def login(self, host: str, account: Account) -> None:
        """Remember *account* for *host*; raise ClientFailed if the server refuses it.

        Some clients only write it down: then the next command is refused.
        """
        ...

    def push(self, layout: Layout, reference: str) -> None:
        """Push what *layout* holds; raise ClientFailed if that fails."""
        ...


class ContentClient(Client, Protocol):
    """A client that handles content as it is: what it pulls can be compared byte for byte."""

    def pull(self, reference: str, directory: Path) -> None:
        """Pull everything behind *reference* into an OCI layout at *directory*, which is new."""
        ...


class Engine(Client, Protocol):
    """A client that unpacks layers: what it pulls can be compared by config and diff IDs."""

    def pull(self, reference: str) -> StoredImage:
        """Forget all images, pull *reference* for this platform, and answer what came."""
        ...


class CommandLine:
    """Runs one program."""

    def __init__(self, program: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = [tool(program)]
        self._environment = dict(environment or {})

    def run(self, *arguments: str | Path, given: str | None = None) -> str:
        """Run the program; answer its standard output, or raise ClientFailed."""
        command = [*self._command, *map(str, arguments)]
        done = subprocess.run(
            command,
            env={
                "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
                "LANG": "C.UTF-8",
                **self._environment,
            },
            input=given or "",
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0:
            words = " ".join(command)
            raise ClientFailed(f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"[:8000])
        return done.stdout


class Skopeo(CommandLine):
    """skopeo copy: content as it is."""

    def __init__(self, directory: Path) -> None:
        home = {"HOME": str(directory), "REGISTRY_AUTH_FILE": str(directory / "auth.json")}
        super().__init__("skopeo", home)

    def login(self, host: str, account: Account) -> None:
        name = ("--username", account.name)
        self.run("login", "--tls-verify=false", *name, "--password-stdin", host,
                 given=account.password)  # fmt: skip

    def push(self, layout: Layout, reference: str) -> None:
        self.copy("--dest-tls-verify=false", f"oci:{layout.path}:{TAG}", f"docker://{reference}")

    def pull(self, reference: str, directory: Path) -> None:
        self.copy("--src-tls-verify=false", f"docker://{reference}", f"oci:{directory}:{TAG}")

    def copy(self, *arguments: str) -> None:
        flags = ("--insecure-policy", "copy", "--all", "--preserve-digests")
        self.run(*flags, *arguments)


class Crane(CommandLine):
    """crane: go-containerregistry's command; plain HTTP on loopback by itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__("crane", {"HOME": str(directory), "DOCKER_CONFIG": str(directory)})

    def login(self, host: str, account: Account) -> None:
        name = ("--username", account.name)
        self.run("auth", "login", *name, "--password-stdin", host, given=account.password)

    def push(self, layout: Layout, reference: str) -> None:
        self.run("push", layout.path, reference)

    def pull(self, reference: str, directory: Path) -> None:
        self.run("pull", "--format", "oci", reference, directory)


class Regctl(CommandLine):
    """regctl: regclient's command; pushes large blobs in chunks, and resumes them."""

    def __init__(self, directory: Path) -> None:
        config = {"REGCTL_CONFIG": str(directory / "regctl.json")}
        super().__init__("regctl", {"HOME": str(directory), **config})

    def login(self, host: str, account: Account) -> None:
        self.plain(host)
        name = ("--user", account.name)
        self.run("registry", "login", *name, "--pass-stdin", host, given=account.password)

    def push(self, layout: Layout, reference: str) -> None:
        self.plain(reference.partition("/")[0])
        self.run("image", "copy", f"ocidir://{layout.path}:{TAG}", reference)

    def pull(self, reference: str, directory: Path) -> None:
        self.plain(reference.partition("/")[0])
        self.run("image", "copy", reference, f"ocidir://{directory}:{TAG}")

    def plain(self, host: str) -> None:
        """Tell it that *host* has no TLS."""
        self.run("registry", "set", "--skip-check", "--tls", "disabled", host)


class Oras(CommandLine):
    """oras cp: content as it is."""

    def __init__(self, directory: Path) -> None:
        super().__init__("oras", {"HOME": str(directory), "DOCKER_CONFIG": str(directory)})

    def login(self, host: str, account: Account) -> None:
        name = ("--username", account.name)
        self.run("login", "--plain-http", *name, "--password-stdin", host, given=account.password)

    def push(self, layout: Layout, reference: str) -> None:
        target = ("--to-plain-http", f"{layout.path}:{TAG}", reference)
        self.run("cp", "--from-oci-layout", *target)

    def pull(self, reference: str, directory: Path) -> None:
        target = ("--to-oci-layout", reference, f"{directory}:{TAG}")
        self.run("cp", "--from-plain-http", *target)


class Ctr(CommandLine):
    """containerd, driven by ctr."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._account: list[str] = []
        super().__init__("ctr", {"CONTAINERD_ADDRESS": str(directory / "containerd.sock")})

    def login(self, host: str, account: Account) -> None:  # noqa: ARG002 - it knows one account
        self._account = ["--user", f"{account.name}:{account.password}"]

    def push(self, layout: Layout, reference: str) -> None:
        archive = self._directory / "push.tar"
        entry = layout.descriptor | {"annotations": {"io.containerd.image.name": reference}}
        index = self._directory / "index.json"
        index.write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}), "utf-8")
        with tarfile.open(archive, "w") as tar:
            tar.add(layout.path / "oci-layout", "oci-layout")
            tar.add(index, "index.json")
            tar.add(layout.path / "blobs", "blobs")
        self.run("images", "import", "--no-unpack", "--all-platforms", archive)
        self.run("images", "push", "--plain-http", *self._account, reference)
        archive.unlink()

    def pull(self, reference: str, directory: Path) -> None:
        self.forget()
        self.run("content", "fetch", "--plain-http", "--all-platforms", *self._account, reference)
        archive = self._directory / "pull.tar"
        whole = ("--skip-manifest-json", "--all-platforms")
        self.run("images", "export", *whole, archive, reference)
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
        archive.unlink()

    def unpack(self, reference: str) -> StoredImage:
        """Pull as for a container: into a snapshot; answer what came."""
        self.forget()
        self.run("images", "pull", "--plain-http", *self._account, reference)
        digest = self.run("images", "list", f"name=={reference}").splitlines()[1].split()[2]
        manifest = json.loads(self.run("content", "get", digest))
        if "manifests" in manifest:
            manifest = json.loads(self.run("content", "get", manifest["manifests"][0]["digest"]))
        config = manifest["config"]["digest"]
        named = json.loads(self.run("content", "get", config))["rootfs"]["diff_ids"]
        return StoredImage(config, tuple(named))

    def forget(self) -> None:
        """Remove all images and, at once, their content."""
        self._remove("images", ("--sync",))
        self._remove("content", ())  # what a fetch left that was broken off

    def _remove(self, what: str, flags: tuple[str, ...]) -> None:
        names = self.run(what, "list", "--quiet").split()
        if names:
            self.run(what, "remove", *flags, *names)


@contextlib.contextmanager
def running_containerd(directory: Path) -> Iterator[Ctr]:
    """Yield a client of a containerd of its own."""
    config = directory / "containerd.toml"
    words = {"root": directory / "root", "state": directory / "state"}
    lines = ["version = 2", *(f"{key} = {json.dumps(str(path))}" for key, path in words.items())]
    lines += ['disabled_plugins = ["io.containerd.grpc.v1.cri"]', "[grpc]"]
    lines += [f"address = {json.dumps(str(directory / 'containerd.sock'))}"]
    config.write_text("\n".join([*lines, ""]), "utf-8")
    client = Ctr(directory)

    def ready() -> bool:
        try:
            client.run("version")
        except ClientFailed:
            return False
        return True

    with Process([tool("containerd"), "--config", config], directory / "log") as containerd:
        containerd.wait_ready(ready)
        yield client


NAME = "localhost/loaded:1"
"""An image before its push."""


class ContainersStorage(CommandLine, ABC):
    """What podman and buildah share: the same store, the same words."""

    def __init__(self, program: str, directory: Path) -> None:
        self._directory = directory
        self._skopeo = Skopeo(directory)
        home = {"HOME": str(directory), "REGISTRY_AUTH_FILE": str(directory / "auth.json")}
        super().__init__(program, home)
        (directory / "auth.json").write_text('{"auths": {}}', "utf-8")  # they refuse an absent one
        self._command += ["--root", str(directory / "root"), "--runroot", str(directory / "run")]
        self._command += ["--storage-driver", "overlay"]

    def login(self, host: str, account: Account) -> None:
        name = ("--username", account.name)
        self.run("login", "--tls-verify=false", *name, "--password-stdin", host,
                 given=account.password)  # fmt: skip

    def push(self, layout: Layout, reference: str) -> None:
        store = f"[overlay@{self._directory / 'root'}+{self._directory / 'run'}]"
        source = f"oci:{layout.path}:{TAG}"
        # Their own pull would make the image's name from the path, and not every path is a name.
        self._skopeo.run("--insecure-policy", "copy", source, f"containers-storage:{store}{NAME}")
        self.run("push", "--tls-verify=false", NAME, f"docker://{reference}")

    def pull(self, reference: str) -> StoredImage:
        self.run("rmi", "--all", "--force")
        self.run("pull", "--quiet", "--tls-verify=false", f"docker://{reference}")
        return self.stored(reference)

    @abstractmethod
    def stored(self, reference: str) -> StoredImage:
        """Answer what the store has under *reference*."""


class Podman(ContainersStorage):
    """podman; runs nothing here, so needs no runtime."""

    def __init__(self, directory: Path) -> None:
        super().__init__("podman", directory)
        self._command += ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        self._command += ["--tmpdir", str(directory / "tmp"), "--events-backend", "none"]

    def stored(self, reference: str) -> StoredImage:
        found = json.loads(self.run("image", "inspect", reference))[0]
        return StoredImage(f"sha256:{found['Id']}", tuple(found["RootFS"]["Layers"]))


class Buildah(ContainersStorage):
    """buildah."""

    def __init__(self, directory: Path) -> None:
        super().__init__("buildah", directory)

    def stored(self, reference: str) -> StoredImage:
        found = json.loads(self.run("inspect", "--type", "image", reference))
        diff_ids = tuple(found["OCIv1"]["rootfs"]["diff_ids"])
        return StoredImage(f"sha256:{found['FromImageID']}", diff_ids)


class Docker(CommandLine):
    """docker, with a dockerd of its own; writes Docker's manifests."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._skopeo = Skopeo(directory)
        environment = {"HOME": str(directory), "DOCKER_CONFIG": str(directory / "config")}
        super().__init__("docker", environment)
        self._command += ["--host", self.socket]

    @property
    def socket(self) -> str:
        return f"unix://{self._directory / 'docker.sock'}"

    def login(self, host: str, account: Account) -> None:
        self.run("login", "--username", account.name, "--password-stdin", host,
                 given=account.password)  # fmt: skip

    def push(self, layout: Layout, reference: str) -> None:
        archive = self._directory / "load.tar"
        self._skopeo.run("--insecure-policy", "copy", f"oci:{layout.path}:{TAG}",
                         f"docker-archive:{archive}:{reference}")  # fmt: skip
        self.run("load", "--quiet", "--input", archive)
        archive.unlink()
        self.run("push", "--quiet", reference)

    def pull(self, reference: str) -> StoredImage:
        self.forget()
        self.run("pull", "--quiet", reference)
        return self.stored(reference)

    def stored(self, reference: str) -> StoredImage:
        """Answer what the daemon has under *reference*."""
        found = json.loads(self.run("image", "inspect", reference))[0]
        return StoredImage(found["Id"], tuple(found["RootFS"]["Layers"]))

    def forget(self) -> None:
        """Remove all images."""
        known = set(self.run("image", "ls", "--all", "--quiet", "--no-trunc").split())
        if known:
            self.run("image", "rm", "--force", *known)


@contextlib.contextmanager
def running_docker(directory: Path) -> Iterator[Docker]:
    """Yield a client of a dockerd of its own, which touches no network of this machine."""
    client = Docker(directory)
    command: list[str | Path] = [
        tool("dockerd"),
        *("--iptables=false", "--ip6tables=false", "--bridge=none"),
        *("--storage-driver", "overlay2"),
        *("--config-file", directory / "daemon.json"),
        *("--data-root", directory / "root"),
        *("--exec-root", directory / "exec"),
        *("--pidfile", directory / "pid"),
        *("--host", client.socket),
    ]
    (directory / "daemon.json").write_text("{}", "utf-8")

    def ready() -> bool:
        try:
            client.run("version")
        except ClientFailed:
            return False
        return True

    with Process(command, directory / "log") as dockerd:
        dockerd.wait_ready(ready)
        yield client
