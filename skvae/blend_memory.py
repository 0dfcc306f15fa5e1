"""What a fit of a blend will hold in memory: its members one after another, beside those that are fitted."""

from types import SimpleNamespace

from .autoencoder_memory import VALIDATION_USERS
from .blend_members import kept_pairs
from .core.devices import resolve
from .memory import COPY_OF_USERS, FEWER_USERS, Memory, Size, check_fits, of_users
from .validation_users import n_held_out

FITTED_MEMBERS = "fitted members"


def rounds_of(parameters, size, refit):
    """The rounds in which a blend fits its members: on a part of the users, and again on all.

    Parameters
    ----------
    parameters : SimpleNamespace
        Its parameters, checked.
    size : Size
    refit : bool
        Whether the fit of the blend is itself one of a blend on all users, which learns no weights.

    Returns
    -------
    dict of str to (Size, bool)
        "fit" or "refit" to the users of the round, and whether members are refitted in it.
    """
    is_learned = isinstance(parameters.weights, str) and not parameters.prefit and not refit
    n_validated = n_held_out(size.n_users, size.n_users, parameters.validation_fraction) if is_learned else 0
    rounds = {"fit": (size.part(size.n_users - n_validated), refit)}
    return rounds | ({"refit": (size, True)} if n_validated and parameters.refit else {})


def of_blend(estimator, parameters, size, refit=False):
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

    Returns
    -------
    Memory
        Members of other libraries count nothing.
    """
    throughout, phases, held, model_bytes = of_users(parameters, size), {}, 0, 0
    members = [] if parameters.prefit else kept_pairs(estimator._checked_pairs(parameters))
    if parameters.prefit and isinstance(parameters.weights, str) and not refit:  # all of X is the validation users
        throughout[COPY_OF_USERS] = size.n_bytes
    for what, (users, again) in rounds_of(parameters, size, refit).items():
        is_part, model_bytes = users.n_users < size.n_users, 0
        if is_part:
            throughout[COPY_OF_USERS] = size.n_bytes
        for name, member in members:
            memory = _of_member(member, users, again)
            needed = memory.total_bytes - memory.throughout.get("X", 0)
            if is_part:  # the blend has them
                needed -= memory.throughout.get(VALIDATION_USERS, 0)
            phases[f"{what} {name}"] = {FITTED_MEMBERS: held, name: needed}
            held, model_bytes = held + memory.model_bytes, model_bytes + memory.model_bytes
    return Memory(throughout, phases or {"fit": {}}, model_bytes)


def _of_member(member, users, refit):
    if getattr(member, "_memory_of_fit", None) is None:
        return Memory({}, {"fit": {}}, 0)
    return member._memory_of_fit(member._checked_parameters(), users, refit)


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
    return f"leave out {max(needs, key=needs.__getitem__)!r}, the largest member, or change it"


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
    devices = [value for name, value in estimator.get_params().items() if name.endswith("__device")]
    if any(resolve(device).type != "cpu" for device in devices):
        return
    if not hold_out:
        parameters = SimpleNamespace(**vars(parameters) | {"weights": None})
    memory = of_blend(estimator, parameters, Size.of(X))
    check_fits(estimator, memory, lambda: advice_for_blend(memory), X, resolve("cpu"))
