"""Events of one table after another, merged into the cells of a user-item matrix."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .core.user_warnings import warn_user
from .events import read_all_events
from .ids import IdNumbers, columns_of

# How the sorted weights of a repeated (user, item) become one; first and last are each pair's ends
MERGES = {
    "sum": lambda weights, first, last: np.add.reduceat(weights, first),
    "max": lambda weights, first, last: np.maximum.reduceat(weights, first),
    "last": lambda weights, first, last: weights[last],
    "error": lambda weights, first, last: np.where(last > first, np.nan, weights[first]),  # NaN marks them
}
SHORTEST_TEXT = 8  # characters, of which random ones are seldom the same but for capitals
ITEM_BITS = 32
ITEM_MASK = 2**ITEM_BITS - 1


class Cells(NamedTuple):
    """Cells of a user-item matrix, or events in them.

    Parameters
    ----------
    pairs : int64 array of shape (n_cells,)
        The number of the user, and in the lower 32 bits that of the item; of merged cells ascending, each once.
    weights : float64 array of shape (n_cells,), or None
        None where each weighs 1; a weight of 0 is no interaction.
    timestamps : int64 or float64 array of shape (n_cells,), or None
    """

    pairs: np.ndarray
    weights: np.ndarray | None
    timestamps: np.ndarray | None

    def taken(self, kept):
        """Some of the cells.

        Parameters
        ----------
        kept : bool or int array

        Returns
        -------
        Cells
        """
        weights, timestamps = (None if values is None else values[kept] for values in self[1:])
        return Cells(self.pairs[kept], weights, timestamps)


def _is_interaction(weights, threshold):
    """Whether events or cells of these weights are interactions: of a weight above 0, and not below a threshold."""
    return (weights > 0) & (weights >= (threshold or 0))


NO_CELLS = Cells(np.zeros(0, np.int64), None, None)


def _cells_of_events(rows, columns, weights, timestamps, threshold):
    """Events as cells, each with its weight and time, which may be None.

    An event below the threshold, or of weight 0, is no interaction: its weight is 0, and its time is before all others.
    With threshold None every event keeps its weight and time, as where the last event counts.
    """
    if threshold is not None and weights is not None:
        below = ~_is_interaction(weights, threshold)
        weights = np.where(below, 0, weights)
        if timestamps is not None:
            earliest = -np.inf if timestamps.dtype.kind == "f" else np.iinfo(timestamps.dtype).min
            timestamps = np.where(below, earliest, timestamps)
    return Cells(rows << ITEM_BITS | columns, weights, timestamps)


class Gathered(NamedTuple):
    """What users did with items.

    Parameters
    ----------
    user_ids, item_ids : arrays of shape (n_users,) and (n_items,)
        Of the rows and columns of the matrix; users ascending.
    cells : Cells
        Merged.
    table : DataFrame, array or tuple of arrays
        The first that came.
    first_events : int64 array of shape (n_users,), or None
        The row of the table with the first event of each user; None where there are several tables.
    lacks_weights : bool
        Whether there are events without the weight that others have.
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    cells: Cells
    table: object
    first_events: np.ndarray | None
    lacks_weights: bool

    @property
    def shape(self):
        """Users and items, a tuple of int."""
        return len(self.user_ids), len(self.item_ids)


