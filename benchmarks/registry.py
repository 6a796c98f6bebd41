"""The benchmarks there are, what each needs, and what README shows of them."""

# A module of this package, whose `rows` yields its table; what it needs: peers (equipment.py), or
# `dist`, the built program.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "startup": ("llm",),
    "rendering": (),
    "embedded": (),
    "retrieval": ("langchain",),
    "embedding": ("langchain",),
    "ingest": ("llm",),
    "search": (),
    "agents": (),
    "daemon": ("llm",),
    "dashboard": ("oterm",),
    "program": ("oterm", "dist"),
    "install": (),
    "crash": (),
    "daemon_kills": (),
}
# Names of rows.
CHOICE = (
    "`agentctl --version` / `llm --version`",
    "`agentctl ask` / `llm` with llm-ollama, a server that answers at once",
    "peak memory of that `agentctl ask`",
    "embedded engine through us / `xllamacpp` bare, tokens per second",
    "nDCG@10 / LangChain FAISS, same chunks",
    "nDCG@10 / txtai hybrid, same chunks",
    "the built-in embedder / LangChain's HuggingFaceEmbeddings, chunks per second",
    "1,000 unchanged files / the first time",
    "search in 100,000 chunks, p50 / p95",
    "`agentctl search` with a daemon / a cold one",
    "a daemon at rest",
    "first paint of `agentctl tui` / `oterm`",
    "a turn of a graph agent",
    "the program's folder / a virtual environment, `--version`",
    "a default install, without pip",
    "the knowledge base killed (`kill -9`): lost, doubled, not clean, not found",
)
