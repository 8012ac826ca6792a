"""The diagnostics service: which Calls it answers, which requests it takes, what it does by itself."""

from contracts import topology
from contracts.actions import Service
from contracts.versions import Version
from workers.diagnostics.component_events import notify_event
from workers.diagnostics.connectors import status_notification
from workers.diagnostics.device_reports import notify_report
from workers.diagnostics.log_jobs import DIAGNOSTICS_ACTIONS, LOG_ACTIONS, LogLifecycle
from workers.diagnostics.security import security_event
from workers.jobs.dispatch import Dispatcher
from workers.jobs.reports import report_handler
from workers.jobs.requests import request_handler
from workers.runtime.calls import Handler, ServiceDefinition
from workers.settings import WorkerSettings


def service(settings: WorkerSettings) -> ServiceDefinition:  # noqa: ARG001 - the face of every service
    """The diagnostics service."""
    lifecycle = LogLifecycle()
    dispatcher = Dispatcher(lifecycle)
    everywhere: dict[str, Handler] = {
        "StatusNotification": status_notification,
        "SecurityEventNotification": security_event,
        "LogStatusNotification": report_handler(lifecycle, LOG_ACTIONS),
    }
    only_2x: dict[str, Handler] = {"NotifyEvent": notify_event, "NotifyReport": notify_report}
    handlers = {(version, action): handler for version in Version for action, handler in everywhere.items()}
    handlers |= {
        (version, action): handler for version in Version if version.is_2x for action, handler in only_2x.items()
    }
    handlers[Version.V16, "DiagnosticsStatusNotification"] = report_handler(lifecycle, DIAGNOSTICS_ACTIONS)
    return ServiceDefinition(
        service=Service.DIAGNOSTICS,
        handlers=handlers,
        requests={topology.jobs_queue(Service.DIAGNOSTICS): request_handler(lifecycle, dispatcher.attempt)},
        background=(dispatcher.dispatch_jobs,),
    )
