"""`agentctl ask`: one answer, streamed."""

import re
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer._click import Context
from typer.core import TyperOption

from agentctl.commands import complete
from agentctl.commands.common import StreamingCommand, load_config, new_app, with_workspace
from agentctl.commands.inputs import absolute, read_schema, read_stdin
from agentctl.commands.options import Model, a_number
from agentctl.connect import user_paths, working_directory
from agentctl.core.chat.attachments import STDIN_NAME
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.templates import Template
from agentctl.core.config import Config
from agentctl.core.errors import UsageProblem
from agentctl.core.files import decode_text
from agentctl.core.workspace import Workspace
from agentctl.render.answer import show_answer, show_interrupted, show_prepared
from agentctl.render.output import Output
from agentctl.render.run import RunPrinter, RunSummary

# A value that can be nothing but a collection.
_JOINED_KNOWLEDGE = re.compile("--knowledge=|-k.")

app = new_app()


class AskCommand(StreamingCommand):
    """Adds what Typer cannot declare: options with a name and a value, and one whose value may
    be missing."""

    def __init__(self, *args: Any, **options: Any) -> None:  # Any: handed on as it came
        super().__init__(*args, **options)
        self.params[-1:-1] = [
            _pairs(
                "-o",
                "--option",
                "OPTION VALUE",
                "Sample so, such as temperature 0 or seed 1; repeatable.",
            ),
            _pairs(
                "-p",
                "--param",
                "KEY VALUE",
                "Fill the template's $KEY with this value; repeatable.",
            ),
        ]

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """In `ask -k "question"`, what follows is the question when nothing else is."""
        is_joined = any(_JOINED_KNOWLEDGE.match(arg) for arg in args)
        rest = super().parse_args(ctx, [*_with_empty_values(args)])
        if ctx.params["prompt"] is None and not is_joined:
            ctx.params["prompt"] = ctx.params["knowledge"] or None
            ctx.params["knowledge"] = ctx.params["knowledge"] and ""
        return rest

    def invoke(self, ctx: Context) -> Any:  # Any: Typer's own signature
        ctx.meta["options"] = ctx.params.pop("option", ())
        ctx.meta["parameters"] = dict(ctx.params.pop("param", ()))
        return super().invoke(ctx)


def _with_empty_values(args: list[str]) -> Iterator[str]:
    """`-k` with an empty value where none follows."""
    end = args.index("--") if "--" in args else len(args)
    for number, arg in enumerate(args):
        yield arg
        if arg in ("-k", "--knowledge") and number < end:
            following = args[number + 1 : number + 2]
            if not following or following[0].startswith("-"):
                yield ""


