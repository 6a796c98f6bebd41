"""What a run was started with, as it is kept: a run goes on as it began, whatever changes since."""

from dataclasses import asdict, dataclass

from agentctl.core.agents.definitions import AgentDefinition
from agentctl.core.agents.run_request import Approve
from agentctl.core.errors import StorageError
from agentctl.core.jsontypes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """`definition` holds the instructions in full, the model that was asked for, and the rules."""

    definition: AgentDefinition
    approve: Approve
    code_may_write: bool

    def encode(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def decode(cls, spec: JsonObject) -> "RunSpec":
        """Raises StorageError when another version has written what this one cannot read."""
        import msgspec

        try:
            return msgspec.convert(spec, cls)
        except msgspec.ValidationError as error:
            raise StorageError(
                f"this run cannot go on, another version of agentctl began it: {error}",
                "start it anew: agentctl agents run",
            ) from None
