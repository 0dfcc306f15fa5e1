"""What a table's columns and rows are called, and whether two tables, or a table and a model, agree in that."""

import numpy as np
from sklearn.base import OneToOneFeatureMixin

from .wrappers import steps_and_model


def column_names(X):
    """Names of a table's columns, of pandas, polars or pyarrow.

    Parameters
    ----------
    X : sparse matrix, array, list or DataFrame

    Returns
    -------
    list or None
        None of what is no table.
    """
    if not hasattr(X, "shape"):
        return None
    names = getattr(X, "column_names", None)  # of pyarrow, whose columns are values
    names = getattr(X, "columns", None) if names is None else names
    return None if names is None else list(names)


def shape_of(X):
    """Shape of what may be a matrix, or one label for each user.

    Parameters
    ----------
    X : object

    Returns
    -------
    tuple of int
        Empty for what has no shape. Of lists of different lengths the second is None.
    """
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        return np.shape(X)
    except ValueError:
        return (len(X), None)


def check_same_cells(matrix, X, name, beside="X", remedy=""):
    """Raise where a matrix beside X does not have its shape and, where both are tables, its columns and rows.

    Parameters
    ----------
    matrix, X : sparse matrix, array or DataFrame of shape (n_users, n_items)
    name, beside : str
        What the error calls the two, such as "y" and "X".
    remedy : str, default=""
        A sentence that follows where their shapes differ.

    Raises
    ------
    ValueError
    """
    if shape_of(matrix) != shape_of(X):
        raise ValueError(
            f"{name} has shape {shape_of(matrix)}, {beside} has {shape_of(X)}: they must be the same.{remedy}"
        )
    check_same_columns(column_names(matrix), column_names(X), name, f"{beside} has", f"{name}[{beside}.columns]")
    labels, others = (row_labels(table) for table in (matrix, X))
    if labels is not None and others is not None and labels != others and set(labels) == set(others):
        raise ValueError(
            f"{name} has the rows of {beside} in another order: a user must be in the same row of both, as in "
            f"{name}.loc[{beside}.index]; where they are, and the labels say nothing, {name}.set_axis({beside}.index)."
        )


def check_columns_of_model(model, table, name):
    """Raise where a table does not have the columns that a model was fitted with, in the same order.

    Parameters
    ----------
    model : fitted estimator
        One that was fitted on a matrix has none.
    table : sparse matrix, array or DataFrame
        Without names nothing is compared.
    name : str
        What the error calls the table.

    Raises
    ------
    ValueError
    """
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is not None:
        has = f"{type(model).__name__} was fitted with"
        check_same_columns(column_names(table), list(fitted), name, has, f"{name}[model.feature_names_in_]")
    check_same_labels(_of_same_columns(model), table, name)


def check_steps_keep_order(model):
    """Raise where the steps of a fitted Pipeline, search or member of a blend put the columns in another order.

    Items are columns of X, and the recommender would rank those of what the steps make of it. That steps drop columns
    is seen by the shape of its scores. What steps do that do not name their columns is not seen.

    Parameters
    ----------
    model : fitted estimator
    """
    steps, recommender = steps_and_model(model)
    for member in getattr(recommender, "_named_members", {}).values():
        check_steps_keep_order(member)
    before, after = _names_around(steps, recommender)
    known = {*before}
    while not {*after} <= known and all("__" in name for name in after):
        after = [name.partition("__")[2] for name in after]  # as ColumnTransformer calls the columns of its parts
    if after == before or len(after) != len(before) or not {*after} <= known:
        return
    column = next(column for column, pair in enumerate(zip(before, after, strict=True)) if len({*pair}) > 1)
    put = "in another order" if {*after} == known else "in other places, and some twice"
    raise ValueError(
        f"The steps before {type(recommender).__name__} put the columns {put}: column {column} is "
        f"{before[column]!r} before them and {after[column]!r} after them. Items are columns of X: put X in the order "
        "that you want before the Pipeline, and leave that step out."
    )


def _names_around(steps, recommender):
    """Names of the columns before and after fitted steps, lists of str; no names where none are known."""
    parts = list(_parts(steps))
    if all(isinstance(part, OneToOneFeatureMixin) for part in parts):
        return [], []  # the usual case, which costs nothing
    try:
        after = steps.get_feature_names_out()
    except Exception:  # of a step that does not name its columns
        after = getattr(recommender, "feature_names_in_", ())
    before = getattr(parts[0], "feature_names_in_", [f"x{column}" for column in range(len(after))])
    return list(map(str, before)), list(map(str, after))


def _parts(step):
    """The steps of a Pipeline that do something, those of Pipelines in it too."""
    if hasattr(step, "steps"):
        for _, part in step.steps:
            yield from _parts(part)
    elif step not in (None, "passthrough"):
        yield step


def _of_same_columns(model):
    """What is in a search or a Pipeline of one step, whose columns are those of the whole; else the model itself."""
    steps, inner = steps_and_model(model)
    return inner if steps is None else model


def names_of_model(model):
    """What the columns of the table were called that a model was fitted on.

    Parameters
    ----------
    model : fitted estimator

    Returns
    -------
    list of str, or None
        None of a matrix, and of a table whose columns are numbered as pandas numbers them.
    """
    names = getattr(model, "feature_names_in_", getattr(_of_same_columns(model), "_column_labels", None))
    return None if names is None else list(names)


