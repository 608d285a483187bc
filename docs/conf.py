"""The docs site: `python3 dev.py docs` builds it into docs/_build/html."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "tap-visitor-sessions"
author = "the developers of tap-visitor-sessions"
version = release = version_of(project)
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tap-visitor-sessions"
html_show_copyright = False
myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# README says these for its own place; the site includes them from there.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]  # SQL that Pygments does not know
