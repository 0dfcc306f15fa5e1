"""The arrows between modules, and docstrings that say everything."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate
from sklearn.base import clone

import skvae

PACKAGE = Path(skvae.__file__).parent


def _arrows(text):
    """Room -> names, of lines "room: names"."""
    return {room: set(names.split()) for room, names in (line.split(":") for line in text.strip().splitlines())}


# what of skvae a room may import, datasets, plotting and core as a whole; baselines and ensemble are
# old names of public modules
ARROWS = _arrows("""
auto_parameters:
core:
missing:
tables: missing
wrappers:
columns: wrappers
matrix: columns matrix_checks
matrix_checks: columns core
user_hashes: matrix wrappers
value_checks: core hiding matrix
metrics: core item_checks matrix parameters
item_checks: matrix matrix_checks
reranking: item_checks matrix_checks parameters
ids:
events: ids tables
merging: core events ids
datasets: core parameters
parameters:
ranking: columns core item_checks matrix matrix_checks parameters
timestamps: columns matrix missing
hiding: columns core matrix matrix_checks parameters timestamps user_hashes
user_checks: core hiding matrix user_hashes wrappers
interactions: columns core matrix matrix_checks
model_selection: core hiding matrix parameters
validation_users: core hiding matrix user_hashes
scoring: columns core hiding item_checks matrix matrix_checks metrics ranking
evaluation: core fit_identity hiding matrix matrix_checks parameters scoring user_checks user_hashes
comparison: evaluation scoring
explanations: item_checks matrix ranking
recommender: columns core explanations hiding matrix matrix_checks parameters ranking scoring user_checks \
    user_hashes validation_users wrappers
written_tables: tables
id_filters: core events ids tables
id_answers: columns core events id_filters ids matrix merging ranking reranking tables wrappers \
    written_tables
preprocessing: events id_answers ids item_checks matrix merging parameters recommender
popularity: callbacks core fit_identity matrix memory recommender
items: columns item_checks parameters ranking recommender wrappers
base_linear: callbacks items ranking recommender
linear: base_linear callbacks core fit_identity linear_memory linear_search matrix parameters recommender \
    user_checks user_hashes value_checks
linear_search: core hiding matrix scoring validation_users
linear_memory: core linear_search memory
memory: core matrix
autoencoder_memory: auto_parameters core memory ranking validation_users
fit_identity: core
blend_normalizations: parameters ranking
blend_weights: blend_members hiding ranking scoring validation_users
blend_members: columns core items ranking recommender wrappers
blend_memory: autoencoder_memory blend_members core memory validation_users
blend: blend_members blend_memory blend_normalizations blend_weights callbacks core fit_identity items \
    linear multdae multvae parameters ranking recommender scoring user_checks user_hashes
callbacks: core scoring
fitting: auto_parameters callbacks columns core hiding ranking scoring user_hashes validation_users
fitted_network: core parameters ranking recommender
autoencoder: autoencoder_memory callbacks core fit_identity fitted_network fitting items matrix_checks \
    parameters recommender user_hashes validation_users value_checks
multvae: auto_parameters autoencoder core parameters
multdae: auto_parameters autoencoder core
recvae: autoencoder core parameters
cost: autoencoder autoencoder_memory blend blend_members blend_memory core linear linear_memory \
    linear_search matrix matrix_checks memory parameters popularity
saved_state_checks: autoencoder blend blend_normalizations core ids linear multdae multvae parameters \
    popularity preprocessing recommender recvae
