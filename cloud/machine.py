"""The whole cloud: brought up, taken down, looked at, and its services one by one."""

import dataclasses
import shutil
import signal
from collections.abc import Iterable, Sequence

from cloud.install import install
from cloud.layout import CloudError, Layout, Settings, write_json
from cloud.prepare import prepare
from cloud.processes import Processes, Service
from cloud.render import write_configuration
from cloud.seed import seed
from cloud.services import NAMES, expand, hold_ports_free, services


class Machine:
    """One cloud, whose state lies in *layout*."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.processes = Processes(layout.run, layout.log)

    @property
    def settings(self) -> Settings:
        """Answer what this cloud is; raise CloudError if it never was brought up."""
        found = self.layout.read_settings()
        if found is None:
            raise CloudError(f"there is no cloud in {self.layout.directory}; bring it up first")
        return found

    def up(self, settings: Settings) -> None:
        """Make the cloud run with *settings*; what runs so already is left alone."""
        install()
        self.layout.make()
        with self.layout.locked():
            write_json(self.layout.settings_file, dataclasses.asdict(settings))
            write_configuration(self.layout, settings)
            prepare(self.layout, settings)
            self._start(services(self.layout, settings).values(), settings)
            seed(self.layout, settings)

    def start(self, names: Sequence[str]) -> None:
        """Start single services again; wait until they answer."""
        settings = self.settings
        known = services(self.layout, settings)
        with self.layout.locked():
            self._start([known[one] for name in names for one in expand(name)], settings)

    def stop(self, names: Sequence[str], number: signal.Signals = signal.SIGTERM) -> None:
        """End single services: SIGTERM lets requests in flight finish, SIGKILL does not."""
        _ = self.settings
        with self.layout.locked():
            self.processes.stop([one for name in names for one in expand(name)], number)

    def down(self, *, wipe: bool) -> None:
        """End every process that this cloud started; with *wipe* forget all its data too."""
        if self.layout.read_settings() is not None:
            self.stop(NAMES)
        if wipe and self.layout.directory.is_dir():
            if self.layout.read_settings() is None and any(self.layout.directory.iterdir()):
                raise CloudError(f"{self.layout.directory} is no cloud: it is left as it is")
            shutil.rmtree(self.layout.directory)

    def _start(self, wanted: Iterable[Service], settings: Settings) -> None:
        found = list(wanted)
        absent = [service for service in found if self.processes.find(service.name) is None]
        hold_ports_free(settings, [service.name for service in absent])
        for service in found:
            self.processes.start(service)
        self.processes.wait(found)
