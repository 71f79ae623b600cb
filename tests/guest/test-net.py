"""The user network from a real guest: DHCP, DNS, IPv4 and IPv6, TCP and UDP both ways, forwards, what is closed to the guest.

The appliance is the world: it has addresses of its own on its loopback device, which no route leads away from.
"""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time

from guest import Checks, Guest, GuestError, Options

WORLD, WORLD6 = "10.99.0.1", "fd99::1"
NAME, NAME_ADDRESS = "alcove.test", "192.0.2.7"
SIZE = 6 << 20
DATA = random.Random(5).randbytes(SIZE)
HASH = hashlib.sha256(DATA).hexdigest()
FORWARDS = "forward=tcp:2222:22,forward=udp:5353:53,forward=tcp:[::1]:2222-:22,forward=udp:[::1]:5353-:53"
LOOPBACKS = (("IPv4", "127.0.0.1"), ("IPv6", "::1"))
SECRET = b"of this computer alone\n"


class Give(socketserver.BaseRequestHandler):
    """Sends DATA."""

    def handle(self):
        self.request.sendall(DATA)


class Take(socketserver.BaseRequestHandler):
    """Answers with the hash of what comes, as much as DATA."""

    def handle(self):
        digest, size = hashlib.sha256(), 0
        while size < SIZE and (piece := self.request.recv(1 << 20)):
            digest.update(piece)
            size += len(piece)
        self.request.sendall(digest.hexdigest().encode() + b"\n")