saving: __version__ core preprocessing saved_state_checks wrappers
plotting: columns comparison evaluation hiding item_checks matrix matrix_checks missing ranking scoring
export: __version__ autoencoder blend blend_normalizations core linear parameters popularity wrappers
baselines: linear popularity
ensemble: blend
""")
# the same between the rooms of core
CORE_ARROWS = _arrows("""
annealing: pieces
model_file:
averaging:
batches: devices
devices:
early_stopping:
files:
interrupts:
inversion:
isolation:
gpu_sums:
item_products: gpu_sums likelihoods pieces
item_sampling: item_products
likelihoods: pieces
pieces:
optimizer: processes
probe: inversion
priors: pieces
processes: interrupts
checkpoint_file: files
checkpoint: checkpoint_file files user_warnings
networks: item_products priors
activations:
architecture: activations devices likelihoods networks pieces priors
objectives: annealing item_products pieces priors
initialization: item_products
inference: batches devices isolation pieces
gram: processes
regression: devices
dual_regression: gram regression
item_regression: devices dual_regression gram inversion regression
updates: processes
user_warnings:
training: averaging batches checkpoint early_stopping item_products item_sampling optimizer pieces processes \
    updates
""")
FILES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = ("datasets", "plotting")
TREES = {path: ast.parse(path.read_text()) for path in FILES}
BY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def _imports(path):
    """Module and names of each import of a file: ("skvae.core.batches", {"UserRows"}), ("torch", set())."""
    package = ("skvae", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, set()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*base, *([node.module] if node.module else [])]), {alias.name for alias in node.names}


def _rooms(path, package):
    """What stands behind the name of a package in the imports of a file."""
    for module, names in _imports(path):
        if module == package:
            yield from names
        elif module.startswith(package + "."):
            yield module.removeprefix(package + ".").split(".")[0]


@BY_FILE
def test_imports_follow_the_arrows(path):
    room, *inner = path.relative_to(PACKAGE).with_suffix("").parts
    if room != "__init__":
        assert set(_rooms(path, "skvae")) - {room} <= ARROWS[room]
    if room == "core" and inner != ["__init__"]:
        assert set(_rooms(path, "skvae.core")) <= CORE_ARROWS[inner[0]]


def test_every_module_has_its_place_and_no_arrow_is_without_an_import():
    stems = {path.stem if path.suffix == ".py" else path.name for path in PACKAGE.iterdir()}
    assert stems - {"__init__", "__pycache__", "py.typed"} == set(ARROWS)
    assert {path.stem for path in (PACKAGE / "core").glob("*.py")} - {"__init__"} == set(CORE_ARROWS)
    for room, expected in ARROWS.items():
        files = [path for path in FILES if path.relative_to(PACKAGE).parts[0].removesuffix(".py") == room]
        assert {name for path in files for name in _rooms(path, "skvae")} - {room} == expected, room
    for room, expected in CORE_ARROWS.items():
        assert set(_rooms(PACKAGE / f"core/{room}.py", "skvae.core")) == expected, room


def test_the_guide_for_contributors_names_every_module():
    text = Path(__file__).parents[1].joinpath("CONTRIBUTING.md").read_text()
    named = [str(path.relative_to(PACKAGE)) for path in FILES if path.relative_to(PACKAGE).parts[0] not in FOLDERS]
    assert not [name for name in named if not name.endswith("__init__.py") and f"`{name}`" not in text]


def test_the_torch_half_knows_no_scikit_learn_and_only_the_bridge_and_ranking_know_torch():
    for path in FILES:
        roots = {module.split(".")[0] for module, _ in _imports(path)}
        room = path.relative_to(PACKAGE).parts[0]
        if room == "core":
            assert "sklearn" not in roots
        elif room not in ("autoencoder.py", "fitting.py", "ranking.py"):
            assert "torch" not in roots, path


@BY_FILE
def test_no_private_name_is_imported_from_another_module(path):
    for module, names in _imports(path):
        if module.split(".")[0] == "skvae":
            assert not [name for name in names if name.startswith("_") and name != "__version__"]


def _arguments(function):
    arguments = function.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


@BY_FILE
def test_no_class_module_or_signature_is_large(path):
    assert len(path.read_text().splitlines()) <= 500
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ClassDef):
            assert sum(isinstance(part, ast.FunctionDef) for part in node.body) <= 15, node.name
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            assert len(_arguments(node)) <= 9, node.name


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


def _documented(docstring):
    section = re.split(r"\n\n[A-Z][a-z ]+\n-{4,}\n", "\n\n" + docstring)[1]
    names = re.findall(r"^(\**\w+(?:, \**\w+)*) ?:", section, flags=re.MULTILINE)
    return {name.strip("*") for part in names for name in part.split(", ")}


def test_no_function_documents_a_parameter_that_it_does_not_have():
    for path, node in ((file, part) for file in FILES for part in ast.walk(TREES[file])):
        docstring = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
        if "\n\nParameters\n" in (docstring or ""):
            arguments = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
            assert _documented(docstring) <= arguments, f"{path.name}: {node.name}"


def test_every_module_says_what_it_is_for():
    assert all(inspect.getdoc(importlib.import_module(name)) for name in MODULES)


ESTIMATORS = [
    skvae.MultVAERecommender(4, max_iter=1),
    skvae.MultDAERecommender(4, max_iter=1),
    skvae.RecVAERecommender(4, hidden_layer_sizes=(8, 8), max_iter=1),
    skvae.EASERecommender(),
    skvae.LinearRecommender(keep_gram=True),
    skvae.PopularityRecommender(),
    skvae.BlendRecommender([("popularity", skvae.PopularityRecommender()), ("ease", skvae.EASERecommender())]),
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, skvae.InteractionEncoder()], ids=lambda e: type(e).__name__)
def test_every_parameter_is_documented_in_the_order_of_the_signature(estimator):
    parameters = list(inspect.signature(type(estimator)).parameters)
    documented = [
        line.split(" : ")[0].strip()
        for line in estimator.__doc__.splitlines()
        if line.startswith("    ") and " : " in line and not line.startswith("     ")
    ]
    assert documented[: len(parameters)] == parameters


# rooms whose functions read an estimator's parameters, under the names "estimator" and "parameters"
READERS = {
    "autoencoder": ["auto_parameters", "fit_identity", "fitting", "callbacks", "autoencoder", "validation_users"],
    "linear": ["linear_search", "callbacks"],
}


def _read_by(node, *owners):
    """Attributes that code reads of what it calls by these names, also as self.estimator; constructors do not count."""
    functions = [part for part in ast.walk(node) if isinstance(part, ast.FunctionDef) and part.name != "__init__"]
    return {
        part.attr
        for function in functions
        for part in ast.walk(function)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Load)
        if getattr(part.value, "id", None) in owners or getattr(part.value, "attr", None) in owners
    }


def _read_parameters(estimator_class):
    """Parameters that the code of a class, of its parents and of the rooms that train it reads."""
    read = set()
    for cls in estimator_class.__mro__:
        if cls.__module__.startswith("skvae."):
            room = cls.__module__.removeprefix("skvae.")
            tree = TREES[PACKAGE / f"{room}.py"]
            node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
            read |= _read_by(node, "self", "parameters")
            for reader in READERS.get(room, []):
                read |= _read_by(TREES[PACKAGE / f"{reader}.py"], "estimator", "parameters")
    return read


@pytest.mark.parametrize("estimator", [*ESTIMATORS, skvae.InteractionEncoder()], ids=lambda e: type(e).__name__)
def test_every_parameter_is_read_and_not_only_checked(estimator):
    assert set(inspect.signature(type(estimator)).parameters) <= _read_parameters(type(estimator))


def test_a_parameter_that_nothing_reads_would_be_found():
    assert {"dropout", "averaging_epochs"} <= _read_parameters(skvae.MultDAERecommender)
    assert not {"gamma", "kl_weighting", "prior"} & _read_parameters(skvae.MultDAERecommender)  # read by others


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_every_fitted_attribute_is_documented(estimator, X):
    model = clone(estimator).fit(X)
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert all(f"    {name} : " in estimator.__doc__ for name in fitted)


def test_importing_skvae_imports_nothing_beyond_what_torch_and_scikit_learns_base_bring():
    code = (
        "import sys, sklearn.model_selection, sklearn.preprocessing, torch; before = set(sys.modules); import skvae; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, 'sklearn.ensemble' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["skvae", "False"]
