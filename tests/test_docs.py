"""Code in the docs runs, and what they show as source is the source."""

import importlib
import inspect
import re
import sys
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from conftest import PRINTS_AS_DOCUMENTED, RECOMMENDERS, ROOT, SMALL_DAE, SMALL_VAE
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae import (
    BlendRecommender,
    EASERecommender,
    MultDAERecommender,
    MultVAERecommender,
    PopularityRecommender,
    RankingScorer,
    RecVAERecommender,
    UserKFold,
    evaluate,
)
from skvae.export import to_onnx

PAGES = sorted((ROOT / "docs").glob("*.md"))
WITH_TESTS_OF_THEIR_OWN = {"extending", "persistence"}
AUTOENCODERS = [MultDAERecommender, MultVAERecommender, RecVAERecommender]
OTHER_MODELS = (ROOT / "docs" / "other_models.md").read_text()
EXTENDING = (ROOT / "docs" / "extending.md").read_text()
SOURCES = re.findall(r"<!-- source: (\S+) -->\n```python\n(.*?)```", EXTENDING, re.DOTALL)


@pytest.mark.parametrize(("name", "block"), SOURCES, ids=[name for name, _ in SOURCES])
def test_what_the_docs_show_as_source_is_the_source(name, block):
    module, _, member = name.rpartition(".")
    assert block == inspect.getsource(getattr(importlib.import_module(module), member))


def test_the_likelihoods_and_priors_of_the_docs_train(X):
    own_code = re.sub(r"<!-- source.*?```python\n.*?```", "", EXTENDING, flags=re.DOTALL)
    blocks = re.findall(r"```python\n(.*?)```", own_code, re.DOTALL)
    names = {"MultDAERecommender": MultDAERecommender, "MultVAERecommender": MultVAERecommender, "X": X}
    exec("\n".join(blocks), names)
    dense = MultDAERecommender(16, likelihood=names["Poisson"](), max_iter=3, random_state=0).fit(X)
    sparse = MultDAERecommender(16, likelihood=names["SparsePoisson"](), max_iter=3, random_state=0).fit(X)
    assert sparse.loss_curve_ == pytest.approx(dense.loss_curve_, rel=1e-4)
    assert names["model"].posterior(X)[0].shape == (500, 16)


def test_what_the_page_on_saving_writes_answers_as_the_model_does(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"model": clone(SMALL_VAE).fit(X), "X": X}
    exec(
        "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "persistence.md").read_text(), re.DOTALL)), names
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.joblib",
        "model.onnx",
        "model.skops",
        "model.skvae",
    ]
    visitors = np.zeros((3, 200), np.float32)
    for user, items in enumerate(names["visitors"]):
        visitors[user, items] = 1
    expected_items, expected_scores = names["model"].recommend(visitors)
    np.testing.assert_array_equal(names["bias"], names["model"].weights_["decoder.item_bias"])
    for name in ("loaded", "shared", "mapped", "checked"):
        assert np.array_equal(names[name].recommend(visitors)[1], expected_scores)
    assert np.array_equal(names["items"], expected_items)
    np.testing.assert_allclose(names["scores"], expected_scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.stem not in WITH_TESTS_OF_THEIR_OWN], ids=lambda page: page.stem
)
def test_the_code_of_a_page_runs_and_prints_what_stands_below_it(page, capsys):
    if "import pandas" in page.read_text():
        pytest.importorskip("pandas")
    names = {}
    for code, output in re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", page.read_text(), re.DOTALL):
        exec(compile(code, page.name, "exec"), names)
        printed = capsys.readouterr().out
        if output and PRINTS_AS_DOCUMENTED:
            assert printed == output


TABLE_OF_MODELS = {
    "Popularity": RECOMMENDERS["popularity"],
    "EASE": RECOMMENDERS["ease"],
    "Linear": RECOMMENDERS["linear"],
    "MultDAE": SMALL_DAE,
    "MultVAE": SMALL_VAE,
    "RecVAE": RECOMMENDERS["recvae"],
    "Blend": BlendRecommender([("ease", EASERecommender()), ("dae", SMALL_DAE)]),
}
METHODS_OF_TABLE = [
    "recommend",
    "add_items",
    "partial_fit",
    "similar_items",
    "explain",
    "transform",
    "inverse_transform",
    "item_vectors",
    "posterior",
]


@pytest.fixture(scope="module")
def table_of_models():
    """First cell of a row -> model -> cell."""
    cells_of: dict = {}
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / "docs/models.md").read_text().split("\n## ")[1], re.MULTILINE):
        head, _, *rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
        for name, *cells in rows:
            cells_of.setdefault(name, {}).update(zip(head[1:], cells, strict=True))
    assert all(cells.keys() == TABLE_OF_MODELS.keys() for cells in cells_of.values())
    return cells_of


@pytest.mark.parametrize("name", TABLE_OF_MODELS)
def test_a_model_has_what_the_table_of_models_says(name, table_of_models, X, tmp_path):
    model = clone(TABLE_OF_MODELS[name]).fit(X)
    has = {
        **{method: hasattr(model, method) for method in METHODS_OF_TABLE},
        **{parameter: parameter in model.get_params(deep=False) for parameter in ("checkpoint", "device")},
        "to_onnx": _is_written(model, tmp_path / "model.onnx"),
    }
    said = {
        re.search("`(.*)`", row)[1]: cells[name].startswith("yes")
        for row, cells in table_of_models.items()
        if "`" in row
    }
    assert said == has


