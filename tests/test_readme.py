"""The README's examples print what the README says they print."""

import re
import tomllib

import pytest
from conftest import PRINTS_AS_DOCUMENTED, ROOT

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```\s*```text\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("code", "output"), EXAMPLES, ids=["tables", "matrices"])
def test_an_example_prints_what_stands_below_it(code, output, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == output or not PRINTS_AS_DOCUMENTED


def test_on_pypi_every_link_is_absolute_and_leads_to_a_page_of_the_site():
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    readme = README
    for substitution in hooks["fancy-pypi-readme"]["substitutions"]:
        readme = re.sub(substitution["pattern"], substitution["replacement"], readme)
    links = re.findall(r"\]\((.*?)\)", readme)
    assert all(link.startswith("https://") for link in links)
    site = "https://skvae.readthedocs.io/en/stable/"
    pages = [re.sub(r"(\.html)?(#.*)?$", "", link.removeprefix(site)) for link in links if site in link]
    assert len(pages) > 5
    assert all((ROOT / "docs" / page).exists() or (ROOT / "docs" / f"{page}.md").exists() for page in pages)


def test_the_page_on_installing_lists_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/install.md").read_text(), re.MULTILINE)
    assert {*listed, "bench"} == set(extras)
