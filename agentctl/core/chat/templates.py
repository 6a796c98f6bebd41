"""Prompt templates: a question asked often, with its system prompt, model and options.

A template is a TOML file; `$input` stands for the prompt, `$name` for a parameter. Its
`schema` is a table, or a string of JSON, since TOML has no null.
"""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template as Placeholders

from agentctl.core.config_syntax import read_tables, toml_line
from agentctl.core.errors import ConfigError, NotFound, UsageProblem
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.core.open_files import move_over
from agentctl.core.paths import Paths, make_private, owner_only, shipped
from agentctl.core.windows_paths import is_device


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What `ask --save` keeps.

    `schema` is a JSON Schema, `options` are those of `-o`, `defaults` stand in for parameters.
    """

    prompt: str = "$input"
    system: str | None = None
    model: str | None = None
    options: JsonObject = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    schema: JsonObject | None = None
    extract: bool = False

    def fill(self, text: str, parameters: dict[str, str]) -> tuple[str, str | None]:
        """The prompt and the system prompt with every placeholder replaced.

        Text that the template has no `$input` for follows its prompt.

        Raises:
            UsageProblem: a placeholder has no value.
        """
        values = {**self.defaults, **parameters, "input": text}
        if text and "input" not in Placeholders(self.prompt).get_identifiers():
            return replace(self, prompt=f"{self.prompt}\n\n$input").fill(text, parameters)
        try:
            prompt = Placeholders(self.prompt).substitute(values)
            system = Placeholders(self.system).substitute(values) if self.system else None
        except KeyError as error:
            name = error.args[0]
            raise UsageProblem(f"the template needs {name}", f"-p {name} VALUE") from None
        except ValueError as error:
            raise UsageProblem(f"the template has a stray $: {error}", "write $$ for $") from None
        return prompt, system


class TemplateStore:
    """The user's templates, then the shipped ones."""

    def __init__(self, paths: Paths) -> None:
        self._own = paths.templates
        self._folders = (paths.templates, shipped("templates"))

    def names(self) -> list[str]:
        files = (path for folder in self._folders for path in folder.glob("*.toml"))
        return sorted({path.stem for path in files if path.is_file()})

    def load(self, name: str) -> Template:
        """Raises NotFound, or ConfigError when the file is no template."""
        for folder in self._folders:
            path = folder / f"{_checked(name)}.toml"
            if path.is_file():
                return _read(path)
        known = ", ".join(self.names())
        raise NotFound(f"no template {name}; there are: {known}", "agentctl ask --save NAME …")

    def save(self, name: str, template: Template) -> Path:
        """Writes it to the user's folder; the file's path.

        Raises:
            UsageProblem: no name for a template, or nothing that could be filled in.
            ConfigError: the file cannot be written.
        """
        import tomlkit

        values: dict[str, Json] = {
            key: value
            for key in Template.__dataclass_fields__
            if (value := getattr(template, key)) not in (None, {}, False)
        }
        if template.schema is not None:
            values["schema"] = json.dumps(template.schema)
        if not all(
            Placeholders(text).is_valid() for text in (template.prompt, template.system or "")
        ):
            raise UsageProblem("the template has a stray $", "write $$ for $")
        if is_device(name):
            raise UsageProblem(f"no file can be called {name} on Windows", "--save my-template")
        path = self._own / f"{_checked(name)}.toml"
        temporary = path.with_suffix(".tmp")
        try:
            make_private(self._own)
            with open(temporary, "w", encoding="utf-8", opener=owner_only) as file:
                file.write(well_formed(tomlkit.dumps(values)))
            move_over(temporary, path)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}", f"make {self._own} writable"
            ) from None
        return path


def _read(path: Path) -> Template:
    import msgspec

    values = read_tables(path)
    unknown = values.keys() - Template.__dataclass_fields__.keys()
    if unknown:
        raise _wrong(path, min(unknown), f"unknown key {min(unknown)!r}")
    try:
        if isinstance(values.get("schema"), str):
            values["schema"] = json.loads(values["schema"])
        return msgspec.convert(values, Template)
    except msgspec.ValidationError as error:
        key = re.search(r"\$\.(\w+)", str(error))
        raise _wrong(path, key[1] if key else "", str(error)) from None
    except (ValueError, RecursionError) as error:
        raise _wrong(path, "schema", f"its schema is no JSON: {error}") from None


def _wrong(path: Path, key: str, message: str) -> ConfigError:
    line = toml_line(path, key)
    return ConfigError(f"{path}:{line}: {message}", f"correct line {line} of {path}")


def _checked(name: str) -> str:
    if not name.replace("-", "").replace("_", "").isalnum():
        raise UsageProblem(
            f"{name!r} is no template name: letters, digits, - and _", "--save my-template"
        )
    return name
