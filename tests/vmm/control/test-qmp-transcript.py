"""Says the same to our QMP server and to a real QEMU's, and compares what they answer, value by value.

Usage: test-qmp-transcript.py SERVE_FAKE_MACHINE; ends 77 without qemu-system-x86_64.

What may differ is said in normalise () and nowhere else: times, the version, and the text after "JSON parse error,".
"""

import array
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

QEMU = "qemu-system-x86_64"
SILENCE = 0.3  # an event comes within so long after the reply of the command that caused it
# Said after each line: when its answer is there, so is the line's.
MARK = '{"execute":"query-name","id":"the mark"}'
CAUSES = ("stop", "cont", "system_reset", "system_powerdown")
UNFINISHED = '{"execute":"query-name"'

# Each is sent as it stands, "FD:" in front hands a descriptor over with it.
BEFORE = [
    '{"execute":"query-status"}',
    '{"execute":"nope","id":1}',
    '{"execute":"qmp_capabilities","arguments":{"enable":["foo"]}}',
    '{"execute":"qmp_capabilities","arguments":{"enable":3}}',
    '{"execute":"qmp_capabilities","arguments":{"bogus":3}}',
    '{"execute":"qmp_capabilities","id":{"a":[1,null,true,"x"]}}',
    '{"execute":"qmp_capabilities"}',
]
AFTER = [
    '{"execute":"nope","id":"x"}',
    '{"execute":"query-name"}', '{"execute":"query-status"}', '{"execute":"query-status","id":null}',
    '{"execute":"query-status","arguments":{}}',
    '{"execute":"query-status","arguments":{"x":1}}',
    '{"execute":"query-status","arguments":3}', '{"execute":"query-status","arguments":null}',
    '{"execute":3}', '{"execute":null}', '{"foo":1}', '{}', '{"id":5}', '{"arguments":{}}', "[]", "3\n", '"x"', "null\n", "true\n",
    '{"execute":"query-status","foo":1}', '{"timestamp":1,"execute":"query-status"}',
    '{"execute":"screendump"}',
    '{"execute":"screendump","arguments":{"filename":3}}',
    '{"execute":"screendump","arguments":{"filename":null}}',
    '{"execute":"screendump","arguments":{"filename":"/x","format":"gif"}}',
    '{"execute":"screendump","arguments":{"filename":"/x","format":7}}',
    '{"execute":"screendump","arguments":{"filename":"/x","head":"a"}}',
    '{"execute":"screendump","arguments":{"filename":"/x","bogus":1}}',
    '{"execute":"screendump","arguments":{"filename":"/x","head":1}}',
    '{"execute":"screendump","arguments":{"filename":"/x","device":"a","head":1}}',
    '{"execute":"getfd"}', '{"execute":"getfd","arguments":{"fdname":"a"}}',
    'FD:{"execute":"getfd","arguments":{"fdname":"1a"}}',
    'FD:{"execute":"getfd","arguments":{"fdname":"a"}}',
    'FD:{"execute":"getfd","arguments":{"fdname":"a"},"id":2}',
    '{"execute":"closefd","arguments":{"fdname":"a"}}', '{"execute":"closefd","arguments":{"fdname":"a"}}',
    '{"execute":"closefd","arguments":{"fdname":[]}}',
    '{"execute":"add_client"}', '{"execute":"add_client","arguments":{"protocol":"spice"}}',
    '{"execute":"add_client","arguments":{"protocol":"spice","fdname":"a"}}',
    '{"execute":"add_client","arguments":{"protocol":"spice","fdname":"a","skipauth":3}}',
    'FD:{"execute":"getfd","arguments":{"fdname":"b"}}',
    '{"execute":"add_client","arguments":{"protocol":"foo","fdname":"b"}}',
    '{"execute":"closefd","arguments":{"fdname":"b"}}',
    '{"execute":"stop"}', '{"execute":"stop"}', '{"execute":"query-status"}', '{"execute":"cont"}', '{"execute":"cont"}',
    '{"execute":"system_reset"}', '{"execute":"system_powerdown"}',
    UNFINISHED, "}", '{"execute":"query-name"}{"execute":"query-name","id":1}\r\n\t{"execute":"query-name","id":2}',
    '{"execute" "stop"}', '{"execute":stop}', '{"execute":"stop",}', "}\n", "]\n",
    '{"execute":"st\\u00e9\\ud83d\\ude00p","id":"\\"\\\\\\u00e9"}',
    '{"execute":"stop","execute-not":"x"}',
    '{"execute":"quit","id":["last"]}',
]


