"""The `code` agents: smolagents' CodeAgent and ToolCallingAgent on a `ChatModel`.

The only file that knows smolagents. It works in a thread of its own and reaches the two doors, and
the sandbox behind the gate, through the event loop; its own executor and console are never used.
`SmolagentsModel` is of use alone, too: any code of smolagents takes it.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from dataclasses import replace
from io import StringIO
from typing import Any, Literal, TypeVar

from rich.console import Console
from smolagents import CodeAgent, ToolCallingAgent
from smolagents.agents import EMPTY_PROMPT_TEMPLATES, PromptTemplates, ToolOutput
from smolagents.agents import ToolCall as AgentToolCall
from smolagents.local_python_executor import CodeOutput, PythonExecutor
from smolagents.memory import ActionStep
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)
from smolagents.models import get_tool_json_schema as describe_tool
from smolagents.monitoring import AgentLogger, LogLevel, TokenUsage
from smolagents.tools import Tool

from agentctl.core.agents.base import Role, ToolResult
from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Done,
    Image,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.threads import run_in_thread, run_to_end
from agentctl.core.jsontypes import Json, JsonObject

T = TypeVar("T")
Wait = Callable[[Callable[[], Awaitable[T]]], T]

# The run's own limits are what ends it.
_MOST_STEPS = 10_000
_FINAL = "final_answer"
# Characters; without a bound a small model goes on for ever inside a string.
_LONGEST_THOUGHT = 400
_LONGEST_CODE = 1900

_CODE_PROMPT = """\
You solve tasks by writing Python, step by step. Answer each time with one JSON object:
{"thought": "what you do next and why", "code": "Python source"}
The code runs in a sandbox without network; you are then shown what it printed. Variables stay from
step to step. When you know the answer, call final_answer(answer) in the code.
These functions can be called in the code:
- final_answer(answer): ends the task
{%- for tool in tools.values() %}{% if tool.name != "final_answer" %}
- {{ tool.name }}({{ tool.inputs.keys() | join(", ") }}): {{ tool.description }}
{%- endif %}{%- endfor %}

