"""Checks the addresses that calls go to: `base_url` in `providers.toml`."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from batchdrop.records import Protocol

_NO_ADDRESS = 'must be an address: "https://" and a host, without blanks'
_PRIVATE_NAMES = (".internal", ".local", ".localhost")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")  # of a host's name; inside a network, with "_" too
_PATH = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")  # RFC 3986
_LONGEST_HOST = 253  # characters (RFC 1035)


def describe_address_error(address: str, protocol: Protocol) -> str | None:
    """Return why calls cannot go to an address, in words for people, or None."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port  # urlsplit's own error repeats a bad port
    except ValueError:
        return _NO_ADDRESS
    is_visible = re.fullmatch("[!-~]+", address) is not None  # `urlsplit` leaves out what is not
    if parts.scheme not in {"https", "http"} or port == 0 or not is_visible or not _is_host(host):
        return _NO_ADDRESS
    odd = {
        "do not put keys in this file: store the key in the secret": "@" in parts.netloc,
        'must end with its path: no "?" and no "#"': "?" in address or "#" in address,
        "contains a character that no address has: was a placeholder left in it?": not _PATH.fullmatch(parts.path),
        "http would send the key unencrypted: use it only on this machine and in private networks": parts.scheme
        == "http"
        and not _is_private(host),
        'leave out "/v1": the calls add it': protocol is Protocol.ANTHROPIC and parts.path.rstrip("/").endswith("/v1"),
    }
    return next((problem for problem, is_so in odd.items() if is_so), None)


def _is_host(host: str) -> bool:
    """Return whether it is an IP address or a name; what ends in a number and is no address is no name either."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        is_named = all(_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdecimal()
        return is_named and len(host) <= _LONGEST_HOST
    return True


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_NAMES)
