"""The `team` agents: AutoGen's group chats on `ChatModel`s.

The only file that knows AutoGen. `AutogenModel` is of use alone, too: any code of AutoGen takes it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal, cast

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, TerminationCondition
from autogen_agentchat.base import Team as AutogenGroup
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import TextMessage, ToolCallSummaryMessage
from autogen_agentchat.teams import BaseGroupChat, RoundRobinGroupChat, SelectorGroupChat
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelFamily,
    ModelInfo,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import (
    ImageResultContent,
    TextResultContent,
    ToolResult,
    ToolSchema,
    Workbench,
)
from autogen_core.tools import Tool as AutogenTool
from pydantic import BaseModel

from agentctl.core.agents.base import Role, TeamRules
from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Done,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.threads import run_to_end
from agentctl.core.jsontypes import JsonObject

# Model turns of one speaker before it has to let the next one speak.
_MOST_ITERATIONS = 12
_NO_PARAMETERS: JsonObject = {"type": "object", "properties": {}}
# What `count_tokens` reports when the window is not known yet.
_USUAL_WINDOW = 8192


class AutogenModel(ChatCompletionClient):
    """A `ChatModel` for AutoGen: streams, calls tools, stops when its token is cancelled."""

    component_type = "model"
    component_config_schema = BaseModel

    def __init__(self, chat_model: ChatModel, options: ModelOptions | None = None) -> None:
        self._chat_model = chat_model
        self._options = options or ModelOptions()
        self._used = RequestUsage(0, 0)

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[AutogenTool | ToolSchema] = (),
        tool_choice: AutogenTool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        stream = self.create_stream(
            messages, tools=tools, tool_choice=tool_choice, json_output=json_output
        )

        async def last() -> CreateResult:
            async with aclosing(stream) as pieces:
                return [piece async for piece in pieces if isinstance(piece, CreateResult)][-1]

        task = asyncio.ensure_future(last())
        if cancellation_token is not None:
            cancellation_token.link_future(task)
        return await task

    async def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[AutogenTool | ToolSchema] = (),
        tool_choice: AutogenTool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        schema = (
            json_output.model_json_schema()
            if isinstance(json_output, type)
            else {"type": "object"}
            if json_output
            else None
        )
        request = self._request(messages, () if tool_choice == "none" else tools)
        text, thinking, calls, done = "", "", [], Done("stop", 0, 0)
        async with aclosing(self._chat_model.stream(replace(request, schema=schema))) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    text += delta.text
                    yield delta.text
                elif isinstance(delta, ThinkingDelta):
                    thinking += delta.text
                elif isinstance(delta, ToolCallDelta):
                    calls.append(_their_call(delta.call))
                else:
                    done = delta
        usage = RequestUsage(done.prompt_tokens, done.completion_tokens)
        self._used = RequestUsage(
            self._used.prompt_tokens + usage.prompt_tokens,
            self._used.completion_tokens + usage.completion_tokens,
        )
        yield CreateResult(
            finish_reason="function_calls" if calls else _finish(done),
            content=calls or text,
            usage=usage,
            cached=False,
            thought=(text if calls else thinking) or None,
        )

    async def close(self) -> None:
        """Whoever has opened the model closes it."""

    def actual_usage(self) -> RequestUsage:
        return self._used

    def total_usage(self) -> RequestUsage:
        return self._used

    def count_tokens(
        self, messages: Sequence[LLMMessage], *, tools: Sequence[AutogenTool | ToolSchema] = ()
    ) -> int:
        return run_to_end(lambda: self._chat_model.count_tokens(self._request(messages, tools)))

    def remaining_tokens(
        self, messages: Sequence[LLMMessage], *, tools: Sequence[AutogenTool | ToolSchema] = ()
    ) -> int:
        window = run_to_end(self._chat_model.info).context_window or _USUAL_WINDOW
        return window - self.count_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> Any:  # Any: deprecated, and the same as `model_info`
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        """All can call tools: a schema helps those that cannot."""
        return ModelInfo(
            vision=False,
            function_calling=True,
            json_output=True,
            family=ModelFamily.UNKNOWN,
            structured_output=True,
            multiple_system_messages=True,
        )

    def _request(
        self, messages: Sequence[LLMMessage], tools: Sequence[AutogenTool | ToolSchema]
    ) -> ChatRequest:
        schemas = [tool if isinstance(tool, dict) else tool.schema for tool in tools]
        return ChatRequest(
            messages=tuple(each for message in messages for each in _ours(message)),
            tools=tuple(
                ToolSpec(
                    schema["name"],
                    schema.get("description", ""),
                    cast("JsonObject", schema.get("parameters") or _NO_PARAMETERS),
                )
                for schema in schemas
            ),
            options=self._options,
        )


class Team:
    """Several roles that speak in turn."""

    def __init__(self, roles: Sequence[Role], rules: TeamRules, selector: ChatModel) -> None:
        self._rules = rules
        self._token = CancellationToken()
        members: list[ChatAgent | AutogenGroup] = [_member(role) for role in roles]
        self._answers = rules.answers or next(
            (role.name for role in reversed(roles) if role.name != rules.ends_by), ""
        )
        ends: TerminationCondition = TextMentionTermination(
            rules.agreement, sources=[rules.ends_by] if rules.ends_by else None
        ) | MaxMessageTermination(rules.max_messages)
        self._team: BaseGroupChat
        if rules.order == "selector":
            client = AutogenModel(selector, roles[0].options)
            self._team = SelectorGroupChat(members, client, termination_condition=ends)
        else:
            self._team = RoundRobinGroupChat(members, termination_condition=ends)

    async def run(self, task: str) -> str:
        result = await self._team.run(task=task, cancellation_token=self._token)
        said = [
            message
            for message in result.messages
            if isinstance(message, TextMessage | ToolCallSummaryMessage)
            and message.source != "user"
        ]
        chosen = [message for message in said if message.source == self._answers] or said
        answer = chosen[-1].content if chosen else ""
        return answer.replace(self._rules.agreement, "").strip() or answer

    def stop(self) -> None:
        """A cancelled task alone goes on for seconds."""
        self._token.cancel()

    async def close(self) -> None:
        """Holds nothing."""


class _GatedWorkbench(Workbench):
    """AutoGen's shelf of tools: every call goes to the gate."""

    component_config_schema = BaseModel

    def __init__(self, role: Role) -> None:
        self._role = role

    async def list_tools(self) -> list[ToolSchema]:
        return [
            # AutoGen's type has no room for all of JSON Schema; what is sent is `parameters`.
            ToolSchema(name=spec.name, description=spec.description, parameters=spec.parameters)  # type: ignore[typeddict-item]
            for spec in self._role.tools
        ]

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
        call_id: str | None = None,
    ) -> ToolResult:
        call = ToolCall(call_id or "", name, dict(arguments or {}))
        task = asyncio.ensure_future(self._role.call(call))
        if cancellation_token is not None:
            cancellation_token.link_future(task)
        result = await task
        content: list[TextResultContent | ImageResultContent] = [
            TextResultContent(content=result.text)
        ]
        return ToolResult(name=name, result=content, is_error=result.is_error)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def reset(self) -> None: ...

    async def save_state(self) -> Mapping[str, Any]:
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None: ...