class Gatherer:
    """Reads events, a table at a time.

    Parameters
    ----------
    names : Names
    duplicates : {"sum", "max", "last", "error"}
    threshold : float, default=None
        For "sum" and "max": events of less weight are no interactions.
    timed : bool, default=False
        Whether the times of cells are needed.
    encoder : fitted InteractionEncoder, default=None
        Whose items have columns; None: all items have.
    optional : tuple of str, default=()
        The last of the roles, whose columns may be missing. An event without the weight that others have weighs as much
        as the threshold, 1 at least; one without a time is before all others.

    Attributes
    ----------
    n_events, n_unknown : int
        Events read, and interactions with items without a column, which are left out.
    unknown_ids : set
        Ids of these items.
    """

    def __init__(self, names, duplicates, *, threshold=None, timed=False, encoder=None, optional=()):
        self.names, self.duplicates, self.threshold, self.timed = names, duplicates, threshold, timed
        self.encoder, self.optional = encoder, optional
        self.n_events, self.n_unknown, self.unknown_ids, self._n_left_out = 0, 0, set(), 0
        self._table, self._first_events, self._lacks_weights = None, None, False

    def gather(self, events, *, allow_empty=False):
        """The users of events, and the merged cells of items.

        Parameters
        ----------
        events : DataFrame, array, tuple of arrays, iterable of these, or pyarrow.dataset.Dataset
        allow_empty : bool, default=False
            Whether there may be no event at all.

        Returns
        -------
        Gathered

        Raises
        ------
        ValueError, TypeError, ImportError
            As in `skvae.events.read_all_events`; also where events share a cell and duplicates is "error".
        """
        users, items = IdNumbers(f"column {self.names.user!r}"), IdNumbers(f"column {self.names.item!r}")
        tables = read_all_events(events, self.names, optional=self.optional, allow_empty=allow_empty)
        cells = _merged_tables((self._cells(table, read, users, items) for table, read in tables), self.duplicates)
        (user_ids, user_places), (item_ids, item_places) = users.ascending(), items.ascending()
        found = Gathered(
            user_ids,
            item_ids if self.encoder is None else self.encoder.item_ids_,
            _renumbered(cells, user_places, item_places),
            self._table,
            self._first_events,
            self._lacks_weights,
        )
        if self.encoder is None:
            _warn_of_spellings(user_ids, self.names.user)
            _warn_of_spellings(item_ids, self.names.item)
        if self.duplicates == "error":
            _check_none_repeated(found, self.n_events - self._n_left_out)
        return found

    def report_unknown(self, handle_unknown, least, share_of_fit):
        """Say that events were left out, since their items have no column.

        Parameters
        ----------
        handle_unknown : {"warn", "error"}
        least : int
            Users that an item needed in fit to have one.
        share_of_fit : float
            What share of its interactions fit left out itself. No warning of up to twice as many: of those, or others.

        Raises
        ------
        ValueError
            With "error".
        """
        if handle_unknown == "warn" and self.n_unknown <= 2 * share_of_fit * self.n_events:
            return
        message = (
            f"{self.n_unknown} of {self.n_events} events are of items that the encoder does not have, "
            f"{len(self.unknown_ids)} different ones, such as {min(self.unknown_ids)!r}"
        )
        if least > 1:
            message += f"; items of fewer than min_item_interactions={least} users in fit are among them"
        consequence = "they are left out. InteractionEncoder.partial_fit gives new items columns, model.add_items too"
        report_unknown(message, consequence, handle_unknown)

    def _cells(self, table, read, users, items):
        if self._table is None:
            self._table, self._first_events = table, _first_rows(read.users)
        else:
            self._first_events = None
        rows, weights, timestamps = users.of(read.users), read.weights, read.timestamps
        if weights is None and self.names.weight is not None:
            weights = np.full(len(rows), max(1.0, self.threshold or 0))
            self._lacks_weights |= len(rows) > 0
        elif weights is not None:
            weights = _in_double(weights, self.threshold)
        if not self.timed:
            timestamps = None
        elif timestamps is None:
            timestamps = np.full(len(rows), np.iinfo(np.int64).min)
        columns = items.of(read.items) if self.encoder is None else columns_of(read.items, self.encoder)
        is_of_events = self.duplicates in ("sum", "max")
        cells = _cells_of_events(rows, columns, weights, timestamps, (self.threshold or 0) if is_of_events else None)
        self.n_events += len(rows)
        known = columns >= 0
        if known.all():
            return cells
        weighs = cells.weights is None or _is_interaction(cells.weights, self.threshold)
        unknown = ~known & weighs
        self.n_unknown += int(np.count_nonzero(unknown))
        self.unknown_ids.update(read.items.distinct[np.unique(read.items.positions[unknown])].tolist())
        self._n_left_out += int(np.count_nonzero(~known))
        return cells.taken(known)


def report_unknown(message, consequence, handle_unknown):
    """Raise or warn of items that an encoder does not have, as its parameter says.

    Parameters
    ----------
    message : str
        Which they are.
    consequence : str
        Such as "they are left out".
    handle_unknown : {"warn", "ignore", "error"}
    """
    if handle_unknown == "error":
        raise ValueError(f'{message}: leave them out, or use handle_unknown="ignore".')
    if handle_unknown == "warn":
        warn_user(f'{message}: {consequence}. handle_unknown="ignore" silences this warning.')