class Secret(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(SECRET)


class Echo(socketserver.BaseRequestHandler):
    """UDP."""

    def handle(self):
        data, server = self.request
        server.sendto(data, self.client_address)


class Names(socketserver.BaseRequestHandler):
    """A DNS server (RFC 1035, 4.1) of one name."""

    def handle(self):
        query, server = self.request
        question = query[12:]
        name, at = [], 0
        while question[at]:
            name.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind, = struct.unpack_from(">H", question, at + 1)
        found = ".".join(name) == NAME and kind == 1
        head = query[:2] + struct.pack(">HHHHH", 0x8180 if ".".join(name) == NAME else 0x8183, 1, found, 0, 0)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(NAME_ADDRESS) if found else b""
        server.sendto(head + question[:at + 5] + answer, self.client_address)


class Server6(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6


class UDPServer6(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6


def serve(kind, address, port, handler):
    kind.allow_reuse_address = True
    server = kind((address, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def make_world():
    for words in (["link", "set", "lo", "up"], ["addr", "add", f"{WORLD}/32", "dev", "lo"], ["-6", "addr", "add", f"{WORLD6}/128", "dev", "lo", "nodad"]):
        subprocess.run(["ip", *words], check=True)
    pathlib.Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")
    pathlib.Path("/tmp/resolv.conf").write_text(f"nameserver {WORLD}\n")
    subprocess.run(["mount", "--bind", "/tmp/resolv.conf", os.path.realpath("/etc/resolv.conf")], check=True)
    serve(socketserver.ThreadingTCPServer, WORLD, 9000, Give)
    serve(socketserver.ThreadingTCPServer, WORLD, 9001, Take)
    serve(Server6, WORLD6, 9000, Give)
    serve(Server6, WORLD6, 9001, Take)
    serve(socketserver.ThreadingUDPServer, WORLD, 9002, Echo)
    serve(socketserver.ThreadingTCPServer, "127.0.0.1", 9003, Secret)
    serve(socketserver.ThreadingUDPServer, "127.0.0.1", 9003, Echo)
    serve(UDPServer6, WORLD6, 9002, Echo)
    serve(Server6, "::1", 9003, Secret)
    serve(UDPServer6, "::1", 9003, Echo)
    serve(socketserver.ThreadingUDPServer, WORLD, 53, Names)


def check_lease(checks, guest):
    checks.check("the driver is there", "eth0" in guest.shell("ls /sys/class/net"))
    guest.shell("udhcpc -i eth0 -n -q -t 10 -T 1 >/tmp/lease 2>&1")
    checks.check("DHCP: an address", "10.0.2.15/24" in guest.shell("ip -4 addr show eth0"), guest.shell("cat /tmp/lease"))
    checks.check("a route", "default via 10.0.2.2" in guest.shell("ip route"))
    checks.equal("a DNS server", guest.shell("cat /etc/resolv.conf"), "nameserver 10.0.2.3")
    found = wait_ipv6(guest)
    checks.check("IPv6: an address by router advertisement", "fec0::" in found, found)


def wait_ipv6(guest):
    """An address that is the guest's for sure, and a route."""
    return guest.shell("for i in $(seq 40); do ip -6 addr show eth0 | grep fec0: | grep -qv tentative && ip -6 route | grep -q default && break; sleep 0.5; done; "
                       "ip -6 addr show eth0")


def check_names(checks, guest):
    answer = guest.shell(f"nslookup {NAME}", status=None)
    checks.check("DNS: a name", NAME_ADDRESS in answer, answer)
    answer = guest.shell("nslookup nobody.test", status=None)
    checks.check("DNS: one that is not there", "NXDOMAIN" in answer, answer)


def check_ping(checks, guest):
    for words, what in (("ping -c 2 -W 10 10.0.2.2", "the gateway"), ("ping -c 2 -W 10 -s 4000 10.0.2.2", "with fragments"),
                        (f"ping -c 2 -W 10 {WORLD}", "the world"), ("ping6 -c 2 -W 10 fec0::2", "the gateway by IPv6")):
        answer = guest.shell(words, status=None)
        checks.check(f"ping: {what}", " 0% packet loss" in answer, answer)


def count_packets(guest, way):
    return int(guest.shell(f"cat /sys/class/net/eth0/statistics/{way}_packets"))


def check_transfers(checks, guest):
    """Long segments are what the speed comes from: there are fewer packets than the MTU would make."""
    for kind, address in (("IPv4", WORLD), ("IPv6", WORLD6)):
        before = count_packets(guest, "rx")
        got = guest.shell(f"nc {address} 9000 </dev/null >/tmp/data; sha256sum /tmp/data").split()[0]
        checks.equal(f"{kind}: {SIZE >> 20} MiB from the world", got, HASH)
        received = count_packets(guest, "rx") - before
        before = count_packets(guest, "tx")
        got = guest.shell(f"nc {address} 9001 </tmp/data")
        checks.equal(f"{kind}: and to it", got, HASH)
        sent = count_packets(guest, "tx") - before
        checks.check("in long segments", max(sent, received) < SIZE // 1448 // 3, f"{received} packets received, {sent} sent")
    for size in (1, 1400, 8000):
        checks.equal(f"UDP: {size} bytes and back", guest.shell(f"guest-udp ask {WORLD} 9002 {size}"), str(size))
    checks.equal("UDP by IPv6: 1400 bytes and back", guest.shell(f"guest-udp ask {WORLD6} 9002 1400"), "1400")


def ask_tcp(port, data, address="127.0.0.1"):
    with socket.create_connection((address, port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        back = b""
        while piece := connection.recv(1 << 16):
            back += piece
        return back


def open_udp(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.settimeout(2)
    sender.connect((address, port))
    return sender


def ask_udp(port, data, address="127.0.0.1"):
    with open_udp(address, port) as sender:
        for _ in range(10):
            sender.send(data)
            try:
                return sender.recv(65536)
            except TimeoutError:
                pass
    return b""


def check_forwards(checks, guest):
    start_echoes(guest)
    for kind, address in LOOPBACKS:
        checks.check(f"a TCP forward by {kind}: a MiB and back", ask_tcp(2222, DATA[:1 << 20], address) == DATA[:1 << 20])
        checks.equal(f"a UDP forward by {kind}: a datagram and back", ask_udp(5353, b"hello", address), b"hello")


def check_forwards_later(checks, guest):
    """QMP, while it runs."""
    qmp = guest.connect()
    qmp.run("x-alcove-hostfwd-add", forward=f"tcp:{WORLD}:2223-:22")
    checks.equal("a forward that is added, on another address", ask_tcp(2223, b"hello", WORLD), b"hello")
    qmp.run("x-alcove-hostfwd-remove", forward=f"tcp:{WORLD}:2223")
    checks.check("and removed", is_refused(2223, WORLD))
    for kind, address in (("IPv4", WORLD), ("IPv6", f"[{WORLD6}]")):
        bare = address.strip("[]")
        checks.check(f"a UDP port by {kind} that is closed", is_udp_refused(5354, bare))
        qmp.run("x-alcove-hostfwd-add", forward=f"udp:{address}:5354-:53")
        checks.equal("a forward that is added", ask_udp(5354, b"again", bare), b"again")
        qmp.run("x-alcove-hostfwd-remove", forward=f"udp:{address}:5354")
        checks.check("and removed", is_udp_refused(5354, bare))
    qmp.run("x-alcove-hostfwd-add", forward=f"tcp:[{WORLD6}]:2223-:22")
    checks.equal("a TCP forward by IPv6 that is added", ask_tcp(2223, b"hello", WORLD6), b"hello")
    qmp.run("x-alcove-hostfwd-remove", forward=f"tcp:[{WORLD6}]:2223")
    checks.check("and removed", is_refused(2223, WORLD6))
    try:
        qmp.run("x-alcove-hostfwd-add", forward=f"tcp:{WORLD}:9000-:22")
        checks.check("one to a port in use is refused", False)
    except GuestError as error:
        checks.check("one to a port in use is refused", f"tcp:{WORLD}:9000-:22: Address already in use" in str(error), error)
    checks.equal("and the others go on", ask_tcp(2222, b"hello"), b"hello")


def check_closed(checks, guest):
    for address in ("10.0.2.2", "10.0.2.3", "fec0::2", "fec0::3"):
        answer = guest.shell(f"nc -w 2 {address} 9003 </dev/null", status=None)
        checks.check(f"the host's own loopback is closed: TCP to {address}", SECRET.decode().strip() not in answer, answer)
    for address in ("10.0.2.2", "fec0::2"):
        checks.equal(f"and UDP to {address}", guest.shell(f"guest-udp ask {address} 9003 20"), "0")


def is_refused(port, address="127.0.0.1"):
    try:
        socket.create_connection((address, port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def is_udp_refused(port, address):
    with open_udp(address, port) as sender:
        sender.send(b"hello?")
        try:
            sender.recv(65536)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            pass
    return False


def start_echoes(guest):
    guest.shell("nc -ll -p 22 -e cat >/dev/null 2>&1 & guest-udp echo 53 >/tmp/udp & "
                "while ! grep -q listening /tmp/udp || ! grep -q ':0016 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done")


def test_open(checks, options):
    with Guest(options, "--net", f"user,{FORWARDS}", initrd="net") as guest:
        guest.wait_ready()
        for part in (check_lease, check_names, check_ping, check_transfers, check_forwards, check_forwards_later, check_closed):
            part(checks, guest)


def test_restricted(checks, options):
    """A second machine with the same ports: they are free again."""
    with Guest(options, "--net", f"user,restrict=on,{FORWARDS}", initrd="net") as guest:
        guest.wait_ready()
        guest.shell("udhcpc -i eth0 -n -q -t 10 -T 1 >/tmp/lease 2>&1")
        checks.equal("restricted: the lease names no gateway", guest.shell("ip route | grep -c default", status=None), "0")
        guest.shell("ip route add default via 10.0.2.2 dev eth0")
        wait_ipv6(guest)
        for address in (WORLD, WORLD6):
            answer = guest.shell(f"nc -w 2 {address} 9000 </dev/null | wc -c", status=None)
            checks.equal(f"the world cannot be reached all the same: {address}", answer.split()[-1], "0")
            checks.equal("nor by UDP", guest.shell(f"guest-udp ask {address} 9002 20"), "0")
        check_forwards(checks, guest)


def make_uplink(options):
    """passt wants a device with a default route, whose addresses it gives to the guest."""
    module = next(pathlib.Path(options.material["vmlinux-generic"]).parent.glob("lib/modules/*/kernel/drivers/net/dummy.ko"))
    for words in (["insmod", module], ["ip", "link", "add", "up0", "type", "dummy"], ["ip", "addr", "add", "192.0.2.2/24", "dev", "up0"],
                  ["ip", "link", "set", "up0", "up"], ["ip", "route", "add", "default", "via", "192.0.2.1", "dev", "up0"]):
        subprocess.run([str(word) for word in words], check=True)


def check_no_passt(checks, options):
    ended = subprocess.run([options.vmm, "--accel", "kvm", "--kernel", options.material["vmlinux-generic"], "--net", "passt"],
                           env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=60)
    checks.equal("passt that is not installed: exit status", ended.returncode, 1)
    checks.check("and what to do", "install the package passt" in ended.stderr, ended.stderr)


def test_passt(checks, options):
    check_no_passt(checks, options)
    if not shutil.which("passt"):
        print("passt is not installed: its part is skipped", flush=True)
        return
    make_uplink(options)
    with Guest(options, "--net", "passt,forward=tcp:2222:22", initrd="net") as guest:
        guest.wait_ready()
        guest.shell("udhcpc -i eth0 -n -q -t 10 -T 1 >/tmp/lease 2>&1")
        checks.check("passt: the guest has this computer's address", "192.0.2.2/24" in guest.shell("ip -4 addr show eth0"), guest.shell("cat /tmp/lease"))
        # Debian 12's passt says everything again and again to a client that has closed its own direction: here none does.
        guest.shell("mkfifo /tmp/open; exec 3<>/tmp/open")
        got = guest.shell(f"nc {WORLD} 9000 <&3 >/tmp/data; sha256sum /tmp/data").split()[0]
        checks.equal(f"{SIZE >> 20} MiB from the world", got, HASH)
        checks.equal("and to it", guest.shell(f"cat /tmp/data >&3 & nc {WORLD} 9001 <&3"), HASH)
        answer = guest.shell("nc -w 2 192.0.2.1 9003 </dev/null", status=None)
        checks.check("the host's own loopback is closed", SECRET.decode().strip() not in answer, answer)
        start_echoes(guest)
        checks.check("a TCP forward: a MiB and back", ask_tcp(2222, DATA[:1 << 20]) == DATA[:1 << 20])
        children = pathlib.Path(f"/proc/{guest.process.pid}/task/{guest.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        end = time.monotonic() + 30
        while "no network any more" not in guest.messages() and time.monotonic() < end:
            time.sleep(0.1)
        checks.check("passt killed: it is said", "no network any more" in guest.messages(), guest.messages())
        checks.equal("and the machine goes on", guest.shell("echo there"), "there")


def test_port_in_use(checks, options):
    with socket.create_server(("127.0.0.1", 2222)):
        ended = subprocess.run([options.vmm, "--accel", "kvm", "--kernel", options.material["vmlinux-generic"], "--net", f"user,{FORWARDS}"],
                               capture_output=True, text=True, timeout=60)
    lines = ended.stderr.strip().splitlines()
    checks.equal("a port in use at the start: exit status", ended.returncode, 1)
    checks.check("and one line that names it", len(lines) == 1 and "tcp:127.0.0.1:2222" in lines[0] and "already in use" in lines[0], ended.stderr)


def main():
    options, checks = Options(), Checks()
    make_world()
    checks.part(test_open, options)
    checks.part(test_port_in_use, options)
    checks.part(test_restricted, options)
    checks.part(test_passt, options)
    return checks.end()


sys.exit(main())
