"""The authorization service: its routing table from action to handler."""

from contracts import topology
from contracts.actions import Service
from contracts.versions import Version
from workers.authorization.authorizing import Authorizing
from workers.authorization.initial_configuration import push_due_values
from workers.authorization.registering import Registering, admission
from workers.authorization.signing import sign_certificate
from workers.authorization.transferring import data_transfer_call
from workers.runtime.calls import Handler, ServiceDefinition
from workers.settings import WorkerSettings


def service(settings: WorkerSettings) -> ServiceDefinition:
    """The service with these settings; its other actions answer NotSupported."""
    registering = Registering(settings)
    handlers: dict[str, Handler] = {
        "BootNotification": registering.boot,
        "Heartbeat": registering.heartbeat,
        "Authorize": Authorizing(settings).authorize,
        "DataTransfer": data_transfer_call,
    }
    return ServiceDefinition(
        service=Service.AUTHORIZATION,
        handlers={
            **{(version, action): handler for version in Version for action, handler in handlers.items()},
            (Version.V16, "SignCertificate"): sign_certificate,
        },
        requests={topology.admission_queue(): admission},
        background=(push_due_values,),
    )
