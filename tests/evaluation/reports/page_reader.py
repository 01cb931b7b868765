"""The page as a reader meets it: balanced tags, links and text."""

from html.parser import HTMLParser

from resgen_tts.evaluation.protocols.synth_folder import read_synth
from resgen_tts.evaluation.reports.page import html_page
from resgen_tts.evaluation.reports.pictures import draw_mels
from resgen_tts.evaluation.waves import read_wave


class Page(HTMLParser):
    """Balanced tags, links, anchors, and text."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.anchors, self.ids, self.tags, self.words = [], [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = [value for name, value in attrs if name in ("src", "href")]
        self.links += [link for link in found if not link.startswith("#")]
        self.anchors += [link[1:] for link in found if link.startswith("#")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def make_page(report, synth, out, **options):
    """The page of a report whose item b1 has a picture, and where it would be written."""
    picture = out / "mel" / "b1.png"
    wave = read_wave(synth / "wav/clone/b1.wav")
    draw_mels(picture, {"prompt": wave, "clone": wave[:8000]}, "$b1$ <x>")
    assert picture.read_bytes().startswith(b"\x89PNG")
    page, folder = out / "index.html", read_synth(synth)
    text = html_page(report, folder=folder, page=page, pictures={"b1": picture}, title="A & B", **options)
    return text, page
