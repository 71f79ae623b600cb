"""Ports of virtio-console: programs in the guest and programs of the host, as QEMU's guest agent and its clients talk."""

import hashlib
import pathlib
import random
import socket
import sys
import threading
import time

from guest import Checks, Guest, GuestError, Options

MIB = 1 << 20
SIZE = 5 * MIB + 123
PATIENCE = 60
AGENT, OTHER = "org.qemu.guest_agent.0", "a.port"


def dial(path):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(path)
    return connection


def find(guest, name):
    """The device of a port, as a system without udev finds it."""
    found = guest.shell(f"for p in /sys/class/virtio-ports/*; do [ \"$(cat $p/name 2>/dev/null)\" = {name} ] && echo /dev/${{p##*/}}; done; true")
    if not found.startswith("/dev/vport"):
        raise GuestError(f"no port {name}: {found!r}")
    return found


def digest(data):
    return hashlib.sha256(data).hexdigest()


def receive(connection, size):
    data = b""
    while len(data) < size and (piece := connection.recv(65536)):
        data += piece
    return data


def check_both_ways(checks, guest, connection, device, size):
    data = random.Random(7).randbytes(size)
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    start = time.monotonic()
    seen = guest.shell(f"head -c {size} {device} | sha256sum").split()[0]
    sender.join()
    checks.equal(f"{size} bytes reach the guest", seen, digest(data))
    inward = time.monotonic() - start
    expected = guest.shell(f"head -c {size} /dev/urandom >/tmp/data && sha256sum </tmp/data").split()[0]
    guest.send(f"cat /tmp/data >{device}; echo @$?@\n")
    start = time.monotonic()
    back = receive(connection, size)
    checks.equal(f"and {size} bytes the host", digest(back), expected)
    guest.expect("@0@\n@0@\n")
    print(f"{size / MIB:.1f} MiB: to the guest in {inward:.2f} s, to the host in {time.monotonic() - start:.2f} s", flush=True)


def check_names(checks, guest):
    names = set(guest.shell("cat /sys/class/virtio-ports/*/name 2>/dev/null; true").split())
    checks.equal("the guest knows the ports by name", names, {"com.redhat.spice.0", AGENT, OTHER})


def check_end(checks, guest, path, device):
    """A client that leaves, and the next one."""
    with dial(path) as connection:
        connection.sendall(b"last words")
    # Gone before anybody in the guest has opened the port: its words are lost, and nobody waits for it.
    with dial(path) as connection:
        guest.send(f"cat {device} >/tmp/heard; echo @$?@\n")
        connection.sendall(b"first words\n")
        time.sleep(0.5)
    guest.expect("@0@\n@0@\n")
    checks.equal("a reader in the guest finds the end of what a client said", guest.shell("cat /tmp/heard"), "first words")
    with dial(path) as connection:
        check_both_ways(checks, guest, connection, device, 1000)


def check_floods(checks, guest, path, device):
    with dial(path) as connection:
        guest.shell(f"cat /dev/zero >{device} & echo $! >/tmp/flood")
        receive(connection, MIB)
        time.sleep(0.5)
        checks.equal("a client that does not read holds up nothing else", guest.shell("echo works"), "works")
    guest.shell("sleep 0.5; kill $(cat /tmp/flood)")
    connection = dial(path)
    connection.setblocking(False)
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            sent += connection.send(bytes(65536))
        except BlockingIOError:
            time.sleep(0.05)
    checks.check("nor is what nobody in the guest reads kept", sent < MIB, sent)
    connection.close()
    with dial(path) as connection:
        check_both_ways(checks, guest, connection, device, 1000)


def test_ports(checks, options):
    folder = options.folder
    paths = {name: f"/tmp/{name}.sock" for name in (AGENT, OTHER)}
    ports = [word for name, path in paths.items() for word in ("--port", f"name={name},socket=unix:{path}")]
    with Guest(options, *ports, "--console", f"file={folder}/console") as guest:
        guest.wait_ready()
        check_names(checks, guest)
        devices = {name: find(guest, name) for name in paths}
        guest.shell("echo from-hvc0 >/dev/hvc0")
        checks.check("the console is hvc0 beside them", "from-hvc0" in pathlib.Path(f"{folder}/console").read_text())
        with dial(paths[AGENT]) as connection, dial(paths[OTHER]) as other:
            check_both_ways(checks, guest, connection, devices[AGENT], SIZE)
            check_both_ways(checks, guest, other, devices[OTHER], 1000)
        check_end(checks, guest, paths[AGENT], devices[AGENT])
        check_floods(checks, guest, paths[AGENT], devices[AGENT])
        with dial(paths[OTHER]) as connection:
            guest.connect().run("system_reset")
            guest.wait_ready()
            check_both_ways(checks, guest, connection, find(guest, OTHER), 1000)
        checks.equal("nothing to complain about", guest.messages(), "")


def main():
    options, checks = Options(), Checks()
    checks.part(test_ports, options)
    return checks.end()


sys.exit(main())
