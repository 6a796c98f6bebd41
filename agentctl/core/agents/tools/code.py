"""Running Python that a model wrote: in the sandbox, in one session for the whole run."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from agentctl.core.agents.sandbox.sandbox import Sandbox
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.backends.base import ToolCall, ToolSpec
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject

if TYPE_CHECKING:
    from agentctl.core.agents.sandbox.python_session import PythonSession

# Seconds that one block of code may take, the tools that it calls not counted.
_LONGEST_S = 120.0


class RunPython:
    """Variables stay from call to call. The code may call the tools that were offered to it, each
    of them a call of its own at the gate.

    Args:
        offered: what the code may call by name.
        state: what `PythonSession` kept when the run was last worked on.
        stack: closes the session.
    """

    spec = ToolSpec(
        "run_python",
        "Runs Python code in a sandbox without network and tells what it printed and the value of "
        'its last expression. Variables stay. Example: {"code": "sum(range(101))"}',
        object_schema({"code": {"type": "string", "minLength": 1}}),
    )
    risk: Risk = "execute"
    # What bounds it is the time of the code itself: a tool that it calls may wait for the user.
    timeout_s = 86_400.0

    def __init__(
        self,
        sandbox: Sandbox,
        place: Workplace,
        offered: Sequence[ToolSpec],
        state: JsonObject | None,
        stack: AsyncExitStack,
    ) -> None:
        self._sandbox = sandbox
        self._place = place
        self._offered = offered
        self._state = state
        self._stack = stack
        self._session: PythonSession | None = None

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return str(args["code"])

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        session = await self._open()
        number = 0

        async def call_tool(name: str, arguments: JsonObject) -> str:
            nonlocal number
            number += 1
            if place.call_tool is None:
                raise ToolFailed("no tools can be called from here")
            result = await place.call_tool(ToolCall(f"{place.call_id}.{number}", name, arguments))
            if result.is_error:
                raise ToolFailed(result.text)
            return result.text

        result = await session.run(str(args["code"]), call_tool, _LONGEST_S)
        data: JsonObject = {
            "output": result.output,
            "value": result.value,
            "error": result.error,
            "answer": result.answer,
            "state": result.state,
        }
        parts = [result.output.rstrip(), result.value, result.error.rstrip()]
        if result.answer is not None:
            parts.append(f"final answer: {result.answer}")
        text = "\n".join(filter(None, parts)) or "(it printed nothing)"
        return ToolOutput(text, result.files, data)

    async def _open(self) -> "PythonSession":
        if self._session is None:
            self._session = self._sandbox.python(self._place, self._offered)
            self._stack.push_async_callback(self._session.close)
            if self._state is not None:
                self._session.restore(self._state)
        return self._session
