"""What documents say is what the program does."""

import re
from pathlib import Path

import pytest

from gateway.cli.explain import describe
from gateway.settings.sections import AccountSettings
from gateway.telemetry import listing

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
README_ZH = (ROOT / "docs" / "zh" / "README.md").read_text(encoding="utf-8")


def test_the_list_of_settings_is_what_the_command_prints() -> None:
    """Renew it with: gateway settings > docs/settings.md."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == describe()


def test_the_list_of_metrics_is_what_there_is() -> None:
    """Renew it with: python -m gateway.telemetry.listing > docs/metrics.md."""
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == listing.describe()


def test_operations_are_told_the_same_in_both_languages() -> None:
    texts = [
        (ROOT / "docs" / folder / "operations.md").read_text(encoding="utf-8")
        for folder in (".", "zh")
    ]
    commands = [re.findall(r"^(?:\$ [^#\n]+\S|listen.*)", text, re.MULTILINE) for text in texts]
    assert commands[0] == commands[1] != []
    headings = [len(re.findall(r"^## ", text, re.MULTILINE)) for text in texts]
    assert headings[0] == headings[1]
    for text, folder in zip(texts, (".", "zh"), strict=True):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / folder / target).exists(), target


@pytest.mark.parametrize("text", [README, README_ZH], ids=["en", "zh"])
def test_the_readme_s_settings_are_settings(text: str) -> None:
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    names = re.findall(r"^(\w+) =", block[1], re.MULTILINE)
    assert names == ["app_id", "token", "encoding_aes_key", "mode"]
    assert set(names) <= set(AccountSettings.model_fields)


def test_both_readmes_show_the_same_code_and_the_same_sections() -> None:
    blocks = [re.findall(r"```(\w+)", text) for text in (README, README_ZH)]
    assert blocks[0] == blocks[1]
    headings = [len(re.findall(r"^## ", text, re.MULTILINE)) for text in (README, README_ZH)]
    assert headings[0] == headings[1]


@pytest.mark.parametrize("text", [README, README_ZH], ids=["en", "zh"])
def test_every_file_a_readme_points_to_is_there(text: str) -> None:
    folder = ROOT if text is README else ROOT / "docs" / "zh"
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (folder / target).exists(), target


@pytest.mark.parametrize("text", [README, README_ZH], ids=["en", "zh"])
def test_a_readme_states_no_figure_of_speed_but_those_filled_in_from_results(text: str) -> None:
    """bench.render fills them in, and a test of its own compares."""
    regions = r"<!-- figures: .*?<!-- end figures -->"
    assert re.search(regions, text, re.DOTALL)
    text = re.sub(regions, "", text, flags=re.DOTALL)
    assert not re.search(r"\d[\d,.]*\s*(requests/s|req/s|µs|ms\b|times|倍|次/秒)", text)


def test_the_readme_s_bot_is_a_bot() -> None:
    code = re.search(r"```python\n(from gateway.*?)```", README, re.DOTALL)
    assert code is not None
    names: dict[str, object] = {}
    exec(code[1], names)  # noqa: S102 - our own document
    assert "echo" in names
