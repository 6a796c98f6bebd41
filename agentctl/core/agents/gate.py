"""The one gate: every tool call of every framework, and of code that a model wrote, passes here.

The order of things: known? arguments as declared? the same call again and again? what would it
touch? what says the policy? what says the user? Only then it runs, within its time, and what it
answers is cut to what a model can read.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from agentctl.core.agents.base import CallTool, ToolResult
from agentctl.core.agents.circles import SAME_ROUNDS, STUCK_ROUNDS, no_calls, rounds
from agentctl.core.agents.permissions.policy import Policy, Rule, Verdict, rule_for
from agentctl.core.agents.run_context import RunContext
from agentctl.core.agents.run_store import Decision
from agentctl.core.agents.tools.base import Tool, ToolOutput, Workplace, clip
from agentctl.core.backends.base import ToolCall
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.config import nearest
from agentctl.core.errors import AgentctlError, AgentStuck, ToolFailed
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    SourcesFound,
    ToolCallRequested,
    ToolFinished,
)
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.sources import Source

_REPEATED = f"you have made this same call {SAME_ROUNDS} times over"
# Who decided, as it stands in the table.
BY_USER, BY_USER_FOR_RUN, BY_USER_ALWAYS = "user", "user, for this run", "user, always"
# Seconds between looks at whether the user has answered in another process.
_LOOK_S = 0.2
# Characters of a preview that are kept, and of a result that is read.
_LONGEST_PREVIEW = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the gate treats the user.

    `asks`: whether somebody is there to answer now; otherwise a call that must be asked for makes
    the run wait. `answers_no`: nobody is asked, such a call is denied. `answers_yes`: such a call
    is allowed. Results have at most `result_chars` characters.
    """

    asks: bool = False
    answers_no: bool = False
    answers_yes: bool = False
    result_chars: int = 20_000


