"""Sphinx: ``make docs`` builds the site into docs/_build/html, warnings are errors."""

import inspect
import os
import re
import socket
import sys
from pathlib import Path

import matplotlib
from docutils import nodes
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent))
import charts
import reference

import skvae

matplotlib.use("Agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "skvae"
author = "the skvae developers"
copyright = "the skvae developers"
version = release = skvae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
default_role = "autolink"
nitpicky = True
smartquotes = False
toc_object_entries_show_parents = "hide"

# autosummary looks for names in files: the page is written before it does
page = Path(__file__).parent / "api.rst"
if not page.exists() or page.read_text() != reference.render():
    page.write_text(reference.render())
charts.draw_all(Path(__file__).parent / "generated" / "charts")
autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_html_meta = {"description": "Recommender systems with variational autoencoders, in the manner of scikit-learn."}

_INVENTORIES = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "scipy": ("https://docs.scipy.org/doc/scipy", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
}


def _is_online():
    try:
        return bool(socket.getaddrinfo("scikit-learn.org", 443))
    except OSError:
        logging.getLogger(__name__).info("No network: names of other projects are not linked.")
        return False


intersphinx_mapping = _INVENTORIES if _is_online() else {}
nitpick_ignore_regex = [("py:.*", r"(sklearn|numpy|scipy|torch|pandas|matplotlib|joblib|np|sp|nn)\..*")]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skvae",),
    "reference_url": {"skvae": None},
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "min_reported_time": 60,
    "show_signature": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skvae"
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["skvae.css"]
html_show_sourcelink = False
# Read the Docs knows where the source is
source = os.environ.get("READTHEDOCS_GIT_CLONE_URL", "").removesuffix(".git")
links = {"Source": (source, "code"), "Issues": (f"{source}/issues", "bug")} if source.startswith("https:") else {}
html_theme_options = {
    "logo": {"text": "skvae"},
    "icon_links": [{"name": name, "url": url, "icon": f"fa-solid fa-{icon}"} for name, (url, icon) in links.items()],
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 5,
    "pygments_light_style": "tango",
}
# nothing to navigate in: room for lines of code
ALONE = ("index", "install", "quickstart", "recipes", "faq", "coming_from", "glossary", "changelog")
html_sidebars = {name: [] for name in ALONE}


def _skip_foreign_members(app, what, name, member, skip, options):
    """Pages show what skvae defines; what scikit-learn's base classes add is in scikit-learn's documentation."""
    member = getattr(member, "fget", member)
    module = getattr(inspect.unwrap(member) if callable(member) else member, "__module__", None)
    return True if module and not module.startswith("skvae") else None


def _resolve_defining_module(app, env, node, content):
    """``skvae.hiding.fold_in_split`` is documented as ``skvae.fold_in_split``."""
    name = reference.aliases().get(node.get("reftarget"))
    if name and node.get("refdomain") == "py":
        return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
    return None


def _no_mail_to_metrics(app, doctree):
    """docutils takes NDCG@100 for the address of someone."""
    for node in list(doctree.findall(nodes.reference)):
        if node.get("refuri", "").startswith("mailto:"):
            node.replace_self(node.children)


def _numbers_in_one_piece(app, doctree):
    """No line of a table's cell ends beside a plus-minus or within a number such as 20 108."""
    for entry in doctree.findall(nodes.entry):
        for text in list(entry.findall(nodes.Text)):
            joined = text.replace(" +- ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")
            text.parent.replace(text, nodes.Text(re.sub(r"(?<=\d) (?=\d{3}\b)", "\N{NO-BREAK SPACE}", joined)))


def setup(app):
    app.connect("doctree-read", _numbers_in_one_piece)
    app.connect("doctree-read", _no_mail_to_metrics)
    app.connect("missing-reference", _resolve_defining_module)
    app.connect("autodoc-skip-member", _skip_foreign_members)
