"""Writes Swift's three rings: DIRECTORY, then NAME=PORT for each. One device, one replica."""

import importlib
import sys


def main() -> None:
    """Write what swift-ring-builder would in nine commands."""
    ring = importlib.import_module("swift.common.ring")
    directory, *pairs = sys.argv[1:]
    for pair in pairs:
        name, _, port = pair.partition("=")
        # 2**6 partitions, one replica, no hours between two moves of a partition.
        builder = ring.RingBuilder(6, 1, 0)
        builder.add_dev(
            {
                "id": 0,
                "region": 1,
                "zone": 1,
                "ip": "127.0.0.1",
                "port": int(port),
                "replication_ip": "127.0.0.1",
                "replication_port": int(port),
                "device": "disk",
                "weight": 1.0,
                "meta": "",
            }
        )
        builder.rebalance()
        builder.get_ring().save(f"{directory}/{name}.ring.gz")


if __name__ == "__main__":
    main()
