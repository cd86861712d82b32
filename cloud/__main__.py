"""The command line: scripts/cloud."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from cloud.accounts import ACCOUNTS, PEOPLE
from cloud.describe import describe, shell, variables
from cloud.install import install
from cloud.layout import DEFAULT, CloudError, Layout, Ports, Settings
from cloud.machine import Machine
from cloud.render import FEATURES
from cloud.services import NAMES

NOT_RUNNING = 3
"""The status of `status` where something does not run, as init scripts have it (LSB)."""


def main() -> int:
    """Do what the arguments say; answer the exit status."""
    arguments = parser().parse_args()
    machine = Machine(Layout(arguments.state.resolve()))
    try:
        return COMMANDS[arguments.command](machine, arguments)
    except CloudError as error:
        sys.stderr.write(f"cloud: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parser() -> argparse.ArgumentParser:
    """Answer the grammar of the command line."""
    whole = argparse.ArgumentParser(
        prog="scripts/cloud", description="A real Keystone, Glance and Swift on the loopback."
    )
    whole.add_argument(
        "--state",
        type=Path,
        default=DEFAULT,
        help="where this cloud's data lies (default: .cache/cloud/default in the checkout)",
    )
    commands = whole.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install the services' programs only")
    up = commands.add_parser("up", help="make the cloud run; what runs already is left alone")
    up.add_argument(
        "--free-ports", action="store_true", help="choose ports, if this cloud has none yet"
    )
    up.add_argument("--registry-url", help="where the service catalogue says that Berth is")
    up.add_argument(
        "--without",
        action="append",
        choices=[*FEATURES, "nothing"],
        help="leave out what an operator might not have set in Glance; 'nothing' sets all again",
    )
    up.add_argument(
        "--cached",
        action=argparse.BooleanOptionalAction,
        help="whether Swift remembers accounts and containers, as clouds with memcached do",
    )
    down = commands.add_parser("down", help="end every process of the cloud")
    down.add_argument("--wipe", action="store_true", help="and delete its data")
    commands.add_parser("status", help="which services run; status 3 if one does not")
    env = commands.add_parser("env", help="print export lines for a shell")
    env.add_argument(
        "--user", choices=[one.name for one in ACCOUNTS], default=PEOPLE[0].name, help="sign in as"
    )
    env.add_argument(
        "--application-credential",
        action="store_const",
        const=None,
        dest="user",
        help=f"sign in with {PEOPLE[0].name}'s application credential",
    )
    env.add_argument("--json", action="store_true", help="print everything there is, as JSON")
    for name, words in (
        ("start", "start single services"),
        ("stop", "end single services"),
        ("restart", "end single services and start them again"),
        ("kill", "end single services with SIGKILL"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("services", nargs="+", choices=["swift", *NAMES], metavar="SERVICE")
    return whole


def run_install(machine: Machine, arguments: argparse.Namespace) -> int:
    """Install the programs, so that a later `up` is quick."""
    del machine, arguments
    install()
    return 0


def run_up(machine: Machine, arguments: argparse.Namespace) -> int:
    """Bring the cloud up; what is not said stays as it was the last time."""
    started = time.monotonic()
    known = machine.layout.read_settings()
    if known is None:
        known = Settings(ports=Ports.free() if arguments.free_ports else Ports())
    without = known.without
    if arguments.without is not None:
        without = tuple(sorted(set(arguments.without) - {"nothing"}))
    url = arguments.registry_url or known.registry_url
    cached = known.cached if arguments.cached is None else arguments.cached
    machine.up(Settings(ports=known.ports, registry_url=url, without=without, cached=cached))
    say(f"cloud: up in {time.monotonic() - started:.1f} s")
    return 0


def run_down(machine: Machine, arguments: argparse.Namespace) -> int:
    """Take the cloud down."""
    machine.down(wipe=arguments.wipe)
    return 0


def run_status(machine: Machine, arguments: argparse.Namespace) -> int:
    """Tell what runs."""
    del arguments
    found = {name: machine.processes.find(name) for name in NAMES}
    for name, running in found.items():
        say(f"{name:16}{'not running' if running is None else f'pid {running.pid}'}")
    return 0 if all(found.values()) else NOT_RUNNING


def run_env(machine: Machine, arguments: argparse.Namespace) -> int:
    """Tell how to sign in."""
    document = describe(machine.layout, machine.settings)
    if arguments.json:
        say(json.dumps(document, indent=1))
    else:
        say(shell(variables(document, arguments.user)))
    return 0


def run_services(machine: Machine, arguments: argparse.Namespace) -> int:
    """Start or end single services."""
    match arguments.command:
        case "start":
            machine.start(arguments.services)
        case "stop":
            machine.stop(arguments.services)
        case "kill":
            machine.stop(arguments.services, signal.SIGKILL)
        case _:
            machine.stop(arguments.services)
            machine.start(arguments.services)
    return 0


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


COMMANDS = {
    "install": run_install,
    "up": run_up,
    "down": run_down,
    "status": run_status,
    "env": run_env,
    "start": run_services,
    "stop": run_services,
    "restart": run_services,
    "kill": run_services,
}

if __name__ == "__main__":
    sys.exit(main())
