"""Logging in to sets by ssh, with the real client, from a network namespace of a set's."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from setspec.desired import DesiredSet
from support.agents import Agent
from support.environment import tool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a login came to."""

    code: int
    output: str
    said: str
    """What the client says."""


class Client:
    """An ssh client with a key of its own and a file of known hosts."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.key = home / "id"
        self.hosts = home / "known_hosts"
        words = [tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "me"]
        subprocess.run([*words, "-f", self.key], check=True)

    @property
    def public(self) -> str:
        return self.key.with_suffix(".pub").read_text().strip()

    def trust(self, address: str, keys: tuple[str, ...]) -> None:
        """Know a host by these keys and no others."""
        self.hosts.write_text("".join(f"{address} {key}\n" for key in keys))

    def run(
        self, agent: Agent, desired: DesiredSet, command: str, *, password: str | None = None,
        user: str = "root", tty: bool = False,
    ) -> Answer:  # fmt: skip
        """Log in to a set and run *command*; by the key, or by *password* and nothing else."""
        address = desired.allocation.ports[0].addresses[0].partition("/")[0]
        namespace = agent.host.namespaces.path(desired.set, "network")
        return self.call(namespace, address, command, password=password, user=user, tty=tty)

    def call(
        self, namespace: Path, address: str, command: str, *, password: str | None = None,
        user: str = "root", tty: bool = False,
    ) -> Answer:  # fmt: skip
        """Log in at an address that is seen from a network namespace."""
        ask = self._home / "ask"
        ask.write_text('#!/bin/sh\nprintf %s "$SESAME"\n')
        ask.chmod(0o700)
        how = ["-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
        if password is not None:
            how = ["-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1"]
        words = [
            tool("nsenter"), f"--net={namespace}",
            tool("ssh"), *how, *(["-tt"] if tty else []), "-o", "ConnectTimeout=10",
            "-o", f"UserKnownHostsFile={self.hosts}", "-o", "StrictHostKeyChecking=yes",
            "-F", "/dev/null", f"{user}@{address}", command,
        ]  # fmt: skip
        environment = {
            **os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force",
            "SESAME": password or "",
        }  # fmt: skip
        done = subprocess.run(
            words, env=environment, capture_output=True, encoding="utf-8", check=False,
            timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)
