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
LIMIT = 60  # seconds for what must come; nothing is waited for that need not come
# Said after each line: when its answer is there, so is the line's.
MARK = '{"execute":"query-name","id":"the mark"}'
# Has no answer; one that came all the same would be counted to the next line's.
UNFINISHED = '{"execute":"query-name"'
QUIT = '{"execute":"quit","id":["last"]}'
REPLY_OF_QUIT = {"return": {}, "id": ["last"]}

# Each is sent as it stands; "FD:" in front hands a descriptor over with it, "STOP:" and the like await that event too.
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
    'STOP:{"execute":"stop"}', '{"execute":"stop"}', '{"execute":"query-status"}', 'RESUME:{"execute":"cont"}', '{"execute":"cont"}',
    'RESET:{"execute":"system_reset"}', 'POWERDOWN:{"execute":"system_powerdown"}',
    UNFINISHED, "}", '{"execute":"query-name"}{"execute":"query-name","id":1}\r\n\t{"execute":"query-name","id":2}',
    '{"execute" "stop"}', '{"execute":stop}', '{"execute":"stop",}', "}\n", "]\n",
    '{"execute":"st\\u00e9\\ud83d\\ude00p","id":"\\"\\\\\\u00e9"}',
    '{"execute":"stop","execute-not":"x"}',
    QUIT,
]
EVENTS = ("STOP", "RESUME", "RESET", "POWERDOWN")


class Peer:
    def __init__(self, command, path):
        self.process = subprocess.Popen(command)
        end = time.monotonic() + LIMIT
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

    def hear(self, *words):
        """All that is said until each word was said, or the other end closes, which without a word is what is awaited."""
        heard = b""
        end = time.monotonic() + LIMIT
        while not (words and all(word.encode() in heard for word in words) and heard.endswith(b"\n")):
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                raise SystemExit(f"{self.process.args[0]}: not all of {words} within {LIMIT} s, only {heard}")
            except ConnectionResetError:
                break
            if not piece:
                break
            heard += piece
        return heard

    def ask(self, line):
        if line is None:
            return self.hear('"QMP"')
        event, _, rest = line.partition(":")
        awaited = [f'"{event}"'] if event in EVENTS else []
        self.say(rest if awaited else line)
        if line == UNFINISHED:
            return b""
        if line == QUIT:
            return self.hear()
        self.say(MARK)
        return self.hear('"the mark"', *awaited)

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
    return sorted(lines, key=as_text)


def as_text(line):
    return json.dumps(line, sort_keys=True)


def compare(ours, theirs):
    differences = 0
    lines = [None] + BEFORE + AFTER
    for line in lines:
        heard = [normalise(peer.ask(line)) for peer in (ours, theirs)]
        if line == QUIT and REPLY_OF_QUIT not in heard[1]:
            # QEMU may end before its reply is written; ours says both, always.
            heard[1].append(REPLY_OF_QUIT)
            heard[1].sort(key=as_text)
        if heard[0] != heard[1] or (not heard[0] and line != UNFINISHED):
            differences += 1
            print(f"said:   {line}\nours:   {json.dumps(heard[0])}\nQEMU's: {json.dumps(heard[1])}")
    statuses = [peer.process.wait(LIMIT) for peer in (ours, theirs)]
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
