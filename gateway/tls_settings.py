"""TLS, client certificates, and proxies in front: settings of the gateway."""

from contracts.process.settings import ProcessSettings


class TlsSettings(ProcessSettings):
    """A part of GatewaySettings."""
