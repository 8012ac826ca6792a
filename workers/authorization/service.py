"""The authorization service: its routing table from action to handler."""

from datetime import timedelta

from contracts import topology
from contracts.actions import Service
from contracts.versions import Version
from workers.authorization import certificate_operations, security_operations
from workers.authorization.admission import TOGETHER, admission
from workers.authorization.authority import authority_of
from workers.authorization.authorizing import Authorizing
from workers.authorization.certificate_orders import carry_out_due
from workers.authorization.initial_configuration import push_due_values
from workers.authorization.registering import Registering
from workers.authorization.signing import Signing
from workers.authorization.transferring import data_transfer_call
from workers.runtime.calls import Handler, ServiceDefinition
from workers.runtime.context import utc_now
from workers.runtime.operator_answering import OperatorDesk
from workers.settings import WorkerSettings


def service(settings: WorkerSettings) -> ServiceDefinition:
    """The service with these settings; its other actions answer NotSupported."""
    registering = Registering(settings)
    lifetime = timedelta(days=settings.certificate_days)
    authority = authority_of(settings.ca_certificate_file, settings.ca_key_file, lifetime, utc_now())
    signing = Signing(settings, authority)
    certificate_work = (carry_out_due, *signing.background)
    handlers: dict[str, Handler] = {
        "BootNotification": registering.boot,
        "Heartbeat": registering.heartbeat,
        "Authorize": Authorizing(settings).authorize,
        "DataTransfer": data_transfer_call,
        "SignCertificate": signing.sign_certificate,
    }
    desk = OperatorDesk(
        {**security_operations.OPERATIONS, **certificate_operations.OPERATIONS},
        security_operations.CHANGES | certificate_operations.CHANGES,
        security_operations.UNREPEATED,
    )
    return ServiceDefinition(
        service=Service.AUTHORIZATION,
        handlers={(version, action): handler for version in Version for action, handler in handlers.items()},
        batches={topology.admission_queue(): admission},
        deliveries={topology.SECURITY: desk.answer},
        together={topology.admission_queue(): TOGETHER},
        background=(push_due_values, *certificate_work),
    )
