"""A session as a document."""

import json
from dataclasses import asdict

from agentctl.core.chat.conversations import Session, StoredMessage
from agentctl.core.chat.prompt import fenced
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.citations import source_line, sources_heading


def to_markdown(session: Session, messages: list[StoredMessage]) -> str:
    blocks = [f"# {session.title or session.id}", f"Session {session.id}, {session.created}"]
    for message in messages:
        speaker = message.model if message.role == "assistant" and message.model else message.role
        mark = "" if message.status == "done" else f" ({message.status})"
        blocks.append(f"## {speaker}{mark}")
        blocks += [
            fenced(a.name, a.text) if a.text is not None else f"[{a.name}: {a.media_type}]"
            for a in message.attachments
        ]
        blocks.append(message.content)
        if message.sources:
            heading = sources_heading(message.content, message.sources)
            blocks.append(heading.capitalize() or "Sources:")
            blocks.append("\n".join(f"- {source_line(source)}" for source in message.sources))
    return "\n\n".join(block for block in blocks if block) + "\n"


def to_json(session: Session, messages: list[StoredMessage]) -> str:
    data = {"session": asdict(session), "messages": [message_data(m) for m in messages]}
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def message_data(message: StoredMessage) -> JsonObject:
    """The message as JSON; of images only the size in bytes."""
    attachments: list[JsonObject] = [
        {
            "name": a.name,
            "media_type": a.media_type,
            "text": a.text,
            "bytes": len(a.image.data) if a.image else len((a.text or "").encode()),
        }
        for a in message.attachments
    ]
    return {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "thinking": message.thinking,
        "status": message.status,
        "model": message.model,
        "backend": message.backend,
        "created": message.created,
        "usage": message.usage,
        "error": message.error,
        "attachments": [*attachments],
        "sources": [asdict(source) for source in message.sources],
    }
