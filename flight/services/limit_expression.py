"""Expressions over watchpoints in reverse Polish notation, with three values.

A token is the number of a watchpoint, or an operator. `w0 w1 AND w2 NOT OR` is (w0 and w1) or not w2.

>>> evaluate((0, 1, Operator.AND), (Truth.FALSE, Truth.UNKNOWN)), evaluate((0, Operator.NOT), (Truth.UNKNOWN,))
(<Truth.FALSE: 0>, <Truth.UNKNOWN: 2>)
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from flight.services.declare import ServicesError

MAX_TOKENS = 20


class Truth(IntEnum):
    """Kleene's three values: what is not known stays unknown unless the other side decides alone."""

    FALSE = 0
    TRUE = 1
    UNKNOWN = 2


class Operator(IntEnum):
    """Tokens that are no watchpoint. Numbers are never reused."""

    AND = 0xFFF0
    OR = 0xFFF1
    XOR = 0xFFF2
    NOT = 0xFFF3


class ExpressionReason(IntEnum):
    """Why tokens are no expression. Numbers are never reused."""

    EMPTY = 1
    TOO_LONG = 2
    NO_SUCH_TOKEN = 3  # neither a watchpoint that there is nor an operator
    OPERAND_MISSING = 4
    OPERATOR_MISSING = 5  # more than one value is left


class ExpressionInvalid(ServicesError, ValueError):
    """Tokens that are no expression. `token` counts from 0."""

    code = "expression_invalid"

    def __init__(self, reason: ExpressionReason, token: int) -> None:
        super().__init__(f"token {token}: {reason.name.lower()}")
        self.reason, self.token = reason, token


def check_expression(tokens: Sequence[int], watchpoints: int) -> None:
    """Raises ExpressionInvalid unless evaluate() can take `tokens` with so many watchpoints."""
    if not tokens:
        raise ExpressionInvalid(ExpressionReason.EMPTY, 0)
    if len(tokens) > MAX_TOKENS:
        raise ExpressionInvalid(ExpressionReason.TOO_LONG, len(tokens))
    depth = 0
    for index, token in enumerate(tokens):
        if 0 <= token < watchpoints:
            depth += 1
        elif token not in tuple(Operator):
            raise ExpressionInvalid(ExpressionReason.NO_SUCH_TOKEN, index)
        elif depth < (1 if token == Operator.NOT else 2):
            raise ExpressionInvalid(ExpressionReason.OPERAND_MISSING, index)
        elif token != Operator.NOT:
            depth -= 1
    if depth != 1:
        raise ExpressionInvalid(ExpressionReason.OPERATOR_MISSING, len(tokens))


def evaluate(tokens: Sequence[int], truths: Sequence[Truth]) -> Truth:
    """The value of a checked expression; truths: of the watchpoints, by number."""
    stack: list[Truth] = []
    for token in tokens:
        if token < Operator.AND:
            stack.append(truths[token])
        elif token == Operator.NOT:
            stack.append(_not(stack.pop()))
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_BINARY[Operator(token)](left, right))
    return stack[0]


def _not(value: Truth) -> Truth:
    return Truth.UNKNOWN if value is Truth.UNKNOWN else Truth(1 - value)


def _and(left: Truth, right: Truth) -> Truth:
    if Truth.FALSE in (left, right):
        return Truth.FALSE
    return Truth.UNKNOWN if Truth.UNKNOWN in (left, right) else Truth.TRUE


def _or(left: Truth, right: Truth) -> Truth:
    return _not(_and(_not(left), _not(right)))


def _xor(left: Truth, right: Truth) -> Truth:
    return Truth.UNKNOWN if Truth.UNKNOWN in (left, right) else Truth(left ^ right)


_BINARY = {Operator.AND: _and, Operator.OR: _or, Operator.XOR: _xor}
