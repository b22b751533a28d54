"""``gateway push``: send messages to users, and look what became of them."""

import rich_click as click

from gateway.cli.push.acting import cancel, resume, retry
from gateway.cli.push.batch import batch
from gateway.cli.push.dead_letters import dead_letters
from gateway.cli.push.looking import list_messages, outcomes, show, status
from gateway.cli.push.messages import push_template, push_text


@click.group()
def push() -> None:
    """Send messages to users, and look what became of them.

    \b
    gateway push template order-shipped --to oUser… --data '{"number": "A17"}'
    gateway push text oUser… "你好"                    by customer service
    gateway push batch orders.csv --template order-shipped
    gateway push show ID                              one message's state, attempts, receipt
    gateway push status                               what waits, what is paused
    gateway push outcomes --days 7                    what became of them, in numbers
    gateway push dead-letters list                    what a person has to look at

    Messages are queued in the settings' store; `gateway serve` and `gateway worker` send them.
    Exits with 0 when it is done, with 1 when the store is down or a part failed, with 2 when a
    message is refused, or the settings or the command are wrong.
    """


for command in (
    *(push_template, push_text, batch, show, list_messages, status, outcomes),
    *(cancel, retry, resume, dead_letters),
):
    push.add_command(command)
