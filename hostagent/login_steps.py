"""Steps of logging in by ssh: sshd made beside a container, and root's password changed."""

import json
from dataclasses import dataclass
from pathlib import Path

from hostagent.attempt_steps import Make
from hostagent.errors import CannotBe, StepFailed
from hostagent.host import Host
from hostagent.ports import Made
from hostagent.recipes import Recipe, login_recipe
from hostagent.records import Attempt, ContainerRow
from hostagent.set_steps import OperationStep
from hostbase import private
from setspec.desired import SetPassword
from setspec.shape import load
from sshd.login import Login
from sshd.place import NoLogin, change_password, lay_out


@dataclass(frozen=True, slots=True)
class CreateLogin(Make):
    """Make sshd beside a container that runs: an attempt of its own, in that one's namespaces."""

    def act(self, host: Host, intent: Attempt) -> tuple[Attempt, Made]:
        made = Make.act(self, host, intent)
        self._pid(host)  # still: so it was that one's namespaces all the while
        return made

    def recipe(self, host: Host, row: ContainerRow) -> Recipe:
        _ = row
        return login_recipe(self.desired(host).spec.login, self._target(host))

    def write(self, host: Host, bundle: Path, attempt: Attempt) -> None:
        spec, target = self.desired(host).spec.login, self._target(host)
        try:
            config = lay_out(
                host.layout.login(self.set),
                host.config(target),
                Login(keys=spec.keys, password=host.password(self.set, spec)),
                pid=self._pid(host),
                cgroup=f"{host.cgroup}/sets/{self.set}/{target.id}/{attempt.id}",
                seccomp=host.seccomp,
            )
        except NoLogin as error:
            raise StepFailed(str(error)) from None
        private.write(bundle / "config.json", config, durably=False)

    def _target(self, host: Host) -> Attempt:
        """The container's attempt."""
        name = self.desired(host).spec.login.container
        row = host.store.find(ContainerRow, set=self.set, name=name)
        return host.store.find(Attempt, id=row.current)

    def _pid(self, host: Host) -> int:
        init = self._target(host).init
        if init is None or not init.alive:
            raise StepFailed("the container has ended, so nobody can be let in")
        return init.pid


@dataclass(frozen=True, slots=True)
class ChangePassword(OperationStep):
    """Have another password open the door, at once, and for each sshd that follows."""

    def act(self, host: Host, _: None) -> str | None:
        args = load(SetPassword, json.loads(self.found(host).args))
        spec = self.desired(host).spec.login
        try:
            host.override_password(self.set, spec, args.password)
        except CannotBe as error:
            return str(error)
        change_password(host.layout.login(self.set), host.password(self.set, spec))
        return None
