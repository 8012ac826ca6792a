"""The broker link's listener: gives each callback to the room it is for."""

from contracts import topology
from contracts.broker import Delivery, Returned
from gateway.admission import CORRELATION_PREFIX
from gateway.announcements import Batch
from gateway.edge import Edge
from gateway.outcomes import PendingOutcome
from gateway.relay import InFlight, Link


class Listener:
    """Routes what the link says; `attach` it to the link before that runs."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge

    def attach(self, link: Link) -> None:
        """Give the link to all who publish."""
        edge = self._edge
        edge.relay.link = edge.outcomes.link = edge.admitting.admissions.link = edge.announcements.link = link

    def link_up(self) -> None:
        self._edge.announcements.link_up()  # first: a newer socket elsewhere should not wait for our backlog
        self._edge.relay.link_up()
        self._edge.outcomes.link_up()

    def link_down(self) -> None:
        self._edge.relay.link_down()
        self._edge.admitting.admissions.link_down(self._edge.clock.now())
        self._edge.announcements.link_down()

    def delivered(self, delivery: Delivery) -> None:
        edge = self._edge
        if delivery.exchange == topology.GATEWAYS:
            edge.dispatch.delivered(delivery)
        elif delivery.exchange == topology.SESSIONS:
            edge.takeover.delivered(delivery, edge.clock.now())
        elif delivery.exchange == topology.ADMISSION_CHANGED:
            edge.admitting.changed(delivery)
        elif delivery.correlation_id.startswith(CORRELATION_PREFIX):
            edge.admitting.admissions.verdict(delivery, edge.clock.now())
        else:
            edge.relay.reply(delivery)

    def returned(self, message: Returned) -> None:
        self._edge.relay.returned(message)

    def confirmed(self, token: object) -> None:
        if isinstance(token, InFlight):
            self._edge.relay.confirmed(token)
        elif isinstance(token, PendingOutcome):
            self._edge.outcomes.confirmed(token)
        elif isinstance(token, Batch):
            self._edge.announcements.confirmed(token)

    def refused(self, token: object) -> None:
        if isinstance(token, InFlight):
            self._edge.relay.refused(token)
        elif isinstance(token, PendingOutcome):
            self._edge.outcomes.refused(token)
        elif isinstance(token, Batch):
            self._edge.announcements.refused(token)

    def flow_changed(self) -> None:
        self._edge.relay.flow_changed()
