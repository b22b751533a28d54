"""What users sign in to: official accounts, mini programs, mobile apps and websites."""

from typing import NamedTuple

from gateway.identity.people import Platform


class App(NamedTuple):
    """An account of the settings, as those see it who sign in to it."""

    name: str
    app_id: str
    platform: Platform
    tenant: str
    """Whose it is, where one gateway serves several companies."""
    sign_in_hosts: frozenset[str] = frozenset()
    """Where a sign-in on the web may lead back to."""
    authorize_url: str = ""
    """Where WeChat's page is, without its path."""
