"""For route handlers of one's own: who calls, and guards that ask for it.

``@get("/orders", guards=[requires_permission("orders:read")])``, given to ``bot.web(…)``; in it
``request.user`` is the Session.
"""

from gateway.http.identity.authentication import requires_permission, requires_role, signed_in
from gateway.identity.session import Session

__all__ = ["Session", "requires_permission", "requires_role", "signed_in"]
