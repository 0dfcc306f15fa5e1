"""Code in the docs runs, and what they show as source is the source."""

import importlib
import inspect
import re

import numpy as np
import pytest
from conftest import ROOT, SMALL_VAE
from sklearn.base import clone

import skvae
from skvae import MultDAERecommender, MultVAERecommender

PAGES = sorted((ROOT / "docs").glob("*.md"))
WITH_TESTS_OF_THEIR_OWN = {"extending", "persistence"}
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
        if output:
            assert printed == output


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


def test_the_hooks_run_the_versions_that_are_tested():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    for tool, pinned in re.findall(r"^(ruff|codespell)==(\S+)$", (ROOT / "constraints/tested.txt").read_text(), re.M):
        assert re.search(rf"/{tool}(-pre-commit)?\n +rev: v{re.escape(pinned)}\n", hooks), tool


def test_the_citation_names_the_version():
    assert f"\nversion: {skvae.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]:
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
