"""What the reader of the README makes of a page."""

from __future__ import annotations

import pytest

from tests.wheel.readme import Step, section, steps

PAGE = """\
# A page

## Use it

Some words.

    pip install it

`tasks.py`:

```python
# a comment, no heading

x = 1
```

and then

    one
    two

```python
await run()
```

### More

    not this
"""


def test_files_lines_and_code_come_in_their_order() -> None:
    expected = [
        Step("shell", "pip install it"),
        Step("file", "# a comment, no heading\n\nx = 1\n", "tasks.py"),
        Step("shell", "one"),
        Step("shell", "two"),
        Step("python", "await run()\n"),
    ]
    assert expected == steps(section(PAGE, "Use it"))


def test_a_section_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a heading 'Use that', found none"):
        section(PAGE, "Use that")


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("expected Python in a fence, found 'toml': a = 1", "```toml\na = 1\n```\n"),
        ("expected the end of a fence, found the end of the section", "```python\na = 1\n"),
    ],
)
def test_a_fence_that_cannot_be_placed_is_refused(sentence: str, text: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        steps(text)
