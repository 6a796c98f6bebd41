"""Which agent a task is for, when the user names none.

By rule, not by a model: certain, at no cost, and the same on every machine.
"""

import re
from collections.abc import Collection

_RULES = (
    (
        "ops",
        "it asks about this machine",
        r"(cpu|gpu|vram|ram|memory usage|disk (space|usage|full)|load average|out of memory"
        r"|(my|this|the) (machine|computer|laptop|server)|agentctl'?s? log|temperature of)",
    ),
    (
        "team",
        "it has several steps that want checking",
        r"(step by step plan|plan and|then (review|check|verify)|(have|let) it (reviewed|checked)"
        r"|(review|critique) (it|the result)|as a team)",
    ),
    (
        "coder",
        "it wants something computed or programmed",
        r"(calculat\w*|comput(e|es|ing)|plot|histogram|simulat\w*|regression|average of|median"
        r"|factorial|prime|fibonacci|csv|json file|python|script|program|algorithm|sort (the|these)"
        r"|how many (lines|words|files|rows)|\d+\s*[-+*/^%]\s*\d+)",
    ),
    (
        "researcher",
        "it asks about the documents",
        r"((my|our|the) (documents?|notes?|papers?|knowledge base|handbook|manuals?)"
        r"|according to|cite|with sources|quote)",
    ),
)
_FALLBACK = "assistant"


def choose_agent(task: str, names: Collection[str]) -> tuple[str, str]:
    """The agent's name and in words why. An agent that the task names is the one."""
    named = next((name for name in names if re.search(rf"\b{re.escape(name)}\b", task)), None)
    if named is not None and named not in ("team", "assistant"):
        return named, "auto: the task names it"
    for name, why, pattern in _RULES:
        if name in names and re.search(rf"(?<!\w){pattern}(?!\w)", task, re.IGNORECASE):
            return name, f"auto: {why}"
    return _FALLBACK, "auto: nothing calls for a specialist"
