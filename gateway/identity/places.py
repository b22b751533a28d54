"""Where there may be something of a user: messages and callbacks go by the names of accounts."""

from collections.abc import Iterable, Mapping, Sequence

from gateway.identity.people import AppUser


class Places:
    """Finds accounts by app ids."""

    def __init__(self, accounts: Mapping[str, Sequence[str]]) -> None:
        """``accounts`` has the names of those that have an app id, by it; it may be several."""
        self._accounts = accounts

    def accounts(self, app_id: str) -> Sequence[str]:
        """Return the accounts that have an app id; none where the settings do not know it."""
        return self._accounts.get(app_id, ())

    def of(self, users: Iterable[AppUser]) -> list[tuple[str, str]]:
        """Return each account and open id by which something of these users is found."""
        return [(account, user.open_id) for user in users for account in self.accounts(user.app_id)]

    def unknown(self, users: Iterable[AppUser]) -> list[str]:
        """Return the app ids by which nothing is found."""
        app_ids = dict.fromkeys(user.app_id for user in users)
        return [app_id for app_id in app_ids if not self.accounts(app_id)]
