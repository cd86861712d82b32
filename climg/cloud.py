"""The Image API, spoken to by glanceclient: Berth's own, or a cloud's Glance."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from glanceclient import exc  # type: ignore[import-untyped]
from glanceclient.v2.client import Client  # type: ignore[import-untyped]
from keystoneauth1 import exceptions as auth_errors
from keystoneauth1.http_basic import HTTPBasicAuth
from keystoneauth1.plugin import FixedEndpointPlugin
from keystoneauth1.session import Session

from climg.errors import NotFound, Refused, Unavailable, WrongUsage
from climg.projects import Projects
from climg.records import Record
from climg.target import Cloud, Registry
from climg.text import one_line, shorten

PAGE = 500
"""Records that one request asks for."""
LIMIT = 200_000
"""Records that are read at most; so a list always ends."""
TIMEOUT = 30.0
"""Seconds without a byte after which an answer is given up."""
DETAIL_LIMIT = 300
"""Characters of a service's own words."""
_STATUS = re.compile(r"^[45]\d\d [A-Z][A-Za-z ]+: ")
_REQUEST = re.compile(r" \((?:HTTP \d+|Request-ID: [^)]*)\)")


class Anonymous(FixedEndpointPlugin):
    """Nobody signs in; keystoneauth's own such plugin sends a token that is none."""

    def get_headers(self, session: Session) -> dict[str, str] | None:
        """None are needed."""
        del session
        return {}


class ImageService:
    """The calls that climg makes; each raises Refused, NotFound and Unavailable."""

    def __init__(
        self,
        session: Session,
        target: Registry | Cloud,
        progress: Callable[[int], None],
        **where: Any,
    ) -> None:
        self._session = session
        session.session.hooks["response"].append(self._note)
        self._client = Client(session=session, **where)
        self._target = target
        self._progress = progress
        self._projects = Projects(session)
        self._read = 0
        self._status = 0
        """Of the last answer: glanceclient has no class for some, and forgets them."""

    def close(self) -> None:
        """Hang up."""
        self._session.session.close()

    def list(self, filters: Mapping[str, str]) -> Iterator[Record]:
        """As in Images."""
        named = dict(filters)
        if "owner" in named:
            try:
                named["owner"] = self.find_project(named["owner"])
            except NotFound:
                return  # and so it has no images
        try:
            with self._told():
                for document in self._client.images.list(filters=named, page_size=PAGE):
                    self._count()
                    yield Record.parse(document)
        except NotFound as error:  # a list is always there
            raise _not_understood(self._target) from error

    def find(self, record: str) -> Record:
        """As in Images."""
        with self._told():
            return Record.parse(self._client.images.get(record))

    @property
    def is_glance(self) -> bool:
        """Whether it is a cloud's, which the registry follows; else it is the registry's own."""
        return self._projects.have_names

    def find_project(self, text: str) -> str:
        """The id of a project, by id or by name; raises NotFound and Ambiguous."""
        with self._told():
            return self._projects.find(text)

    def delete(self, record: str) -> None:
        """Delete an image; of a tag's record, so the tag."""
        with self._told():
            self._client.images.delete(record)

    def set_visibility(self, record: str, visibility: str) -> None:
        """Say who sees an image."""
        with self._told():
            self._client.images.update(record, visibility=visibility)

    def members(self, record: str) -> dict[str, str]:
        """The projects that an image is shared with, and whether they accepted it."""
        with self._told():
            members = list(self._client.image_members.list(record))
            return {each["member_id"]: each["status"] for each in members}

    def share(self, record: str, project: str) -> None:
        """Make *project* a member."""
        with self._told():
            self._client.image_members.create(record, project)

    def unshare(self, record: str, project: str) -> None:
        """End a membership."""
        with self._told():
            self._client.image_members.delete(record, project)

    def _count(self) -> None:
        self._read += 1
        if self._read > LIMIT:
            raise Refused(
                f"{self._target.place} lists more than {LIMIT} records; "
                "say --limit, or --project, or name one"
            )
        self._progress(self._read)

    def _note(self, answer: Any, *_: Any, **__: Any) -> None:
        self._status = answer.status_code

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return told(self._target, lambda: self._status)


def connect(
    target: Registry | Cloud, password: str | None, progress: Callable[[int], None]
) -> ImageService:
    """The image service of *target*; raises WrongUsage, Refused and Unavailable."""
    if isinstance(target, Cloud):
        with told(target):
            return _in_cloud(target, progress)
    return ImageService(session_for(target, password), target, progress)


