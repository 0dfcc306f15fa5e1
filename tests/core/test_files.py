"""A file takes the place of another whole or not at all, on whatever system and file system."""

import errno
import os
import stat
from unittest import mock

import numpy as np
import pytest

from skvae import append_interactions, open_interactions, save_interactions
from skvae.core import files
from skvae.core.checkpoint import Checkpoint
from skvae.core.files import Lock, written_whole


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_text("before")
    return tmp_path / "file"


def write(path):
    with written_whole(path) as part:
        part.write_text("after")


def test_a_folder_that_cannot_be_written_to_disk_is_no_error_once_the_file_is_there(path, monkeypatch):
    fsync = os.fsync

    def of_some_network_drives(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", of_some_network_drives)
    write(path)
    assert path.read_text() == "after"
    X = np.eye(3)
    save_interactions(X, path.parent / "X")
    append_interactions(X, path.parent / "X")
    assert open_interactions(path.parent / "X").shape == (6, 3)


@pytest.mark.parametrize("n_refusals", [1, 3])
def test_a_file_that_is_read_at_the_moment_is_replaced_a_little_later(path, monkeypatch, n_refusals):
    left, waited = [PermissionError] * n_refusals, as_on_windows(monkeypatch)
    replace = os.replace

    def refusing(source, target):
        if left:
            raise left.pop()
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    write(path)
    assert path.read_text() == "after"
    assert len(waited) == n_refusals


def test_a_file_that_stays_open_stays_and_the_error_says_why(path, monkeypatch):
    def refusing(source, target):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refusing)
    if os.name == "posix":
        with pytest.raises(PermissionError, match="Access is denied"):
            write(path)
    as_on_windows(monkeypatch)
    with pytest.raises(PermissionError, match=r"file' cannot be replaced: Windows .* mapped .* under another name"):
        write(path)
    assert path.read_text() == "before"
    assert os.listdir(path.parent) == ["file"]


def as_on_windows(monkeypatch):
    waited = []
    monkeypatch.setattr(files.time, "sleep", waited.append)

    class Windows:
        name = "nt"

        def __getattr__(self, name):
            return getattr(os, name)

    monkeypatch.setattr(files, "os", Windows())
    return waited


@pytest.mark.parametrize("number", sorted(files.WITHOUT_LOCKS))
def test_a_file_system_without_locks_is_named(path, monkeypatch, number):
    def refusing(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "_take", refusing)
    with pytest.raises(OSError, match=r"no locks, as some network drives: use a local disk: .*lock"):
        Lock(path.parent / "lock").acquire()
    with pytest.raises(OSError, match="no locks"):
        save_interactions(np.eye(3), path.parent / "X")
    with pytest.raises(ValueError, match=r"cannot be written: .* no locks"), Checkpoint(str(path), {"model": "one"}):
        pass
    assert bool(list(path.parent.glob("**/*lock"))) is (number == errno.ENOLCK)


def test_a_file_that_is_never_itself_is_no_lock(path, monkeypatch):
    monkeypatch.setattr(os.path, "samestat", lambda *stats: False)
    with pytest.raises(OSError, match="no locks"):
        Lock(path.parent / "lock").acquire()


def test_a_host_may_have_any_name(path, monkeypatch):
    monkeypatch.setattr(files.socket, "gethostname", lambda: "ПК-офис")
    first, second = Lock(path), Lock(path)
    first.acquire()
    with pytest.raises(BlockingIOError, match="ПК-офис"):
        second.acquire()
    first.release()
    assert not path.exists()
    path.write_bytes(b" (process 7 on caf\xe9)")
    second.acquire()
    second.release()


def test_a_ctrl_c_while_a_lock_is_taken_leaves_it_free(path, monkeypatch):
    def interrupted():
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(files.socket, "gethostname", interrupted)
    lock = Lock(path)
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    assert not lock.is_held
    other = Lock(path)
    other.acquire()
    other.release()


def test_a_full_disk_does_not_hinder_who_takes_a_lock(path, monkeypatch):
    monkeypatch.setattr(files.os, "write", mock.Mock(side_effect=OSError(28, "No space left on device")))
    first = Lock(path)
    first.acquire()
    with pytest.raises(BlockingIOError):
        Lock(path).acquire()
    first.release()
    assert not path.exists()


def test_a_checkpoint_whose_name_ends_with_a_slash_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")  # of Windows, where a slash is one too
    with Checkpoint(f"{tmp_path}/fits/", {"model": "one"}) as checkpoint:
        assert os.path.samefile(os.path.dirname(checkpoint.path), tmp_path / "fits")


def test_a_lock_that_is_given_back_while_another_asks_is_theirs(path, monkeypatch):
    first, second, take = Lock(path.parent / "lock"), Lock(path.parent / "lock"), files._take
    first.acquire()

    def taken(file):
        monkeypatch.setattr(files, "_take", take)
        first.release()
        return take(file)

    monkeypatch.setattr(files, "_take", taken)
    second.acquire()
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()}"):
        first.acquire()
    second.release()
    assert not (path.parent / "lock").exists()