Example, for the task "What is 5 + 3 + 1294.678?":
{"thought": "I add them.", "code": "final_answer(5 + 3 + 1294.678)"}
{% if custom_instructions %}
{{ custom_instructions }}
{% endif %}"""
_TOOLS_PROMPT = """\
You solve tasks step by step with tools. When you know the answer, call final_answer with it.
{% if custom_instructions %}
{{ custom_instructions }}
{% endif %}"""


class SmolagentsModel(Model):  # type: ignore[misc]  # smolagents ships no types
    """A `ChatModel` for smolagents: calls tools, keeps to schemas, counts tokens.

    Args:
        wait: runs a coroutine to its end from smolagents' thread.
    """

    def __init__(
        self,
        chat_model: ChatModel,
        options: ModelOptions | None = None,
        wait: "Wait[Any]" = run_to_end,
    ) -> None:
        super().__init__(model_id="agentctl")
        self._chat_model = chat_model
        self._options = options or ModelOptions()
        self._wait = wait

    def generate(
        self,
        messages: list[ChatMessage],
        stop_sequences: list[str] | None = None,
        response_format: dict[str, Any] | None = None,
        tools_to_call_from: list[Tool] | None = None,
        **_: Any,
    ) -> ChatMessage:
        schema = response_format["json_schema"]["schema"] if response_format else None
        request = ChatRequest(
            messages=tuple(map(_ours, messages)),
            tools=tuple(_spec(tool) for tool in tools_to_call_from or ()),
            schema=_bounded_code(schema) if schema else None,
            # A schema ends the answer by itself; stops could cut it in two.
            options=self._options
            if schema or not stop_sequences
            else replace(self._options, stop=tuple(stop_sequences)),
        )
        return self._wait(lambda: self._answer(request))

    async def _answer(self, request: ChatRequest) -> ChatMessage:
        text, thinking, calls = "", "", []
        done = Done("stop", 0, 0)
        async with aclosing(self._chat_model.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    text += delta.text
                elif isinstance(delta, ThinkingDelta):
                    thinking += delta.text
                elif isinstance(delta, ToolCallDelta):
                    calls.append(delta.call)
                else:
                    done = delta
        if request.tools and not calls:
            # Who answers in words has answered.
            calls.append(ToolCall(_FINAL, _FINAL, {"answer": text}))
        return ChatMessage(
            role=MessageRole.ASSISTANT,
            content=text,
            tool_calls=[_their_call(call) for call in calls] or None,
            raw={"thinking": thinking} if thinking else None,
            token_usage=TokenUsage(done.prompt_tokens, done.completion_tokens),
        )


class CodingAgent:
    """One role that works by writing code, or by calling tools.

    `style` "code" needs `run_python` among the tools that the gate knows: each code block is a call
    of it, and calls of tools inside the block are calls of their own.
    """

    def __init__(self, role: Role, style: Literal["code", "tools"]) -> None:
        self._bridge = _Bridge()
        model = SmolagentsModel(role.model, role.options, self._bridge.wait)
        tools = [_stub(spec) for spec in role.tools if spec.name != "run_python"]
        logger = AgentLogger(level=LogLevel.OFF, console=Console(file=StringIO()))
        common: dict[str, Any] = {
            "tools": tools,
            "model": model,
            "instructions": role.instructions or None,
            "max_steps": _MOST_STEPS,
            "logger": logger,
        }
        if style == "code":
            self._agent = CodeAgent(
                executor=_GatedExecutor(role, self._bridge),
                use_structured_outputs_internally=True,
                prompt_templates=_prompts(_CODE_PROMPT),
                **common,
            )
        else:
            self._agent = _GatedToolAgent(
                role, self._bridge, prompt_templates=_prompts(_TOOLS_PROMPT), **common
            )

    async def run(self, task: str) -> str:
        self._bridge.loop = asyncio.get_running_loop()
        answer = await run_in_thread(lambda: self._run(task))
        # smolagents wraps texts in a type of its own.
        return str(answer) if isinstance(answer, str) else json.dumps(answer, default=str)

    def _run(self, task: str) -> Any:  # Any: what the task's code gave as its answer
        try:
            return self._agent.run(task, reset=False)
        except _Stopped:
            return ""

    def stop(self) -> None:
        self._agent.interrupt()
        self._bridge.stop()

    async def close(self) -> None:
        """Its thread has ended, or will at the next door it comes to."""
        self._bridge.stop()


class _Stopped(BaseException):
    """Ends the thread: smolagents makes observations of what is an Exception."""


class _Bridge:
    """From smolagents' thread to the event loop and back."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._is_stopped = False
        self._waiting: set[Future[Any]] = set()

    def wait(self, work: Callable[[], Awaitable[T]]) -> T:
        """What the coroutine returns or raises. Raises _Stopped when the run has ended."""

        async def run() -> T:
            return await work()

        if self.loop is None:
            raise _Stopped
        future = asyncio.run_coroutine_threadsafe(run(), self.loop)
        self._waiting.add(future)
        if self._is_stopped:
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise _Stopped from None
        finally:
            self._waiting.discard(future)

    def stop(self) -> None:
        self._is_stopped = True
        for future in list(self._waiting):
            future.cancel()


class _GatedExecutor(PythonExecutor):  # type: ignore[misc]  # smolagents ships no types
    """Runs code blocks as calls of `run_python`."""

    def __init__(self, role: Role, bridge: _Bridge) -> None:
        self._role = role
        self._bridge = bridge
        self._latest = ""

    def send_tools(self, tools: Mapping[str, Tool]) -> None:
        """The sandbox knows them already."""

    def send_variables(self, variables: Mapping[str, Any]) -> None:
        """There are none: nothing of this process is handed to the code."""

    def __call__(self, code_action: str) -> CodeOutput:
        call = ToolCall(self._role.new_call_id(), "run_python", {"code": code_action})
        result = self._bridge.wait(lambda: self._role.call(call))
        if result.is_repeated:
            # Who has nothing else to try has its answer: what the code came to.
            return CodeOutput(output=self._latest, logs="", is_final_answer=True)
        if result.is_error or result.data is None:
            raise RuntimeError(result.text)
        data, self._latest = result.data, result.text
        answer = data.get("answer")
        logs, value = str(data.get("output") or ""), str(data.get("value") or "")
        if data.get("error"):
            raise RuntimeError(f"{logs}\n{data['error']}".strip())
        if logs and not logs.endswith("\n"):
            logs += "\n"
        is_final = answer is not None
        return CodeOutput(output=answer if is_final else value, logs=logs, is_final_answer=is_final)


