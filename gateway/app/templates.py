"""The message templates of the settings' folder."""

from gateway.adapters.template_files import read_templates
from gateway.errors import TemplateWrong
from gateway.outbound.templates import MessageTemplate
from gateway.settings import Settings


def load_templates(settings: Settings) -> dict[str, MessageTemplate]:
    """Return the templates by their names; raise TemplateWrong where one is wrong."""
    return read_templates(settings.push.templates)


def load_template(settings: Settings, name: str) -> MessageTemplate:
    """Return one template; raise TemplateWrong where there is none of this name."""
    found = load_templates(settings)
    if name not in found:
        known = ", ".join(found) or f"none in {settings.push.templates}"
        raise TemplateWrong(f"template {name}: there is none; there are: {known}")
    return found[name]