def session_for(target: Registry, password: str | None) -> Session:
    """How a registry is spoken to."""
    endpoint = f"{target.url}/image"
    signed_in = target.user is not None and password is not None
    auth = HTTPBasicAuth(endpoint, target.user, password) if signed_in else Anonymous(endpoint)
    session = Session(
        auth=auth,
        verify=target.cacert or True,
        timeout=TIMEOUT,
        redirect=False,  # a password goes nowhere else
        app_name="climg",
    )
    session.session.trust_env = not target.is_near
    return session


def _in_cloud(target: Cloud, progress: Callable[[int], None]) -> ImageService:
    session, where = in_region(target, "image")
    return ImageService(session, target, progress, **where)


def in_region(target: Cloud, service: str) -> tuple[Session, dict[str, Any]]:
    """A session with a cloud, and where its *service* is, as OS_… or clouds.yaml say."""
    from openstack.config import OpenStackConfig  # noqa: PLC0415 - takes half a second
    from openstack.exceptions import ConfigException  # noqa: PLC0415

    try:
        region = OpenStackConfig(app_name="climg").get_one(cloud=target.name)
        where = {
            "interface": region.get_interface(service),
            "region_name": region.get_region_name(service),
            "endpoint_override": region.get_endpoint(service),
        }
        return region.get_session(), where
    except (ConfigException, auth_errors.AuthPluginException) as error:
        raise WrongUsage(
            f"what OS_… or clouds.yaml says does not do: {_words(error)}; mend it, or say --url"
        ) from error


@contextlib.contextmanager
def told(target: Registry | Cloud, status: Callable[[], int] = int) -> Iterator[None]:
    """Turn the libraries' exceptions into climg's own, in words; *status* is the last answer's."""
    try:
        yield
    except exc.HTTPException as error:
        raise _answer(
            target, error.code if isinstance(error.code, int) else status(), error
        ) from error
    except auth_errors.HttpError as error:
        raise _answer(target, error.http_status or 0, error) from error
    except auth_errors.ConnectionError as error:
        raise _unreachable(target, error) from error
    except auth_errors.ClientException as error:
        raise Unavailable(
            f"{target.place} offers no image service: {_words(error)}; {target.advice}"
        ) from error
    except UnicodeEncodeError as error:
        raise WrongUsage("an argument or a variable is not UTF-8") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _not_understood(target) from error
    except (exc.CommunicationError, exc.InvalidEndpoint, OSError) as error:
        raise _unreachable(target, error) from error


def _not_understood(target: Registry | Cloud) -> Unavailable:
    return Unavailable(f"what answers at {target.place} is no Image API; {target.advice}")


def _unreachable(target: Registry | Cloud, error: Exception) -> Unavailable:
    return Unavailable(f"cannot reach {target.place}: {_reason(error)}; {target.advice}")


def _answer(
    target: Registry | Cloud, status: int, error: Exception
) -> Refused | NotFound | Unavailable:
    return refusal(target, status, _words(error))


def refusal(target: Registry | Cloud, status: int, words: str) -> Refused | NotFound | Unavailable:
    """What an answer of *status* that says *words* means to people."""
    match status:
        case 401:
            return Refused(f"{target.place} does not let you in: {words}; {target.sign_in}")
        case 403:
            return Refused(f"{target.place} refuses that: {words}; ask who may give you the right")
        case 404:
            return NotFound(f"not found: {words}; climg image-list shows what there is")
        case 429:
            return Refused(f"{target.place} is asked too often: {words}; try again later")
        case _ if 400 <= status < 500:
            return Refused(f"{target.place} refuses that: {words}")
        case _:
            return Unavailable(f"{target.place} cannot answer now ({status}): {words}; try later")


def _words(error: Exception) -> str:
    """A service's or a library's own words, in one line."""
    details = getattr(error, "details", None)
    text = one_line(details if isinstance(details, str) else str(error))
    bare = _STATUS.sub("", _REQUEST.sub("", text)).rstrip(" .:")
    return shorten(bare, DETAIL_LIMIT) or type(error).__name__


def _reason(error: BaseException) -> str:
    """Why a connection failed, as the system says it: the libraries wrap it in many words."""
    reason = ""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, auth_errors.ConnectTimeout):
            reason = f"no answer within {TIMEOUT:.0f} s"
        elif isinstance(inner, OSError) and inner.strerror:
            reason = inner.strerror
        inner = inner.__cause__ or inner.__context__
    return one_line(reason) or shorten(one_line(str(error)), DETAIL_LIMIT)
