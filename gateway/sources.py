"""Where a connection comes from, as far as limits are concerned. Pure."""

from ipaddress import IPv6Address, IPv6Network, ip_address


def source_of(address: str) -> str:
    """An IPv4 address itself, of an IPv6 one the /64: whoever has one of its addresses has all of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed) >> 64 << 64, 64)))
