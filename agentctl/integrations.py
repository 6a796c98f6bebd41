"""agentctl's models for your own LangChain, smolagents or AutoGen code, in one line each.

    from agentctl.integrations import langchain_model

    model = langchain_model("qwen3:4b")

A name is as for `agentctl ask -m`; without one, the model of your settings answers. Unlike the
frameworks' own clients, these raise an AgentctlError whenever an answer breaks off, and send the
context window with every request. A model that cannot call tools is held to a schema that can.
"""

import os
from typing import TYPE_CHECKING

from agentctl.connect import user_config, user_paths
from agentctl.core.agents.tool_calling import SchemaToolCalls
from agentctl.core.backends.base import ChatModel, ModelOptions
from agentctl.core.backends.registry import Registry
from agentctl.core.backends.threads import run_to_end

if TYPE_CHECKING:
    from agentctl.core.agents.autogen_team import AutogenModel
    from agentctl.core.agents.langgraph_agent import LangChainModel
    from agentctl.core.agents.smolagents_agent import SmolagentsModel


def chat_model(name: str | None = None) -> ChatModel:
    """The model itself, as agentctl uses it.

    Raises ConfigError, ModelNotFound, or a RetryError when its server does not answer.
    """
    settings = user_config().settings
    registry = Registry(settings, user_paths(), os.environ)

    async def open_model() -> ChatModel:
        model = (await registry.open(name or settings.model)).model
        can_call = "tools" in (await model.info()).capabilities
        return model if can_call else SchemaToolCalls(model)

    return run_to_end(open_model)


def langchain_model(
    name: str | None = None, options: ModelOptions | None = None
) -> "LangChainModel":
    """For LangChain and LangGraph: a `BaseChatModel`."""
    from agentctl.core.agents.langgraph_agent import LangChainModel

    return LangChainModel(chat_model=chat_model(name), options=options or ModelOptions())


def smolagents_model(
    name: str | None = None, options: ModelOptions | None = None
) -> "SmolagentsModel":
    """For smolagents: a `Model`."""
    from agentctl.core.agents.smolagents_agent import SmolagentsModel

    return SmolagentsModel(chat_model(name), options)


def autogen_model(name: str | None = None, options: ModelOptions | None = None) -> "AutogenModel":
    """For AutoGen: a `ChatCompletionClient`."""
    from agentctl.core.agents.autogen_team import AutogenModel

    return AutogenModel(chat_model(name), options)
