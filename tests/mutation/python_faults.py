"""Faults of a Python source, found in its syntax tree and made in its text: the rest of the file stays as it is."""

from __future__ import annotations

import ast
import re
from typing import Final

from mutation.mutant import Edit

_COMPARISONS: Final[dict[type[ast.cmpop], tuple[bytes, bytes]]] = {
    ast.Eq: (rb"==", b"!="),
    ast.NotEq: (rb"!=", b"=="),
    ast.Lt: (rb"<", b"<="),
    ast.LtE: (rb"<=", b"<"),
    ast.Gt: (rb">", b">="),
    ast.GtE: (rb">=", b">"),
    ast.Is: (rb"\bis\b", b"is not"),
    ast.IsNot: (rb"\bis\s+not\b", b"is"),
    ast.In: (rb"\bin\b", b"not in"),
    ast.NotIn: (rb"\bnot\s+in\b", b"in"),
}
_ARITHMETIC: Final[dict[type[ast.operator], tuple[bytes, bytes]]] = {
    ast.Add: (rb"\+", b"-"),
    ast.Sub: (rb"-", b"+"),
    ast.Mult: (rb"\*", b"/"),
    ast.Div: (rb"/", b"*"),
    ast.FloorDiv: (rb"//", b"*"),
    ast.Mod: (rb"%", b"*"),
    ast.Pow: (rb"\*\*", b"*"),
    ast.LShift: (rb"<<", b">>"),
    ast.RShift: (rb">>", b"<<"),
    ast.BitOr: (rb"\|", b"&"),
    ast.BitAnd: (rb"&", b"|"),
}
_NEGATED_ELSEWHERE: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)


def faults(source: bytes) -> list[Edit]:
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return finder.edits


class _Finder(ast.NodeVisitor):
    """Types, imports and docstrings are left alone: no test can be asked to run them."""

    def __init__(self, source: bytes) -> None:
        self.edits: list[Edit] = []
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    # --- expressions ---------------------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
            pattern, new = _COMPARISONS[type(operator)]
            self._between(left, right, pattern, new, "comparison")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in _ARITHMETIC and not _is_type(node):
            pattern, new = _ARITHMETIC[type(node.op)]
            self._between(node.left, node.right, pattern, new, "arithmetic")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        pattern, new = (rb"\band\b", b"or") if isinstance(node.op, ast.And) else (rb"\bor\b", b"and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, pattern, new, "and/or")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace(node, self._text(node.operand), "not removed")
        elif isinstance(node.op, ast.USub):
            self._replace(node, self._text(node.operand), "sign removed")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, str(not value).encode(), "true/false")
        elif isinstance(value, int | float):
            self._replace(node, repr(value + 1).encode(), "number + 1")
        elif isinstance(value, str):
            self._replace(node, repr(f"XX{value}XX").encode(), "text")
        elif isinstance(value, bytes):
            self._replace(node, repr(b"XX" + value + b"XX").encode(), "text")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._replace(node, b'"XXXX"', "text")  # as a whole: before 3.12 its parts have no place of their own

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._negate(condition)
        self.generic_visit(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._replace(node.body, b"None", "value gone")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not _is_type(node):
            self.generic_visit(node)

    # --- statements ----------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        self._replace(node, b"pass", "statement removed")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._value(node.value)
        if not (isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "TypeVar"):
            self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and getattr(node.annotation, "id", "") != "TypeAlias":
            self._value(node.value)
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in _ARITHMETIC:
            pattern, new = _ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, pattern, new, "arithmetic")
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._value(node.value)
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, b"pass", "statement removed")
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if getattr(node.test, "id", "") == "TYPE_CHECKING":
            return
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, b"continue", "break/continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, b"break", "break/continue")

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        for part in [*node.decorator_list, *node.body]:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    # --- the text ------------------------------------------------------------------------------------------------

    def _place(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.lineno - 1] + node.col_offset, self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr) -> bytes:
        start, end = self._place(node)
        return self._source[start:end]

    def _replace(self, node: ast.expr | ast.stmt, new: bytes, kind: str) -> None:
        self.edits.append(Edit(*self._place(node), new, kind))

    def _value(self, node: ast.expr) -> None:
        if not isinstance(node, ast.Constant):
            self._replace(node, b"None", "value gone")

    def _negate(self, test: ast.expr) -> None:
        """Unless another fault does just that."""
        plain = isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], _NEGATED_ELSEWHERE)
        if not plain and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._replace(test, b"(not (" + self._text(test) + b"))", "condition turned")

    def _between(self, left: ast.expr, right: ast.expr, pattern: bytes, new: bytes, kind: str) -> None:
        start, end = self._place(left)[1], self._place(right)[0]
        match = re.search(pattern, self._source[start:end])
        assert match, f"no {pattern!r} in line {left.end_lineno}"
        self.edits.append(Edit(start + match.start(), start + match.end(), new, kind))


def _is_type(node: ast.expr) -> bool:
    """`Literal[...]`, `dict[str, int]`, `A | B` of classes: said by the capital letter, or a builtin's name."""
    if isinstance(node, ast.Subscript):
        name = getattr(node.value, "id", "")
        return name[:1].isupper() or name in ("dict", "list", "tuple", "set", "frozenset", "type")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _is_type(node.left) and _is_type(node.right)
    return isinstance(node, ast.Name) and (
        (node.id[:1].isupper() and not node.id.isupper()) or node.id in ("list", "tuple")
    )
