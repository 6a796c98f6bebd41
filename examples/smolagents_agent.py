"""A smolagents agent of your own on agentctl's model: `python examples/smolagents_agent.py`."""

from smolagents import ToolCallingAgent, tool

from agentctl.integrations import smolagents_model


@tool
def word_length(word: str) -> int:
    """How many letters a word has.

    Args:
        word: the word to count.
    """
    return len(word)


agent = ToolCallingAgent(tools=[word_length], model=smolagents_model(), verbosity_level=0)
print(agent.run("How many letters has 'lighthouse'?"))
