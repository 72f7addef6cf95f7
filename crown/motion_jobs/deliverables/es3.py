"""Whether a script keeps to ECMAScript 3, which After Effects' ExtendScript knows, and shows no dialog.

Parsed with tree-sitter's JavaScript grammar, which knows newer versions too: what they added is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tree_sitter import Language, Parser

_NEWER_TOKENS = frozenset({
    "=>", "async", "await", "of", "**", "**=", "??", "??=", "?.", "&&=", "||=", "`", "...", "let", "const", "class",
    "yield", "import", "export", "extends", "super", "static", "get", "set", "debugger", "using",
})  # fmt: skip
_NEWER_NODES = frozenset({
    "method_definition", "shorthand_property_identifier", "shorthand_property_identifier_pattern", "object_pattern",
    "array_pattern", "assignment_pattern", "rest_pattern", "computed_property_name", "private_property_identifier",
    "optional_chain", "meta_property", "jsx_element", "class_static_block", "hash_bang_line",
})  # fmt: skip
#: Words that ES3 reserves, which it does not take as names of members either.
_RESERVED = frozenset({
    "abstract", "boolean", "break", "byte", "case", "catch", "char", "class", "const", "continue", "debugger",
    "default", "delete", "do", "double", "else", "enum", "export", "extends", "final", "finally", "float",
    "for", "function", "goto", "if", "implements", "import", "in", "instanceof", "int", "interface", "long",
    "native", "new", "package", "private", "protected", "public", "return", "short", "static", "super",
    "switch", "synchronized", "this", "throw", "throws", "transient", "try", "typeof", "var", "void",
    "volatile", "while", "with", "true", "false", "null",
})  # fmt: skip
_DIALOGS = frozenset({
    "alert", "confirm", "prompt", "Window", "openDialog", "openDlg", "saveDialog", "saveDlg", "selectDialog",
    "selectDlg",
})  # fmt: skip


def es3_problems(source: str) -> list[str]:
    """Everything in a script that ExtendScript does not understand or that waits for a person, with its line."""
    import tree_sitter_javascript

    tree = Parser(Language(tree_sitter_javascript.language())).parse(source.encode())
    found = [f"line {line}: {what}" for line, what in _problems(tree.root_node)]
    found += [
        f"line {number}: a character beyond ASCII, which ExtendScript reads in the system's own encoding"
        for number, line in enumerate(source.split("\n"), start=1)
        if not line.isascii()
    ]
    return list(dict.fromkeys(found))


def _problems(root: Any) -> Iterator[tuple[int, str]]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        line = node.start_point[0] + 1
        if node.is_error or node.is_missing:
            yield line, "it is no JavaScript"
            continue
        if problem := _problem(node):
            yield line, problem
        waiting += reversed(node.children)


def _problem(node: Any) -> str | None:
    text = node.text.decode("utf-8", "replace") if node.child_count == 0 else ""
    if not node.is_named:
        return f"{node.type!r} is newer than ES3" if node.type in _NEWER_TOKENS else None
    if node.type in _NEWER_NODES:
        return f"a {node.type.replace('_', ' ')} is newer than ES3"
    if node.type == "property_identifier" and text in _RESERVED:
        return f"{text!r} is reserved in ES3 and cannot name a member"
    if node.type in ("identifier", "property_identifier") and text in _DIALOGS:
        return f"{text!r} shows a dialog"
    if node.type in ("object", "arguments", "formal_parameters") and _trailing_comma(node):
        return "a comma before the closing bracket is newer than ES3"
    if node.type == "number" and (text[:2].lower() in ("0b", "0o") or text[-1:] == "n" or "_" in text):
        return f"the number {text} is newer than ES3"
    if node.type == "regex_flags" and set(text) - set("gim"):
        return f"the flags {text!r} of a regular expression are newer than ES3"
    if node.type == "catch_clause" and node.child_by_field_name("parameter") is None:
        return "catch without a name is newer than ES3"
    return None


def _trailing_comma(node: Any) -> bool:
    return node.child_count > 2 and node.children[-2].type == ","
