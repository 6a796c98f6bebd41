"""Source code: a section for each definition, in Python by its parser, elsewhere by its looks."""

import pytest

from agentctl.core.knowledge.loaders.registry import loader_for


def outline(text: str, name: str) -> list[tuple[str, str]]:
    """(names joined by dots, first line) of every section."""
    loader = loader_for(name, text.encode())
    assert loader is not None
    document = loader.load(text.encode(), name)
    assert document.text == text
    assert document.has_lines
    assert {section.kind for section in document.sections} == {"code"}
    return [
        (".".join(section.heading), text[section.start :].partition("\n")[0])
        for section in document.sections
    ]


PYTHON = '''\
import os

# What A is.
@decorated
class A(B):
    """Words."""

    x = 1

    # What m is.
    @property
    def m(self) -> int:
        def inner() -> None: ...
        return 1

    y = 2


if os.name == "nt":
    async def f() -> None: ...
z = 3
'''


def test_python_is_cut_at_classes_methods_and_functions_with_what_stands_above_them() -> None:
    assert outline(PYTHON, "a.py") == [
        ("", "import os"),
        ("A", "# What A is."),
        ("A.m", "    # What m is."),
        ("A", "    y = 2"),
        ("", 'if os.name == "nt":'),
        ("f", "    async def f() -> None: ..."),
        ("", "z = 3"),
    ]


def test_python_that_does_not_compile_is_cut_as_well() -> None:
    text = (
        'print "old"\n\nclass A:\n    # m\n    def m(self):\n        pass\n\n    x = 1\n\nx = 2\n'
    )

    assert outline(text, "a.py") == [
        ("", 'print "old"'),
        ("A", "class A:"),
        ("A.m", "    # m"),
        ("A", "    x = 1"),
        ("", "x = 2"),
    ]


