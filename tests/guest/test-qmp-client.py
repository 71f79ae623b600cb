"""QEMU's own QMP clients, the library and the shell, drive a machine as they drive QEMU."""

import asyncio
import os
import pathlib
import subprocess
import sys

from guest import Checks, Guest, Options

PNG = b"\x89PNG\r\n\x1a\n"


async def use_library(checks, guest):
    from qemu.qmp import ExecuteError, QMPClient

    client = QMPClient("test")
    await client.connect(guest.control)
    version = await client.execute("query-version")
    checks.check("query-version names alcove-vmm", "alcove-vmm" in version["package"], version)
    checks.equal("query-status", (await client.execute("query-status"))["status"], "running")
    checks.equal("query-kvm", await client.execute("query-kvm"), {"enabled": True, "present": True})
    with client.listener(("STOP", "RESUME", "RESET")) as events:
        for command, event in (("stop", "STOP"), ("cont", "RESUME"), ("system_reset", "RESET")):
            await client.execute(command)
            checks.equal(f"{command} is followed by", (await events.get())["event"], event)
    try:
        await client.execute("no-such-command")
        checks.check("an unknown command is refused", False)
    except ExecuteError as error:
        checks.equal("an unknown command: class", error.error_class, "CommandNotFound")
    try:
        await client.execute("screendump", {"filename": 5})
        checks.check("a filename that is a number is refused", False)
    except ExecuteError as error:
        checks.equal("a filename that is a number: class", error.error_class, "GenericError")
    await client.disconnect()


def use_shell(checks, guest, modules):
    """qmp-shell reads words, makes commands of them and prints what comes back."""
    picture = pathlib.Path(guest.folder) / "screen.png"
    lines = f"query-name\nscreendump filename={picture} format=png\nsystem_powerdown\n"
    result = subprocess.run([sys.executable, f"{modules}/qemu/qmp/qmp_shell.py", "-v", guest.control], input=lines, text=True,
                            capture_output=True, timeout=60, env={**os.environ, "PYTHONPATH": modules})
    checks.check("qmp-shell connects", "Connected to QEMU" in result.stdout, result.stdout + result.stderr)
    checks.check("its command is answered", '"name": "thing"' in result.stdout, result.stdout)
    checks.check("its screendump is a PNG", picture.read_bytes().startswith(PNG))


def test_clients(checks, options):
    modules = options.material["qmp-client"]
    sys.path.insert(0, modules)
    with Guest(options, "--name", "thing", flavour="cloud", memory="128M") as guest:
        guest.wait_ready()
        asyncio.run(use_library(checks, guest))
        guest.wait_ready()
        use_shell(checks, guest, modules)
        guest.connect().run("quit")
        checks.equal("quit ends with 0", guest.wait_end(), 0)


def main():
    checks = Checks()
    checks.part(test_clients, Options())
    return checks.end()


sys.exit(main())
