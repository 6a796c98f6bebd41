"""Programming languages: how their files end, and what begins a definition in them."""

from dataclasses import dataclass

_MODIFIERS = (
    r"(?:(?:pub(?:\([^)]*\))?|extern(?:\s+\"[^\"]*\")?|public|private|protected|internal|static"
    r"|final|abstract|export|default|async|const|unsafe|override|open|sealed|data|inline|virtual"
    r"|partial|local|suspend|implicit|case|declare|readonly|companion|inner|annotation|mutating"
    r"|fileprivate|actual|expect|operator|tailrec|infix|external|native|strictfp|comptime|friend"
    r"|typedef|value|indirect|nonisolated|convenience|required|lazy|noinline|record(?=\s+class)"
    r"|enum(?=\s+class|\s+struct))\s+)*"
)
_NAME = r"(?P<name>[\w$.:~?!'-]+)"
_QUOTED = r"[\"`\[]?(?P<name>[\w.$]+)"


@dataclass(frozen=True, slots=True)
class Language:
    """A language, or several that look alike.

    Args:
        comments: what begins a line that belongs to the definition below it.
        containers: regular expression of a line that begins a definition with definitions in it.
        leaves: of a line that begins any other definition. A group has its name.
        has_c_functions: functions may begin with a type or with their name.
    """

    comments: tuple[str, ...]
    containers: str
    leaves: str
    has_c_functions: bool = False


def _starts(words: str, name: str = _NAME) -> str:
    return rf"{_MODIFIERS}(?:{words})\s+{name}"


_SLASHES = ("//", "/*", "*", "@", "#[", "#!", "[", "template")
_ARROW = (
    r"|(?:export\s+)?(?:const|let|var)\s+(?P<arrow>[\w$]+)[^=]{0,80}="
    r"\s*(?:async\s*)?(?:function\b|(?:\([^()]*\)|[\w$]+)[^=]{0,80}=>)"
)
BRACES = Language(
    _SLASHES,
    _starts(
        "class|interface|trait|mod|module|namespace|object|protocol|extension|record"
        "|mixin|contract|library|service|message|actor|@interface|@implementation|@protocol"
        # In C these may be a variable's type, or what a function returns.
        r"|(?:struct|enum|union)(?!\s+\w+[\s*]+\w+\s*[(\[=;])"
        "|impl(?:<[^{]*?>)?(?:\\s+[\\w:<>, ]+\\s+for)?"
    ),
    (
        _MODIFIERS + r"(?:fn|func|function|fun|def|macro_rules!|rpc|event|modifier)\*?\s+"
        r"(?:\(\s*(?:\w+\s+)?\*?(?P<receiver>\w+)[^)]*\)\s*)?(?:<[^>]*>\s*)?(?:\w+\.(?=\w+\())?"
        r"(?P<name>[\w$]+)|" + _MODIFIERS + r"(?:type|typealias)\s+(?P<type>\w+)" + _ARROW
    ),
    has_c_functions=True,
)
_HASH = ("#", "@")
PYTHON = Language(_HASH, _starts("class", r"(?P<name>\w+)"), _starts("def", r"(?P<name>\w+)"))
RUBY = Language(_HASH, _starts("class|module"), _starts("def|macro"))
ELIXIR = Language(_HASH, _starts("defmodule|defprotocol|defimpl"), _starts(r"def\w*"))
JULIA = Language(
    (*_HASH, '"""'), _starts("module|baremodule"), _starts("function|macro|(?:mutable )?struct")
)
NIM = Language(_HASH, "", _starts("proc|func|method|template|macro|iterator|type"))
SHELL = Language(_HASH, "", r"(?:function\s+(?P<name>[\w:.-]+)|(?P<bare>[\w:.-]+)\s*\(\))")
PERL = Language(_HASH, _starts("package"), _starts("sub"))
R = Language(_HASH, "", r"(?P<name>[\w.]+)\s*(?:<-|=)\s*function\b")
TCL = Language(_HASH, _starts("namespace eval|oo::class create"), _starts("proc|method"))
POWERSHELL = Language(
    (*_HASH, "["), "(?i)" + _starts("class|enum"), "(?i)" + _starts("function|filter")
)
MAKE = Language(_HASH, "", r"(?P<name>[\w./%$(){}-]+)\s*::?(?!=)")
TERRAFORM = Language(("#", "//"), "", r"(?P<name>[a-z]\w*(?:\s+\"[^\"]*\"){0,2})\s*\{")
GRAPHQL = Language(
    ("#", '"""'),
    "",
    _starts("type|input|enum|interface|union|scalar|query|mutation|fragment|extend type"),
)
LUA = Language(("--",), "", _starts("function"))
SQL = Language(
    ("--", "/*", "*"),
    "",
    (
        r"(?i)create\s+(?:or\s+replace\s+)?(?:\w+\s+){0,2}?(?:table|view|function|procedure|trigger"
        r"|type|index|schema|package)\s+(?:body\s+)?(?:if\s+not\s+exists\s+)?" + _QUOTED
    ),
)
HASKELL = Language(
    ("--", "{-", "-- |"),
    "",
    r"(?:data|newtype|type|class|instance|module)\s+(?P<name>[\w.']+(?: [A-Z][\w.']*)*)"
    r"|(?P<bare>[\w']+)\s*::?\s",
)
ML = Language(
    ("(*", "///", "//", "*", "[<"),
    _starts("module(?: type)?"),
    _starts("let(?: rec)?|and|type|class|exception|member"),
)
LISP = Language((";",), "", r"\(\s*(?:\w+/)?(?:def[\w-]*|ns)\*?\s+\(?" + _NAME)
ERLANG = Language(("%",), "", r"(?P<name>[a-z]\w*)\([^)]*\)\s*(?:when\b.*)?->")
PASCAL = Language(
    ("//", "{", "(*", "'", "!", "--"),
    "(?i)" + _starts("module|package|class|unit|program|interface"),
    r"(?i)(?:\w+\s+){0,3}?(?:function|procedure|subroutine|sub|constructor|destructor|property"
    r"|entity|architecture)\s+(?P<name>[\w.]+)",
)
VIM = Language(('"',), "", _starts(r"function!?|command!?"))

