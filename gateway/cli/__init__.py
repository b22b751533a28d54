"""The ``gateway`` command. Exit codes: 0 done, 1 failed, 2 wrong usage or settings."""

import sys

import rich_click as click

from gateway.cli.api_key import api_key
from gateway.cli.check import check, doctor, version
from gateway.cli.demo import demo
from gateway.cli.explain import settings
from gateway.cli.inbox import inbox
from gateway.cli.migrate import migrate
from gateway.cli.push import push
from gateway.cli.serve import serve
from gateway.cli.simulate import simulate
from gateway.cli.tail import tail
from gateway.cli.templates import templates
from gateway.cli.token import token
from gateway.cli.trace import trace
from gateway.cli.users import users
from gateway.cli.worker import worker
from gateway.errors import GatewayError

click.rich_click.TEXT_MARKUP = "rich"
click.rich_click.SHOW_ARGUMENTS = True


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def gateway() -> None:
    """The backend of a WeChat Official Account (公众号).

    \b
    gateway demo                        look around: a gateway, and a simulated WeChat calling it
    gateway serve shop.bot:bot          run your bot with the settings in ./gateway.toml
    gateway worker shop.bot:bot         handle its background messages, apart
    gateway inbox status                what waits to be handled, and what failed
    gateway tail                        what happens, as it happens
    gateway trace ID                    one message's life: received, answered, pushed, receipt
    gateway push template NAME --to …   send a message to a user; `push batch`: to any number
    gateway push outcomes               what became of those that were sent
    gateway users find --account NAME   who somebody is; `users erase ID`: forget them
    gateway migrate                     make or renew the tables in Postgres
    gateway simulate text "你好"         send it what WeChat would send
    gateway simulate platform           be WeChat's API, on this machine
    gateway templates check             whether what is pushed to users is sound
    gateway api-key new NAME --scope …  a key for a service that pushes messages over HTTP
    gateway token status                the access tokens that WeChat's API is called with
    gateway doctor                      find out what is wrong, and how to mend it
    """


for command in (
    *(serve, worker, tail, trace, inbox, push, users, migrate, token, templates, simulate),
    *(api_key, check, doctor, settings, demo, version),
):
    gateway.add_command(command)


def main() -> None:
    """Run the command; say what is wrong with settings or bots in plain words, and exit with 2."""
    try:
        gateway()
    except GatewayError as wrong:
        for line in str(wrong).splitlines():
            click.secho(f"gateway: {line}", fg="red", err=True)
        sys.exit(2)
