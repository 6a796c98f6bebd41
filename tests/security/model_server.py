"""An Ollama for the walk, which wants to write a file when it is told so: `python -m` serves it."""

from contextlib import suppress

from tests.support.ollama_script import Call, Json, Reply, ScriptedModel
from tests.support.ollama_server import ScriptedOllama

WRITE = Call("write_file", {"path": "written.txt", "content": "hello\n"}, "call_1")


class Writer(ScriptedOllama):
    """Answers with a call while the last word is the user's and says "write"."""

    def next_reply(self, request: Json) -> Reply:
        super().next_reply(request)
        said = (request.get("messages") or [{}])[-1]
        wants = said.get("role") == "user" and "write" in str(said.get("content"))
        return Reply("", tool_calls=[WRITE]) if wants and request.get("tools") else Reply()


if __name__ == "__main__":
    models = [ScriptedModel("tiny:1b"), ScriptedModel("small:2b")]
    with Writer(models=models) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        server.closing.wait()