# (name for the media type, how files end, how it looks)
_TABLE = (
    ("python", "py pyi pyw", PYTHON),
    ("c", "c h", BRACES),
    ("c++", "cpp cc cxx hpp hh hxx ipp inl", BRACES),
    ("objective-c", "m mm", BRACES),
    ("cuda", "cu cuh", BRACES),
    ("glsl", "glsl vert frag hlsl wgsl metal", BRACES),
    ("java", "java", BRACES),
    ("kotlin", "kt kts", BRACES),
    ("scala", "scala sc", BRACES),
    ("groovy", "groovy gradle", BRACES),
    ("csharp", "cs csx", BRACES),
    ("javascript", "js jsx mjs cjs", BRACES),
    ("typescript", "ts tsx mts cts", BRACES),
    ("vue", "vue svelte astro", BRACES),
    ("go", "go", BRACES),
    ("rust", "rs", BRACES),
    ("swift", "swift", BRACES),
    ("dart", "dart", BRACES),
    ("php", "php", BRACES),
    ("zig", "zig", BRACES),
    ("d", "d", BRACES),
    ("vala", "vala", BRACES),
    ("solidity", "sol", BRACES),
    ("protobuf", "proto thrift", BRACES),
    ("awk", "awk", BRACES),
    ("verilog", "v sv svh", BRACES),
    ("css", "css scss sass less", BRACES),
    ("ruby", "rb rake gemspec cr", RUBY),
    ("elixir", "ex exs", ELIXIR),
    ("julia", "jl", JULIA),
    ("nim", "nim", NIM),
    ("shellscript", "sh bash zsh fish ksh", SHELL),
    ("perl", "pl pm", PERL),
    ("r", "r", R),
    ("tcl", "tcl", TCL),
    ("powershell", "ps1 psm1", POWERSHELL),
    ("makefile", "mk mak", MAKE),
    ("cmake", "cmake", SHELL),
    ("terraform", "tf hcl nomad", TERRAFORM),
    ("graphql", "graphql gql", GRAPHQL),
    ("lua", "lua", LUA),
    ("sql", "sql", SQL),
    ("haskell", "hs lhs elm purs", HASKELL),
    ("ocaml", "ml mli fs fsi fsx", ML),
    ("lisp", "lisp el clj cljs cljc edn scm rkt", LISP),
    ("erlang", "erl hrl", ERLANG),
    ("pascal", "pas pp dpr", PASCAL),
    ("ada", "adb ads vhd vhdl", PASCAL),
    ("fortran", "f f90 f95 f03", PASCAL),
    ("visual-basic", "vb bas vbs", PASCAL),
    ("vim", "vim", VIM),
    ("batch", "bat cmd", SHELL),
    ("assembly", "asm s", MAKE),
)
LANGUAGES = {ending: (name, look) for name, endings, look in _TABLE for ending in endings.split()}
# Files that are known by their whole name, in lower case.
NAMED = {
    "makefile": ("makefile", MAKE),
    "gnumakefile": ("makefile", MAKE),
    "justfile": ("makefile", MAKE),
    "dockerfile": ("dockerfile", SHELL),
    "containerfile": ("dockerfile", SHELL),
    "cmakelists.txt": ("cmake", SHELL),
    "jenkinsfile": ("groovy", BRACES),
    "rakefile": ("ruby", RUBY),
    "gemfile": ("ruby", RUBY),
    "vagrantfile": ("ruby", RUBY),
    "podfile": ("ruby", RUBY),
    "sconstruct": ("python", PYTHON),
}
# Interpreters named after `#!`, without their version.
INTERPRETERS = {
    "python": ("python", PYTHON),
    "sh": ("shellscript", SHELL),
    "bash": ("shellscript", SHELL),
    "zsh": ("shellscript", SHELL),
    "dash": ("shellscript", SHELL),
    "ksh": ("shellscript", SHELL),
    "fish": ("shellscript", SHELL),
    "node": ("javascript", BRACES),
    "deno": ("typescript", BRACES),
    "ruby": ("ruby", RUBY),
    "perl": ("perl", PERL),
    "lua": ("lua", LUA),
    "rscript": ("r", R),
    "php": ("php", BRACES),
    "awk": ("awk", BRACES),
}
