"""A LangChain agent of your own on agentctl's model: `python examples/langchain_agent.py`."""

from langchain.agents import create_agent

from agentctl.integrations import langchain_model


def word_length(word: str) -> int:
    """How many letters a word has."""
    return len(word)


agent = create_agent(langchain_model(), [word_length], system_prompt="Use the tool to count.")
result = agent.invoke({"messages": [("user", "How many letters has 'lighthouse'?")]})
print(result["messages"][-1].content)
