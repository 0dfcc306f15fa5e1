"""Files that are there whole or not at all."""

import contextlib
import errno
import os
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PREFIX_OF_PARTS = ".skvae-"  # of a folder with a file that is being written, and that a kill leaves
MOST_ATTEMPTS = 100  # to take a lock that others give back meanwhile
SECONDS_BETWEEN_ATTEMPTS = (0.05, 0.2, 0.8)  # to take the place of a file that somebody reads at the moment
WITHOUT_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}  # what file systems say that have none


def check_place(path):
    """Raise where no file can be written at a path, before any work.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileNotFoundError
        Where its folder does not exist.
    IsADirectoryError
        Where it is a folder itself.
    FileExistsError
        Where it is a pipe or a device.
    """
    name, path = os.fspath(path), Path(path)
    if path.is_dir() or name.endswith(("/", os.sep)):
        raise IsADirectoryError(f"path is {name!r}, a folder: name a file in it.")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"path is {str(path)!r}, a pipe or a device: name a file.")
    check_folder_of(path)


def check_folder_of(path):
    """Raise where the folder of a path is not there.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileNotFoundError
    """
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
    FileNotFoundError, IsADirectoryError, FileExistsError
        As `check_place`, before the block.
    PermissionError
        On Windows, where a process has the file open or mapped that is to be replaced; it stays.

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
    check_place(path)
    path = Path(os.path.realpath(path))
    check_folder_of(path)  # of what a link leads to
    folder = tempfile.TemporaryDirectory(prefix=PREFIX_OF_PARTS, dir=path.parent)
    with folder as name, put_in_place(Path(name) / path.name, path) as part:
        yield part


@contextlib.contextmanager
def put_in_place(part, path):
    """A file that takes the place of another once the block has written it, and is removed after an error.

    Parameters
    ----------
    part : Path
        On the same file system as path; only a kill leaves it, and nobody else may write there.
    path : Path

    Yields
    ------
    Path
        The part.

    Raises
    ------
    PermissionError
        As `written_whole`.
    """
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())  # or a power cut may leave the new name with the bytes of nothing
        with contextlib.suppress(OSError):  # there is no other, or its mode is not ours to give
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        _replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if os.name == "posix":
        with contextlib.suppress(OSError):  # it is there already; not all folders can be read, or written to disk
            _write_to_disk(path.parent)


def _replace(part, path):
    """Let a file take the place of another, which Windows refuses as long as somebody has that one open."""
    for seconds in SECONDS_BETWEEN_ATTEMPTS if os.name == "nt" else ():
        try:
            return os.replace(part, path)
        except PermissionError:
            time.sleep(seconds)
    try:
        return os.replace(part, path)
    except PermissionError as error:
        if os.name != "nt":
            raise
        raise PermissionError(
            f"{str(path)!r} cannot be replaced: Windows does not allow it while a process has the file open, or mapped "
            '(mmap_mode="r"). Save under another name, or end that process.'
        ) from error


def _write_to_disk(folder):
    """Wait until the names of a folder's files are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
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

    @property
    def is_held(self):
        """Whether it is this object that has the lock."""
        return self.file is not None

    def acquire(self):
        """Take the lock.

        Raises
        ------
        BlockingIOError
            Where another has it; the text of the error names the holder, as " (process 12 on host)".
        OSError
            Where nobody can have it.
        """
        try:
            for _ in range(MOST_ATTEMPTS):
                self.file = open(self.path, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 (as long as the lock)
                is_taken = self._take()
                self.file.seek(0)
                if not is_taken:
                    raise BlockingIOError(self.file.read())
                if self._is_there():
                    break
                self._close()  # who had it has removed it
            else:
                raise self._no_locks(errno.ENOLCK)  # a file is never itself
            with contextlib.suppress(OSError):  # of a full disk: whoever is refused is not told by whom
                os.ftruncate(self.file.fileno(), 0)
                os.write(self.file.fileno(), f" (process {os.getpid()} on {socket.gethostname()})".encode())
        except BaseException:
            self._close()
            raise

    def release(self):
        """Give it back."""
        if sys.platform == "win32":
            self._close()  # Windows removes no open file, and so none that another has taken since
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # elsewhere before it is unlocked: nobody else may have it then
        self._close()

    def _take(self):
        try:
            return _take(self.file)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            self._close()
            if error.errno != errno.ENOLCK:  # which may pass, and another have it
                with contextlib.suppress(OSError):
                    os.unlink(self.path)
            raise self._no_locks(error.errno) from error

    def _no_locks(self, number):
        return OSError(number, "The file system has no locks, as some network drives: use a local disk", str(self.path))

    def _is_there(self):
        """Whether the file is still the one of its name, which who had it may have removed."""
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _close(self):
        if self.file is not None:
            self.file.close()
            self.file = None


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
