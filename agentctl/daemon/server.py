"""The HTTP server: the routes for programs, the verbs for our own front ends, behind the guard."""

import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from agentctl import __version__
from agentctl.core.errors import AgentctlError, NotFound, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.daemon.calls import Calls
from agentctl.daemon.guard import App, Guard
from agentctl.daemon.hub import Hub
from agentctl.daemon.openai_api import add_openai_routes
from agentctl.daemon.problems import status_of
from agentctl.daemon.routes import add_routes
from agentctl.daemon.streams import LinesResponse, Runs
from agentctl.daemon.updates import add_updates
from agentctl.daemon.wire import Value, Verb, error_fields, find_verb

logger = logging.getLogger(__name__)


def create_app(hub: Hub, calls: Calls, token: str, hosts: frozenset[str], scheme: str) -> App:
    """The whole server. `hosts` are the values of `Host` that it answers to."""
    app = FastAPI(
        title="agentctl",
        version=__version__,
        summary="A private AI workbench: ask, search, agents and tasks on this machine.",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.add_exception_handler(AgentctlError, _refused)
    app.add_exception_handler(RequestValidationError, _misused)
    app.add_exception_handler(UnicodeEncodeError, _misused)
    app.add_exception_handler(HTTPException, _not_served)
    app.add_exception_handler(Exception, _unexpected)
    runs = Runs(hub, calls)
    add_routes(app, hub, runs)
    add_openai_routes(app, hub, calls)
    add_updates(app, hub)
    _add_own_routes(app, hub, calls)
    return Guard(app, token, hosts, scheme=scheme)


def _add_own_routes(app: FastAPI, hub: Hub, calls: Calls) -> None:
    """What only our own front ends use: no part of the documented API."""

    @app.post("/workspace/{name}", include_in_schema=False)
    async def call_verb(name: str, request: Request, call: str = "") -> Response:
        verb = find_verb(name)
        if verb is None:
            raise NotFound(f"no verb {name}", "update agentctl, then: agentctl daemon restart")
        try:
            told = msgspec.json.decode(await request.body() or b"{}", type=JsonObject)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageProblem(f"the body is no JSON object: {error}", "see /docs") from None
        items = _items(hub, verb, verb.read_arguments(told))
        work = calls.begin(items, call)
        return LinesResponse(work, work.lines(verb.encode_item), "application/x-ndjson")

    @app.post("/calls/{call}/cancel", include_in_schema=False)
    async def cancel_call(call: str) -> dict[str, bool]:
        return {"cancelled": calls.cancel(call)}

    @app.post("/shutdown", include_in_schema=False)
    async def shut_down() -> dict[str, bool]:
        hub.shut_down()
        return {"stopping": True}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        from agentctl.daemon.docs_page import docs_page

        return HTMLResponse(docs_page(app.openapi()))


async def _items(hub: Hub, verb: Verb, arguments: dict[str, Value]) -> AsyncGenerator[Value, None]:
    """What the verb returns or yields."""
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(hub.workspace())
        begun = getattr(workspace, verb.name)(**arguments)
        if not verb.streams:
            yield await begun
            return
        async for item in await stack.enter_async_context(aclosing(begun)):
            hub.heard(item)
            yield item


async def _refused(request: Request, error: Exception) -> Response:
    problem = error if isinstance(error, AgentctlError) else AgentctlError(str(error))
    return JSONResponse({"error": error_fields(problem)}, status_of(problem))


async def _misused(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:5])
    # JSON can say half of a character, which no text has.
    message = told or "a text is not Unicode"
    return JSONResponse({"error": {"code": "usage", "message": message, "hint": "see /docs"}}, 422)


async def _not_served(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    detail = str(error.detail) if isinstance(error, HTTPException) else "not found"
    headers = error.headers if isinstance(error, HTTPException) else None
    code = "not-found" if status == 404 else "usage"
    return JSONResponse(
        {"error": {"code": code, "message": detail, "hint": "see /docs"}}, status, headers
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("unexpected error", exc_info=error)
    problem = AgentctlError(f"{type(error).__name__}: {error}")
    return JSONResponse({"error": error_fields(problem)}, 500)
