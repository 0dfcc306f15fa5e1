"""The names of the API reference, taken from the package itself: what is public has a page."""

import importlib
import inspect
import operator

import skvae
from skvae.core.annealing import SCHEDULES
from skvae.core.likelihoods import LIKELIHOODS
from skvae.core.priors import PRIORS
from skvae.recommender import BaseRecommender

# module -> heading of what it defines; other modules are headed by their docstring's first line
GROUPS = {
    "skvae.recommender": "Recommenders",
    "skvae.ranking": "Ranking",
    "skvae.reranking": "Ranking",
    "skvae.scoring": "Scoring and evaluation",
    "skvae.evaluation": "Scoring and evaluation",
    "skvae.comparison": "Scoring and evaluation",
    "skvae.model_selection": "Model selection",
    "skvae.hiding": "Model selection",
    "skvae.metrics": "Metrics",
    "skvae.preprocessing": "Tables and matrices",
    "skvae.matrix": "Tables and matrices",
    "skvae.datasets": "Data sets",
    "skvae.plotting": "Displays",
    "skvae.saving": "Saving",
    "skvae.interactions": "Tables and matrices",
    "skvae.export": "Export",
    "skvae.cost": "Cost of a fit",
    "skvae.core": "Likelihoods, priors and schedules",
}
TABLES = {"core.likelihoods": LIKELIHOODS, "core.priors": PRIORS, "core.annealing": SCHEDULES}
CORE = [*TABLES, "core.batches.SparseBatch", "core.batches.Part"]
CORE += [f"{module}.{part.__name__}" for module, table in TABLES.items() for part in table.values()]


def public_names():
    """Names below ``skvae``, as a user writes them: those of skvae, of its public modules, and parts of core."""
    for name in skvae.__all__:
        member = getattr(skvae, name)
        if not inspect.ismodule(member):
            yield name
        else:
            yield from (f"{name}.{part}" for part in _members(member) if part not in skvae.__all__)
    yield from CORE


def _members(module):
    """Public functions and classes that a module defines, or what its __all__ lists."""
    if hasattr(module, "__all__"):
        return [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    return [
        name
        for name, member in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(member) or inspect.isfunction(member))
        and member.__module__ == module.__name__
    ]


def groups():
    """Heading -> names, in the order of GROUPS, others after them."""
    named = {heading: [] for heading in GROUPS.values()}
    for name in public_names():
        named.setdefault(_heading(name), []).append(name)
    return {heading: names for heading, names in named.items() if names}


def aliases():
    """Name in the defining module -> the name that has the page."""
    members = {name: operator.attrgetter(name)(skvae) for name in public_names()}
    defined = {f"{_module(member)}.{name.rpartition('.')[2]}": f"skvae.{name}" for name, member in members.items()}
    return {name: page for name, page in defined.items() if name != page}


def _module(member):
    if inspect.ismodule(member):
        return member.__name__
    # an instance, such as a scorer, is where its class is
    return getattr(member, "__module__", type(member).__module__)


def _heading(name):
    member = operator.attrgetter(name)(skvae)
    if inspect.isclass(member) and issubclass(member, BaseRecommender):
        return "Recommenders"
    module = _module(member)
    known = next((heading for prefix, heading in GROUPS.items() if f"{module}.".startswith(f"{prefix}.")), None)
    return known or inspect.getdoc(importlib.import_module(module)).splitlines()[0].rstrip(".")


INTRODUCTION = """\
API reference
=============

Every public name, each with a page of its own. Attributes of an estimator that end in an underscore are learned by fit.

.. currentmodule:: skvae
"""


def render():
    """The page: one summary table per group, with one page per name in generated/."""
    lines = [INTRODUCTION]
    for heading, names in groups().items():
        lines += [
            heading,
            "-" * len(heading),
            "",
            ".. autosummary::",
            "   :toctree: generated/",
            "   :nosignatures:",
            "",
        ]
        lines += [f"   {name}" for name in names] + [""]
    return "\n".join(lines)
