"""``gateway users``: who users are, what they may do, and what is kept of them."""

import rich_click as click

from gateway.cli.users.acting import grant, revoke, sign_out, tag
from gateway.cli.users.looking import count, find, merges, sessions, show
from gateway.cli.users.personal import erase, export
from gateway.cli.users.syncing import sync


@click.group()
def users() -> None:
    """Look who users are, say what they may do, hand out and erase what is kept of them.

    \b
    gateway users sync --account main                 learn all followers, and their union ids
    gateway users find --account main < open-id.txt   whose open id this is
    gateway users show ID                             a person: identities, tags, roles
    gateway users grant ID staff                      from their next request on
    gateway users sessions ID                         where they are signed in
    gateway users sign-out ID                         end all of these
    gateway users export ID --output person.json      all that is kept of a person
    gateway users erase ID                            forget a person, in all stores

    IDs are people's own ids, not open ids; they need identity.secret and the settings' stores, and
    no server. Exits with 0 when it is done, with 1 when there is nobody, the store is down or
    WeChat does not answer, with 2 when the settings or the command are wrong.
    """


for command in (
    *(sync, show, find, merges, count, grant, revoke, tag),
    *(sessions, sign_out, export, erase),
):
    users.add_command(command)
