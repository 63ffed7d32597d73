"""Breaking long lines."""

import pytest

from protocol.layout import LINE_COLUMNS, laid_out

LONG = [f"argument_number_{index}" for index in range(4)]
LONGER = [f"argument_number_{index}" for index in range(9)]


def test_short_lines_stay() -> None:
    lines = ["", "x = f(1)", "    return {}"]
    assert laid_out(lines) == lines


def test_the_last_bracket_is_broken() -> None:
    line = f"    {'value' * 8}, position = read({', '.join(LONG)})"
    assert laid_out([line]) == [
        f"    {'value' * 8}, position = read(",
        f"        {', '.join(LONG)}",
        "    )",
    ]


def test_many_items_get_a_line_each() -> None:
    line = f"    return Thing({', '.join(LONGER)}), position"
    assert laid_out([line]) == [
        "    return Thing(",
        *(f"        {name}," for name in LONGER),
        "    ), position",
    ]


def test_a_function_is_broken_at_its_parameters() -> None:
    line = f"def f({', '.join(f'{name}: int' for name in LONG)}) -> tuple[int, str]:"
    assert laid_out([line])[0] == "def f("
    assert laid_out([line])[-1] == ") -> tuple[int, str]:"


def test_a_long_target_puts_its_value_in_brackets() -> None:
    line = f"{'target' * 10} = {'function' * 7}(data, position)"
    assert laid_out([line]) == [
        f"{'target' * 10} = (",
        f"    {'function' * 7}(data, position)",
        ")",
    ]


def test_a_target_of_many_names_is_broken_itself() -> None:
    line = f"    {', '.join(LONGER)} = unpack(data)"
    assert laid_out([line]) == [
        "    (",
        *(f"        {name}," for name in LONGER),
        "    ) = unpack(data)",
    ]


def test_a_comment_stays_behind_the_last_line() -> None:
    line = f"{'name' * 15}: list[Thing] = field(default_factory=list)  # 3+, tag 2"
    assert laid_out([line])[-1] == ")  # 3+, tag 2"


def test_nested_commas_do_not_separate() -> None:
    items = ["f(a, b)" * 4, *LONGER[:5]]
    line = f"call({', '.join(items)})"
    assert laid_out([line])[1] == f"    {items[0]},"


@pytest.mark.parametrize("line", ["x" * (LINE_COLUMNS + 1), '"""' + "words " * 20 + '"""'])
def test_lines_without_a_place_to_break_stay(line: str) -> None:
    assert laid_out([line]) == [line]
