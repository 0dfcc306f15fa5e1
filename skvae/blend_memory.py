"""What a fit of a blend will hold in memory: its members one after another, beside those that are fitted."""

from .autoencoder_memory import VALIDATION_USERS
from .blend_members import kept_pairs
from .core.devices import resolve
from .memory import COPY_OF_USERS, FEWER_USERS, Memory, Size, check_fits, of_users
from .validation_users import n_held_out

FITTED_MEMBERS, OF_MEMBER = "fitted members", "the member "


def rounds_of(parameters, size, refit, validated=False):
    """The rounds in which a blend fits its members: on a part of the users, and again on all.

    Parameters
    ----------
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    refit : bool
        Whether the fit of the blend is itself one of a blend on all users, which learns no weights.
    validated : bool, default=False
        Whether it gets X_val, so that no users of X are held out.

    Returns
    -------
    dict of str to (Size, bool)
        "fit" or "refit" to the users of the round, and whether members are refitted in it.
    """
    is_learned = isinstance(parameters.weights, str) and not (parameters.prefit or refit or validated)
    n_validated = n_held_out(size.n_users, size.n_users, parameters.validation_fraction) if is_learned else 0
    rounds = {"fit": (size.part(size.n_users - n_validated), refit)}
    return rounds | ({"refit": (size, True)} if n_validated and parameters.refit else {})


def of_blend(estimator, parameters, size, refit=False, validated=False):
    """What a fit of a blend holds.

    Parameters
    ----------
    estimator : BlendRecommender
        Not changed.
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    refit : bool, default=False
        Whether it is one of a blend on all users, which learns no weights.
    validated : bool, default=False
        Whether it gets X_val.

    Returns
    -------
    Memory
        Members of other libraries count nothing.
    """
    throughout, phases, held, model_bytes = of_users(parameters, size), {}, 0, 0
    members = [] if parameters.prefit else kept_pairs(estimator._checked_pairs(parameters))
    if parameters.prefit and isinstance(parameters.weights, str) and not (refit or validated):  # X is validated on
        throughout[COPY_OF_USERS] = size.n_bytes
    for what, (users, again) in rounds_of(parameters, size, refit, validated).items():
        is_part, model_bytes = users.n_users < size.n_users, 0
        if is_part:
            throughout[COPY_OF_USERS] = size.n_bytes
        for name, member in members:
            gets_users = validated or is_part
            memory = _of_member(member, users, again, gets_users)
            needed = memory.total_bytes - memory.throughout.get("X", 0)
            if gets_users:
                needed -= memory.throughout.get(VALIDATION_USERS, 0)
            phases[f"{what} {name}"] = {FITTED_MEMBERS: held, f"{OF_MEMBER}{name!r}": needed}
            held, model_bytes = held + memory.model_bytes, model_bytes + memory.model_bytes
    return Memory(throughout, phases or {"fit": {}}, model_bytes)


def _of_member(member, users, refit, validated):
    if not _is_known(member):
        return Memory({}, {"fit": {}}, 0)
    return member._memory_of_fit(member._checked_parameters(), users, refit, validated)


def _is_known(member):
    # asked of the class: a FrozenEstimator, which is not fitted, passes on the attributes of its model
    return getattr(type(member), "_memory_of_fit", None) is not None


def advice_for_blend(memory):
    """What to change in a fit of a blend that needs more than there is.

    Parameters
    ----------
    memory : Memory
        Of the blend.

    Returns
    -------
    str
    """
    needs = {part: n for parts in memory.phases.values() for part, n in parts.items() if part != FITTED_MEMBERS}
    if not needs:
        return FEWER_USERS
    largest = max(needs, key=needs.__getitem__).removeprefix(OF_MEMBER)
    return f"leave out {largest}, the largest member, or change it"


def check_blend(estimator, parameters, X, *, hold_out):
    """Raise where a fit of a blend whose members compute on the CPU needs more memory than the machine has.

    Parameters
    ----------
    estimator : BlendRecommender
    parameters : SimpleNamespace
        Its parameters, checked.
    X : csr_array of shape (n_users, n_items)
    hold_out : bool
        Whether weights may be learned on users of X.

    Raises
    ------
    MemoryError
        With what is needed, and what to change.
    """
    if any(resolve(device).type != "cpu" for device in _devices(estimator, parameters)):
        return
    memory = of_blend(estimator, parameters, Size.of(X), validated=not hold_out)
    check_fits(estimator, memory, lambda: advice_for_blend(memory), X, resolve("cpu"))


def _devices(blend, parameters):
    """What the members that a blend fits have as their device, where they are recommenders of skvae."""
    for _, member in kept_pairs(blend._checked_pairs(parameters)):
        if _is_known(member) and not parameters.prefit:
            of_member = member._checked_parameters()
            yield getattr(of_member, "device", "cpu")
            if hasattr(member, "_checked_pairs"):
                yield from _devices(member, of_member)
