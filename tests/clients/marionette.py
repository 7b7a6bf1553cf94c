"""Mozilla's remote protocol: `length:[type, id, command, parameters]` as JSON over TCP, and answers likewise."""

import json
import socket
from typing import Any


class ScriptError(Exception):
    """What the program said instead of a result."""


class Marionette:
    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=90)
        self._stream = self._connection.makefile("rb")
        self._number = 0
        # Greets with its name and version
        self._read()
        self.command("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.command("Marionette:SetContext", value="chrome")
        self.command("WebDriver:SetTimeouts", script=60_000)

    def command(self, name: str, **parameters: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._connection.sendall(b"%d:%s" % (len(message), message))
        _type, number, error, result = self._read()
        assert number == self._number, f"answer {number} to command {self._number}"
        if error:
            raise ScriptError(f"{error['error']}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of an async function returns, run with the program's own rights in its window."""
        wrapped = (
            "const args = Array.from(arguments), done = args.pop();"
            f"(async (...args) => {{ {script} }})(...args).then("
            "value => done({value: value === undefined ? null : value}), error => done({error: String(error) + '\\n' + error.stack}));"
        )
        answer = self.command(
            "WebDriver:ExecuteAsyncScript", script=wrapped, args=list(arguments), sandbox="system", newSandbox=False
        )["value"]
        if "error" in answer:
            raise ScriptError(answer["error"])
        return answer["value"]

    def _read(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte:
                raise ScriptError("the program has gone")
            length += byte
        return json.loads(self._stream.read(int(length)))

    def close(self) -> None:
        self._stream.close()
        self._connection.close()
