"""Why somebody who came back from an OpenID provider is not signed in. A reason is a sentence of
ours: neither a token nor what the provider wrote is in it."""

from __future__ import annotations

from waybill.errors import RequestError


class SignInFailed(RequestError):
    """Nobody was signed in; the page says why, and offers to begin again."""

    code = "sign_in_failed"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Nobody was signed in: {reason}.")


class ProviderUnavailable(SignInFailed):
    """The provider cannot be asked at the moment, or what it publishes does not hold."""

    code = "provider_unavailable"

    def __init__(self, reason: str, *, is_away: bool = True) -> None:
        self.is_away = is_away
        super().__init__(reason)


class ProviderRefused(SignInFailed):
    """The provider does not accept this service's own request, or no longer that of the person."""

    code = "provider_refused"


class SignInDenied(SignInFailed):
    """The provider did not let the person in, or the person did not want to."""

    code = "sign_in_denied"


class SignInNotBegun(SignInFailed):
    """Begun in another browser, too long ago, used already, or never."""

    code = "sign_in_not_begun"


class IdentityRefused(SignInFailed):
    """What the provider says of the person does not hold here."""

    code = "identity_refused"


class ClocksDiffer(IdentityRefused):
    """The provider's times and ours do not go together."""

    code = "clocks_differ"
