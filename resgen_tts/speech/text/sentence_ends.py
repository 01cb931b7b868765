"""Whether a full stop that belongs to an abbreviation also ends the sentence: told by the word behind it."""

import re

# Words that stand with a capital at the beginning of a sentence and hardly ever in a name.
_STARTERS = (
    "The|He|She|It|They|We|I|You|But|And|So|In|On|At|Then|This|That|These|Those|There|An?|His|Her|My|Our|Your|Their|If|"
    "When|While|For|No|Yes|Not|What|Who|Why|How|Where|Which|Is|Are|Was|Were|Do|Does|Did|Has|Have|Had|Can|Could|Will|"
    "Would|Should|After|Before|Now|Later|As|Or|Its|Many|Most|Some|Several|Few|Every|Each|Both|Another|Other|Others|"
    "However|Although|Though|Because|Since|Until|Today|Yesterday|Tomorrow|Here|Please|Let|Once|Only|Also|Even|Everyone|"
    "Everybody|Nobody|Nothing|Something|Someone|Perhaps|Maybe|Meanwhile|Instead|Still|From|With|Without|By|To"
)
_OPENS = r"\s+[\"'(]*"
STARTER = rf"(?:{_STARTERS})(?:'[a-z]{{1,2}})?(?![\w'.-])"  # "A." is an initial, "At-Home" a name
_ENDS_TEXT = re.compile(r"[\"')\]]*\s*$")
STARTER_FOLLOWS = re.compile(rf"[\"')\]]*{_OPENS}{STARTER}")


def ends_sentence(text: str, place: int) -> bool:
    """Whether a sentence ends at ``place``: the text does, or a word follows that begins sentences and no names."""
    following = text[place : place + 40]
    return bool(_ENDS_TEXT.match(following) or STARTER_FOLLOWS.match(following))
