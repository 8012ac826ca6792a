"""A valid payload of every OCPP 2.0.1 and 2.1 action that a worker handles, and the names of those that none does."""

from typing import Any

from contracts import actions
from contracts.versions import Version

AT = "2026-05-01T12:00:00Z"
TOKEN = {"idToken": "TAG-OK", "type": "ISO14443"}

VALID: dict[str, dict[str, Any]] = {
    "Authorize": {"idToken": TOKEN},
    "BootNotification": {
        "reason": "PowerUp",
        "chargingStation": {
            "vendorName": "Example",
            "model": "Pole",
            "serialNumber": "S-1",
            "firmwareVersion": "1.2.3",
            "modem": {"iccid": "8931", "imsi": "2040"},
        },
    },
    "DataTransfer": {"vendorId": "com.example.known", "messageId": "ping", "data": {"open": ["to", "all"]}},
    "FirmwareStatusNotification": {"status": "Installed", "requestId": 7},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 7},
    "MeterValues": {
        "evseId": 1,
        "meterValue": [
            {
                "timestamp": AT,
                "sampledValue": [{"value": 12.5, "measurand": "Voltage", "unitOfMeasure": {"unit": "V"}}],
            }
        ],
    },
    "NotifyEvent": {
        "generatedAt": AT,
        "seqNo": 0,
        "eventData": [
            {
                "eventId": 5,
                "timestamp": AT,
                "trigger": "Alerting",
                "actualValue": "true",
                "techCode": "E5",
                "eventNotificationType": "HardWiredNotification",
                "component": {"name": "TiltSensor", "evse": {"id": 1}},
                "variable": {"name": "Problem"},
            }
        ],
    },
    "NotifyReport": {
        "requestId": 9,
        "generatedAt": AT,
        "seqNo": 0,
        "reportData": [
            {
                "component": {"name": "SmartChargingCtrlr"},
                "variable": {"name": "Enabled"},
                "variableAttribute": [{"type": "Actual", "value": "true", "mutability": "ReadOnly"}],
                "variableCharacteristics": {"dataType": "boolean", "supportsMonitoring": True},
            }
        ],
    },
    "SecurityEventNotification": {"type": "SettingSystemTime", "timestamp": AT, "techInfo": "by hand"},
    "SignCertificate": {"csr": "no request", "certificateType": "ChargingStationCertificate"},
    "StatusNotification": {"timestamp": AT, "connectorStatus": "Available", "evseId": 1, "connectorId": 2},
    "TransactionEvent": {
        "eventType": "Started",
        "timestamp": AT,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T-1", "chargingState": "Charging"},
        "idToken": TOKEN,
        "evse": {"id": 1, "connectorId": 2},
    },
}


def unserved(version: Version) -> list[str]:
    """The Calls of this version that a charge point may send and no worker handles yet."""
    return sorted(
        action.name
        for action in actions.table().values()
        if action.version is version and action.from_charge_point and not action.is_send and action.name not in VALID
    )
