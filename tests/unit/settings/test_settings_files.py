import os
import socket
from pathlib import Path

import pytest

from settings.files import read


def test_a_file_is_read_whole_and_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "link", 3) == b"abc"


def test_what_is_no_file_is_refused_by_its_name_and_nobody_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "long").write_bytes(b"abcd")
    (tmp_path / "below").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    for name, why in (
        ("fifo", "Is a pipe, and must be a file"),
        (".", "Is a directory"),
        ("/dev/zero", "Is a device, and must be a file"),
        ("socket", "No such device"),
        ("absent", "No such file"),
        ("below/it", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("long", "is it the right file"),
    ):
        with pytest.raises(ValueError, match=why):
            read(tmp_path / name, 3)
