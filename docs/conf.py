"""The docs site: `python3 dev.py docs` builds it into docs/_build/html."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

project = "tap-visitor-sessions"
author = "the developers of tap-visitor-sessions"
version = release = version_of(project)
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tap-visitor-sessions"
html_logo = html_favicon = "images/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_theme_options = {"sidebar_hide_name": False}
DESCRIPTION = (
    "Loads every visitor session of a CallGear, CoMagic or UIS account into a warehouse: complete, "
    "in order, each once. Singer tap, Airbyte source and dlt source."
)
myst_html_meta = {"description lang=en": DESCRIPTION}
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["misc.highlighting_failure"]  # SQL and crontabs that Pygments does not know


class WholeNumbers(SphinxPostTransform):
    """The space that sets thousands apart breaks no line."""

    default_priority = 500

    def run(self, **kwargs: Any) -> None:
        for text in list(self.document.findall(nodes.Text)):
            whole = re.sub(r"(?<=\d) (?=\d{3}\b)", "\N{NARROW NO-BREAK SPACE}", text)
            if whole != text and not isinstance(text.parent, (nodes.literal, nodes.literal_block)):
                text.parent.replace(text, nodes.Text(whole))


def setup(app: Sphinx) -> None:
    """Sphinx's hook."""
    app.add_post_transform(WholeNumbers)
