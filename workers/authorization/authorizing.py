"""Authorize: may this token charge here?"""

from contracts.versions import ErrorKind
from workers.runtime.calls import Answer, IncomingCall, Reply, refused
from workers.runtime.reading import read_object, read_text, write_time
from workers.settings import UnknownTokens, WorkerSettings
from workers.store import tokens
from workers.store.engine import StoreTransaction
from workers.store.token_replies import id_tag_info, id_token_info
from workers.store.tokens import TokenVerdict


class Authorizing:
    """The handlers of Authorize."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._accept_unknown = settings.unknown_tokens is UnknownTokens.ACCEPT

    async def authorize(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Decide, keep the decision, answer in the version's words."""
        if not call.version.is_2x:
            id_tag, _ = read_text(call.payload.get("idTag"))
            if id_tag is None:
                return refused(call, ErrorKind.OCCURRENCE, "idTag is required")
            verdict = await self._judge(call, store, id_tag)
            return Answer({"idTagInfo": id_tag_info(verdict, _expiry(verdict))})
        id_token = read_object(call.payload.get("idToken"))
        text, _ = read_text(id_token.get("idToken"))
        if text is None:
            return refused(call, ErrorKind.OCCURRENCE, "idToken is required")
        if id_token.get("type") == "NoAuthorization":  # C02.FR.02
            verdict = TokenVerdict("Accepted")
            tokens.record_authorization(store, call.delivery_key(), call.identity, text, verdict, call.handled_at)
        else:
            verdict = await self._judge(call, store, text)
        return Answer({"idTokenInfo": id_token_info(verdict, _expiry(verdict))})

    async def _judge(self, call: IncomingCall, store: StoreTransaction, text: str) -> TokenVerdict:
        verdict = await tokens.judge(
            store, text, call.handled_at, accept_unknown=self._accept_unknown, identity=call.identity
        )
        tokens.record_authorization(store, call.delivery_key(), call.identity, text, verdict, call.handled_at)
        return verdict


def _expiry(verdict: TokenVerdict) -> str | None:
    return None if verdict.expires_at is None else write_time(verdict.expires_at)
