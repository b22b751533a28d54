"""`python -m bench.render`: the command line of the documents that hold figures."""

import argparse
import sys
from difflib import unified_diff
from pathlib import Path
from typing import Final

from bench.render.pages import Page, pages
from bench.render.refusal import CannotRender

ROOT: Final = Path(__file__).resolve().parents[2]

_DIFFERENCES: Final = 30
"""Lines of a difference that are shown."""

_EXAMPLES: Final = """\
examples:
  python -m bench.render            write bench/README.md and the regions of the other documents
  python -m bench.render --check    fail where one of them is not what the results give

bench/README.md comes from bench/README.template.md. In README.md and docs/zh/README.md, what stands
between <!-- figures: NAME --> and <!-- end figures --> comes from bench/render/figures. Figures are
those of bench/results and bench/baseline.json.

exit status: 0; 1 with --check, where a document is not what it should be; 2 where a result or a
template is missing or wrong.
"""


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Write or check the documents and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.render",
        description="Write the documents that hold figures from the result files.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one is old")
    options = parser.parse_args(arguments)
    try:
        old = [page for page in pages(root) if page.is_ != page.due]
    except CannotRender as error:
        print(f"bench.render: {error}", file=sys.stderr)
        return 2
    for page in old:
        if options.check:
            _tell(page)
        else:
            (root / page.path).write_text(page.due, encoding="utf-8")
            print(f"{page.path}: written")
    if not old:
        print("bench.render: every document is what the results give")
    return int(options.check and bool(old))


def _tell(page: Page) -> None:
    lines = list(
        unified_diff(page.is_.splitlines(), page.due.splitlines(), "is", "due", n=1, lineterm="")
    )
    print("\n".join(lines[:_DIFFERENCES]))
    if len(lines) > _DIFFERENCES:
        print(f"... {len(lines) - _DIFFERENCES} lines more")
    print(f"{page.path} is not what the results give; write it: python -m bench.render")


if __name__ == "__main__":
    sys.exit(main())
