"""NotifyReport (OCPP 2.x): pages joined into the device model (part 2, B05-B08)."""

from typing import Any

from workers.diagnostics.fields import digest, long_text, moment, number, place_number, word
from workers.diagnostics.report_pages import PageVerdict, ReportPages, add_page
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.runtime.reading import read_list, read_number, read_object
from workers.store import device_model
from workers.store.engine import StoreTransaction


async def notify_report(call: IncomingCall, transaction: StoreTransaction) -> Reply:
    """Store a report's page: its variables, and which pages there are. A page known already changes nothing."""
    payload = call.payload
    request_id = number(payload.get("requestId")) or 0
    seq_no = place_number(payload.get("seqNo"))
    content = [entry for entry in read_list(payload.get("reportData")) if isinstance(entry, dict)]
    to_be_continued = payload.get("tbc") is True
    generated_at = moment(payload.get("generatedAt"), call.received_at)
    page_digest = digest([content, to_be_continued])

    stored = await device_model.find_report(transaction, call.identity, request_id)
    pages = ReportPages() if stored is None else ReportPages(stored.digests, stored.last_seq_no)
    joined, verdict = add_page(pages, seq_no, page_digest, to_be_continued=to_be_continued)
    if verdict is PageVerdict.DUPLICATE:
        return Answer()
    if verdict is PageVerdict.RESTARTS:
        await device_model.forget_pages(transaction, call.identity, request_id)
    begins = stored is None or verdict is PageVerdict.RESTARTS
    report = {
        "identity": call.identity,
        "request_id": request_id,
        "last_seq_no": joined.last_seq_no,
        "complete": joined.is_complete,
        "generated_at": generated_at,
        "first_received_at": call.received_at if begins or stored is None else stored.first_received_at,
        "last_received_at": call.received_at,
    }
    await device_model.put_report(transaction, report)
    rows = [row for entry in content for row in _variables(entry)]
    shared = {"identity": call.identity, "request_id": request_id, "reported_at": generated_at}
    await device_model.put_variables(transaction, [{**row, **shared} for row in _without_repeats(rows)])
    page = {
        "identity": call.identity,
        "request_id": request_id,
        "seq_no": seq_no,
        "digest": page_digest,
        "variables": len(rows),
        "received_at": call.received_at,
    }
    await device_model.put_page(transaction, page)
    return Answer()


def _variables(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per attribute; an entry without a component or variable name says nothing that could be found again."""
    component = read_object(entry.get("component"))
    variable = read_object(entry.get("variable"))
    name, variable_name = word(component.get("name")), word(variable.get("name"))
    if name is None or variable_name is None:
        return []
    evse = read_object(component.get("evse"))
    traits = read_object(entry.get("variableCharacteristics"))
    monitored = traits.get("supportsMonitoring")
    place = {
        "component": name,
        "component_instance": word(component.get("instance")) or "",
        "evse_id": place_number(evse.get("id")),
        "connector_id": place_number(evse.get("connectorId")),
        "variable": variable_name,
        "variable_instance": word(variable.get("instance")) or "",
        "unit": word(traits.get("unit")),
        "data_type": word(traits.get("dataType")),
        "min_limit": read_number(traits.get("minLimit"))[0],
        "max_limit": read_number(traits.get("maxLimit"))[0],
        "max_elements": number(traits.get("maxElements")),
        "values_list": long_text(traits.get("valuesList")),
        "supports_monitoring": monitored if isinstance(monitored, bool) else None,
    }
    attributes = [one for one in read_list(entry.get("variableAttribute")) if isinstance(one, dict)]
    return [
        {
            **place,
            # Defaults of part 2, VariableAttributeType.
            "attribute": word(attribute.get("type")) or "Actual",
            "value": long_text(attribute.get("value")),
            "mutability": word(attribute.get("mutability")) or "ReadWrite",
            "persistent": attribute.get("persistent") is True,
            "constant": attribute.get("constant") is True,
        }
        for attribute in attributes
    ]


def _without_repeats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last row of each key: one statement must not touch a row twice."""
    keys = ("component", "component_instance", "evse_id", "connector_id", "variable", "variable_instance", "attribute")
    return list({tuple(row[key] for key in keys): row for row in rows}.values())