def check_columns_of_members(members, table):
    """Raise where fitted members of a blend were fitted on other columns than its table, or than each other.

    Parameters
    ----------
    members : dict of str to fitted estimator
    table : sparse matrix, array or DataFrame of shape (n_users, n_items)
        What the blend is fitted on.

    Raises
    ------
    ValueError
    """
    named = {}
    for name, member in members.items():
        if (getattr(member, "n_features_in_", None),) != shape_of(table)[1:]:
            continue
        check_columns_of_model(member, table, "X")
        if (names := names_of_model(member)) is None:
            continue
        named[name] = names
        first = next(iter(named))
        remedy = f"{first}.fit(X) of the table that {name} was fitted on"
        if not {*names}.isdisjoint(named[first]):  # titles and ids may be two names of the same
            check_same_columns(names, named[first], f"The member {name}", f"{first} has", remedy)


def check_columns_of_fit(model, matrix, table, name):
    """Raise where a matrix beside the X of a fit does not have its columns.

    Parameters
    ----------
    model : estimator
        With ``n_features_in_`` and, of a table, ``feature_names_in_`` of X.
    matrix : csr_array of shape (n_users, n_items)
        What was read of the table.
    table : sparse matrix, array or DataFrame
    name : str
        What the error calls it.

    Raises
    ------
    ValueError
    """
    if matrix.shape[1] != model.n_features_in_:
        raise ValueError(f"{name} has {matrix.shape[1]} columns, X has {model.n_features_in_}: they must be the same.")
    fitted = getattr(model, "feature_names_in_", None)
    if fitted is not None:
        check_same_columns(column_names(table), list(fitted), name, "X has", f"{name}[X.columns]")


def check_same_columns(names, expected, name, has, remedy):
    """Raise where two tables have other columns, or the same ones in another order.

    Parameters
    ----------
    names, expected : list, or None
        As `column_names` gives them; of what is no table nothing is compared.
    name, has, remedy : str
        What the error calls the one, the other ("X has"), and the one as it should be.

    Raises
    ------
    ValueError
    """
    if names is None or expected is None or names == expected:
        return
    if len(names) != len(expected):
        raise ValueError(f"{name} has {len(names)} columns, {has} {len(expected)}: they must be the same.")
    place, got, wanted = next(
        (i, *pair) for i, pair in enumerate(zip(names, expected, strict=True)) if len({*pair}) > 1
    )
    raise ValueError(
        f"{name} has the column {got!r} where {has} {wanted!r} (column {place}): they must have the same columns in "
        f"the same order, as in {remedy}."
    )


def row_labels(table):
    """Labels of a table's rows, those of a pandas index.

    Parameters
    ----------
    table : sparse matrix, array or DataFrame

    Returns
    -------
    list, or None
        None of what has none.
    """
    index = getattr(table, "index", None) if column_names(table) is not None else None
    return None if index is None else index.tolist()


def column_labels(table):
    """Names of a table's columns that are no strings, such as the numbers of items, as strings.

    scikit-learn remembers and compares names that are strings alone.

    Parameters
    ----------
    table : sparse matrix, array or DataFrame

    Returns
    -------
    array of str, or None
        None where there are none, or these are strings, or 0, 1, 2 and so on, as pandas numbers what has no names.
    """
    labels = _labels_without_strings(table)
    return None if labels is None or labels == _numbered(labels) else np.array(labels, dtype=object)


def _labels_without_strings(table):
    names = column_names(table)
    if names is None or any(isinstance(name, str) for name in names):
        return None
    return [*map(label, names)]


def label(name):
    """The name of a column that is no string, as a string.

    Parameters
    ----------
    name : object

    Returns
    -------
    str
        A whole number has no decimals.
    """
    # one id that is missing makes floats of all others
    return str(int(name)) if isinstance(name, float) and name.is_integer() else str(name)


def _numbered(labels):
    return [str(column) for column in range(len(labels))]


def check_same_labels(model, table, name):
    """Raise where columns whose names are no strings are called otherwise than those that a model was fitted with.

    Parameters
    ----------
    model : fitted estimator
        With its `column_labels`, where it has any.
    table : sparse matrix, array or DataFrame
    name : str
        What the error calls it.

    Raises
    ------
    ValueError
    """
    labels = _labels_without_strings(table)
    if labels is None or hasattr(model, "feature_names_in_"):
        return
    numbered = _numbered(labels)
    fitted = list(getattr(model, "_column_labels", numbered))
    # 0, 1, 2 and so on are names only beside the same numbers in another order
    if numbered not in (labels, fitted) or {*labels} == {*fitted}:
        remedy = f"{name}[[{', '.join(fitted[:2])}, ...]]"
        check_same_columns(labels, fitted, name, f"{type(model).__name__} was fitted with", remedy)


def names_with_added(model, names, n_items):
    """Names of a model's columns, and after them those of added ones.

    Parameters
    ----------
    model : fitted estimator
    names : array of shape (n_items,)
    n_items : int

    Returns
    -------
    dict of str to array of str of shape (n_features_in_ + n_items,)
        The attribute that holds them -> names.

    Raises
    ------
    ValueError
        Where the model has no names, or these are not so many new ones of their kind.
    """
    kind = next((name for name in ("feature_names_in_", "_column_labels") if hasattr(model, name)), None)
    if kind is None:
        raise ValueError(f"{type(model).__name__} has no names of its other columns: leave out names.")
    added = np.ravel(names).tolist()
    are_strings = [isinstance(name, str) for name in added]
    is_right = all(are_strings) if kind == "feature_names_in_" else not any(are_strings)
    every = [*getattr(model, kind), *map(label, added)]
    if np.ndim(names) > 1 or len(added) != n_items or len(set(every)) < len(every) or not is_right:
        kinds = "strings" if kind == "feature_names_in_" else "labels like the others"
        raise ValueError(f"names must be {n_items} {kinds} that no other column is called, got {_few(added)}.")
    return {kind: np.array(every, dtype=object)}


def _few(names):
    return repr(names) if len(names) <= 5 else f"{len(names)}, such as {names[0]!r} and {names[-1]!r}"
