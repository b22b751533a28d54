"""The accounts of the settings, with what their callbacks are opened with."""

from gateway.kernels import EnvelopeCipher
from gateway.protocol.account import Account, decode_aes_key
from gateway.settings import Settings
from gateway.settings.sections import AccountSettings


def make_accounts(settings: Settings) -> dict[str, Account]:
    """Return the accounts of the settings that have callbacks, by name."""
    return {
        name: make_account(name, given)
        for name, given in settings.accounts.items()
        if given.token is not None
    }


def make_account(name: str, given: AccountSettings) -> Account:
    """Return the account that its settings describe."""
    tokens = (given.token, given.previous_token)
    keys = (given.encoding_aes_key, given.previous_encoding_aes_key)
    return Account(
        name=name,
        app_id=given.app_id,
        mode=given.mode,
        tokens=tuple(t.get_secret_value().encode() for t in tokens if t is not None),
        ciphers=tuple(
            EnvelopeCipher(decode_aes_key(key.get_secret_value()))
            for key in keys
            if key is not None
        ),
        original_id=given.original_id,
        timestamp_window=given.timestamp_window,
        refuse_replays=given.refuse_replays,
    )
