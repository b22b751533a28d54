"""The documents that hold figures: rendered whole from a template, or in their marked regions.

A region stands between two comments, which the rendered document does not show:

    <!-- figures: NAME -->
    what figures/NAME.LANGUAGE.md gives
    <!-- end figures -->
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound

from bench.gates import figures as gates
from bench.gates import ratios
from bench.load.cores import DISTURBED, SATURATED
from bench.load.servers import FLASK_THREADS
from bench.micro import samples
from bench.micro.report import GOALS as MICRO_GOALS
from bench.render.refusal import CannotRender
from bench.render.results import read_results

TEMPLATE: Final = "README.template.md"
PAGE: Final = Path("bench/README.md")

LANGUAGES: Final = {Path("README.md"): "en", Path("docs/zh/README.md"): "zh"}
"""The documents with regions, and the language of each."""

_FIGURES: Final = Path(__file__).parent / "figures"
_BEGIN: Final = re.compile(r"^<!-- figures: (?P<name>[\w-]+) -->\n", re.MULTILINE)
_END: Final = "<!-- end figures -->"

_CONSTANTS: Final[Mapping[str, Any]] = {
    "goals": {str(side): goal for side, goal in MICRO_GOALS.items()},
    "gates": {
        "ratio": gates.RATIOS.limit,
        "instructions": gates.INSTRUCTIONS.limit,
        "runs": ratios.RUNS,
        "again": ratios.AGAIN,
        "shortest_us": 1e6 * ratios.SHORTEST,
    },
    "samples": {
        "encrypt": len(samples.ENCRYPT),
        "text": len(samples.TEXT_MESSAGE),
        "body": len(samples.BODY),
    },
    "disturbed": DISTURBED,
    "saturated": SATURATED,
    "flask_threads": FLASK_THREADS,
}
"""What the code says, and no result."""


class Page(NamedTuple):
    """A document as it is, and as the results give it."""

    path: Path
    """Below the root."""
    is_: str
    """Empty where there is none."""
    due: str


def pages(root: Path) -> list[Page]:
    """Return every document that holds figures; raise CannotRender."""
    context = {**_CONSTANTS, **read_results(root / "bench")}
    made = [Page(PAGE, _text(root / PAGE), _render(root / "bench", TEMPLATE, context))]
    for path, language in LANGUAGES.items():
        text = _text(root / path)
        made.append(Page(path, text, _fill(path, text, language, context)))
    return made


def _fill(path: Path, text: str, language: str, context: Mapping[str, Any]) -> str:
    """Return the text of a document with its regions filled."""
    return "".join(_parts(path, text, language, context))


def _parts(path: Path, text: str, language: str, context: Mapping[str, Any]) -> Iterator[str]:
    at = 0
    for begin in _BEGIN.finditer(text):
        end = text.find(_END, begin.end())
        following = _BEGIN.search(text, begin.end())
        if end < 0 or (following is not None and following.start() < end):
            raise CannotRender(f"{path}: figures {begin['name']} have no {_END}")
        yield text[at : begin.end()]
        yield _render(_FIGURES, f"{begin['name']}.{language}.md", context).strip() + "\n"
        at = end
    yield text[at:]


def _render(folder: Path, name: str, context: Mapping[str, Any]) -> str:
    environment = Environment(  # noqa: S701 - it is Markdown that is made, of figures of our own
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"thousands": _thousands, "places": _places, "percent": _percent}
    try:
        return environment.get_template(name).render(context)
    except TemplateNotFound:
        raise CannotRender(f"there is no template {folder / name}") from None
    except TemplateError as error:
        raise CannotRender(f"{folder / name}: {error}") from None


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def _thousands(value: float) -> str:
    return f"{value:,.0f}"


def _places(value: float, places: int) -> str:
    return f"{value:,.{places}f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"
