"""The README as PyPI shows it: links into docs/ lead to the site."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

SITE = "https://skvae.readthedocs.io/en/stable/"


def with_absolute_links(readme):
    pages = re.sub(r"\]\(docs/(\w+)\.md", rf"]({SITE}\1.html", readme)
    return pages.replace("](docs/_static/", f"]({SITE}_static/")


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata):
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": with_absolute_links(readme)}
