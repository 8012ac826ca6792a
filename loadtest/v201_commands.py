"""What an OCPP 2.0.1 charging station says and does when the server calls."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography.x509 import Certificate
from ocpp.v201 import call, call_result, enums

from loadtest import firmware
from loadtest.connector import Connector
from loadtest.rpc import Answer, FollowUp
from loadtest.schemas import to_payload

if TYPE_CHECKING:
    from loadtest.v201 import ChargePoint201

_REMOTE_SESSION_S = 1800.0
_STEP_S = 20.0
_NOMINAL_V = 230.0


class Commands:
    """Decides on each Call of the server at once; whatever takes time follows after the answer."""

    def __init__(self, charge_point: "ChargePoint201") -> None:
        self._cp = charge_point
        self._firmware: tuple[str, int | None] = ("Idle", None)
        self._log: tuple[str, int | None] = ("Idle", None)
        self._table: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "CancelReservation": self._cancel_reservation,
            "CertificateSigned": self._certificate_signed,
            "ChangeAvailability": self._change_availability,
            "ClearCache": lambda _: _say("ClearCache", status="Accepted"),
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": self._data_transfer,
            "DeleteCertificate": self._delete_certificate,
            "GetBaseReport": self._get_base_report,
            "GetInstalledCertificateIds": self._installed_certificates,
            "GetLocalListVersion": lambda _: _say("GetLocalListVersion", version_number=self._cp.local_list_version),
            "GetLog": self._get_log,
            "GetTransactionStatus": self._get_transaction_status,
            "GetVariables": self._get_variables,
            "InstallCertificate": self._install_certificate,
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "ReserveNow": self._reserve,
            "Reset": self._reset,
            "SendLocalList": self._send_local_list,
            "SetChargingProfile": self._set_profile,
            "SetVariables": self._set_variables,
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
            "UpdateFirmware": self._update_firmware,
        }

    def knows(self, action: str) -> bool:
        """Tell whether this charging station implements the action."""
        return action in self._table

    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        """Decide. While Rejected every Call is refused (B03.FR.07), and the server has broken its own word."""
        if self._cp.registration == "Rejected":
            self._cp.breach(f"{action} although the boot was Rejected")
            return Answer(error="SecurityError")
        return self._table[action](payload)

    # --- device model, availability, lists

    def _get_variables(self, payload: dict[str, Any]) -> Answer:
        results = []
        for asked in payload["getVariableData"]:
            attribute = asked.get("attributeType", "Actual")
            status, value = self._cp.variables.read(asked["component"]["name"], asked["variable"]["name"], attribute)
            if status == "Accepted" and asked["variable"]["name"].casefold() == "datetime":
                value = self._cp.clock.stamp()
            result = {"attributeStatus": status, "component": asked["component"], "variable": asked["variable"]}
            result |= {"attributeType": attribute} | ({"attributeValue": value} if value is not None else {})
            results.append(result)
        return Answer({"getVariableResult": results})

    def _set_variables(self, payload: dict[str, Any]) -> Answer:
        results = []
        for wish in payload["setVariableData"]:
            component, variable, value = wish["component"], wish["variable"], wish["attributeValue"]
            attribute = wish.get("attributeType", "Actual")
            status = self._cp.variables.write(component["name"], variable["name"], value, attribute)
            if status == "Accepted" and variable["name"].casefold() == "heartbeatinterval":
                self._cp.set_heartbeat(float(value) or self._cp.behaviour.heartbeat_default_s)
            if status == "Accepted" and variable["name"].casefold() == "basicauthpassword":
                self._cp.password = value.encode()
            result = {"attributeStatus": status, "component": component, "variable": variable}
            results.append(result | {"attributeType": attribute})
        return Answer({"setVariableResult": results})

    def _get_base_report(self, payload: dict[str, Any]) -> Answer:
        request_id = payload["requestId"]
        send = partial(self._send_report, request_id, self._cp.variables.report())
        return _say("GetBaseReport", send, status="Accepted")

    async def _send_report(self, request_id: int, report: list[dict[str, Any]]) -> None:
        size = self._cp.variables.number("DeviceDataCtrlr", "ItemsPerMessage")
        pages = [report[start : start + size] for start in range(0, len(report), size)]
        for seq_no, page in enumerate(pages):
            request = call.NotifyReport(
                request_id=request_id,
                generated_at=self._cp.clock.stamp(),
                seq_no=seq_no,
                report_data=page,
                tbc=seq_no + 1 < len(pages),
            )
            await self._cp.call(request)

    def _change_availability(self, payload: dict[str, Any]) -> Answer:
        chosen = self._chosen(payload.get("evse"))
        if not chosen:
            return _say("ChangeAvailability", status="Rejected")
        for connector in chosen:
            connector.operative = payload["operationalStatus"] == "Operative"
        scheduled = any(connector.busy for connector in chosen)

        async def then() -> None:
            for connector in chosen:
                self._cp.rest(connector)

        return _say("ChangeAvailability", then, status="Scheduled" if scheduled else "Accepted")

    def _send_local_list(self, payload: dict[str, Any]) -> Answer:
        version = payload["versionNumber"]
        if payload["updateType"] == "Differential" and version <= self._cp.local_list_version:
            return _say("SendLocalList", status="VersionMismatch")
        self._cp.local_list_version = version if payload.get("localAuthorizationList") else 0
        return _say("SendLocalList", status="Accepted")

    def _data_transfer(self, payload: dict[str, Any]) -> Answer:
        if payload["vendorId"] != self._cp.behaviour.vendor:
            return _say("DataTransfer", status="UnknownVendorId")
        return _say("DataTransfer", status="Accepted", data=payload.get("data"))

    def _reserve(self, payload: dict[str, Any]) -> Answer:
        chosen = [self._cp.connectors[payload["evseId"]]] if payload.get("evseId") else self._chosen(None)
        free = [connector for connector in chosen if connector.free_for(payload["idToken"]["idToken"])]
        if not free:
            return _say("ReserveNow", status="Occupied")
        free[0].reservation = (payload["id"], payload["idToken"]["idToken"])
        return _say("ReserveNow", lambda: self._rest(free[0]), status="Accepted")

    def _cancel_reservation(self, payload: dict[str, Any]) -> Answer:
        for connector in self._cp.connectors.values():
            if connector.reservation is not None and connector.reservation[0] == payload["reservationId"]:
                connector.reservation = None
                return _say("CancelReservation", partial(self._rest, connector), status="Accepted")
        return _say("CancelReservation", status="Rejected")

    async def _rest(self, connector: Connector) -> None:
        self._cp.rest(connector)

    # --- transactions

    def _request_start(self, payload: dict[str, Any]) -> Answer:
        cp, id_tag, evse = self._cp, payload["idToken"]["idToken"], payload.get("evseId")
        chosen = self._chosen({"id": evse} if evse else None)
        free = [connector for connector in chosen if connector.free_for(id_tag)]
        if not free or not cp.online or cp.finishing:
            return _say("RequestStartTransaction", status="Rejected")
        profile, remote_start_id = payload.get("chargingProfile"), payload["remoteStartId"]
        limit_w = _limit_w(profile, cp.behaviour.phases) if profile else None

        async def then() -> None:
            await cp.charge(
                free[0].id,
                id_tag,
                _REMOTE_SESSION_S,
                authorize=False,
                remote_start_id=remote_start_id,
                limit_w=limit_w,
            )

        return _say("RequestStartTransaction", then, status="Accepted")

    def _request_stop(self, payload: dict[str, Any]) -> Answer:
        for connector in self._cp.connectors.values():
            session = connector.session
            if session is not None and session.record.transaction_id == payload["transactionId"]:
                session.stop("Remote")
                return _say("RequestStopTransaction", status="Accepted")
        return _say("RequestStopTransaction", status="Rejected")

    def _get_transaction_status(self, payload: dict[str, Any]) -> Answer:
        wanted = payload.get("transactionId")
        sessions = [c.session for c in self._cp.connectors.values() if c.session is not None]
        ongoing = any(session.record.transaction_id == wanted for session in sessions)
        queued = len(self._cp.queue) > 0
        return _say("GetTransactionStatus", messages_in_queue=queued, ongoing_indicator=ongoing if wanted else None)

    def _unlock(self, payload: dict[str, Any]) -> Answer:
        connector = self._cp.connectors.get(payload["evseId"])
        if connector is None or payload["connectorId"] != 1:
            return _say("UnlockConnector", status="UnknownConnector")
        busy = connector.session is not None
        return _say("UnlockConnector", status="OngoingAuthorizedTransaction" if busy else "Unlocked")

    def _set_profile(self, payload: dict[str, Any]) -> Answer:
        evse, profile = payload["evseId"], payload["chargingProfile"]
        chosen = self._chosen({"id": evse} if evse else None)
        sessions = [connector.session for connector in chosen if connector.session is not None]
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
        busy = any(connector.busy for connector in self._cp.connectors.values())
        kind = enums.ResetEnumType(payload["type"])
        status = "Scheduled" if busy and kind is enums.ResetEnumType.on_idle else "Accepted"
        return _say("Reset", lambda: self._cp.reset(kind.value), status=status)

    # --- triggers

    def _trigger(self, payload: dict[str, Any]) -> Answer:
        cp, wanted, chosen = self._cp, payload["requestedMessage"], self._chosen(payload.get("evse"))

        async def send() -> None:
            match wanted:
                case "BootNotification":
                    cp.boot_reason = "Triggered"
                    await cp.send_boot()
                case "Heartbeat":
                    await cp.call(call.Heartbeat())
                case "MeterValues":
                    for connector in chosen:
                        await cp.send_triggered_sample(connector)
                case "StatusNotification":
                    for connector in chosen:
                        await cp.call(cp.status_request(connector, connector.state, connector.fault, cp.clock.stamp()))
                case "TransactionEvent":
                    for connector in chosen:
                        if connector.session is not None:
                            cp.send_triggered_event(connector, connector.session)
                case "LogStatusNotification":
                    await cp.call(_log_request(*self._log))
                case "FirmwareStatusNotification":
                    await cp.call(_firmware_request(*self._firmware))
                case "SignChargingStationCertificate":
                    kind = enums.CertificateSigningUseEnumType.charging_station_certificate
                    await cp.call(call.SignCertificate(cp.certificates.request(), kind))

        known = {"BootNotification", "Heartbeat", "MeterValues", "StatusNotification", "TransactionEvent"}
        known |= {"LogStatusNotification", "FirmwareStatusNotification", "SignChargingStationCertificate"}
        if wanted not in known:
            return _say("TriggerMessage", status="NotImplemented")
        if wanted == "BootNotification" and cp.registration == "Accepted":
            return _say("TriggerMessage", status="Rejected")  # F06.FR.17
        return _say("TriggerMessage", send if chosen else None, status="Accepted" if chosen else "Rejected")

    # --- certificates

    def _certificate_signed(self, payload: dict[str, Any]) -> Answer:
        return _say("CertificateSigned", status=self._cp.certificates.signed(payload["certificateChain"]))

    def _install_certificate(self, payload: dict[str, Any]) -> Answer:
        status = self._cp.certificates.install(payload["certificateType"], payload["certificate"])
        return _say("InstallCertificate", status=status)

    def _installed_certificates(self, payload: dict[str, Any]) -> Answer:
        found = self._cp.certificates.installed(payload.get("certificateType"))
        chains = [{"certificateType": kind, "certificateHashData": hashes} for kind, hashes in found]
        more = {"certificateHashDataChain": chains} if chains else {}
        return Answer({"status": "Accepted" if chains else "NotFound", **more})

    def _delete_certificate(self, payload: dict[str, Any]) -> Answer:
        return _say("DeleteCertificate", status=self._cp.certificates.delete(payload["certificateHashData"]))

    # --- firmware and logs

    def _update_firmware(self, payload: dict[str, Any]) -> Answer:
        wanted, request_id = payload["firmware"], payload["requestId"]
        signer = self._cp.certificates.signer_of(wanted.get("signingCertificate", ""))
        if "signature" in wanted and signer is None and firmware.is_here(wanted["location"]):
            return _say("UpdateFirmware", status="InvalidCertificate")
        status = "Accepted" if self._firmware[1] is None else "AcceptedCanceled"
        self._firmware = ("DownloadScheduled", request_id)
        return _say("UpdateFirmware", lambda: self._walk_firmware(request_id, wanted, signer), status=status)

    async def _walk_firmware(self, request_id: int, wanted: dict[str, Any], signer: Certificate | None) -> None:
        cp = self._cp
        async for step in firmware.steps(wanted, signer, cp.behaviour.firmware_outcome):
            await cp.pause(_STEP_S)
            if self._firmware[1] != request_id:
                return  # a newer request took over
            self._firmware = (step, request_id)
            if step == "Installed":
                cp.firmware_version = f"{cp.firmware_version}+"[:50]
            await cp.call_when_online(_firmware_request(step, request_id))
        self._firmware = ("Idle", None)

    def _get_log(self, payload: dict[str, Any]) -> Answer:
        request_id = payload["requestId"]
        status = "Accepted" if self._log[1] is None else "AcceptedCanceled"
        self._log = ("Uploading", request_id)
        name = f"{payload['logType']}-{request_id}.log"
        return _say("GetLog", lambda: self._walk_log(request_id), status=status, filename=name)

    async def _walk_log(self, request_id: int) -> None:
        for step in ("Uploading", "Uploaded" if self._cp.behaviour.upload_succeeds else "UploadFailure"):
            await self._cp.pause(_STEP_S)
            if self._log[1] != request_id:
                return
            self._log = (step, request_id)
            await self._cp.call_when_online(_log_request(step, request_id))
        self._log = ("Idle", None)

    def _chosen(self, evse: dict[str, Any] | None) -> list[Connector]:
        if evse is None:
            return list(self._cp.connectors.values())
        connector = self._cp.connectors.get(evse["id"])
        return [] if connector is None else [connector]


def _say(action: str, then: FollowUp | None = None, **fields: Any) -> Answer:
    return Answer(payload=to_payload(getattr(call_result, action)(**fields)), then=then)


def _log_request(status: str, request_id: int | None) -> Any:
    return call.LogStatusNotification(status=enums.UploadLogStatusEnumType(status), request_id=request_id)


def _firmware_request(status: str, request_id: int | None) -> Any:
    number = None if status == "Idle" else request_id
    return call.FirmwareStatusNotification(status=enums.FirmwareStatusEnumType(status), request_id=number)


def _limit_w(profile: dict[str, Any], phases: int) -> float:
    schedule = profile["chargingSchedule"][0]
    limit = float(schedule["chargingSchedulePeriod"][0]["limit"])
    return limit if schedule["chargingRateUnit"] == "W" else limit * _NOMINAL_V * phases