def _warn_of_spellings(ids, name):
    """Warn where spaces around ids, or capital letters, are all that tells them from each other."""
    texts = ids.tolist() if isinstance(next(iter(ids), None), str) else []
    stripped = list(map(str.strip, texts))
    of_stripped = {} if stripped == texts else dict(zip(stripped, texts, strict=True))
    capitals = _same_but_for_capitals([*of_stripped] or texts)
    both = capitals and tuple(of_stripped.get(text, text) for text in capitals)
    remedies = [
        ("spaces around them", _same_but_for_spaces(texts) if of_stripped else None, ".str.strip()"),
        ("capital letters", capitals if capitals == both else None, ".str.lower()"),
        ("spaces and capital letters", both if capitals != both else None, ".str.strip().str.lower()"),
    ]
    for what, pair, remedy in remedies:
        if pair is not None:
            warn_user(
                f"Column {name!r} has ids that only {what} tell from each other, such as {pair[0]!r} and "
                f"{pair[1]!r}: they count as different. If they are not, make them one, as by {remedy}."
            )


def _same_but_for_spaces(texts):
    by_stripped: dict[str, str] = {}
    pairs = ((by_stripped.setdefault(text.strip(), text), text) for text in texts)
    return next((pair for pair in pairs if pair[0] != pair[1]), None)


def _same_but_for_capitals(texts):
    """Not of short codes, such as "aBc" and "abC", of which many differ in nothing else."""
    small = list(map(str.lower, texts))
    if small == texts or len(set(small)) == len(small):
        return None
    are_codes = not all(map(_is_written, texts))
    by_small: dict[str, str] = {}
    pairs = ((by_small.setdefault(key, text), text) for key, text in zip(small, texts, strict=True))
    alike = (pair for pair in pairs if pair[0] != pair[1])
    return next((pair for pair in alike if not are_codes or len(pair[0]) >= SHORTEST_TEXT), None)


def _is_written(text):
    """Whether a short text has its capitals where people have them."""
    return len(text) >= SHORTEST_TEXT or text in (text.lower(), text.upper(), text.capitalize(), text.title())


def _first_rows(ids):
    """The first row of each distinct id."""
    first = np.empty(len(ids.distinct), np.int64)
    first[ids.positions[::-1]] = np.arange(len(ids.positions))[::-1]  # what is written last stays
    return first


def _check_none_repeated(found, n_events):
    pairs = found.cells.pairs[np.isnan(found.cells.weights)]
    if len(pairs):
        user, item = found.user_ids[pairs[:1] >> ITEM_BITS], found.item_ids[pairs[:1] & ITEM_MASK]
        raise ValueError(
            f"{n_events - len(found.cells.pairs)} events repeat a user and an item, such as user {user.tolist()[0]!r} "
            f'and item {item.tolist()[0]!r}: drop them, or use duplicates="sum", "max" or "last".'
        )


def _merged_tables(tables, duplicates):
    """The cells of all tables, merged as by `_merged`, while one table at a time is in memory.

    What is held is merged cells, not events. They are in runs, each at least twice as long as the next, so that
    a cell is merged again a logarithm of times.
    """
    runs: list[Cells] = []
    for table in tables:
        runs.append(_merged([table], duplicates))
        while len(runs) > 1 and len(runs[-2].pairs) < 2 * len(runs[-1].pairs):
            runs[-2:] = [_merged(runs[-2:], duplicates)]
    return runs[0] if len(runs) == 1 else _merged(runs, duplicates)


def _merged(parts, duplicates):
    """Cells of several parts, each once, with the weight that MERGES gives and the latest time."""
    *others, times = zip(*(parts or [NO_CELLS]), strict=True)
    pairs, weights, timestamps = map(_joined, (*others, _in_one_dtype(times)))
    is_plain = weights is None and timestamps is None
    order = np.arange(0) if is_plain else np.argsort(pairs, kind="stable")
    pairs = np.sort(pairs) if is_plain else pairs[order]
    ends = np.flatnonzero(np.diff(pairs, prepend=-1, append=-1)) if len(pairs) else np.zeros(1, np.int64)
    first, last = ends[:-1], ends[1:] - 1
    if not is_plain and len(first) < len(pairs):
        # by time, then by weight: a sum of floats must not depend on the order of the events
        repeated = np.flatnonzero(np.repeat(last > first, np.diff(ends)))
        among = order[repeated]
        keys = [values[among] for values in (weights, timestamps) if values is not None]
        order[repeated] = among[np.lexsort([*keys, pairs[repeated]])]
    weights = np.ones(len(pairs)) if weights is None else weights[order]
    with np.errstate(over="ignore"):  # a sum beyond float64 is beyond float32 too
        weights = MERGES[duplicates](weights, first, last) if len(pairs) else weights
    return Cells(pairs[first], weights, None if timestamps is None else timestamps[order[last]])