def _pairs(short: str, long: str, metavar: str, text: str) -> TyperOption:
    return TyperOption(
        param_decls=[short, long], nargs=2, multiple=True, type=str, metavar=metavar, help=text
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The command line, read; a template may still add to it."""

    request: AskRequest
    template: str | None
    parameters: dict[str, str]
    options: tuple[tuple[str, str], ...]
    extract: bool
    save: str | None
    dry_run: bool
    agent: str | None
    usage: bool


@app.command(cls=AskCommand)
def ask(
    ctx: typer.Context,
    prompt: Annotated[str | None, typer.Argument(help="Ask this; - reads it from stdin.")] = None,
    model: Model = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "-f", "--file", help="Send this file, folder or URL along, - for stdin; repeatable."
        ),
    ] = None,
    knowledge: Annotated[
        str | None,
        typer.Option(
            "-k",
            "--knowledge",
            help="Answer from your documents, or from one collection of them.",
            metavar="[COLLECTION]",
            autocompletion=complete.collections,
        ),
    ] = None,
    no_knowledge: Annotated[
        bool, typer.Option("--no-knowledge", help="Leave your documents alone.")
    ] = False,
    continue_: Annotated[
        bool, typer.Option("-c", "--continue", help="Go on with the latest session.")
    ] = False,
    session: Annotated[
        str | None,
        typer.Option(
            "-s",
            "--session",
            help="Go on with this session; a new name begins one.",
            autocompletion=complete.sessions,
        ),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Set the system prompt.")] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "-t", "--template", help="Ask this saved question.", autocompletion=complete.templates
        ),
    ] = None,
    save: Annotated[
        str | None, typer.Option(help="Save this as a template instead of asking.", metavar="NAME")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="Hold the answer to the JSON Schema in this file.")
    ] = None,
    extract: Annotated[
        bool, typer.Option("-x", "--extract", help="Print the first code block only.")
    ] = False,
    usage: Annotated[
        bool, typer.Option("-u", "--usage", help="Show tokens, speed and context on stderr.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, and its tokens.")
    ] = False,
    no_log: Annotated[
        bool, typer.Option("--no-log", help="Store nothing of this question.")
    ] = False,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Ignore standard input.")] = False,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Let this agent answer, with its tools; auto takes the one that fits.",
            metavar="NAME",
            autocompletion=complete.agents,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, help="Stop the answer after this many seconds.", callback=a_number),
    ] = None,
) -> None:
    """Ask a question; the answer arrives word by word.

    Example: git diff | agentctl ask "Write a commit message"
    """
    output: Output = ctx.obj
    has_k = knowledge is not None
    _refuse_both("-c", continue_, "-s", session is not None, "agentctl ask -s NAME …")
    _refuse_both("-k", has_k, "--no-knowledge", no_knowledge, "agentctl ask -k …")
    is_stream = output.form == "jsonl"
    _refuse_both("-x", extract, "--jsonl", is_stream, "agentctl ask -x --json …")
    _refuse_both("--dry-run", dry_run, "--jsonl", is_stream, "agentctl ask --dry-run --json …")
    if save is None and prompt is not None and not prompt.strip():
        raise UsageProblem("the prompt is empty", 'agentctl ask "your question"')
    config = load_config()
    names = file or []
    is_named = prompt == "-" or "-" in names
    limit = config.settings.limits.input_bytes
    asked = _Asked(
        AskRequest(
            prompt="" if prompt in (None, "-") else prompt,
            files=tuple(absolute(name) for name in names if name != "-"),
            stdin=None if no_stdin or save else read_stdin(limit, is_named=is_named),
            model=model or "",
            system=system,
            knowledge="always" if has_k else "off" if no_knowledge else None,
            collection=knowledge or None,
            session="latest" if continue_ else session,
            create_session=not continue_,
            schema=read_schema(schema) if schema is not None else None,
            timeout_s=timeout,
            log=not no_log,
        ),
        template,
        ctx.meta["parameters"],
        ctx.meta["options"],
        extract,
        save,
        dry_run,
        agent,
        usage,
    )

    raise typer.Exit(
        with_workspace(lambda workspace: _carry_out(workspace, asked, output, config), config)
    )


async def _carry_out(workspace: Workspace, asked: _Asked, output: Output, config: Config) -> int:
    if asked.agent is not None:
        return await _answer_by_agent(workspace, asked.agent, asked, output, config)
    if asked.save is not None:
        await _save(workspace, asked.save, _as_template(asked), output)
        return 0
    request, extracts = await _complete(asked, workspace)
    if asked.dry_run:
        show_prepared(output, await workspace.prepare(request))
        return 0
    printer = RunPrinter(output, working_directory(), is_quiet=extracts, shows_usage=asked.usage)
    return await _answer(workspace, request, output, printer, extracts=extracts)


def _refuse_both(one: str, has_one: bool, other: str, has_other: bool, hint: str) -> None:
    if has_one and has_other:
        raise UsageProblem(f"{one} and {other} exclude each other", hint)


async def _answer(
    workspace: Workspace,
    request: AskRequest,
    output: Output,
    printer: RunPrinter,
    *,
    extracts: bool,
) -> int:
    from asyncio import CancelledError

    summary = RunSummary()
    try:
        async with aclosing(workspace.ask(request)) as events:
            async for event in events:
                summary.add(event)
                printer.show(event)
    except CancelledError:
        show_interrupted(output, summary)
        raise
    finally:
        printer.close()
    show_answer(output, summary, extracts=extracts)
    if summary.error is not None:
        error = summary.error
        output.problem(error.code, error.message, error.hint)
    return summary.exit_code


async def _answer_by_agent(
    workspace: Workspace, agent: str, asked: _Asked, output: Output, config: Config
) -> int:
    from agentctl.commands.agent_stream import show_problem
    from agentctl.commands.ask_agent import AgentQuestion, ask_agent, refuse_beside_agent

    given = {
        "-t": asked.template is not None,
        "-p": bool(asked.parameters),
        "-o": bool(asked.options),
        "--save": asked.save is not None,
        "--dry-run": asked.dry_run,
    }
    refuse_beside_agent(agent, asked.request, given)
    question = AgentQuestion(agent, asked.request, config.settings)
    summary = await ask_agent(
        workspace, question, output, is_quiet=asked.extract, shows_usage=asked.usage
    )
    show_answer(output, summary, extracts=asked.extract)
    show_problem(output, summary)
    return summary.exit_code


async def _complete(asked: _Asked, workspace: Workspace) -> tuple[AskRequest, bool]:
    """The request with its template filled in, and whether only code is wanted."""
    from agentctl.core.backends.options import merge_options, parse_options

    request = asked.request
    template = Template()
    if asked.template is not None:
        template = await workspace.template(asked.template)
        request = _filled(request, template, asked.parameters)
    elif asked.parameters:
        raise UsageProblem("-p needs a template", "agentctl ask -t NAME -p KEY VALUE")
    options = merge_options(template.options, asked.options)
    request = replace(
        request,
        model=request.model or template.model,
        options=parse_options(options),
        schema=template.schema if request.schema is None else request.schema,
    )
    return request, asked.extract or template.extract


def _filled(request: AskRequest, template: Template, parameters: dict[str, str]) -> AskRequest:
    text, stdin = request.prompt, request.stdin
    if not text and stdin:
        text, _ = decode_text(stdin, STDIN_NAME)
        stdin = None
    prompt, system = template.fill(text, parameters)
    return replace(request, prompt=prompt, stdin=stdin, system=request.system or system)


async def _save(workspace: Workspace, name: str, template: Template, output: Output) -> None:
    """Raises UsageProblem when the user has one of that name."""
    path = user_paths().templates / f"{name}.toml"
    if path.exists():
        raise UsageProblem(f"there is a template {name} already", f"edit {path}, or remove it")
    where = await workspace.save_template(name, template)
    if output.form == "json":
        output.data({"name": name, "path": where})
        return
    output.note(f"saved as {where}; use it: agentctl ask -t {name}")


def _as_template(asked: _Asked) -> Template:
    from agentctl.core.backends.options import merge_options, parse_options

    options = merge_options({}, asked.options)
    parse_options(options)
    request = asked.request
    return Template(
        prompt=request.prompt or "$input",
        system=request.system,
        model=request.model,
        options=options,
        schema=request.schema,
        extract=asked.extract,
    )