class Gate:
    """The gate of one run. `remember` keeps a rule for always, and says where."""

    def __init__(
        self,
        context: RunContext,
        tools: Mapping[str, Tool],
        policy: Policy,
        manners: Manners,
        remember: Callable[[Rule], str],
    ) -> None:
        self._context = context
        self._tools = dict(tools)
        self._policy = policy
        self._manners = manners
        self._remember = remember
        self._took_ms: dict[str, float] = {}
        self._asking = asyncio.Lock()
        for decision in context.store.decisions(context.run_id):
            self._learn(decision, is_new=False)

    def for_speaker(
        self, speaker: str, tools: Collection[str], *, is_within: bool = False
    ) -> CallTool:
        """The gate as one speaker sees it, who may call these tools; or code of that speaker's."""

        async def call(asked: ToolCall) -> ToolResult:
            if not is_within:
                self._note(speaker, asked)
            return await self.call(speaker, asked, tools)

        return call

    def add(self, tool: Tool) -> None:
        """Adds a tool that could not be made before the gate."""
        self._tools[tool.spec.name] = tool

    async def call(self, speaker: str, call: ToolCall, tools: Collection[str]) -> ToolResult:
        """The result, or the error that the model may mend; never raises one of ours.

        Does not return when the run ends here: the caller is cancelled.
        """
        context = self._context
        call = self._with_own_id(speaker, call)
        recorded = context.record.results.get(call.id)
        if recorded is not None:
            data = context.record.data.get(call.id)
            text = recorded.error if recorded.error is not None else recorded.result
            is_repeated = text.startswith(_REPEATED)
            return ToolResult(text, recorded.error is not None, is_repeated, data)
        await context.begin_call()
        context.emit(
            ToolCallRequested(
                **context.stamp(),
                call_id=call.id,
                tool=call.name,
                args=call.arguments,
                agent=speaker,
            )
        )
        try:
            output = await self._pass(speaker, call, tools)
            result = ToolResult(self._readable(output.text), data=output.data)
            files = output.files
        except ToolFailed as error:
            text = self._readable(error.message)
            result = ToolResult(text, is_error=True, is_repeated=text.startswith(_REPEATED))
            files = ()
        if result.data is not None:
            self._tell_sources(result.data)
            body: JsonObject = {**result.data, "call_id": call.id}
            context.store.append(context.run_id, "tool_data", body)
        context.emit(
            ToolFinished(
                **context.stamp(),
                call_id=call.id,
                tool=call.name,
                result="" if result.is_error else result.text,
                error=result.text if result.is_error else None,
                took_ms=self._took_ms.pop(call.id, 0.0),
                files=files,
            )
        )
        return result

    def _with_own_id(self, speaker: str, call: ToolCall) -> ToolCall:
        """Code that is run again may ask for something else in the place of an earlier call: that
        is a call of its own, which nobody has decided on and which has no result."""
        import msgspec

        args = msgspec.json.decode(msgspec.json.encode(call.arguments))  # as the log holds them
        own, number = call.id, 1
        while (asked := self._context.record.asked.get(own)) is not None:
            if (asked.agent, asked.tool, asked.args) == (speaker, call.name, args):
                break
            number += 1
            own = f"{call.id}~{number}"
        return replace(call, id=own)

    def _tell_sources(self, data: JsonObject) -> None:
        """Passages that the model may cite from here on."""
        import msgspec

        if "sources" in data:
            sources = msgspec.convert(data["sources"], tuple[Source, ...])
            self._context.emit(SourcesFound(**self._context.stamp(), sources=sources))

    async def _pass(self, speaker: str, call: ToolCall, tools: Collection[str]) -> ToolOutput:
        """Raises ToolFailed for whatever keeps the call from being made."""
        tool = self._tools.get(call.name) if call.name in tools else None
        if tool is None:
            close = nearest(call.name, tools)
            hint = f" (did you mean {close}?)" if close else ""
            known = ", ".join(tools) or "none"
            raise ToolFailed(f"there is no tool {call.name}{hint}; the tools are: {known}")
        check_arguments(tool, call.arguments)
        if call.id in self._context.record.begun and _has_effects(tool):
            raise ToolFailed(
                "the program ended while this call was under way: whether it took effect is not "
                "known; look before you try it again"
            )
        self._check_new(speaker, call)
        args = await self._permit(speaker, tool, call)
        is_read_only = self._check_still(speaker, tool, call, args)
        place = replace(
            self._context.place,
            call_id=call.id,
            is_read_only=is_read_only,
            call_tool=self.for_speaker(speaker, tools, is_within=True),
        )
        return await self._run(tool, args, place)

    def _note(self, speaker: str, call: ToolCall) -> None:
        """What code asks for is not noted: it may loop."""
        self._context.latest_calls.setdefault(speaker, no_calls()).append(_as_text(call))

    def _check_new(self, speaker: str, call: ToolCall) -> None:
        """Raises ToolFailed when the model has nothing new to ask; at last the run ends."""
        latest = self._context.latest_calls.get(speaker, no_calls())
        times = rounds(latest)
        if times <= SAME_ROUNDS or _as_text(call) != latest[-1]:
            return
        if times >= STUCK_ROUNDS:
            message = f"the model asked for the same call of {call.name} {STUCK_ROUNDS} times"
            self._context.stop("failed", AgentStuck(message))
        self._context.must_answer.add(speaker)
        raise ToolFailed(f"{_REPEATED}; use what it answered and give your answer")

    async def _permit(self, speaker: str, tool: Tool, call: ToolCall) -> JsonObject:
        """The arguments that may run: the user may have edited them."""
        await self._context.check_running()
        answered = self._answered(call.id)
        if answered is not None:
            self._learn(answered, is_new=answered.decision != "pending")
            return await self._obey(tool, answered)
        verdict = self._judge(speaker, tool, call)
        is_pending = verdict.decision == "ask"
        # Only now: what the user is shown, and why it cannot be, tells what stands in files.
        preview = await self._preview(tool, call.arguments) if is_pending else ""
        decision = self._context.store.decide(
            run=self._context.run_id,
            call_id=call.id,
            agent=speaker,
            tool=tool.spec.name,
            risk=tool.risk,
            args=call.arguments,
            preview=preview,
            decision="pending" if verdict.decision == "ask" else verdict.decision,
            decided_by="" if is_pending else "policy",
            reason=verdict.reason,
        )
        return await self._obey(tool, decision)

    def _check_still(self, speaker: str, tool: Tool, call: ToolCall, args: JsonObject) -> bool:
        """Whether a rule for what only reads has allowed it, and nobody else.

        Raises ToolFailed when the call would no longer touch what was decided on. Between a
        decision and its call there may be days, and other calls: what was a folder of the work
        folder can be a link that leads out of it by now.
        """
        verdict = self._verdict(speaker, tool, args)
        if verdict.decision == "allow":
            return verdict.read_only and not self._was_asked(call)
        if verdict.decision == "ask" and self._was_asked(call):
            return False
        self._context.was_denied = True
        raise ToolFailed(
            f"this call is denied: since it was decided on, what it touches has changed "
            f"({verdict.reason}); look before you try it again"
        )

    def _was_asked(self, call: ToolCall) -> bool:
        decided = self._context.store.decisions(self._context.run_id, call.id)[-1]
        return decided.decided_by != "policy" or self._manners.answers_yes

    def _judge(self, speaker: str, tool: Tool, call: ToolCall) -> Verdict:
        verdict = self._verdict(speaker, tool, call.arguments)
        if verdict.decision == "ask" and self._manners.answers_yes:
            return Verdict("allow", "the user allows all: --approve all")
        if verdict.decision == "ask" and self._manners.answers_no:
            return Verdict("deny", "needs approval, and nobody is asked: --approve none")
        return verdict

    def _verdict(self, speaker: str, tool: Tool, args: JsonObject) -> Verdict:
        place = self._context.place
        touches = tool.touches(args, place)
        return self._policy.decide(agent=speaker, tool=tool, touches=touches, place=place)

    async def _preview(self, tool: Tool, args: JsonObject) -> str:
        place = self._context.place
        return clip(await run_in_thread(lambda: tool.preview(args, place)), _LONGEST_PREVIEW)

    def _answered(self, call_id: str) -> Decision | None:
        """A decision of an earlier life of this run."""
        found = self._context.store.decisions(self._context.run_id, call_id)
        return found[-1] if found else None

    async def _obey(self, tool: Tool, decision: Decision) -> JsonObject:
        if decision.decision == "pending":
            decision = await self._ask(decision)
            self._learn(decision, is_new=True)
        context = self._context
        by = decision.decided_by + (f": {decision.reason}" if decision.reason else "")
        is_allowed = decision.decision == "allow"
        context.emit(
            ApprovalGiven(
                **context.stamp(),
                call_id=decision.call_id,
                approved=is_allowed,
                by=by,
                args=decision.args,
            )
        )
        if not is_allowed:
            context.was_denied = True
            raise ToolFailed(
                f"this call was denied ({by}); do not try it again, find another way or say what "
                "you need"
            )
        check_arguments(tool, decision.args)
        return decision.args

    async def _ask(self, decision: Decision) -> Decision:
        """Waits for the user, here or in another process; without anybody here, the run waits."""
        context = self._context
        async with self._asking:
            context.emit(
                ApprovalRequired(
                    **context.stamp(),
                    call_id=decision.call_id,
                    tool=decision.tool,
                    args=decision.args,
                    preview=decision.preview,
                )
            )
            while True:
                await context.check_running()
                latest = context.store.decisions(context.run_id, decision.call_id)[-1]
                if latest.decision != "pending":
                    return latest
                if not self._manners.asks:
                    context.stop("waiting")
                    await context.halt()
                await asyncio.sleep(_LOOK_S)
                # The user's time is not the run's.
                context.deadline += _LOOK_S

    def _learn(self, decision: Decision, *, is_new: bool) -> None:
        """What the user has allowed for more than one call."""
        tool = self._tools.get(decision.tool)
        if tool is None or decision.decided_by not in (BY_USER_FOR_RUN, BY_USER_ALWAYS):
            return
        place = self._context.place
        try:
            # What no user can have meant, as it was not so when they were asked.
            if self._verdict(decision.agent, tool, decision.args).decision == "deny":
                return
            rule = rule_for(tool, tool.touches(decision.args, place), place)
        except ToolFailed:
            return
        self._policy = self._policy.with_rules([rule])
        if is_new and decision.decided_by == BY_USER_ALWAYS:
            self._context.warn("permission", f"allowed from now on: {self._remember(rule)}")

    async def _run(self, tool: Tool, args: JsonObject, place: Workplace) -> ToolOutput:
        started = self._context.monotonic()
        try:
            async with asyncio.timeout(tool.timeout_s):
                return await tool.run(args, place)
        except ToolFailed:
            raise
        except TimeoutError:
            raise ToolFailed(
                f"{tool.spec.name} was stopped: it took longer than {tool.timeout_s:g} seconds"
            ) from None
        except AgentctlError as error:
            raise ToolFailed(f"{error.message} (mend: {error.hint})") from error
        except Exception as error:
            # A tool must not take the run with it.
            logger.exception("tool failed")
            raise ToolFailed(f"{tool.spec.name} failed: {type(error).__name__}: {error}") from error
        finally:
            seconds = self._context.monotonic() - started
            self._took_ms[place.call_id] = round(1000 * seconds, 1)

    def _readable(self, text: str) -> str:
        return clip(well_formed(text), self._manners.result_chars)


def _as_text(call: ToolCall) -> str:
    return json.dumps([call.name, call.arguments], sort_keys=True)


def check_arguments(tool: Tool, arguments: JsonObject) -> None:
    """Raises ToolFailed that says what is wrong with them."""
    from jsonschema import Draft202012Validator

    problems = [
        f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message:.200}"
        for error in Draft202012Validator(tool.spec.parameters).iter_errors(arguments)
    ]
    if problems:
        expected = json.dumps(tool.spec.parameters.get("properties", {}), ensure_ascii=False)
        raise ToolFailed(
            f"{tool.spec.name} was called wrongly: {'; '.join(problems[:3])}. Expected: "
            f"{expected:.1000}"
        )


def _has_effects(tool: Tool) -> bool:
    """Whether it matters that a call runs once. Code in the sandbox that waited for a call of its
    own is run again: what it had called is not."""
    return tool.risk not in ("harmless", "read") and tool.spec.name != "run_python"
