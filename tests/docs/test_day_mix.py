"""docs/day-mix.md has the numbers of the code."""

from dataclasses import asdict
from pathlib import Path

from loadtest.crowd.mix import DAY_MIX, calls_per_second

PAGE = (Path(__file__).parents[2] / "docs" / "day-mix.md").read_text()


def test_every_number_of_the_mix_is_on_its_page():
    for name, value in asdict(DAY_MIX).items():
        assert any(
            line.startswith((f"| `{name}` | {value:g} ", f"| `{name}` | {value} ")) for line in PAGE.splitlines()
        )


def test_what_a_thousand_charge_points_send():
    sixteen, two = (calls_per_second(DAY_MIX, 1000, share_201=share) for share in (0.0, 1.0))
    assert f"| **together** | **{sum(sixteen.values()):.2f}** | **{sum(two.values()):.2f}** |" in PAGE
    assert f"| Heartbeat | {sixteen['Heartbeat']:.2f} | {two['Heartbeat']:.2f} |" in PAGE
    meters, started = sixteen["MeterValues"], two["Authorize"]
    assert f"| {meters:.2f} | {two['TransactionEvent'] - 2 * started:.2f} |" in PAGE
    assert f"| StatusNotification | {sixteen['StatusNotification']:.2f} | {two['StatusNotification']:.2f} |" in PAGE
    assert f"{DAY_MIX.charging_share:.1%}".replace("%", " %") in PAGE
