"""Files that are there whole or not at all."""

import contextlib
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any


def check_place(path):
    """Raise where no file can be written at a path, before any work.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileNotFoundError
        Where its folder does not exist.
    IsADirectoryError
        Where it is a folder itself.
    """
    if path.is_dir():
        raise IsADirectoryError(f"path is {str(path)!r}, a folder: name a file in it.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no folder {str(path.parent)!r}: make it first.")


@contextlib.contextmanager
def written_whole(path):
    """A path to write to, which takes the place of another once the block ends without an error.

    What was there before stays to the last, and stays after an error, a full disk or a kill. Links are followed.

    Parameters
    ----------
    path : str or Path

    Yields
    ------
    Path
        Of the same name, in a folder of its own beside it, which is removed afterwards.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        As `check_place`, before the block.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skvae.core.files import written_whole
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written_whole(folder + "/greeting.txt") as part:
    ...         _ = part.write_text("hello")
    ...     [(path.name, path.read_text()) for path in Path(folder).iterdir()]
    [('greeting.txt', 'hello')]
    """
    path = Path(os.path.realpath(os.fspath(path)))
    check_place(path)
    with tempfile.TemporaryDirectory(prefix=".skvae-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there is no other, or its mode is not ours to give
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(part, path)
    if os.name == "posix":  # a renaming is on disk once its folder is
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Lock:
    """A file that one open file alone can have; the system takes it from a process that ends, however it ends.

    Parameters
    ----------
    path : str or path
        Of the file, which is there as long as the lock is held.
    """

    def __init__(self, path):
        self.path = path
        self.file: Any = None

    def acquire(self):
        """Take the lock.

        Raises
        ------
        BlockingIOError
            Where another has it; its text is who, in brackets.
        OSError
            Where nobody can have it.
        """
        try:
            self.file = open(self.path, "a+")  # noqa: SIM115 (open as long as the lock lasts)
            taken = _take(self.file) and self._is_there()
            self.file.seek(0)
            if not taken:
                raise BlockingIOError(self.file.read())
            self.file.truncate()
            self.file.write(f" (process {os.getpid()} on {socket.gethostname()})")
            self.file.flush()
        except OSError:
            self._close()
            raise

    def release(self):
        """Give it back."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # before it is unlocked: nobody else may have it then
        self._close()

    def _is_there(self):
        """Whether the file is still the one of its name, which who had it may have removed."""
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _close(self):
        if self.file is not None:
            self.file.close()


if sys.platform == "win32":
    import msvcrt

    def _take(file):
        file.seek(2**30)  # beyond what others read
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
else:
    import fcntl

    def _take(file):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