class _GatedToolAgent(ToolCallingAgent):  # type: ignore[misc]  # smolagents ships no types
    """Sends every call to the gate, but for the final answer."""

    def __init__(self, role: Role, bridge: _Bridge, **options: Any) -> None:
        super().__init__(**options)
        self._role = role
        self._bridge = bridge

    def process_tool_calls(
        self, chat_message: ChatMessage, memory_step: ActionStep
    ) -> Generator[AgentToolCall | ToolOutput, None, None]:
        asked = [
            AgentToolCall(name=each.function.name, arguments=each.function.arguments, id=each.id)
            for each in chat_message.tool_calls or ()
        ]
        yield from asked
        # An answer that comes with other calls does not know their results.
        asked = [each for each in asked if each.name != _FINAL] or asked[:1]
        memory_step.tool_calls = asked
        observations = []
        for each in asked:
            is_final = each.name == _FINAL
            result = _answer_of(each.arguments) if is_final else self._call(each)
            observations.append(result.text)
            yield ToolOutput(
                id=each.id,
                output=result.text,
                is_final_answer=is_final,
                observation=result.text,
                tool_call=each,
            )
        chat_message.tool_calls = (chat_message.tool_calls or [])[: len(asked)]
        memory_step.observations = "\n".join(observations)

    def _call(self, asked: AgentToolCall) -> ToolResult:
        arguments = asked.arguments if isinstance(asked.arguments, dict) else {}
        call = ToolCall(asked.id, asked.name, arguments)
        return self._bridge.wait(lambda: self._role.call(call))


def _answer_of(arguments: object) -> ToolResult:
    answer = arguments.get("answer", "") if isinstance(arguments, dict) else arguments
    return ToolResult(answer if isinstance(answer, str) else json.dumps(answer, default=str))


def _prompts(system: str) -> PromptTemplates:
    return PromptTemplates(**{**EMPTY_PROMPT_TEMPLATES, "system_prompt": system})


def _stub(spec: ToolSpec) -> Tool:
    """A tool as smolagents describes it to the model; it has no code."""
    properties = spec.parameters.get("properties")
    required = spec.parameters.get("required")
    inputs = {
        name: _input(schema, is_optional=not isinstance(required, list) or name not in required)
        for name, schema in (properties if isinstance(properties, dict) else {}).items()
    }

    class Stub(Tool):  # type: ignore[misc]  # smolagents ships no types
        skip_forward_signature_validation = True

        def forward(self, **_: object) -> str:
            raise AssertionError("every call goes to the gate")

    Stub.name, Stub.description = spec.name, spec.description
    Stub.inputs, Stub.output_type = inputs, "string"
    return Stub()


def _input(schema: Json, *, is_optional: bool) -> dict[str, Any]:
    kind = schema.get("type", "any") if isinstance(schema, dict) else "any"
    text = schema.get("description", "") if isinstance(schema, dict) else ""
    return {"type": kind, "description": str(text)} | ({"nullable": True} if is_optional else {})


def _spec(tool: Tool) -> ToolSpec:
    function = describe_tool(tool)["function"]
    return ToolSpec(function["name"], function["description"], function["parameters"])


def _bounded_code(schema: Mapping[str, Json]) -> JsonObject:
    """smolagents' schema of a step, with ends to its strings."""
    bounds = {"thought": _LONGEST_THOUGHT, "code": _LONGEST_CODE}
    return (
        {
            "type": "object",
            "properties": {
                name: {"type": "string", "maxLength": length} for name, length in bounds.items()
            },
            "required": [*bounds],
            "additionalProperties": False,
        }
        if {*bounds} == {*_properties(schema)}
        else dict(schema)
    )


def _properties(schema: Mapping[str, Json]) -> Sequence[str]:
    properties = schema.get("properties")
    return [*properties] if isinstance(properties, dict) else []


def _ours(message: ChatMessage | dict[str, Any]) -> Message:
    if isinstance(message, dict):
        message = ChatMessage.from_dict(dict(message))
    role: Literal["system", "user", "assistant"] = "user"
    if message.role == MessageRole.SYSTEM:
        role = "system"
    elif message.role in (MessageRole.ASSISTANT, MessageRole.TOOL_CALL):
        role = "assistant"
    blocks = message.content or ""
    if isinstance(blocks, str):
        return Message(role, blocks)
    texts = [block["text"] for block in blocks if block.get("type") == "text"]
    images = tuple(_image(block["image"]) for block in blocks if block.get("type") == "image")
    return Message(role, "\n".join(texts), images)


def _image(picture: Any) -> Image:  # Any: a picture of Pillow's, or base64
    from io import BytesIO

    if isinstance(picture, str):
        return Image("image/png", base64.b64decode(picture))
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return Image("image/png", buffer.getvalue())


def _their_call(call: ToolCall) -> ChatMessageToolCall:
    function = ChatMessageToolCallFunction(name=call.name, arguments=call.arguments)
    return ChatMessageToolCall(function=function, id=call.id, type="function")