class Peer:
    def __init__(self, command, path):
        self.process = subprocess.Popen(command)
        end = time.monotonic() + 20
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit(f"{command[0]} does not answer on {path}")
                time.sleep(0.02)

    def hear(self, until, seconds):
        """All that is said until a line has until in it, or seconds have passed, or the other end closes."""
        heard = b""
        end = time.monotonic() + seconds
        while not (until and until in heard and heard.endswith(b"\n")):
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                piece = self.socket.recv(65536)
            except (TimeoutError, ConnectionResetError):
                break
            if not piece:
                break
            heard += piece
        return heard

    def ask(self, line):
        if line is None:
            return self.hear(b"}", 10)
        self.say(line)
        if line == UNFINISHED:
            return self.hear(None, SILENCE)
        if '"quit"' in line:
            return self.hear(None, 20)  # reply and event, in either order, then it closes
        self.say(MARK)
        heard = self.hear(b'"the mark"', 10)
        if any(f'"{word}"' in line for word in CAUSES):
            heard += self.hear(None, SILENCE)
        return heard

    def say(self, line):
        if line.startswith("FD:"):
            with open("/dev/null") as file:
                fds = array.array("i", [file.fileno()])
                self.socket.sendmsg([line[3:].encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        else:
            self.socket.sendall(line.encode())


def normalise(value):
    """Takes away what may differ. An event and the reply of the command that caused it may come in either order."""
    lines = [line for line in map(json.loads, value.splitlines()) if line.get("id") != "the mark"]
    for line in lines:
        assert value.endswith(b"\r\n"), value
        if "timestamp" in line:
            assert 0 <= line["timestamp"]["microseconds"] < 1000000 and abs(line["timestamp"]["seconds"] - time.time()) < 60, line
            line["timestamp"] = "a time"
        if "QMP" in line:
            assert set(line["QMP"]["version"]) == {"qemu", "package"}
            assert set(line["QMP"]["version"]["qemu"]) == {"major", "minor", "micro"}
            assert isinstance(line["QMP"]["capabilities"], list)
            line["QMP"] = "a greeting"
        description = line.get("error", {}).get("desc", "")
        if description.startswith("JSON parse error,"):
            line["error"]["desc"] = "JSON parse error,"
    return sorted(lines, key=lambda line: json.dumps(line, sort_keys=True))


def compare(ours, theirs):
    differences = 0
    lines = [None] + BEFORE + AFTER
    for line in lines:
        heard = [normalise(peer.ask(line)) for peer in (ours, theirs)]
        if heard[0] != heard[1] or (not heard[0] and line != UNFINISHED):
            differences += 1
            print(f"said:   {line}\nours:   {json.dumps(heard[0])}\nQEMU's: {json.dumps(heard[1])}")
    statuses = [peer.process.wait(20) for peer in (ours, theirs)]
    if statuses != [0, 0]:
        differences += 1
        print(f"exit statuses {statuses}")
    print(f"qmp-transcript: {len(lines)} exchanges, {differences} differ")
    return 1 if differences else 0


def main():
    if not shutil.which(QEMU):
        print(f"{QEMU} is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="alcove-qmp-") as folder:
        ours_path, theirs_path = os.path.join(folder, "ours"), os.path.join(folder, "theirs")
        peers = []
        try:
            peers.append(Peer([sys.argv[1], ours_path], ours_path))
            peers.append(Peer([QEMU, "-M", "none", "-nodefaults", "-no-user-config", "-display", "none", "-name", "vm1",
                               "-chardev", f"socket,id=q,path={theirs_path},server=on,wait=off", "-mon", "chardev=q,mode=control"],
                              theirs_path))
            return compare(*peers)
        finally:
            for peer in peers:
                peer.process.kill()
                peer.process.wait()


sys.exit(main())