def _member(role: Role) -> AssistantAgent:
    return AssistantAgent(
        role.name,
        AutogenModel(role.model, role.options),
        description=role.description,
        system_message=role.instructions or None,
        workbench=_GatedWorkbench(role) if role.tools else None,
        max_tool_iterations=_MOST_ITERATIONS,
        model_client_stream=False,
    )


def _finish(done: Done) -> Literal["stop", "length"]:
    return "length" if done.finish_reason == "length" else "stop"


def _their_call(call: ToolCall) -> FunctionCall:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return FunctionCall(id=call.id, name=call.name, arguments=arguments)


def _ours(message: LLMMessage) -> list[Message]:
    if isinstance(message, SystemMessage):
        return [Message("system", message.content)]
    if isinstance(message, UserMessage):
        parts = [message.content] if isinstance(message.content, str) else message.content
        text = "\n".join(part for part in parts if isinstance(part, str))
        named = message.source not in ("user", "")
        return [Message("user", f"{message.source} says:\n{text}" if named else text)]
    if isinstance(message, AssistantMessage):
        if isinstance(message.content, str):
            return [Message("assistant", message.content)]
        calls = tuple(
            ToolCall(call.id, call.name, json.loads(call.arguments)) for call in message.content
        )
        return [Message("assistant", message.thought or "", tool_calls=calls)]
    return [
        Message("tool", each.content, tool_call_id=each.call_id, tool_name=each.name)
        for each in message.content
    ]
