"""Who is let in, and how many at once: settings of the gateway."""

from contracts.process.settings import ProcessSettings


class AdmissionSettings(ProcessSettings):
    """A part of GatewaySettings."""
