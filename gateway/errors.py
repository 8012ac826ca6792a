"""The exception tree of the gateway."""


class GatewayError(Exception):
    """Root of everything the gateway raises on its own account."""


class ListenError(GatewayError):
    """The listening address cannot be taken; the text names it and why."""


class CertificateFileError(GatewayError, ValueError):
    """A certificate, key or revocation list cannot be used; the text says which and why. Settings report it."""
