"""What one simulated charge point shows to be let in: its security profile, password and client certificate."""

import ssl
from functools import lru_cache

from loadtest.settings import LinkSettings

HIGHEST_PROFILE = 3


class Credentials:
    """Begins with the settings' and changes as the server demands; `stale` once the connection shows something else.

    Profiles as in the security whitepaper: 0 nothing, 1 Basic, 2 Basic within TLS, 3 a client certificate within TLS.
    """

    def __init__(self, identity: str, settings: LinkSettings) -> None:
        self._identity = identity
        self._settings = settings
        self._password = settings.password_of(identity)
        self._certificate = settings.certificate_of(identity)
        self.profile = self._highest() if settings.profile is None else settings.profile
        self.stale = False

    def __repr__(self) -> str:
        return f"Credentials({self._identity!r}, profile={self.profile})"

    @property
    def url(self) -> str:
        """The endpoint for the present profile."""
        secure = self._settings.secure_url
        return secure if self.profile >= 2 and secure is not None else self._settings.url

    @property
    def password(self) -> bytes | None:
        """The password on record, whether or not the profile shows it."""
        return self._password

    @password.setter
    def password(self, value: bytes | None) -> None:
        self.stale = self.stale or (value != self._password and self.profile != HIGHEST_PROFILE)
        self._password = value
        if self.profile == 0 and value is not None:
            self.profile = self._highest()

    @property
    def shown_password(self) -> bytes | None:
        """The password that goes over the wire: none with profiles 0 and 3."""
        return self._password if self.profile in {1, 2} else None

    def install_certificate(self, certificate_file: str, key_file: str) -> None:
        """Show this certificate chain (PEM files) from the next connection on."""
        self._certificate = (certificate_file, key_file)
        self.stale = self.stale or self.profile == HIGHEST_PROFILE

    def raise_profile(self, profile: int) -> bool:
        """Take a higher profile for the next connection; False for a lower one, or one that nothing is there for."""
        if not self.profile <= profile <= self._reachable():
            return False
        self.stale = self.stale or profile != self.profile
        self.profile = profile
        return True

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context for the present profile; None for a connection in the clear.

        Raises:
            OSError, ssl.SSLError: a file cannot be read.

        """
        if not self.url.startswith("wss:"):
            return None
        return _context(self._settings.ca_file, self._certificate if self.profile == HIGHEST_PROFILE else None)

    def _reachable(self) -> int:
        if not self._settings.url.startswith("wss:") and self._settings.secure_url is None:
            return 1 if self._password is not None else 0
        if self._certificate is not None:
            return HIGHEST_PROFILE
        return 2 if self._password is not None else 0

    def _highest(self) -> int:
        """The profile that the first connection shows: what the address and the credentials make possible."""
        if not self._settings.url.startswith("wss:"):
            return 1 if self._password is not None else 0
        return self._reachable()


@lru_cache(maxsize=4096)
def _context(ca_file: str | None, certificate: tuple[str, str] | None) -> ssl.SSLContext:
    """One for all charge points that trust and show the same: each costs tens of kilobytes and reads files."""
    context = ssl.create_default_context(cafile=ca_file)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
