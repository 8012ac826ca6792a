"""How strictly payloads are judged: one policy for all, and rules by vendor, model, action and direction. Pure.

Rules are read from a TOML file once, at start. What they say of one vendor and model is worked out once, into a table
of routes; sessions hold that table, so that a Call costs one look-up whatever the rules are.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from typing import Any

from contracts.versions import Version
from gateway.routes import STRICT, Judged, Policy, Route, route_of, routes_of

MOST_RULES = 1000
MOST_TABLES = 256
"""Tables that are kept; vendors and models are the charge points' to choose, and what they choose must not pile up."""

MOST_NAME = 100
"""Of a vendor or model is looked at: the specifications allow 20 (1.6) and 50 (2.x) characters."""

RELAY = "relay"
"""What `warn` was called."""

_KEYS = frozenset({"vendor", "model", "action", "direction", "policy"})


class Direction(StrEnum):
    """Which way a payload travels."""

    IN = "in"
    """Calls of the charge point, and its answers to our commands."""
    OUT = "out"
    """Commands that we send."""
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """What one policy is for; patterns are shell-like and ignore letter case, except for the action's."""

    vendor: str
    model: str
    action: str
    direction: Direction
    policy: Policy


class Rulebook:
    """The policy of every payload: the first rule that matches decides, else the default.

    The default is for what comes in; what we send is checked strictly unless a rule says otherwise.
    """

    def __init__(self, default: Policy = Policy.ENFORCE, rules: Sequence[ValidationRule] = ()) -> None:
        self._default = default
        self._rules = tuple(rules)
        self._patterns = [
            (_pattern(rule.vendor.casefold()), _pattern(rule.model.casefold()), _pattern(rule.action)) for rule in rules
        ]
        self._tables: dict[tuple[Version, tuple[int, ...]], Routes] = {}

    def __repr__(self) -> str:
        return f"<Rulebook {self._default.value}, {len(self._rules)} rules>"

    def routes(self, version: Version, vendor: str = "", model: str = "") -> "Routes":
        """The routes of a charge point of this vendor and model; one that is not known matches as an empty text."""
        vendor, model = vendor.casefold(), model.casefold()
        matching = tuple(
            number
            for number, (of_vendor, of_model, _) in enumerate(self._patterns)
            if of_vendor.match(vendor) and of_model.match(model)
        )
        table = self._tables.get((version, matching))
        if table is None:
            table = Routes(self, version, self._judge(matching))
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            self._tables[version, matching] = table
        return table

    def _judge(self, matching: tuple[int, ...]) -> "_Judge":
        rules = [(self._rules[number], self._patterns[number][2]) for number in matching]
        return _Judge(self._default, rules, by_vendor=bool(self._rules))


STRICT_BOOK = Rulebook()


class _Judge:
    """The rules that are left once vendor and model are known."""

    def __init__(
        self, default: Policy, rules: list[tuple[ValidationRule, re.Pattern[str]]], *, by_vendor: bool
    ) -> None:
        self._default = default
        self._by_vendor = by_vendor
        self._rules = rules

    def __call__(self, action: str) -> Judged:
        return Judged(
            self._policy(action, Direction.OUT, self._default),
            self._policy(action, Direction.IN, Policy.ENFORCE),
            self._by_vendor,
        )

    def _policy(self, action: str, not_for: Direction, default: Policy) -> Policy:
        for rule, pattern in self._rules:
            if rule.direction is not not_for and pattern.match(action):
                return rule.policy
        return default


class Routes:
    """Every route of one version, as one vendor's and model's charge points are judged."""

    __slots__ = ("_book", "_judge", "_known", "find", "version")

    def __init__(self, book: Rulebook, version: Version, judge: _Judge) -> None:
        self._book = book
        self._judge = judge
        self._known = routes_of(version, judge)
        self.version = version
        self.find = self._known.get
        """The route of a name that OCPP knows, or None."""

    def of(self, name: str) -> Route:
        """The route of any action name, known to OCPP or not."""
        return self._known.get(name) or route_of(self.version, name, STRICT)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def learned(self, vendor: str, model: str) -> "Routes":
        """The routes of a charge point that has told who made it."""
        return self._book.routes(self.version, vendor, model)


def who(version: Version, payload: dict[str, Any]) -> tuple[str, str]:
    """Vendor and model as a BootNotification tells them; what it does not tell is empty."""
    if version is Version.V16:
        named = payload.get("chargePointVendor"), payload.get("chargePointModel")
    else:
        station = payload.get("chargingStation")
        named = (station.get("vendorName"), station.get("model")) if isinstance(station, dict) else (None, None)
    vendor, model = (value[:MOST_NAME] if isinstance(value, str) else "" for value in named)
    return vendor, model


def read(text: str) -> list[ValidationRule] | list[str]:
    """The rules of a TOML file's text, or what is wrong with it: a line each."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [f"not TOML: {error}"]
    entries = content.pop("rule", [])
    problems = [f"unknown key {key!r}: a file holds [[rule]] tables alone" for key in sorted(content)]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return [*problems, "rule: write [[rule]], a table for each"]
    if len(entries) > MOST_RULES:
        problems.append(f"more than {MOST_RULES} rules")
    rules = []
    for number, entry in enumerate(entries, 1):
        found = [f"rule {number}: {problem}" for problem in _problems(entry)]
        problems += found
        if not found:
            direction = Direction(entry.get("direction", Direction.BOTH))
            vendor, model, action = (entry.get(key, "*") for key in ("vendor", "model", "action"))
            rules.append(ValidationRule(vendor, model, action, direction, policy_named(entry["policy"])))
    return problems or rules


def _problems(entry: dict[str, Any]) -> Iterator[str]:
    for key in sorted(entry.keys() - _KEYS):
        yield f"unknown key {key!r}; there are {', '.join(sorted(_KEYS))}"
    for key in ("vendor", "model", "action"):
        value = entry.get(key, "*")
        if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME:
            yield f"{key} must be a pattern of 1 to {MOST_NAME} characters"
    if entry.get("direction", "both") not in list(Direction):
        yield f"direction must be one of {', '.join(Direction)}"
    if "policy" not in entry:
        yield "policy is missing"
    elif entry["policy"] not in [*Policy, RELAY]:
        yield f"policy must be one of {', '.join(Policy)}"


def policy_named(word: str) -> Policy:
    """The policy of this name; raises ValueError when there is none."""
    return Policy.WARN if word == RELAY else Policy(word)


def _pattern(shell: str) -> re.Pattern[str]:
    return re.compile(translate(shell))
