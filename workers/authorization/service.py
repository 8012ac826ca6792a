"""The authorization service: its routing table from action to handler."""

from contracts import topology
from contracts.actions import Service
from contracts.versions import Version
from workers.authorization import security_operations
from workers.authorization.admission import TOGETHER, admission
from workers.authorization.authorizing import Authorizing
from workers.authorization.initial_configuration import push_due_values
from workers.authorization.registering import Registering
from workers.authorization.signing import sign_certificate
from workers.authorization.transferring import data_transfer_call
from workers.runtime.calls import Handler, ServiceDefinition
from workers.runtime.operator_answering import OperatorDesk
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
    desk = OperatorDesk(security_operations.OPERATIONS, security_operations.CHANGES)
    return ServiceDefinition(
        service=Service.AUTHORIZATION,
        handlers={
            **{(version, action): handler for version in Version for action, handler in handlers.items()},
            (Version.V16, "SignCertificate"): sign_certificate,
        },
        batches={topology.admission_queue(): admission},
        deliveries={topology.SECURITY: desk.answer},
        together={topology.admission_queue(): TOGETHER},
        background=(push_due_values,),
    )
