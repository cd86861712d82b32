"""Requests to a cloud's services as the service user; what is told of failures holds no secret."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session
from requests import Response

from registry.doctor.findings import Unwell

SIGN_IN = (
    "see that Keystone runs and is reachable, and that clouds.yaml or the OS_ variables name the "
    "service user with the right password"
)


@dataclass(frozen=True, slots=True)
class Asker:
    """A session, and where its services are."""

    session: Session
    region: str | None
    interface: str = "public"
    endpoints: Mapping[str, str | None] = field(default_factory=dict)
    """Where services are of which clouds.yaml says another address than the catalogue."""

    def find(self, service: str, *, interface: str | None = None) -> str:
        """Where *service* is, as the configuration or else the catalogue says; raises Unwell."""
        said = self.endpoints.get(service)
        if said is not None and interface in {None, self.interface}:
            return said.rstrip("/")
        try:
            found = self.session.get_endpoint(
                service_type=service,
                interface=interface or self.interface,
                region_name=self.region,
            )
        except (ClientException, OSError) as error:
            raise _unwell(error) from None  # what it follows may hold a request
        if found is None:
            raise Unwell(
                f"the catalogue has no {interface or self.interface} {service} in region "
                f"{self.region or 'any'}",
                "enter it with `openstack endpoint create`, or name the region that has it",
            )
        return str(found).rstrip("/")

    def must(self, method: str, url: str, mend: str) -> Response:
        """An answer that is good; raises Unwell, with *mend*, where it is none."""
        answer = self.ask(method, url)
        if not answer.ok:
            raise Unwell(f"HTTP {answer.status_code} to the service user", mend)
        return answer

    def ask(self, method: str, url: str, **named: Any) -> Response:
        """Whatever is answered; raises Unwell where nothing is."""
        try:
            return self.session.request(url, method, raise_exc=False, log=False, **named)
        except (ClientException, OSError) as error:
            raise _unwell(error) from None


def _unwell(error: Exception) -> Unwell:
    status = getattr(error, "http_status", None)
    told = f" (HTTP {status})" if status else ""
    return Unwell(f"{type(error).__name__}{told}", SIGN_IN)
