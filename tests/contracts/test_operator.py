"""Operator requests: exactly the operations there are, and nothing unknown beside them."""

import orjson
import pytest

from contracts.errors import BodyError
from contracts.operator import Operation, OperatorAnswer, OperatorRequest


@pytest.mark.parametrize("operation", list(Operation))
def test_every_operation_is_read(operation: Operation) -> None:
    body = orjson.dumps({"v": 1, "t": "operator-request", "operation": operation.value})
    assert OperatorRequest.decode(body) == OperatorRequest(operation=operation)


@pytest.mark.parametrize("change", [{"operation": "fly"}, {"arguments": []}, {"more": 1}, {"operation": None}])
def test_anything_else_is_refused(change: dict[str, object]) -> None:
    content = OperatorRequest(operation=Operation.SESSIONS).model_dump(mode="json")
    with pytest.raises(BodyError):
        OperatorRequest.decode(orjson.dumps({**content, **change}))


def test_an_answer_of_a_newer_service_is_read() -> None:
    answer = OperatorAnswer(ok=False, error="not_found", description="no such command")
    assert OperatorAnswer.decode(orjson.dumps({**answer.model_dump(mode="json"), "new": 1})) == answer
