"""The exception tree of contracts."""


class ContractError(Exception):
    """Root of everything contracts raises on its own account."""


class EnvelopeError(ContractError):
    """A delivery's body is not an envelope that this version of the software understands."""


class LinkDownError(ContractError):
    """The broker link is not up; the caller keeps what it wanted to publish."""


class BrokerRefusedError(ContractError):
    """The broker closed the channel or connection and said why; the text carries no credentials."""


class BodyError(ContractError):
    """A backend's or an operator's message cannot be read; the text says what is wrong and holds no value of it."""


class NoAnswerError(ContractError):
    """Nobody answered in time; whether the request took effect is not known."""


class RefusedError(ContractError):
    """The commands service, or the broker in its place, did not do what it was asked; the text says why."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
