"""All that is kept of people, over all stores of the settings: to be handed out, or forgotten."""

import time

from gateway.app.api import Apis
from gateway.app.identity import Identities
from gateway.app.stores import make_archive, make_dead_letters, make_job_records
from gateway.identity.erasing import Elsewhere, Eraser
from gateway.identity.exporting import Exporter, Sources
from gateway.identity.learning import Learner
from gateway.identity.people import Platform
from gateway.identity.places import Places
from gateway.settings import Settings


class PersonalData:
    """The stores that have open ids in them, and what is done with them."""

    def __init__(self, settings: Settings, identities: Identities) -> None:
        """``identities`` stays the caller's to stop."""
        places = places_of(settings)
        self._records = make_job_records(settings)
        # Though the settings may say by now that nothing is archived.
        self._archive = make_archive(settings)
        self._dead_letters = make_dead_letters(settings)
        elsewhere = Elsewhere(self._records, self._archive, self._dead_letters)
        self.eraser = Eraser(
            identities.store, identities.sessions, elsewhere, places, identities.forgotten
        )
        sources = Sources(
            identities.store,
            identities.sessions,
            self._records,
            self._archive,
            identities.vault,
        )
        self.exporter = Exporter(sources, places)

    async def close(self) -> None:
        """Let go of the stores."""
        await self._records.close()
        await self._archive.close()
        await self._dead_letters.close()


def make_learner(
    settings: Settings, apis: Apis, identities: Identities, personal: PersonalData
) -> Learner:
    """Return what learns of people from callbacks, and forgets those who are gone."""
    asked = [
        name
        for name, app in identities.apps.items()
        if app.platform is Platform.OFFICIAL_ACCOUNT
        and settings.accounts[name].app_secret is not None
        and settings.identity.learn_union_ids
    ]
    return Learner(
        identities.directory,
        identities.apps,
        {name: apis.of(name).api for name in asked},
        personal.eraser.erase_user,
        identities.tokens.drop,
        time.time,
    )


def places_of(settings: Settings) -> Places:
    """Return under which accounts of the settings there may be something of users."""
    names: dict[str, list[str]] = {}
    for name, account in settings.accounts.items():
        names.setdefault(account.app_id, []).append(name)
    return Places(names)
