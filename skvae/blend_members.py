"""Fitting the members of a blend: once, again on all users, or from a checkpoint."""

import time
from contextlib import nullcontext

from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from .columns import check_columns_of_members
from .core.checkpoint import kept
from .core.checkpoint_file import is_plain
from .core.processes import process_group
from .core.user_warnings import report
from .items import ItemsMixin
from .ranking import item_scores
from .recommender import BaseRecommender
from .wrappers import unfrozen


def fit_members(blend, pairs, X, validation, checkpoint, context, verbose, what="fit"):
    """Fit clones of the members, but for those that are dropped, fitted already, or in the checkpoint.

    Parameters
    ----------
    blend : BlendRecommender
        Its parameter ``prefit`` is read.
    pairs : list of (str, estimator)
    X : csr_array of shape (n_users, n_items)
    validation : pair of csr_array, or None
        For members whose fit takes X_val.
    checkpoint : Checkpoint or NoCheckpoint
        Of the blend; has the members that are finished.
    context : callback context
        Of the blend's fit.
    verbose : bool
        Whether to print a line for each.
    what : str, default="fit"
        Which fit of the members it is.

    Returns
    -------
    list of (str, estimator)
    """
    finished, members = checkpoint.read() or {}, []
    n_before = 0 if what == "fit" else len(pairs)  # checkpoints of a first fit may have been left behind
    for number, (name, member) in enumerate(pairs):
        start, key = time.perf_counter(), f"{what} {name}"
        if member != "drop" and not blend.prefit:
            if key in finished:
                member = _restored(member, finished[key])
            else:
                task = context.subcontext(task_name=key)
                unfitted, member = member, _fitted(member, X, validation, checkpoint.of_member(n_before + number), task)
                learned = _learned(unfitted, member)
                if learned and checkpoint.write(finished | {key: learned}):
                    finished[key] = learned
                    checkpoint.remove_member(n_before + number)
            if verbose:
                seconds = time.perf_counter() - start
                report(f"[{type(blend).__name__}] {what} {number + 1}/{len(pairs)}  {name}  {seconds:.1f} s")
        if member != "drop":
            with process_group().agreed():
                item_scores(member, X[:1])  # raises where it has other items
        members.append((name, member))
    return members


def check_members(blend, pairs):
    """Raise where the members are no named recommenders, or with prefit not fitted.

    Parameters
    ----------
    blend : BlendRecommender
    pairs : list of (str, estimator)

    Raises
    ------
    TypeError, ValueError, NotFittedError
    """
    if not are_pairs(pairs):
        raise TypeError(
            'estimators must be a list of (name, estimator) pairs, such as [("ease", EASERecommender())], got '
            f"{pairs!r}."
        )
    if not kept_members(pairs):
        raise ValueError(f"estimators holds no member to blend, got {pairs!r}: name at least one.")
    for name, _ in pairs:
        if not isinstance(name, str):
            raise TypeError(f"Names of members must be strings, got {name!r}.")
    blend._validate_names([name for name, _ in pairs])
    for name, member in kept_pairs(pairs):
        if isinstance(member, type):
            raise TypeError(f"The member {name!r} is the class {member.__name__}: pass {member.__name__}(...).")
        if not hasattr(member, "decision_function"):
            raise TypeError(
                f"The member {name!r}, {member!r}, has no decision_function: blend recommenders, or pipelines "
                "and searches around them."
            )
        # of others nothing is known
        if blend.prefit and hasattr(member, "__sklearn_tags__") and not _has_learned(member):
            check_is_fitted(member)
        if not blend.prefit and not hasattr(member, "fit"):
            raise TypeError(
                f"The member {name!r}, {member!r}, has no fit: fit it in its own way, and pass it with prefit=True."
            )


def _has_learned(member):
    """Whether an estimator has attributes beside its parameters, whatever they are called."""
    if hasattr(member, "__sklearn_is_fitted__") or not hasattr(member, "get_params"):
        return False
    others = vars(member).keys() - member.get_params(deep=False).keys()
    return any(not name.startswith("_") and vars(member)[name] is not None for name in others)


def are_pairs(pairs):
    """Whether these are pairs, such as (name, estimator).

    Parameters
    ----------
    pairs : object

    Returns
    -------
    bool
    """
    return isinstance(pairs, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs)


def check_columns(blend, pairs, table):
    """Raise where members that are fitted already know other columns than the table of a blend's fit.

    Parameters
    ----------
    blend : BlendRecommender
    pairs : list of (str, estimator)
    table : sparse matrix, array or DataFrame of shape (n_users, n_items)

    Raises
    ------
    ValueError
    """
    members = dict(kept_pairs(pairs))
    if not blend.prefit:  # what a clone still knows is frozen
        members = {name: clone(member) for name, member in members.items() if hasattr(member, "get_params")}
    check_columns_of_members(members, table)


