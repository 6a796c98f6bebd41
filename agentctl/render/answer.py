"""What `ask` prints when all is over: JSON, code, or what would have been sent."""

from collections.abc import Iterator

from agentctl.core.chat.conversation import Prepared
from agentctl.core.jsontypes import JsonObject
from agentctl.render.output import Output
from agentctl.render.run import RunSummary, answer_data


def show_answer(output: Output, summary: RunSummary, *, extracts: bool) -> None:
    """What is printed at the end only: JSON, or code."""
    answer = _first_code_block(summary.answer, output) if extracts else summary.answer
    if output.form == "json":
        if answer or summary.error is None:
            output.data(answer_data(summary, answer))
    elif extracts and answer:
        output.text(answer if answer.endswith("\n") else answer + "\n")


def show_interrupted(output: Output, summary: RunSummary) -> None:
    """What a program gets of an answer that the user has stopped; no code, as it may be a part."""
    if output.form == "json" and summary.finished is not None:
        output.data(answer_data(summary, summary.answer))


def show_prepared(output: Output, prepared: Prepared) -> None:
    """What a question would send, where it is not asked."""
    if output.form == "json":
        messages: Iterator[JsonObject] = (
            {"role": m.role, "content": m.content, "images": len(m.images)}
            for m in prepared.messages
        )
        output.data(
            {
                "model": prepared.model,
                "backend": prepared.backend,
                "messages": [*messages],
                "prompt_tokens": prepared.prompt_tokens,
                "context_window": prepared.context_window,
                "truncated_tokens": prepared.truncated_tokens,
                "warnings": [*prepared.warnings],
            }
        )
        return
    for message in prepared.messages:
        output.line(f"[{message.role}]\n{message.content}\n")
    for warning in prepared.warnings:
        output.warning(warning)
    share = prepared.prompt_tokens / prepared.context_window
    output.note(
        f"{prepared.model} ({prepared.backend}) would see {prepared.prompt_tokens:,} tokens, "
        f"{share:.0%} of its context window of {prepared.context_window:,}; nothing was sent"
    )


def _first_code_block(answer: str, output: Output) -> str:
    """Its code; the whole answer, with a warning, when it has none."""
    from markdown_it import MarkdownIt

    code = next((each.content for each in MarkdownIt().parse(answer) if each.type == "fence"), None)
    if code is None:
        output.warning("the answer has no code block; this is all of it")
        return answer
    return code
