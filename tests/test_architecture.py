"""The arrows between modules, and docstrings that say everything."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.base import BaseEstimator, clone

import skvae

PACKAGE = Path(skvae.__file__).parent

# module -> what of skvae it may import
ARROWS = {
    "core": set(),
    "ranking": set(),
    "metrics": set(),
    "model_selection": set(),
    "datasets": set(),
    "scoring": {"metrics", "model_selection", "ranking"},
    "evaluation": {"scoring", "model_selection"},
    "events": set(),
    "preprocessing": {"events", "ranking", "recommender"},
    "recommender": {"ranking", "scoring"},
    "baselines": {"core", "recommender"},
    "autoencoder": {"core", "recommender", "ranking", "scoring", "model_selection"},
    "multvae": {"autoencoder", "core"},
    "multdae": {"autoencoder", "core"},
    "recvae": {"multvae"},
    "ensemble": {"autoencoder", "metrics", "model_selection", "ranking", "recommender"},
    "plotting": {"evaluation", "model_selection", "ranking", "scoring"},
    "export": {"__version__", "multdae", "multvae"},
}


def _imports(path):
    """Absolute names of all modules that a file imports."""
    package = ("skvae", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from ([f"{name}.{alias.name}" for alias in node.names] if name == "skvae" else [name])


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    imported = {name.split(".")[1] for name in _imports(path) if name.startswith("skvae.")} - {room}
    assert imported <= ARROWS[room]


def test_every_module_has_its_place():
    assert {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()} - {"__init__", "__pycache__"} == set(
        ARROWS
    )


def test_the_torch_half_knows_no_scikit_learn_and_only_the_bridge_and_ranking_know_torch():
    for path in PACKAGE.rglob("*.py"):
        roots = {name.split(".")[0] for name in _imports(path)}
        room = path.relative_to(PACKAGE).parts[0]
        if room == "core":
            assert "sklearn" not in roots
        elif room not in ("autoencoder.py", "multvae.py", "multdae.py", "ranking.py"):
            assert "torch" not in roots, path


MODULES = [m.name for m in pkgutil.walk_packages([str(PACKAGE)], "skvae.") if not m.name.startswith("skvae.core")]


def _public():
    """Qualified name -> every public function, class, method and property."""
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name, member in vars(module).items():
            if getattr(member, "__module__", None) != module_name or getattr(member, "__name__", name).startswith("_"):
                continue
            if inspect.isclass(member) or inspect.isfunction(member):
                yield f"{module_name}.{name}", member
            if inspect.isclass(member):
                for method, function in vars(member).items():
                    if not method.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                        yield f"{module_name}.{name}.{method}", function


PUBLIC = dict(_public())

# Summary and layout as we write them, not as numpydoc's defaults do; "see also" and examples
# are asked for where they help.
IGNORED = {
    "ES01", "EX01", "SA01", "GL01", "GL02", "GL03", "SS03", "SS05", "SS06", "RT02", "RT03", "RT05", "YD01",
    "PR02", "PR04", "PR06", "PR07", "PR08", "PR09", "PR10",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_docstring_is_complete(name):
    assert inspect.getdoc(PUBLIC[name])
    assert not [error for error in validate(name)["errors"] if error[0] not in IGNORED]


def test_every_module_says_what_it_is_for():
    assert all(inspect.getdoc(importlib.import_module(name)) for name in MODULES)


ESTIMATORS = [
    skvae.MultVAERecommender(4, max_iter=1),
    skvae.MultDAERecommender(4, max_iter=1),
    skvae.RecVAERecommender(4, hidden_layer_sizes=(8, 8), max_iter=1),
    skvae.EASERecommender(),
    skvae.PopularityRecommender(),
    skvae.BlendRecommender([("popularity", skvae.PopularityRecommender()), ("ease", skvae.EASERecommender())]),
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, skvae.InteractionEncoder()], ids=lambda e: type(e).__name__)
def test_every_parameter_is_documented_read_and_in_the_order_of_the_signature(estimator):
    parameters = list(inspect.signature(type(estimator)).parameters)
    documented = [
        line.split(" : ")[0].strip()
        for line in estimator.__doc__.splitlines()
        if line.startswith("    ") and " : " in line and not line.startswith("     ")
    ]
    assert documented[: len(parameters)] == parameters
    source = "".join(p.read_text() for p in PACKAGE.glob("*.py"))
    assert all(source.count(f"self.{name}") > 2 for name in parameters)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_every_fitted_attribute_is_documented(estimator, X):
    model = clone(estimator).fit(X)
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert all(f"    {name} : " in estimator.__doc__ for name in fitted)
    assert isinstance(model, BaseEstimator)


def test_importing_skvae_imports_nothing_beyond_what_torch_and_scikit_learns_base_bring():
    code = (
        "import sys, sklearn.model_selection, sklearn.preprocessing, torch; before = set(sys.modules); import skvae; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, 'sklearn.ensemble' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["skvae", "False"]