C = """\
#include <stdio.h>

/* A point.
   In the plane. */
struct point {
    int x;
};

static struct point *make(int x)
{
    if (x) {
        (*callback)(x);
    }
#ifdef DEBUG
    log();
#endif
    return NULL;
}

int table[] = { 1, 2 };

static int
gnu_style (int a,
           int b)
{
  return 1;
}

int only_declared(int);
MODULE_LICENSE("GPL");
"""
CPP = """\
namespace geo {

template <typename T>
class Shape : public Base {
public:
    Shape(int x) : x_(x), y_{1} {}
    virtual int get() const override {
        return x_;
    }
};

}  // namespace geo

void geo::Shape::run(int v) {
  for (auto x : v) { go(x); }
}
"""
JAVA = """\
package x;

/**
 * What A is.
 */
@Component
public class A extends B {
    private int f;

    @Override public String toString() {
        return "";
    }

    public static <T> List<T> of(T... all) throws Broken {
        while (true) { }
    }

    interface Inner {
        void m();
    }
}
"""
TYPESCRIPT = """\
import x from "y";

// makes
export const make = async (a: number): Promise<void> => {
  const inner = () => 1;
};

export default class Foo extends Bar {
  constructor(private a: string) {
    super();
  }

  async run<T>(a: T): Promise<T> {
    if (a) {
    }
  }
}

describe("x", () => {
  function hidden() {}
});
"""
GO = """\
package main

// T is.
type T struct {
	a int
}

func (t *T) Run(x int) error {
	return nil
}

func main() {
}
"""
RUST = """\
use std::io;

/// Words
#[derive(Debug)]
pub struct Foo<T> {
    x: T,
}

impl<T> Display for Foo<T> {
    /// Words
    fn fmt(&self) -> Result {
        Ok(())
    }
}

mod tests {
    #[test]
    fn works() {}
}
"""
RUBY = """\
require "x"

# A thing
module A
  class B < C
    def foo
      1
    end

    private

    def self.bar?(x)
      2
    end
  end
end
puts 1
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.c",
            C,
            [
                ("", "#include <stdio.h>"),
                ("point", "/* A point."),
                ("make", "static struct point *make(int x)"),
                ("", "int table[] = { 1, 2 };"),
                ("gnu_style", "static int"),
                ("", "int only_declared(int);"),
            ],
        ),
        (
            "a.cpp",
            CPP,
            [
                ("geo", "namespace geo {"),
                ("Shape", "template <typename T>"),
                ("Shape.Shape", "    Shape(int x) : x_(x), y_{1} {}"),
                ("Shape.get", "    virtual int get() const override {"),
                ("geo::Shape::run", "void geo::Shape::run(int v) {"),
            ],
        ),
        (
            "A.java",
            JAVA,
            [
                ("", "package x;"),
                ("A", "/**"),
                ("A.toString", "    @Override public String toString() {"),
                ("A.of", "    public static <T> List<T> of(T... all) throws Broken {"),
                ("A.Inner", "    interface Inner {"),
            ],
        ),
        (
            "a.ts",
            TYPESCRIPT,
            [
                ("", 'import x from "y";'),
                ("make", "// makes"),
                ("Foo", "export default class Foo extends Bar {"),
                ("Foo.constructor", "  constructor(private a: string) {"),
                ("Foo.run", "  async run<T>(a: T): Promise<T> {"),
                ("", 'describe("x", () => {'),
                ("hidden", "  function hidden() {}"),
            ],
        ),
        (
            "a.go",
            GO,
            [
                ("", "package main"),
                ("T", "// T is."),
                ("T.Run", "func (t *T) Run(x int) error {"),
                ("main", "func main() {"),
            ],
        ),
        (
            "a.rs",
            RUST,
            [
                ("", "use std::io;"),
                ("Foo", "/// Words"),
                ("Foo", "impl<T> Display for Foo<T> {"),
                ("Foo.fmt", "    /// Words"),
                ("tests", "mod tests {"),
                ("tests.works", "    #[test]"),
            ],
        ),
        (
            "a.rb",
            RUBY,
            [
                ("", 'require "x"'),
                ("A", "# A thing"),
                ("A.B", "  class B < C"),
                ("A.B.foo", "    def foo"),
                ("A.B.self.bar?", "    def self.bar?(x)"),
                ("", "puts 1"),
            ],
        ),
    ],
)
def test_code_is_cut_at_definitions(name: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert outline(text, name) == expected


@pytest.mark.parametrize(
    ("name", "line", "path"),
    [
        ("a.kt", "data class P(val x: Int)", "P"),
        ("a.swift", "func go(_ x: Int) -> Int { 1 }", "go"),
        ("a.scala", "object Main extends App {", "Main"),
        ("a.php", "public function baz(int $x): string {", "baz"),
        ("a.cs", "public async Task<int> Run(int a) {", "Run"),
        ("a.dart", "Widget build(BuildContext c) {", "build"),
        ("a.lua", "local function bar() end", "bar"),
        ("a.sh", "foo() {", "foo"),
        ("a.sql", "create or replace view v as select 1", "v"),
        ("a.ex", "defmodule A.B do", "A.B"),
        ("a.hs", "bar :: Int -> Int", "bar"),
        ("a.ml", "let rec foo x = 1", "foo"),
        ("a.jl", "function f(x) 1 end", "f"),
        ("a.r", "foo <- function(x) 1", "foo"),
        ("a.pl", "sub foo { 1 }", "foo"),
        ("a.clj", "(defn foo [x] 1)", "foo"),
        ("a.erl", "foo(X) -> 2.", "foo"),
        ("a.proto", "message Foo {", "Foo"),
        ("a.graphql", "type Foo {", "Foo"),
        ("a.tf", 'resource "a" "b" {', 'resource "a" "b"'),
        ("a.ps1", "Function Get-Foo {", "Get-Foo"),
        ("a.f90", "pure function f(x) result(y)", "f"),
        ("a.pas", "procedure Foo(x: Integer);", "Foo"),
        ("a.zig", "pub fn main() void {", "main"),
        ("Makefile", "build: a b", "build"),
    ],
)
def test_definitions_are_known_in_many_languages(name: str, line: str, path: str) -> None:
    assert outline(f"{line}\n", name) == [(path, line)]
