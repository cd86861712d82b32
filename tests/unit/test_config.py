"""One file and the environment into values, or a refusal that names the key."""

from pathlib import Path

import pytest

from registry.config import Config
from settings.reading import ConfigError


def load(tmp_path: Path, text: str, **environment: str) -> Config:
    path = tmp_path / "berth.toml"
    path.write_text(text)
    return Config.load(path, environment)


def test_without_a_file_the_defaults_serve_this_machine_alone() -> None:
    config = Config.load(None, {})
    assert config.http.address == ("127.0.0.1", 5000)
    assert config.ledger_url == f"sqlite:///{Path('var/ledger.db').absolute()}"


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    text = '[http]\nlisten = "127.0.0.1:1"\nworkers = 3'
    config = load(
        tmp_path,
        text,
        BERTH_HTTP_WORKERS="5",
        BERTH_HTTP_ACCESS_LOG="false",
        BERTH_HTTP_BODY_TIMEOUT="1.5",
        BERTH_STORAGE_DIRECTORY="/srv/berth",
        BERTH_AUTH_PUBLIC_PROJECTS="a, b",
        BERTH_DEFAULT_PROJECT="main",
        PATH="/bin",
    )
    assert (config.http.workers, config.http.access_log) == (5, False)
    assert config.http.body_timeout == 1.5
    assert config.storage.directory == Path("/srv/berth")
    assert config.auth.public_projects == ("a", "b")
    assert config.default_project == "main"


def test_projects_and_roles_are_read(tmp_path: Path) -> None:
    text = '[auth]\nkind = "htpasswd"\nhtpasswd = "f"\n[auth.projects.app]\nalice = "member"'
    assert load(tmp_path, text).auth.projects == {"app": {"alice": "member"}}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nonsense = 1", "nonsense"),
        ("[storage]\nredirect = true", "storage.redirect"),
        ("[storage]\nkind = 'swift'\nredirect_seconds = 5", "storage.redirect_seconds"),
        ("[http]\nport = 1", "port"),
        ("[http]\nworkers = '2'", "http.workers"),
        ("[http]\nworkers = true", "http.workers"),
        ("[http]\nworkers = 0", "http.workers"),
        ("[http]\nworkers = 513", "http.workers"),
        ("[http]\nshutdown_grace = -1", "http.shutdown_grace"),
        ("[http]\nlisten = 'here'", "http.listen"),
        ('[http]\nlisten = "127.0.0.1\\u0000:5000"', "http.listen"),
        ("[http]\nlisten = '[::1:5000'", "http.listen"),
        (f"[http]\nlisten = '127.0.0.1:{'1' * 5000}'", "http.listen"),
        ("[http]\npublic_url = 'registry.example.org'", "http.public_url"),
        ("[http]\npublic_url = 'https://a.example\\n'".replace("'", '"'), "http.public_url"),
        ("[http]\ntrusted_proxies = ['proxy']", "http.trusted_proxies"),
        ("default_project = ''", "default_project"),
        ("default_project = 'UPPER CASE'", "default_project"),
        ("default_project = 'a/b'", "default_project"),
        ("[auth]\nservice = ''", "auth.service"),
        ('[auth]\nservice = "a\\nb"', "auth.service"),
        ("[gc]\ntrash_days = 1e300", "gc"),
        ("[gc]\ngrace_hours = 1e9", "gc"),
        ("[http]\nlisten = '127.0.0.1:99999'", "http.listen"),
        ("[http]\nbody_timeout = 0", "http.body_timeout"),
        ("[http]\ntrusted_proxies = [1]", "http.trusted_proxies"),
        ("[http]\ntls_key = 'k'", "http.tls_certificate"),
        ("[http]\nlisten = '0.0.0.0:5000'", "auth.kind"),
        ("[http]\nlisten = '[::]:5000'", "auth.kind"),
        ("[http]\ntrusted_proxies = ['127.0.0.1']", "http.trusted_proxies"),
        ("[auth]\nkind = 'magic'", "auth.kind"),
        ("[auth]\nkind = 'htpasswd'", "auth.htpasswd"),
        ("[auth]\ntoken_seconds = 5", "auth.token_seconds"),
        ("[auth.projects.a]\nbob = 'king'", "auth.projects.a.bob"),
        ("[auth.projects]\na = 1", "auth.projects.a"),
        ("[push]\nmanifest_limit = 10", "push.manifest_limit"),
        ("[glance]\nwait = -1", "glance.wait"),
        ("[glance]\nwait = 61", "glance.wait"),
        ("[glance]\nevery_minutes = -1", "glance.every_minutes"),
        ("http = 1", "http"),
        ("[http", "not TOML"),
    ],
)
def test_what_is_wrong_or_harmful_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named.replace("[", r"\[")):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BERTH_HTTP_WORKERS", "many"),
        ("BERTH_HTTP_ACCESS_LOG", "perhaps"),
        ("BERTH_HTTP_PORT", "1"),
        ("BERTH_NONSENSE", "1"),
        ("BERTH_AUTH_PROJECTS", "x"),
    ],
)
def test_a_wrong_variable_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        Config.load(None, {name: value})


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        Config.load(tmp_path / "none.toml", {})