def _joined(columns):
    return None if columns[0] is None else columns[0] if len(columns) == 1 else np.concatenate(columns)


def _in_one_dtype(times):
    """Timestamps of several parts, in int64 where that holds them: float64 does not hold all integers."""
    if times[0] is None or len({part.dtype for part in times}) == 1:
        return times
    floats = [np.maximum(part, -(2.0**63)) for part in times if part.dtype.kind == "f"]  # -inf is before all others
    is_whole = all((part < 2**63).all() and (part % 1 == 0).all() for part in floats)
    return [part if part.dtype.kind == "i" else floats.pop(0).astype(np.int64) for part in times] if is_whole else times


def _renumbered(cells, user_places, item_places):
    """Cells in ascending order, once users and items have new numbers: one for each old number, None where all stay."""
    if user_places is None and item_places is None:
        return cells
    rows, columns = cells.pairs >> ITEM_BITS, cells.pairs & ITEM_MASK
    rows = rows if user_places is None else user_places[rows]
    columns = columns if item_places is None else item_places[columns]
    pairs = rows << ITEM_BITS | columns
    return cells._replace(pairs=pairs).taken(np.argsort(pairs, kind="stable"))


def _in_double(weights, threshold):
    """Weights in float64; what the threshold is in float32, as 4.6 is stored there, is the threshold."""
    doubled = weights.astype(np.float64, copy=False)
    if threshold is None or float(threshold).is_integer():
        return doubled
    stored = np.isin(doubled, [np.float32(threshold), weights.dtype.type(threshold)])
    return np.where(stored, threshold, doubled)


def interactions(cells, threshold):
    """The cells that are interactions.

    Parameters
    ----------
    cells : Cells
        Merged.
    threshold : float or None

    Returns
    -------
    Cells
        The same object where all are.
    """
    kept = _is_interaction(cells.weights, threshold)
    return cells if kept.all() else cells.taken(kept)


def matrix_of(cells, values, shape):
    """Values in cells, as a matrix.

    Parameters
    ----------
    cells : Cells
        Merged.
    values : array of shape (n_cells,)
    shape : tuple of int
        Users and items.

    Returns
    -------
    csr_array of shape (n_users, n_items)
        Canonical.
    """
    counts = np.bincount(cells.pairs >> ITEM_BITS, minlength=shape[0])
    X = sp.csr_array((values, cells.pairs & ITEM_MASK, np.append(0, np.cumsum(counts))), shape=shape)
    X.has_canonical_format = True
    return X


def weights_in_float32(weights):
    """Weights of interactions in float32, all above 0.

    Parameters
    ----------
    weights : float64 array of shape (n,)
        Those below float32's least normal number become that number.

    Returns
    -------
    float32 array of shape (n,)

    Raises
    ------
    ValueError
        Where one is above float32's range.
    """
    limits = np.finfo(np.float32)
    if len(weights) and weights.max() > limits.max:
        raise ValueError(
            f"Weights of interactions must be at most {limits.max:.3g}, what a float32 holds, got "
            f"{weights.max():g}: divide them all by a number, take their logarithm, or use binary=True."
        )
    return np.maximum(weights, float(limits.tiny)).astype(np.float32)


def k_core(X, min_user_interactions, min_item_interactions):
    """Users and items that have at least so many interactions among each other.

    Parameters
    ----------
    X : sparse matrix of shape (n_users, n_items)
        Without duplicates or explicit zeros.
    min_user_interactions, min_item_interactions : int

    Returns
    -------
    users, items : int64 arrays
        Row and column numbers, ascending; the largest such sets, which may be empty.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from skvae.merging import k_core
    >>> k_core(sp.csr_array([[1, 1, 0], [1, 1, 0], [1, 0, 1]]), 2, 2)  # without item 2 user 2 has too few
    (array([0, 1]), array([0, 1]))
    """
    X = sp.csr_array(X)
    users, items = np.arange(X.shape[0]), np.arange(X.shape[1])
    while True:
        enough_items = np.diff(X.indptr) >= min_user_interactions
        enough_users = np.bincount(X.indices, minlength=X.shape[1]) >= min_item_interactions
        if enough_items.all() and enough_users.all():
            return users, items
        X, users, items = X[enough_items][:, enough_users], users[enough_items], items[enough_users]
