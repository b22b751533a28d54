"""The cookies that browsers get: one with the session, and one for each sign-in on its way."""

from typing import Literal, NamedTuple

from litestar.datastructures import Cookie

from gateway.identity.states import BEGUN_SECONDS

_SIGN_IN = "gateway_sign_in_"


class Cookies(NamedTuple):
    """How cookies are to be."""

    session: str
    """The name of the session's."""
    domain: str | None
    """The domain whose hosts all get the session; None for the gateway's own host alone."""
    secure: bool
    same_site: Literal["lax", "strict", "none"]

    def signed_in(self, token: str, seconds: float) -> Cookie:
        """Return the cookie that holds a session's token, for as long as the session is good."""
        return Cookie(
            self.session,
            value=token,
            path="/",
            max_age=max(1, int(seconds)),
            domain=self.domain,
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )

    def signed_out(self) -> Cookie:
        """Return the cookie that takes the session's away."""
        return Cookie(
            self.session,
            value="",
            path="/",
            max_age=0,
            domain=self.domain,
            secure=self.secure,
            httponly=True,
            samesite=self.same_site,
        )

    def sign_in(self, state: str, value: str, path: str, seconds: float = BEGUN_SECONDS) -> Cookie:
        """Return the cookie of a sign-in, for the page that it comes back to."""
        return Cookie(
            sign_in_name(state),
            value=value,
            path=path,
            max_age=int(seconds),
            secure=self.secure,
            httponly=True,
            # Its user comes from WeChat's page: strict would keep it back.
            samesite="lax",
        )


def sign_in_name(state: str) -> str:
    """Return the name of the cookie that belongs to a state: there may be several at a time."""
    return _SIGN_IN + state[:8]
