"""Every example that draws runs, in the form that sphinx-gallery reads, and gives one labelled figure."""

import ast
import re
import runpy

import pytest
from conftest import ROOT

pytest.importorskip("pandas")
matplotlib = pytest.importorskip("matplotlib")

EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))


@pytest.fixture
def plt(monkeypatch):
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    plt.close("all")
    yield plt
    plt.close("all")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_downloaded_to_any_folder_draws_one_figure_with_labelled_axes(path, plt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = tmp_path / path.name
    example.write_text(re.sub(r'(max_iter(?:=|": ))\d+', r"\g<1>3", path.read_text()))  # epochs, enough to draw
    runpy.run_path(str(example), run_name="__main__")
    (number,) = plt.get_fignums()
    figure = plt.figure(number)
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert all(axes.has_data() for axes in panels)
    assert any(axes.get_xlabel() for axes in panels)
    assert any(axes.get_ylabel() or axes.get_yticklabels() for axes in panels)
    assert figure.get_suptitle() or all(axes.get_title() for axes in panels)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_begins_with_a_title_and_what_to_see(path):
    source = path.read_text()
    assert len(source.splitlines()) < 80
    title, underline, empty, *text = ast.get_docstring(ast.parse(source)).splitlines()
    assert underline == "=" * len(title)
    assert not empty
    assert 1 <= len(text) <= 5
