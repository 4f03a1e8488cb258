// The HOCON parser: what it reads, what it refuses, and where it says that the mistake is.

import assert from "node:assert/strict";
import test from "node:test";
import { HoconError } from "../../src/hocon/hocon-error.ts";
import { parseHocon } from "../../src/hocon/parse.ts";

const good: readonly [name: string, text: string, value: unknown][] = [
  ["nothing", "", {}],
  ["only comments", "# one\n  // two\n\n", {}],
  ["a byte order mark", "\uFEFFa = 1", { a: 1 }],
  ["JSON", '{"a": {"b": [1, "x", true, null]}, "c": "d"}', { a: { b: [1, "x", true, null] }, c: "d" }],
  ["braces around everything, then a comment", "{ a = 1 } # end\n", { a: 1 }],
  ["= and : and neither", "a = 1\nb : 2\nc { d = 3 }\ne = { f : 4 }", { a: 1, b: 2, c: { d: 3 }, e: { f: 4 } }],
  ["dotted keys", "a.b.c = 1\na.b.d = 2\na.e = 3", { a: { b: { c: 1, d: 2 }, e: 3 } }],
  ["quoted keys keep their dots", '"a.b"."c d" = 1', { "a.b": { "c d": 1 } }],
  ["a dash in a key", "server-name = x", { "server-name": "x" }],
  ["commas and line ends", "a=1,b=2,\nc=3\n,d=4,", { a: 1, b: 2, c: 3, d: 4 }],
  ["a fields' object on one line", "o { a = 1, b = two words }", { o: { a: 1, b: "two words" } }],
  ["Windows line ends", 'a = 1\r\nb = "x"\r\nc = [\r\n1\r\n2\r\n]\r\n', { a: 1, b: "x", c: [1, 2] }],
  ["numbers", "a=0\nb=-12\nc=1.5\nd=2e3\ne=2E-2\nf=1e+2", { a: 0, b: -12, c: 1.5, d: 2000, e: 0.02, f: 100 }],
  ["no numbers", "a=1MB\nb=2h\nc=007\nd=1.2.3\ne=- 1", { a: "1MB", b: "2h", c: "007", d: "1.2.3", e: "- 1" }],
  ["booleans and null", "a=true\nb=false\nc=null\nd=truely", { a: true, b: false, c: null, d: "truely" }],
  ["text without quotes", "a = one two  three   # comment", { a: "one two  three" }],
  [
    "paths without quotes",
    "a = /var/lib/omp\nb = ../x // comment\nc = 10.0.0.1",
    { a: "/var/lib/omp", b: "../x", c: "10.0.0.1" },
  ],
  ["@ without quotes, as EMQX allows", "a = x@y", { a: "x@y" }],
  ["escapes", '"a" = "\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9 \\uD83D\\uDE00"', { a: '" \\ / \b\f\n\r\t é 😀' }],
  ["comment signs in quotes", 'a = "# not // a comment" # but this', { a: "# not // a comment" }],
  ["placeholders of SQL templates stay text", 'a = "topic = ${topic}"', { a: "topic = ${topic}" }],
  ["… in triple quotes too", 'a = """values (${id}, "${qos}")"""', { a: 'values (${id}, "${qos}")' }],
  ["triple quotes over lines", 'a = """one\n  "two"\\n\n"""\nb=1', { a: 'one\n  "two"\\n\n', b: 1 }],
  ["triple quotes that end in a quote", 'a = """say "hi""""', { a: 'say "hi"' }],
  [
    "EMQX's indented text",
    'a = """~\n    SELECT *\n      FROM x\n\n    """\nb=1',
    { a: "SELECT *\n  FROM x\n\n", b: 1 },
  ],
  ["EMQX's indented text, closed by ~", 'a = """~\r\n  say "x"~"""', { a: 'say "x"' }],
  ["an empty text", 'a = ""\nb = """"""', { a: "", b: "" }],
  [
    "arrays",
    'a=[]\nb=[1,2]\nc=[\n"t/#" # all\n"u/+",\n]\nd=[[1],[2]]',
    { a: [], b: [1, 2], c: ["t/#", "u/+"], d: [[1], [2]] },
  ],
  ["objects in arrays", "a = [{b = 1}, {b = 2}]", { a: [{ b: 1 }, { b: 2 }] }],
  ["a value on the next line", 'a =\n  "x"\nb =\n{ c = 1 }', { a: "x", b: { c: 1 } }],
  ["the later one counts", "a = 1\na = 2", { a: 2 }],
  ["arrays are replaced", "a = [1, 2]\na = [3]", { a: [3] }],
  ["objects merge", "a { b = 1, c { d = 2 } }\na { c { e = 3 } }", { a: { b: 1, c: { d: 2, e: 3 } } }],
  ["an object replaces a value and the reverse", "a = 1\na { b = 2 }\nc { d = 1 }\nc = 5", { a: { b: 2 }, c: 5 }],
  [
    "include as part of a key",
    "include = 1\nx.include = 2\nincluded = 3",
    { include: 1, x: { include: 2 }, included: 3 },
  ],
  ["names of Object's own", "constructor = 1\ntoString { x = 2 }", { constructor: 1, toString: { x: 2 } }],
];

for (const [name, text, value] of good) {
  test(`reads ${name}`, () => {
    assert.deepEqual(parseHocon(text).value, value);
  });
}

