import pytest

from support import hostdemo


def test_the_demonstration_comes_true(capsys: pytest.CaptureFixture[str]) -> None:
    hostdemo.main()
    told = capsys.readouterr().out.splitlines()
    assert told[-1].startswith("nothing is left")