def _is_written(model, path):
    try:
        to_onnx(model, path)
    except (TypeError, ValueError):
        return False
    return path.exists()


@pytest.mark.parametrize("default", [model(max_iter=1) for model in AUTOENCODERS], ids=lambda m: type(m).__name__)
def test_an_item_takes_the_bytes_that_the_table_of_models_says(default, table_of_models, X):
    sizes = [sum(w.nbytes for w in clone(default).fit(X[:100, :n]).weights_.values()) for n in (199, 200)]
    said = table_of_models["weights, bytes per item"][type(default).__name__.removesuffix("Recommender")]
    assert sizes[1] - sizes[0] == int(said)


class AlternatingLeastSquares:
    """A stand-in for implicit's: one pass of ridge regressions on the factors of a truncated SVD."""

    def __init__(self, factors, regularization, random_state):
        self.factors, self.regularization = factors, regularization

    def fit(self, user_items, show_progress=True):
        assert isinstance(user_items, sp.csr_matrix)
        self.item_factors = np.linalg.svd(user_items.toarray(), full_matrices=False)[2][: self.factors].T

    def recalculate_user(self, userid, user_items):
        assert len(userid) == user_items.shape[0]
        penalty = self.regularization * np.eye(self.factors)
        return np.linalg.solve(self.item_factors.T @ self.item_factors + penalty, (user_items @ self.item_factors).T).T


def test_the_adapter_of_implicit_is_recommended_by_evaluated_searched_and_blended(X, monkeypatch):
    als = SimpleNamespace(AlternatingLeastSquares=AlternatingLeastSquares)
    monkeypatch.setitem(sys.modules, "implicit", SimpleNamespace(als=als))
    monkeypatch.setitem(sys.modules, "implicit.als", als)
    names = {}
    exec(re.search(r":::\{code-block\} python\n(.*?):::", OTHER_MODELS, re.DOTALL)[1], names)
    model = names["ALSRecommender"](factors=10)
    search = GridSearchCV(model, {"factors": [5, 10]}, scoring=RankingScorer("ndcg@10"), cv=UserKFold(2)).fit(X[:400])
    popularity = PopularityRecommender().fit(X[:400])
    assert evaluate(search, X[400:]).mean["ndcg@100"] > evaluate(popularity, X[400:]).mean["ndcg@100"]
    assert skvae.recommend(search, X[400:], k=3)[0].shape == (100, 3)
    fitted = BlendRecommender([("als", search.best_estimator_), ("popularity", popularity)], prefit=True)
    for blend in (BlendRecommender([("als", model), ("popularity", popularity)]).fit(X[:400]), fitted.fit(X[400:])):
        assert blend.recommend(X[400:], k=3)[0].shape == (100, 3)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_lines_of_code_fit_a_screen(page):
    """But not those of the package, which the pages show as they are."""
    text = re.sub(r"<!-- source.*?```python\n.*?```", "", page.read_text(), flags=re.DOTALL)
    blocks = re.findall(r"^(?:```\w+|(?:```|:::)\{code-block\}.*?)\n(.*?)^(?:```|:::)$", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).splitlines() + [line[4:] for line in text.splitlines() if line.startswith("    ")]
    assert [line for line in lines if len(line) > 90] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "accuracy"], ids=lambda page: page.stem)
def test_a_table_has_seven_columns_at_most(page):
    assert [row for row in page.read_text().splitlines() if row.startswith("|") and row.count("|") > 8] == []


def test_every_public_name_is_in_the_reference_once(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    reference = importlib.import_module("reference")
    names = [name for names in reference.groups().values() for name in names]
    assert len(names) == len(set(names))
    public = {name for name in skvae.__all__ if not inspect.ismodule(getattr(skvae, name))}
    assert public <= set(names)
    modules = [name for name in skvae.__all__ if inspect.ismodule(getattr(skvae, name))]
    assert all(any(name.startswith(f"{module}.") for name in names) for module in modules)
    assert all(f"   {name}\n" in reference.render() for name in names)


def pinned(name):
    """(package, version) of each line of a file of constraints."""
    return re.findall(r"^([a-z][a-z0-9-]*)==(\S+)", (ROOT / "constraints" / f"{name}.txt").read_text(), re.M)


def test_the_hooks_run_the_versions_that_are_tested():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    tested = dict(pinned("tested"))
    for tool in ("ruff", "codespell"):
        assert re.search(rf"/{tool}(-pre-commit)?\n +rev: v{re.escape(tested[tool])}\n", hooks), tool


def test_the_lowest_versions_are_those_that_are_tested():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = dict(requirement.split(">=") for requirement in needed)
    with_oldest_torch = dict(pinned("oldest-torch"))
    oldest = dict(pinned("oldest")) | {"torch": with_oldest_torch["torch"]}
    assert floors == {name: oldest[name].removesuffix(".0") for name in floors}
    assert with_oldest_torch == dict(pinned("tested")) | {"torch": oldest["torch"]}


def test_the_files_with_checksums_are_the_versions_that_are_tested():
    tested, hashed = dict(pinned("tested")), pinned("hashes")
    assert {"numpy", "scipy", "scikit-learn", "pytest"} <= {name for name, _ in hashed}
    others = [(name, version) for name, version in hashed if tested.get(name, version) != version]
    assert others == [], "run make hashes"


def test_the_citation_names_the_version():
    assert f"\nversion: {skvae.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_no_page_is_empty():
    assert all(page.read_text().strip() for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
