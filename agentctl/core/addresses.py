"""Whether a network address can only mean this machine."""

from urllib.parse import urlsplit


def stays_here(address: str) -> bool:
    """True for a URL, or a `host:port` as Ollama takes it, that names the loopback interface.

    Libraries differ in how they read odd addresses, so only the plain form counts: no user,
    no decimal or short IP, nothing behind a bracket. 0.0.0.0 is not here: a server that is
    started there is open to the network. An address of nothing but a port means localhost.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _is_loopback(address)
    plain = f"[{host}]" if ":" in host else host
    if port is not None:
        plain += f":{port}"
    return parts.netloc.lower() == plain != "" and (not host or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return host.lower() == "localhost" or ("%" not in host and ip_address(host).is_loopback)
    except ValueError:
        return False
