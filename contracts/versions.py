"""OCPP versions, and what differs between them by name only."""

from enum import StrEnum


class Version(StrEnum):
    """An OCPP version; it belongs to a connection, never to an identity (OCPP-J 3.1.2)."""

    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"

    __hash__ = str.__hash__  # an enumeration's own runs in Python, at every look into a table by version

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that negotiates this version."""
        return f"ocpp{self.value}"

    @property
    def token(self) -> str:
        """The word that stands for this version in AMQP routing keys, free of topic syntax."""
        return _TOKENS[self]

    @property
    def is_2x(self) -> bool:
        return self is not Version.V16


_TOKENS = {Version.V16: "ocpp16", Version.V201: "ocpp201", Version.V21: "ocpp21"}

BY_SUBPROTOCOL = {version.subprotocol: version for version in Version}


class ErrorKind(StrEnum):
    """A CALLERROR reason, named as OCPP 2.x does; `code` gives each version's own spelling."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    FORMAT = "FormatViolation"
    PROPERTY = "PropertyConstraintViolation"
    OCCURRENCE = "OccurrenceConstraintViolation"
    TYPE = "TypeConstraintViolation"
    GENERIC = "GenericError"
    MESSAGE_TYPE = "MessageTypeNotSupported"
    RPC_FRAMEWORK = "RpcFrameworkError"

    def code(self, version: Version) -> str:
        """The code as this OCPP version writes it (1.6 misspells one and lacks two; errata 5.1, 5.2)."""
        if version is Version.V16:
            return _CODES_16.get(self, self.value)
        return self.value


_CODES_16 = {
    ErrorKind.FORMAT: "FormationViolation",
    ErrorKind.OCCURRENCE: "OccurenceConstraintViolation",
    ErrorKind.MESSAGE_TYPE: "ProtocolError",
    ErrorKind.RPC_FRAMEWORK: "FormationViolation",
}
