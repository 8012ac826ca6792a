"""What an OCPP 1.6 charge point says and does when the server calls."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.x509 import Certificate
from ocpp.v16 import call, call_result, enums

from loadtest import firmware
from loadtest.connector import Connector
from loadtest.rpc import Answer, FollowUp
from loadtest.schemas import to_payload

if TYPE_CHECKING:
    from loadtest.v16 import ChargePoint16

_REMOTE_SESSION_S = 1800.0
_STEP_S = 20.0
_NOMINAL_V = 230.0


class Commands:
    """Decides on each Call of the server at once; whatever takes time follows after the answer."""

    def __init__(self, charge_point: "ChargePoint16") -> None:
        self._cp = charge_point
        self._firmware_status = "Idle"
        self._diagnostics_status = "Idle"
        self._log: tuple[str, int] = ("Idle", 0)
        self._firmware_job: int | None = None
        self._signed = False
        self._table: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "CancelReservation": self._cancel_reservation,
            "CertificateSigned": self._certificate_signed,
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": lambda _: _say("ClearCache", status="Accepted"),
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": self._data_transfer,
            "DeleteCertificate": self._delete_certificate,
            "ExtendedTriggerMessage": lambda payload: self._trigger(payload, "ExtendedTriggerMessage"),
            "GetCompositeSchedule": lambda _: _say("GetCompositeSchedule", status="Rejected"),
            "GetConfiguration": self._get_configuration,
            "GetDiagnostics": self._get_diagnostics,
            "GetInstalledCertificateIds": self._installed_certificates,
            "GetLocalListVersion": lambda _: _say("GetLocalListVersion", list_version=self._cp.local_list_version),
            "GetLog": self._get_log,
            "InstallCertificate": self._install_certificate,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "ReserveNow": self._reserve,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_profile,
            "SignedUpdateFirmware": self._signed_update,
            "TriggerMessage": lambda payload: self._trigger(payload, "TriggerMessage"),
            "UnlockConnector": self._unlock,
            "UpdateFirmware": self._update,
        }

    def knows(self, action: str) -> bool:
        """Tell whether this charge point implements the action."""
        return action in self._table

    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        """Decide. While Rejected the charge point is deaf (OCPP 1.6, 4.2), and the server has broken its own word."""
        if self._cp.registration == "Rejected":
            self._cp.breach(f"{action} although the boot was Rejected")
            return Answer()
        return self._table[action](payload)

    # --- configuration, availability, lists

    def _get_configuration(self, payload: dict[str, Any]) -> Answer:
        known, unknown = self._cp.configuration.listing(payload.get("key"))
        return _say("GetConfiguration", configuration_key=known, unknown_key=unknown or None)

    def _change_configuration(self, payload: dict[str, Any]) -> Answer:
        key, value = payload["key"], payload["value"]
        status = self._cp.configuration.change(key, value)
        if status == "Accepted" and key.casefold() == "heartbeatinterval":
            self._cp.set_heartbeat(float(value) or self._cp.behaviour.heartbeat_default_s)
        if status == "Accepted" and key.casefold() == "authorizationkey":
            try:
                self._cp.password = bytes.fromhex(value)
            except ValueError:
                self._cp.password = value.encode()
        return _say("ChangeConfiguration", status=status)

    def _change_availability(self, payload: dict[str, Any]) -> Answer:
        chosen = self._chosen(payload["connectorId"])
        if not chosen:
            return _say("ChangeAvailability", status="Rejected")
        for connector in chosen:
            connector.operative = payload["type"] == "Operative"
        scheduled = any(connector.busy for connector in chosen)

        async def then() -> None:
            for connector in chosen:
                self._cp.rest(connector)

        return _say("ChangeAvailability", then, status="Scheduled" if scheduled else "Accepted")

    def _send_local_list(self, payload: dict[str, Any]) -> Answer:
        version = payload["listVersion"]
        if payload["updateType"] == "Full":
            self._cp.local_list.clear()
        elif version <= self._cp.local_list_version:
            return _say("SendLocalList", status="VersionMismatch")
        for entry in payload.get("localAuthorizationList", []):
            if "idTagInfo" in entry:
                self._cp.local_list[entry["idTag"].casefold()] = entry["idTagInfo"]
            else:
                self._cp.local_list.pop(entry["idTag"].casefold(), None)
        self._cp.local_list_version = version
        return _say("SendLocalList", status="Accepted")

    def _data_transfer(self, payload: dict[str, Any]) -> Answer:
        if payload["vendorId"] != self._cp.behaviour.vendor:
            return _say("DataTransfer", status="UnknownVendorId")
        return _say("DataTransfer", status="Accepted", data=payload.get("data"))

    def _reserve(self, payload: dict[str, Any]) -> Answer:
        connector = self._cp.connectors.get(payload["connectorId"])
        reservation = payload["reservationId"]
        if connector is None:
            return _say("ReserveNow", status="Rejected")
        if connector.fault is not None:
            return _say("ReserveNow", status="Faulted")
        if not connector.operative:
            return _say("ReserveNow", status="Unavailable")
        if connector.busy or (connector.reservation is not None and connector.reservation[0] != reservation):
            return _say("ReserveNow", status="Occupied")
        connector.reservation = (reservation, payload["idTag"])
        return _say("ReserveNow", lambda: self._rest(connector), status="Accepted")

    def _cancel_reservation(self, payload: dict[str, Any]) -> Answer:
        for connector in self._cp.connectors.values():
            if connector.reservation is not None and connector.reservation[0] == payload["reservationId"]:
                connector.reservation = None
                return _say("CancelReservation", partial(self._rest, connector), status="Accepted")
        return _say("CancelReservation", status="Rejected")

    async def _rest(self, connector: Connector) -> None:
        self._cp.rest(connector)

    # --- transactions

    def _remote_start(self, payload: dict[str, Any]) -> Answer:
        id_tag, wanted = payload["idTag"], payload.get("connectorId")
        free = [c for c in self._chosen(wanted or 0) if c.free_for(id_tag)]
        if not free or not self._cp.online or self._cp.finishing:
            return _say("RemoteStartTransaction", status="Rejected")
        profile = payload.get("chargingProfile")
        limit_w = _limit_w(profile, self._cp.behaviour.phases) if profile else None

        async def then() -> None:
            await self._cp.charge(
                free[0].id,
                id_tag,
                _REMOTE_SESSION_S,
                authorize=self._cp.configuration.flag("AuthorizeRemoteTxRequests"),
                limit_w=limit_w,
            )

        return _say("RemoteStartTransaction", then, status="Accepted")

    def _remote_stop(self, payload: dict[str, Any]) -> Answer:
        for connector in self._cp.connectors.values():
            session = connector.session
            if session is not None and session.record.transaction_id == payload["transactionId"]:
                session.stop("Remote")
                return _say("RemoteStopTransaction", status="Accepted")
        return _say("RemoteStopTransaction", status="Rejected")

    def _unlock(self, payload: dict[str, Any]) -> Answer:
        connector = self._cp.connectors.get(payload["connectorId"])
        if connector is None:
            return _say("UnlockConnector", status="NotSupported")
        if connector.session is not None:
            connector.session.stop("UnlockCommand")
        return _say("UnlockConnector", status="Unlocked")

    def _set_profile(self, payload: dict[str, Any]) -> Answer:
        profile = payload["csChargingProfiles"]
        sessions = [c.session for c in self._chosen(payload["connectorId"]) if c.session is not None]
        if profile["chargingProfilePurpose"] == "TxProfile" and not sessions:
            return _say("SetChargingProfile", status="Rejected")
        for session in sessions:
            session.limit_w = _limit_w(profile, self._cp.behaviour.phases)
        return _say("SetChargingProfile", status="Accepted")

    def _clear_profile(self, _payload: dict[str, Any]) -> Answer:
        limited = [c.session for c in self._cp.connectors.values() if c.session and c.session.limit_w is not None]
        for session in limited:
            session.limit_w = None
        return _say("ClearChargingProfile", status="Accepted" if limited else "Unknown")

    def _reset(self, payload: dict[str, Any]) -> Answer:
        kind = enums.ResetType(payload["type"])
        return _say("Reset", lambda: self._cp.reset(kind.value), status="Accepted")

    # --- triggers

    def _trigger(self, payload: dict[str, Any], action: str) -> Answer:
        cp, chosen = self._cp, self._chosen(payload.get("connectorId") or 0)

        async def boot() -> None:
            await cp.send_boot()

        async def send() -> None:
            match payload["requestedMessage"]:
                case "Heartbeat":
                    await cp.call(call.Heartbeat())
                case "MeterValues":
                    for connector in chosen:
                        await cp.send_triggered_sample(connector)
                case "StatusNotification":
                    if not payload.get("connectorId"):
                        await cp.call(cp.whole_status())
                    for connector in chosen:
                        state, fault = connector.state, connector.fault
                        await cp.call(cp.status_request(connector, state, fault, cp.clock.stamp()))
                case "DiagnosticsStatusNotification":
                    await cp.call(call.DiagnosticsStatusNotification(enums.DiagnosticsStatus(self._diagnostics_status)))
                case "LogStatusNotification":
                    await cp.call(call.LogStatusNotification(enums.UploadLogStatus(self._log[0]), self._log[1]))
                case "FirmwareStatusNotification":
                    await cp.call(self._firmware_request())
                case "SignChargePointCertificate":
                    await cp.call(call.SignCertificate(cp.certificates.request()))

        if payload.get("connectorId") and not chosen:
            return _say(action, status="Rejected")
        return _say(action, boot if payload["requestedMessage"] == "BootNotification" else send, status="Accepted")

    # --- certificates

    def _certificate_signed(self, payload: dict[str, Any]) -> Answer:
        return _say("CertificateSigned", status=self._cp.certificates.signed(payload["certificateChain"]))

    def _install_certificate(self, payload: dict[str, Any]) -> Answer:
        status = self._cp.certificates.install(payload["certificateType"], payload["certificate"])
        return _say("InstallCertificate", status=status)

    def _installed_certificates(self, payload: dict[str, Any]) -> Answer:
        found = [hashes for _, hashes in self._cp.certificates.installed((payload["certificateType"],))]
        more = {"certificateHashData": found} if found else {}
        return Answer({"status": "Accepted" if found else "NotFound", **more})

    def _delete_certificate(self, payload: dict[str, Any]) -> Answer:
        return _say("DeleteCertificate", status=self._cp.certificates.delete(payload["certificateHashData"]))

    # --- firmware and diagnostics

    def _update(self, payload: dict[str, Any]) -> Answer:
        self._signed, self._firmware_job = False, None
        return _say("UpdateFirmware", lambda: self._walk_firmware(None, payload, None))

    def _signed_update(self, payload: dict[str, Any]) -> Answer:
        wanted, job = payload["firmware"], payload["requestId"]
        signer = self._cp.certificates.signer_of(wanted["signingCertificate"])
        if signer is None and firmware.is_here(wanted["location"]):
            return _say("SignedUpdateFirmware", status="InvalidCertificate")
        status = "Accepted" if self._firmware_job is None else "AcceptedCanceled"
        self._signed, self._firmware_job = True, job
        return _say("SignedUpdateFirmware", lambda: self._walk_firmware(job, wanted, signer), status=status)

    async def _walk_firmware(self, job: int | None, wanted: dict[str, Any], signer: Certificate | None) -> None:
        cp = self._cp
        async for step in firmware.steps(wanted, signer, cp.behaviour.firmware_outcome):
            if self._firmware_job != job:
                return  # a newer request took over
            await cp.pause(_STEP_S)
            if step == "Installed":
                cp.firmware_version = f"{cp.firmware_version}+"[:50]
            self._firmware_status = step
            await cp.call_when_online(self._firmware_request())
        self._firmware_status, self._firmware_job = "Idle", None

    def _firmware_request(self) -> Any:
        status = enums.FirmwareStatus(self._firmware_status)
        if self._signed and self._firmware_job is not None:
            return call.SignedFirmwareStatusNotification(status=status, request_id=self._firmware_job)
        return call.FirmwareStatusNotification(status=status)

    def _get_diagnostics(self, _payload: dict[str, Any]) -> Answer:
        name = f"diagnostics-{self._cp.clock.now():%Y%m%d%H%M%S}.log"
        return _say("GetDiagnostics", self._walk_diagnostics, file_name=name)

    async def _walk_diagnostics(self) -> None:
        for step in ("Uploading", "Uploaded" if self._cp.behaviour.upload_succeeds else "UploadFailed"):
            self._diagnostics_status = step
            await self._cp.pause(_STEP_S)
            await self._cp.call_when_online(call.DiagnosticsStatusNotification(enums.DiagnosticsStatus(step)))
        self._diagnostics_status = "Idle"

    def _get_log(self, payload: dict[str, Any]) -> Answer:
        request_id = payload["requestId"]
        status = "Accepted" if self._log[0] == "Idle" else "AcceptedCanceled"
        self._log = ("Uploading", request_id)
        name = f"{payload['logType']}-{request_id}.log"
        return _say("GetLog", lambda: self._walk_log(request_id), status=status, filename=name)

    async def _walk_log(self, request_id: int) -> None:
        for step in ("Uploading", "Uploaded" if self._cp.behaviour.upload_succeeds else "UploadFailure"):
            if self._log[1] != request_id:
                return
            self._log = (step, request_id)
            await self._cp.pause(_STEP_S)
            await self._cp.call_when_online(call.LogStatusNotification(enums.UploadLogStatus(step), request_id))
        self._log = ("Idle", request_id)

    def _chosen(self, connector_id: int) -> list[Connector]:
        if connector_id == 0:
            return list(self._cp.connectors.values())
        connector = self._cp.connectors.get(connector_id)
        return [] if connector is None else [connector]


def _say(action: str, then: FollowUp | None = None, **fields: Any) -> Answer:
    return Answer(payload=to_payload(getattr(call_result, action)(**fields)), then=then)


def _limit_w(profile: dict[str, Any], phases: int) -> float:
    schedule = profile["chargingSchedule"]
    limit = float(schedule["chargingSchedulePeriod"][0]["limit"])
    return limit if schedule["chargingRateUnit"] == "W" else limit * _NOMINAL_V * phases