def test_the_ledgers_password_is_not_printed(tmp_path: Path) -> None:
    config = load(tmp_path, "[ledger]\nurl = 'postgresql+psycopg://u:secret@h/d'")
    assert "secret" not in repr(config)


def test_the_command_lines_variables_are_no_settings() -> None:
    environment = dict.fromkeys(("BERTH_URL", "BERTH_USER", "BERTH_PASSWORD", "BERTH_CACERT"), "x")
    assert Config.load(None, environment) == Config()


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://", "postgresql://x", ""])
def test_a_ledger_lies_in_one_of_two_databases(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url must begin with"):
        Config.load(None, {"BERTH_LEDGER_URL": url})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:canary@[::1/x",
        "postgresql+psycopg://u:canary@h:port/x",
        "postgresql+psycopg:canary",
        "sqlite:////srv/can\0ary.db",
    ],
)
def test_a_ledgers_url_that_cannot_be_read_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ConfigError, match=r"ledger\.url") as refused:
        Config.load(None, {"BERTH_LEDGER_URL": url})
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("seconds", ["0", "301", "-1", "x"])
def test_glances_word_is_believed_for_some_minutes_at_most(seconds: str) -> None:
    with pytest.raises(ConfigError, match=r"glance\.remember must"):
        Config.load(None, {"BERTH_GLANCE_REMEMBER": seconds})


@pytest.mark.parametrize(
    ("remember", "token", "fits"),
    [(60, 300, True), (300, 60, True), (60.5, 300, False), (60, 301, False), (1, 3600, False)],
)
def test_what_is_taken_back_in_glance_is_seen_for_six_minutes_at_most(
    remember: float, token: int, *, fits: bool
) -> None:
    said = {
        "BERTH_AUTH_KIND": "keystone",
        "BERTH_GLANCE_REMEMBER": str(remember),
        "BERTH_AUTH_TOKEN_SECONDS": str(token),
    }
    assert Config.load(None, said).auth.token_seconds == token  # Glance is not asked
    enabled = said | {"BERTH_GLANCE_ENABLED": "true"}
    if fits:
        assert Config.load(None, enabled).glance.remember == remember
    else:
        with pytest.raises(ConfigError, match=r"glance\.remember and auth\.token_seconds"):
            Config.load(None, enabled)


def test_glance_asks_who_one_is_and_so_needs_keystone() -> None:
    with pytest.raises(ConfigError, match=r"glance\.enabled needs auth\.kind"):
        Config.load(None, {"BERTH_GLANCE_ENABLED": "true"})
    enabled = {"BERTH_GLANCE_ENABLED": "true", "BERTH_AUTH_KIND": "keystone"}
    assert Config.load(None, enabled).glance.enabled
