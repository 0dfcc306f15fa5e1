"""Archives of data sets: downloaded once, or already on this machine."""

import zipfile
from contextlib import contextmanager
from pathlib import Path


def fetch_archive(url, *, sha256=None, data_home=None, download_if_missing=True, n_retries=3, delay=1.0):
    """Path of the archive in data_home, downloaded where it is not there.

    Parameters
    ----------
    url : str
    sha256 : str, default=None
        What the file is checked against; None checks nothing.
    data_home : str or path-like, default=None
        As in `sklearn.datasets.get_data_home`; the file lies in its folder ``skvae``.
    download_if_missing : bool, default=True
    n_retries : int, default=3
    delay : float, default=1
        Seconds between two attempts.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        Where the file is missing and may not or cannot be downloaded, or has another checksum.
    """
    from sklearn.datasets import fetch_file, get_data_home  # with scipy.io: not for everyone who imports skvae

    path = Path(get_data_home(data_home)) / "skvae" / url.rpartition("/")[2]
    if not download_if_missing:
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found: set download_if_missing=True, or put {url} there.")
        return path
    path.parent.mkdir(exist_ok=True)
    try:
        return fetch_file(url, path.parent, path.name, sha256=sha256, n_retries=n_retries, delay=delay)
    except OSError as error:
        raise OSError(
            f"{url} could not be downloaded ({error}): download it by other means and put it at {path}, or say "
            "where it is with path."
        ) from error


@contextmanager
def open_archive(path, folder):
    """The folder of files in a zip file, or on disk, as a path whose files can be opened.

    Parameters
    ----------
    path : str or path-like
        A zip file or a folder.
    folder : str
        Where the files are inside; looked for in path itself too.

    Yields
    ------
    zipfile.Path or Path

    Raises
    ------
    OSError
        Where path does not exist.
    ValueError
        Where path is a file but no zip file.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        yield path / folder if (path / folder).is_dir() else path
        return
    if not path.exists():
        raise FileNotFoundError(f"path={str(path)!r} not found: it must be the zip file, or the folder it unpacks to.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"path={str(path)!r} is no zip file: delete it and fetch it again, or name a folder.")
    with zipfile.ZipFile(path) as archive:
        root = zipfile.Path(archive)
        yield root / folder if (root / folder).is_dir() else root


@contextmanager
def open_table(root, name, encoding="utf-8-sig"):
    """A text file of an archive, opened.

    Parameters
    ----------
    root : zipfile.Path or Path
    name : str
    encoding : str, default="utf-8-sig"

    Yields
    ------
    text file

    Raises
    ------
    OSError
        Where the archive has no such file.
    ValueError
        Where what is read from it cannot be understood; names the file.
    """
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: the official files are needed.")
    try:
        with path.open(encoding=encoding, newline="") as file:
            yield file
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