test("__proto__ is a key like others", () => {
  const { value } = parseHocon("__proto__ { polluted = true }");
  assert.deepEqual(Object.keys(value), ["__proto__"]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
});

const bad: readonly [name: string, text: string, line: number, column: number, message: RegExp][] = [
  ["a key alone", "a = 1\nb\n", 2, 2, /expected = or \{ after the key b, found the end of the line/],
  ["a key without a value", "a =\nb = 1", 1, 1, /the key a has no value/],
  ["a key without a value at the end", "x { a =", 1, 5, /the key a has no value/],
  ["a value missing before a comma", "a = , b = 1", 1, 5, /expected a value, found “,”/],
  [
    "an unknown start of a key",
    "a = 1\n*b = 2",
    2,
    1,
    /expected a key, found “\*”: put a key that contains it in double quotes/,
  ],
  ["an empty part of a key", "a..b = 1", 1, 3, /expected a key, found “.”/],
  ["two words as a key", "a b = 1", 1, 3, /expected = or \{ after the key a, found “b”/],
  ["an open brace", "a {\n  b = 1\n", 1, 3, /this \{ is never closed/],
  ["a brace too many", "a { b = 1 }\n}", 2, 1, /this \} closes nothing/],
  ["something after the last brace", "{ a = 1 }\nb = 2", 2, 1, /nothing may follow the closing \}/],
  ["an open array", "a = [1, 2\nb = 3", 2, 3, /needs quotes|expected/],
  ["an array open to the end", "a = [1, 2\n", 1, 5, /this \[ is never closed/],
  ["an array as the file", "[1]", 1, 1, /not an array/],
  ["an open text", 'x = 1\na = "b\nc = 1', 2, 5, /this text is never closed/],
  ["an open triple-quoted text", 'a = """b\n""', 1, 5, /never closed: put """/],
  ["an unknown escape", 'a = "\\x"', 1, 6, /\\x is no escape/],
  ["a short \\u", 'a = "b\\u12"', 1, 7, /four hexadecimal digits/],
  ["a substitution", "a = 1\nb = ${a}", 2, 5, /substitutions \(\$\{…\}\) are not supported/],
  ["a substitution behind text", 'b = "x" ${a}', 1, 9, /substitutions/],
  ["a substitution inside text without quotes", "b = x${a}", 1, 6, /substitutions/],
  ["a substitution as key", "${a} = 1", 1, 1, /substitutions/],
  ["include", 'a = 1\ninclude "other.conf"', 2, 1, /include is not supported/],
  ["include file()", 'include file("other.conf")', 1, 1, /include is not supported/],
  ["+=", "a += 1", 1, 3, /\+= is not supported/],
  ["a port without quotes", "a = 127.0.0.1:1883", 1, 14, /the character : needs quotes/],
  ["a wildcard without quotes", "a = [t/+]", 1, 8, /the character \+ needs quotes/],
  ["a # wildcard without quotes", "a = [t/#]", 1, 8, /# begins a comment: put the text in double quotes/],
  ["single quotes", "a = 'b'", 1, 5, /a ' does not quote/],
  ["text behind a quoted text", 'a = "b" c', 1, 9, /whole text in one pair of double quotes/],
  ["a second object", "a = {} {}", 1, 8, /expected the end of the value/],
  ["two commas", "a = 1,, b = 2", 1, 7, /expected a key, found “,”/],
  ["two commas in an array", "a = [1,,2]", 1, 8, /expected a value, found “,”/],
  ["two items without a comma", 'a = ["b" "c"]', 1, 10, /expected the end of the value/],
  ["nesting without end", `a = ${"[".repeat(100)}`, 1, 5 + 64, /nested more than 64 deep/],
  ["nested objects without end", "a{".repeat(100), 1, 130, /nested more than 64 deep/],
];

for (const [name, text, line, column, message] of bad) {
  test(`refuses ${name}`, () => {
    assert.throws(
      () => parseHocon(text),
      (error) => {
        assert.ok(error instanceof HoconError, String(error));
        assert.equal(error.code, "CONFIG_SYNTAX");
        assert.match(error.message, message);
        assert.deepEqual(error.position, { line, column });
        return true;
      },
    );
  });
}

test("knows where each key stands", () => {
  const document = parseHocon(
    ["# head", "sqlite {", '  path = "x"', "  topics = [", '    "a"', '    "b/#"', "  ]", "}", "sqlite.path = 5"].join(
      "\n",
    ),
  );
  assert.deepEqual(document.positionOf(["sqlite", "path"]), { line: 9, column: 1 });
  assert.deepEqual(document.positionOf(["sqlite", "topics"]), { line: 4, column: 3 });
  assert.deepEqual(document.positionOf(["sqlite", "topics", "1"]), { line: 6, column: 5 });
  assert.deepEqual(document.positionOf(["sqlite", "missing"]), { line: 9, column: 1 });
  assert.deepEqual(document.positionOf(["sqlite", "topics", "7"]), { line: 4, column: 3 });
  assert.equal(document.positionOf(["missing"]), undefined);
  assert.equal(document.positionOf([]), undefined);
});

test("reads a large file without hanging", () => {
  const text = Array.from({ length: 20_000 }, (_, index) => `key${index} { text = "${"x".repeat(20)}" }`).join("\n");
  const start = performance.now();
  assert.equal(Object.keys(parseHocon(text).value).length, 20_000);
  // Work that grows with the square of the size would take minutes.
  assert.ok(performance.now() - start < 30_000);
});
