"""Which defences this gateway has settings for; an attack on one that it lacks is left out, and said to be."""

from enum import StrEnum

from gateway.settings import GatewaySettings


class Feature(StrEnum):
    """A defence, by the setting that shows it is there."""

    PASSWORDS = "OCPP_GATEWAY_MIN_SECURITY_PROFILE"
    TLS = "OCPP_GATEWAY_TLS_LISTEN_PORT"
    RATES = "OCPP_GATEWAY_FRAMES_PER_SECOND"
    PROXIES = "OCPP_GATEWAY_PROXIES"


NOT_YET = frozenset(Feature)
"""What is still to be built. Whatever is not named here must be there: else a renamed setting would silence attacks."""


def built() -> frozenset[Feature]:
    """The defences that this gateway has."""
    aliases = {field.alias for field in GatewaySettings.model_fields.values()}
    return frozenset(feature for feature in Feature if feature.value in aliases)
