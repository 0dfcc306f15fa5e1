"""Files that are there whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


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
    path = Path(os.path.realpath(path))
    check_place(path)
    with tempfile.TemporaryDirectory(prefix=".skvae-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    if os.name == "posix":  # a renaming is on disk once its folder is
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
