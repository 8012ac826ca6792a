"""How strictly frames are judged: settings of the gateway."""

from contracts.process.settings import ProcessSettings


class ValidationSettings(ProcessSettings):
    """A part of GatewaySettings."""
