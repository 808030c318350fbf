"""Sphinx settings: furo, MyST pages, and the reference from the package's docstrings."""

import re

import audio_diffusion_pytorch as package

project = "audio_diffusion_pytorch"
author = "audio_diffusion_pytorch contributors"
copyright = "2026, audio_diffusion_pytorch contributors"
release = package.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"audio_diffusion_pytorch {release}"
default_role = "code"  # docstrings write `x` for code

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # fields of a NamedTuple are not listed twice
napoleon_custom_sections = ["Shapes", "Shape", "Units", "Source"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def part_plurals(app, what, name, obj, options, lines):  # noqa: ARG001
    """Let docstrings write `Block`s: reST wants a mark where code ends inside a word."""
    code = re.compile(r"(`[^`]+`)(\w?)")
    lines[:] = [code.sub(lambda m: m[1] + (f"\\ {m[2]}" if m[2] else ""), line) for line in lines]


def setup(app):
    """Register the hook above."""
    app.connect("autodoc-process-docstring", part_plurals)
