import pytest

from runspec.limits import CannotRun
from runspec.users import Account, find

USERS = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:100:,,,:/srv:/bin/sh\nbroken:x:no:1\n"
GROUPS = "root:x:0:\nlogs:x:2000:web,other\nadm:x:4:web\n"


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(0, 0, (), "/root")),
        ("root", Account(0, 0, (), "/root")),
        ("web", Account(1000, 100, (4, 2000), "/srv")),
        ("1000", Account(1000, 100, (4, 2000), "/srv")),
        ("web:logs", Account(1000, 2000, (), "/srv")),
        ("4711", Account(4711, 0, (), "/")),
        ("4711:12", Account(4711, 12, (), "/")),
    ],
)
def test_a_user_is_found_by_name_and_by_number(user: str, account: Account) -> None:
    assert find(user, USERS, GROUPS) == account


@pytest.mark.parametrize(
    "user",
    ["nobody", "broken", "web:nothing", "long", "9" * 5000, "web:" + "9" * 5000, "4294967295", "٣"],
)
def test_a_name_that_the_image_does_not_know_is_told(user: str) -> None:
    long = f"long:x:{'9' * 5000}:0::/:/bin/sh\n"
    with pytest.raises(CannotRun, match="write another"):
        find(user, USERS + long, f"{GROUPS}many:x:{'9' * 5000}:web\n")


def test_only_a_newline_ends_a_line() -> None:
    for end in ("\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"):
        accounts = f"a:x:5:5:{end}web:x:0:0::/:/bin/sh\n{USERS}"
        assert find("web", accounts, GROUPS).uid == 1000


def test_root_is_known_without_any_passwd() -> None:
    assert find("", "", "") == Account(0, 0, (), "/root")
    assert find("root", "", "") == Account(0, 0, (), "/root")
