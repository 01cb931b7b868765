"""The commands of a bash block, as the words that each program would get."""

import re
import shlex
from dataclasses import dataclass

_SEPARATORS = {"|", "&", "&&", "||"}
_KEYWORDS = {"do", "then", "else", "done", "fi", "if", "while", "until", "time", "!", "{", "}"}
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")


@dataclass(frozen=True)
class Command:
    """One command: its words, without redirections, with the block's own variables filled in."""

    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return self.words[0]


def commands_of(code: str) -> list[Command]:
    """The simple commands of a block, in order. ``...`` and ``[...]`` stand for more of the same and are left out.

    Raises:
        ValueError: quotation marks that do not close.
    """
    variables: dict[str, str] = {}
    commands = []
    for line in _logical_lines(code):
        for words in _split(line):
            while words and (words[0] in _KEYWORDS or _ASSIGNMENT.fullmatch(words[0])):
                if assigned := _ASSIGNMENT.fullmatch(words[0]):
                    variables[assigned[1]] = _fill(assigned[2], variables)
                words = words[1:]
            words = [_fill(word, variables) for word in words if word not in ("...", "…")]
            if words and words[0] == "for":
                if len(words) > 3:
                    variables[words[1]] = words[3]  # the first of the list stands for all
                continue
            if words:
                commands.append(Command(tuple(words)))
    return commands


def _fill(word: str, variables: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda name: variables.get(name[1] or name[2], name[0]), word)


def _logical_lines(code: str) -> list[str]:
    """Lines with continuations and quoted line ends joined, here-documents left out."""
    lines, waiting, until = [], "", ""
    for line in code.splitlines():
        if until:
            until = "" if line.strip() == until else until
            continue
        waiting = f"{waiting}\n{line}" if waiting else line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
            continue
        try:
            shlex.split(waiting, comments=True)
        except ValueError:  # an open quotation mark: the next line belongs to it
            continue
        if here := re.search(r"<<-?\s*['\"]?(\w+)['\"]?", waiting):
            until = here[1]
        lines.append(waiting)
        waiting = ""
    if waiting:
        raise ValueError(f"no closing quotation mark: {waiting!r}")
    return lines


def _split(line: str) -> list[list[str]]:
    """One line's commands, each as words; redirections and their files are left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters = ""
    lexer.wordchars += "$%@+:,^[]{}!"
    commands: list[list[str]] = [[]]
    skip_next = False
    for token in _until_comment(lexer):
        if token in _SEPARATORS or (set(token) <= set("();<>|&") and set(token) & set("();")):  # also <( and );
            commands.append([])
        elif set(token) <= set("<>&"):  # > >> < >& &>
            skip_next = True
            if commands[-1] and commands[-1][-1] in ("1", "2"):
                commands[-1].pop()
        elif skip_next:
            skip_next = False
        else:
            commands[-1].append(token)
    return [words for words in commands if words]


def _until_comment(lexer: shlex.shlex) -> list[str]:
    """Tokens up to a word that begins with #, which bash takes for a comment."""
    tokens = []
    while (token := lexer.get_token()) is not None:
        if token.startswith("#"):
            break
        tokens.append(token)
    return tokens