def fitted_pairs(pairs, prefit):
    """The pairs of `kept_pairs` whose member was fitted before: all of them, or those that are frozen.

    Parameters
    ----------
    pairs : list of (str, estimator)
    prefit : bool

    Returns
    -------
    list of (str, estimator)
    """
    return [(name, member) for name, member in kept_pairs(pairs) if prefit or unfrozen(member) is not member]


def kept_pairs(pairs):
    """The pairs whose member is not dropped.

    Parameters
    ----------
    pairs : list of (str, estimator)

    Returns
    -------
    list of (str, estimator)
    """
    return [(name, member) for name, member in pairs if member != "drop"]


def kept_members(pairs):
    """The members that are not dropped.

    Parameters
    ----------
    pairs : list of (str, estimator)

    Returns
    -------
    list of estimators
    """
    return [member for _, member in kept_pairs(pairs)]


def for_refit(pairs):
    """Members that need no validation users: with the values that the fits of these resolved.

    Parameters
    ----------
    pairs : list of (str, estimator)
        Fitted.

    Returns
    -------
    list of (str, estimator)
    """
    return [(name, _without_validation(member)) for name, member in pairs]


def _without_validation(member):
    # asked of the class: a FrozenEstimator passes on the attributes of its model
    if member == "drop" or not hasattr(type(member), "_refit_parameters"):
        return member
    return clone(member).set_params(**member._refit_parameters())


def _fitted(member, X, validation, checkpoint, task):
    """A fitted clone. One that could have a checkpoint and has none gets this one, which the caller removes."""
    model, known = clone(member, safe=False), {"y": None}
    if validation is not None:
        known["X_val"] = validation
    keywords = {name: value for name, value in known.items() if has_fit_parameter(member, name)}
    without = isinstance(member, BaseRecommender) and getattr(member, "checkpoint", "no such parameter") is None
    with task.propagate_callback_context(model) if hasattr(model, "set_callbacks") else nullcontext():
        if checkpoint is None or not without:
            try:
                with nullcontext() if _fits_together(model) else process_group().agreed():
                    model.fit(X, **keywords)
            except Exception as error:
                if not isinstance(member, BaseRecommender) and "column" in str(error):
                    error.add_note("Members of a blend get X as a csr_array, without names of its columns.")
                raise
        else:
            with kept():
                model.set_params(checkpoint=checkpoint).fit(X, **keywords)
            model.set_params(checkpoint=None)
    return model


def _fits_together(member):
    """Whether its fit makes sums with the other processes of a group, as of a recommender of skvae, or one inside."""
    others = member.get_params(deep=True).values() if hasattr(member, "get_params") else ()
    return any(isinstance(part, BaseRecommender) for part in (member, *others))


def _learned(member, model):
    """What a fitted clone of a recommender has that the recommender has not; nothing, where no file could hold it."""
    if not isinstance(member, BaseRecommender):
        return {}
    learned = {name: value for name, value in model.__getstate__().items() if name not in vars(clone(member))}
    return learned if is_plain(learned) else {}


def _restored(member, learned):
    """A clone with what another has learned."""
    model = clone(member)
    model.__setstate__(vars(model) | learned)
    if not getattr(model, "store_user_hashes", True):  # which may have been wanted before the kill
        model._user_hashes = None
        vars(model).pop("_held_out_hashes", None)
    return model


def members_to_widen(blend, n_items, names):
    """Yield those that do not have the added items yet, as a member of another blend, which was widened, may.

    Parameters
    ----------
    blend : fitted BlendRecommender
    n_items : int
    names : array of str, or None

    Yields
    ------
    estimator

    Raises
    ------
    ValueError
        Where a member has other items.
    """
    for member in blend.estimators_:
        model = unfrozen(member)
        n_more = model.n_features_in_ - blend.n_features_in_ if isinstance(model, ItemsMixin) else 0
        known = getattr(model, "feature_names_in_", None)
        are_others = n_more == n_items and names is not None and known is not None and [*known[-n_items:]] != [*names]
        if n_more not in (0, n_items) or are_others:
            remedy = f"call add_items({n_more}) of the blend, or fit it again" if n_more > 0 else "fit the blend again"
            raise ValueError(
                f"The member {model!r} has {model.n_features_in_} items and the blend {blend.n_features_in_}: it was "
                f"widened or fitted by itself. With the same items and names both go on: {remedy}."
            )
        if not n_more:
            yield member
