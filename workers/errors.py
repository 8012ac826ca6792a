"""The exception tree of workers."""


class WorkerError(Exception):
    """Root of everything workers raise on their own account."""


class StoreUnavailableError(WorkerError):
    """The database is away, locked, or broke a deadlock: the same transaction may succeed later."""


class TransactionAbortedError(WorkerError):
    """Somebody went on after a statement of the transaction had failed: nothing of it is stored."""


class SchemaNotAtHeadError(WorkerError):
    """The database's tables are not those of this version; `ocpp-worker migrate` brings them there."""


class InvalidReplyError(WorkerError):
    """A handler of ours made a reply that its response schema refuses."""


class ProvisioningError(WorkerError):
    """A provisioning file holds mistakes; `problems` names each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AuthorityError(WorkerError):
    """The files of the certificate authority are not as they must be; `problems` names each mistake."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class SigningError(WorkerError):
    """A firmware image cannot be signed with these files."""
