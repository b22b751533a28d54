"""Message templates from a folder: a TOML file each."""

from pathlib import Path

import msgspec

from gateway.errors import TemplateWrong
from gateway.outbound.templates import MessageTemplate, TemplateFile


def read_templates(folder: Path) -> dict[str, MessageTemplate]:
    """Return the templates of a folder by their names; none where there is no folder.

    Raises TemplateWrong with a line for each thing that is wrong in any of them.
    """
    found: dict[str, MessageTemplate] = {}
    wrong: list[str] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found[file.stem] = MessageTemplate(file.stem, _read(file))
        except TemplateWrong as error:
            wrong += error.args
    if wrong:
        raise TemplateWrong(*wrong)
    return found


def _read(file: Path) -> TemplateFile:
    name = f"template {file.stem}"
    try:
        return msgspec.toml.decode(file.read_bytes(), type=TemplateFile)
    except msgspec.ValidationError as error:
        raise TemplateWrong(f"{name}: {error}") from None
    except msgspec.DecodeError as error:
        raise TemplateWrong(f"{name}: not TOML: {error}") from None
    except UnicodeDecodeError:
        raise TemplateWrong(f"{name}: not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise TemplateWrong(
            f"{name}: cannot be read: {error.strerror or error}; let the gateway's user read it"
        ) from None
