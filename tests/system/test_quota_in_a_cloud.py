"""Limits that an operator keeps in a real Keystone, at a registry on that cloud."""

import httpx

from registry.oci.digest import Digest
from support.climgcalls import Climg
from support.openstack import OpenStack
from support.server import Settings, running_server
from support.swift import new_prefix
from support.unifiedlimits import unified_limits

ROOM = 1024 * 1024


def test_a_limit_of_keystones_holds_and_is_changed_there_alone(openstack: OpenStack) -> None:
    extra = '[quota]\nsource = "keystone"\ncache_seconds = 0\n'
    settings = Settings(cloud=openstack, prefix=new_prefix(), extra=extra)
    east = openstack.projects["east"]
    with unified_limits(openstack) as limits, running_server(settings) as server:
        limits.register("registry_mebibytes", 10)
        path = limits.limit("registry_mebibytes", east, 1)
        headers = {"X-Auth-Token": openstack.token("alice")}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:

            def push(content: bytes) -> httpx.Response:
                query = f"digest={Digest.of(content)}"
                return http.post(f"/v2/east/app/blobs/uploads/?{query}", content=content)

            refused = push(b"a" * (ROOM + 1))
            assert refused.status_code == httpx.codes.FORBIDDEN, refused.text
            assert refused.json()["errors"][0]["detail"]["allowed"] == ROOM
            taken = push(b"b" * (ROOM - 1))
            assert taken.status_code == httpx.codes.CREATED, taken.text
            assert "(100 %)" in taken.headers["warning"]
            limits.change(path, 3)
            assert push(b"a" * (ROOM + 1)).status_code == httpx.codes.CREATED
            told = http.get("/registry/v1/projects/east/quota").json()
            assert told["used"]["bytes"] == 2 * ROOM
            assert told["limits"] == {"bytes": 3 * ROOM, "repositories": None, "tags": None}
        admin = openstack.users["admin"]
        signed_in = {"BERTH_USER": admin.name, "BERTH_PASSWORD": admin.password}
        climg = Climg(server.url)
        told = climg.refused(1, "quota-set", "east", "--bytes", "1GiB", **signed_in)
        assert "bytes of a project are limited in Keystone" in told
        assert "registry_mebibytes" in told
