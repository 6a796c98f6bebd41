"""Which loader a file gets, by its name and by its first bytes."""

import gzip

import pytest

from agentctl.core.knowledge.loaders.registry import is_known_binary, loader_for
from tests.support.sample_files import epub, pdf


@pytest.mark.parametrize("name", ["photo.JPG", "a.tar.gz", "lib.so", "db.sqlite3", "model.gguf"])
def test_some_names_alone_say_that_there_is_nothing_to_read(name: str) -> None:
    assert is_known_binary(name)
    assert loader_for(name, b"text all the same") is None


@pytest.mark.parametrize("name", ["a.md", "Makefile", "noending", ".gz", "gz", "folder.png/notes"])
def test_other_names_do_not(name: str) -> None:
    assert not is_known_binary(name)


@pytest.mark.parametrize("name", ["data", "a.txt", "a.ts", "a.json", "a.html", "a.eml"])
@pytest.mark.parametrize(
    "head",
    [b"\x7fELF\2\1\1\0", b"GIF89a\1\2\3\4\5\6", gzip.compress(b"x"), b"text\0text"],
    ids=["program", "picture", "archive", "zero"],
)
def test_binary_content_is_skipped_whatever_its_name_says(name: str, head: bytes) -> None:
    assert loader_for(name, head) is None


@pytest.mark.parametrize(
    ("name", "head", "media_type"),
    [
        ("README", b"words", "text/plain"),
        ("empty", b"", "text/plain"),
        ("odd.name", "größer".encode("utf-16"), "text/plain"),
        ("page", b"\n<!DOCTYPE HTML><html>", "text/html"),
        ("paper", pdf("text"), "application/pdf"),
        ("book.bak", epub({"a.xhtml": "text"}), "application/epub+zip"),
        ("script", b"#!/usr/bin/env python3\n", "text/x-python"),
        ("script", b"#!/bin/sh -e\n", "text/x-shellscript"),
        ("script", b"#!/opt/own/thing\n", "text/plain"),
        ("C:\\code\\MAKEFILE", b"a:\n", "text/x-makefile"),
        ("src/Dockerfile.dev", b"FROM x\n", "text/x-dockerfile"),
        ("CMakeLists.txt", b"project(x)\n", "text/x-cmake"),
        ("NOTES.MD", b"# x\n", "text/markdown"),
    ],
)
def test_a_file_is_read_as_what_it_is(name: str, head: bytes, media_type: str) -> None:
    loader = loader_for(name, head)

    assert loader is not None
    assert loader.load(head, name).media_type == media_type
