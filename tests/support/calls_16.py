"""A valid payload of every OCPP 1.6 action that a charge point sends, security extension included."""

from typing import Any

AT = "2026-05-01T12:00:00Z"

VALID: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": "TAG-OK"},
    "BootNotification": {
        "chargePointVendor": "Example",
        "chargePointModel": "Pole",
        "chargePointSerialNumber": "S-1",
        "chargeBoxSerialNumber": "B-1",
        "firmwareVersion": "1.2.3",
        "iccid": "8931",
        "imsi": "2040",
        "meterType": "M",
        "meterSerialNumber": "M-1",
    },
    "DataTransfer": {"vendorId": "com.example.known", "messageId": "ping", "data": "hello"},
    "DiagnosticsStatusNotification": {"status": "Uploaded"},
    "FirmwareStatusNotification": {"status": "Installed"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Uploaded", "requestId": 7},
    "MeterValues": {
        "connectorId": 1,
        "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "12.5", "measurand": "Voltage", "unit": "V"}]}],
    },
    "SecurityEventNotification": {"type": "SettingSystemTime", "timestamp": AT, "techInfo": "by hand"},
    "SignCertificate": {"csr": "-----BEGIN CERTIFICATE REQUEST-----"},
    "SignedFirmwareStatusNotification": {"status": "Installed", "requestId": 7},
    "StartTransaction": {"connectorId": 1, "idTag": "TAG-OK", "meterStart": 100, "timestamp": AT},
    "StatusNotification": {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Available",
        "timestamp": AT,
        "info": "ready",
        "vendorId": "com.example",
        "vendorErrorCode": "0",
    },
    "StopTransaction": {"transactionId": 2_000_000_000, "meterStop": 200, "timestamp": AT, "reason": "Local"},
}
