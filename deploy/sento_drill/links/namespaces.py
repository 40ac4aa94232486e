"""Network namespaces without names: they exist while a process holds them and vanish with it, so that a drill that is killed leaves none behind.

A namespace belongs to a thread: it is made or entered in a thread that ends afterwards, or in a program that then becomes another one. Interfaces are set up by
ioctl in such a thread, so that no other program is needed.

Source: network_namespaces(7), setns(2), unshare(2), netdevice(7); the TUN interface: Documentation/networking/tuntap.rst of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

MTU_BYTES = 1500
CONGESTION = "reno"
"""TCP's congestion control inside: every kernel has it, and loss hurts none more. What the machine has set for itself does not leak in."""
_CLONE_NEWNET = 0x40000000
_TUN_DEVICE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFFLAGS = 0x8916, 0x891C, 0x8914
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_NETMASK = "255.255.255.0"
_CONGESTION_FILE = Path("/proc/sys/net/ipv4/tcp_congestion_control")

_T = TypeVar("_T")


def why_impossible() -> str:
    """Why links of packets cannot be made here, in words; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not _TUN_DEVICE.exists():
        return f"{_TUN_DEVICE} is missing"
    try:
        held = make_namespace()
    except OSError as error:
        return f"no network namespace can be made ({error.strerror})"
    os.close(held)
    return ""


def make_namespace(congestion: str = CONGESTION) -> int:
    """A new namespace with its loopback up; it lives while the returned descriptor or a process in it does.

    Raises OSError, also for a congestion control that this kernel does not give to namespaces."""

    def work() -> int:
        _check(_libc().unshare(_CLONE_NEWNET), "unshare")
        _set_up("lo", "127.0.0.1", "255.0.0.0")
        _CONGESTION_FILE.write_text(congestion, encoding="ascii")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return _in_thread(work)


def open_tun(namespace: int, address: str) -> int:
    """A TUN interface in that namespace with this IPv4 address in a network of 256; its descriptor works from here and does not block. Raises OSError."""

    def work() -> int:
        enter(namespace)
        tun = os.open(_TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"link0", _IFF_TUN | _IFF_NO_PI))
        _set_up("link0", address, _NETMASK)
        return tun

    return _in_thread(work)


def enter(namespace: int) -> None:
    """Move the calling thread into a namespace, for good. Raises OSError."""
    _check(_libc().setns(namespace, _CLONE_NEWNET), "setns")


def enter_at(path: str) -> None:
    """Move the calling thread into the namespace behind a path in /proc. Raises OSError."""
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace)
    finally:
        os.close(namespace)


def _set_up(interface: str, address: str, netmask: str) -> None:
    name = interface.encode("ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, netmask)):
            family_and_port = struct.pack("=HH", socket.AF_INET, 0)
            fcntl.ioctl(
                control, request, struct.pack("16s4s4s8x", name, family_and_port, socket.inet_aton(value))
            )
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", name, _IFF_UP | _IFF_RUNNING))


def _in_thread(work: Callable[[], _T]) -> _T:
    """What `work` returns; it runs in a thread of its own. Raises what it raised."""
    returned: list[_T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except OSError as error:
            raised.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return returned[0]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
