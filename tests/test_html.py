"""What a notebook shows of an estimator: links to our own documentation, parameters and attributes explained."""

import html
import re

import pytest
import sklearn
from conftest import RECOMMENDERS
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer
from sklearn.utils.fixes import parse_version

import skvae

API = "https://skvae.readthedocs.io/en/stable/generated/"
every_recommender = pytest.mark.parametrize("estimator", RECOMMENDERS.values(), ids=RECOMMENDERS)
needs_parameter_docs = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"), reason="scikit-learn 1.8 explains parameters"
)
needs_attribute_docs = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="scikit-learn 1.9 shows fitted attributes"
)


def explained(page):
    """Name -> address and text of every entry with a tooltip."""
    links = re.findall(r'<a class="param-doc-link"[^>]*href="([^"]*)">(.*?)</a>', page, re.DOTALL)
    entries = {}
    for address, content in links:
        name, _, text = re.sub(r"<[^>]*>", " ", content).strip().partition("\n")
        entries.setdefault(name.strip(), (address, html.unescape(text).strip()))  # its own before its members
    return entries


@pytest.mark.parametrize("estimator", [*RECOMMENDERS.values(), skvae.InteractionEncoder()])
def test_the_link_of_an_estimator_is_its_page_in_our_documentation(estimator):
    page = estimator._repr_html_()
    assert f'href="{API}skvae.{type(estimator).__name__}.html"' in page
    assert 'href="https://scikit-learn.org' not in page


def test_in_a_pipeline_each_step_links_to_its_own_project():
    page = make_pipeline(Binarizer(threshold=3.5), RECOMMENDERS["vae"])._repr_html_()
    assert f"{API}skvae.MultVAERecommender.html" in page
    assert re.search(r"https://scikit-learn.org/[\w.]+/modules/generated/sklearn.preprocessing.Binarizer.html", page)
    assert "sklearn.MultVAERecommender" not in page


def test_a_class_of_somebody_else_links_nowhere():
    class Own(skvae.PopularityRecommender):
        pass

    assert Own()._get_doc_link() == ""


@needs_parameter_docs
@every_recommender
def test_every_parameter_is_explained_and_links_to_its_place(estimator):
    entries = explained(estimator._repr_html_())
    for parameter in estimator.get_params(deep=False):
        address, text = entries[parameter]
        assert address.startswith(f"{API}skvae.{type(estimator).__name__}.html#:~:text={parameter},-")
        assert text.startswith(f"{parameter}: ")


@needs_attribute_docs
@every_recommender
def test_every_fitted_attribute_is_explained(estimator, X):
    model = clone(estimator).fit(X)
    entries = explained(model._repr_html_())
    for attribute in vars(model):
        if attribute.endswith("_") and not attribute.startswith("_"):
            assert entries[attribute][1].startswith(f"{attribute}: ")
