"""What a notebook shows of an estimator: links to our own documentation, parameters and attributes explained."""

import html
import re

import pytest
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer
from sklearn.utils.fixes import parse_version

import skvae

API = "https://skvae.readthedocs.io/en/stable/generated/"
MEMBERS = [("popularity", skvae.PopularityRecommender()), ("ease", skvae.EASERecommender())]
SETTINGS = {
    "MultVAERecommender": {"n_components": 4, "hidden_layer_sizes": (), "max_iter": 1},
    "MultDAERecommender": {"n_components": 4, "max_iter": 1},
    "BlendRecommender": {"estimators": MEMBERS},
    "RecVAERecommender": {"n_components": 4, "hidden_layer_sizes": (8,), "max_iter": 1},
}
PUBLIC = {
    name: member
    for name, member in vars(skvae).items()
    if isinstance(member, type) and issubclass(member, BaseEstimator)
}
RECOMMENDERS = [name for name in sorted(PUBLIC) if issubclass(PUBLIC[name], skvae.recommender.BaseRecommender)]
needs_parameter_docs = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"), reason="scikit-learn 1.8 explains parameters"
)
needs_attribute_docs = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="scikit-learn 1.9 shows fitted attributes"
)


def make(name):
    return PUBLIC[name](**SETTINGS.get(name, {}))


def explained(page):
    """Name -> address and text of every entry with a tooltip."""
    links = re.findall(r'<a class="param-doc-link"[^>]*href="([^"]*)">(.*?)</a>', page, re.DOTALL)
    entries = {}
    for address, content in links:
        name, _, text = re.sub(r"<[^>]*>", " ", content).strip().partition("\n")
        entries[name.strip()] = address, html.unescape(text).strip()
    return entries


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_link_of_an_estimator_is_its_page_in_our_documentation(name):
    page = make(name)._repr_html_()
    assert f'href="{API}skvae.{name}.html"' in page
    assert 'href="https://scikit-learn.org' not in page


def test_in_a_pipeline_each_step_links_to_its_own_project():
    page = make_pipeline(Binarizer(threshold=3.5), make("MultVAERecommender"))._repr_html_()
    assert f"{API}skvae.MultVAERecommender.html" in page
    assert re.search(r"https://scikit-learn.org/[\w.]+/modules/generated/sklearn.preprocessing.Binarizer.html", page)
    assert "sklearn.MultVAERecommender" not in page


def test_a_class_of_somebody_else_links_nowhere():
    class Own(skvae.PopularityRecommender):
        pass

    assert Own()._get_doc_link() == ""


@needs_parameter_docs
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_every_parameter_is_explained_and_links_to_its_place(name):
    estimator = make(name)
    entries = explained(estimator._repr_html_())
    for parameter in estimator.get_params(deep=False):
        address, text = entries[parameter]
        assert address.startswith(f"{API}skvae.{name}.html#:~:text={parameter},-")
        assert text.startswith(f"{parameter}: ")


@needs_attribute_docs
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_every_fitted_attribute_is_explained(name, X):
    model = clone(make(name)).fit(X)
    entries = explained(model._repr_html_())
    for attribute in vars(model):
        if attribute.endswith("_") and not attribute.startswith("_"):
            assert entries[attribute][1].startswith(f"{attribute}: ")
