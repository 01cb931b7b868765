"""The library of the page, and its looks: nothing that another host would have to bring."""

import os
from types import ModuleType

from resgen_tts.common.errors import require


def load_gradio() -> ModuleType:
    """Gradio, told to send nothing and to fetch nothing.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["FASTAPI_OTEL_AUTO_CONFIGURE"] = "false"  # the web framework's own reports to a collector
    return require("gradio", extra="demo")


gr = load_gradio()

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
CSS = """
.gradio-container { max-width: 1120px !important; margin: 0 auto !important; }
#title h1 { margin-bottom: 0; }
#title p { color: var(--body-text-color-subdued); margin-top: .25rem; }
.html-container { padding: 0 !important; }
.block:has(> .html-container > .prose:empty) { display: none; }
.status { border-left: 4px solid var(--border-color-primary); border-radius: var(--radius-sm);
  background: var(--background-fill-secondary); padding: .5rem .75rem; overflow-wrap: anywhere; }
.status b { text-transform: capitalize; margin-right: .4rem; }
.status progress { display: block; width: 100%; height: .5rem; margin-top: .4rem; accent-color: var(--color-accent); }
.status.running, .status.queued, .status.loading { border-left-color: var(--color-accent); }
.status.done, .status.ready { border-left-color: #15803d; }
.status.cancelled { border-left-color: #a16207; }
.status.failed { border-left-color: #b91c1c; }
.hint { color: var(--body-text-color-subdued); font-size: var(--text-sm); }
.notes ul { margin: .25rem 0 0 1.2rem; list-style: disc; }
.notes li { margin: .2rem 0; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; margin: 0; }
.facts dt { color: var(--body-text-color-subdued); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.captioned { padding-top: 2.2rem !important; }
#seed-row { align-items: end; }
#history .wrap { flex-direction: column; align-items: stretch; }
#history label { overflow-wrap: anywhere; }
"""


def theme() -> object:
    """Plain, with the fonts that the reader's system has."""
    plain = gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=MONO_FONTS)
    # Darker than the library's greys: small letters need a contrast of 4.5 to 1.
    return plain.set(
        body_text_color_subdued="*neutral_600", block_info_text_color="*neutral_600",
        block_label_text_color="*neutral_600", block_title_text_color="*neutral_700",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color_dark="*neutral_300", block_label_text_color_dark="*neutral_300",
        block_title_text_color_dark="*neutral_200",
    )  # fmt: skip
