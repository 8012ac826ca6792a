"""The only room that knows AMQP libraries: the link of gateways and workers, and the topology's declaration."""

from contracts.broker.codec import Delivery, Returned
from contracts.broker.endpoint import TlsFiles
from contracts.broker.link import BrokerLink, Consumer, LinkListener, PrivateQueue

__all__ = ["BrokerLink", "Consumer", "Delivery", "LinkListener", "PrivateQueue", "Returned", "TlsFiles"]
