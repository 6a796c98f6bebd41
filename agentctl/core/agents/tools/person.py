"""`ask_user`: a question to the user, who may answer now or days later."""

from agentctl.core.agents.tools.arguments import text
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.backends.base import ToolSpec
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject


class AskUser:
    """A call that always needs the user's approval: the answer comes as an argument with it."""

    spec = ToolSpec(
        "ask_user",
        "Asks the user one question and waits for the answer. Only for what you can neither find "
        'out nor decide. Example: {"question": "Which of the two files shall I keep?"}',
        object_schema(
            {
                "question": {"type": "string", "minLength": 1},
                "answer": {"type": "string", "description": "leave it out: the user gives it"},
            },
            optional=("answer",),
        ),
    )
    risk: Risk = "harmless"
    timeout_s = 10.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        """Raises ToolFailed when a model answers its own question."""
        if not text(args, "question").strip():
            raise ToolFailed("question is empty: say what you want to know")
        if "answer" in args:
            raise ToolFailed("only the user answers: leave answer out")
        return text(args, "question").strip()

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        if "answer" not in args:
            raise ToolFailed("nobody is there to answer; decide yourself or say what you need")
        return ToolOutput(text(args, "answer").strip() or "(the user answered with nothing)")
