"""The entrance: the frame with the network and the dials, and the pages. Run from the project's folder:

python -m streamlit run app/main.py
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
if "compression" in sys.modules and str(ROOT / "compression") not in sys.modules["compression"].__path__:
    sys.modules["compression"].__path__.append(str(ROOT / "compression"))  # Python 3.14's package of that name came first
sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

st.set_page_config("Shrinkscope", str(ROOT / "app" / "static" / "favicon.png"), layout="wide")
top = st.empty()
if "torch" not in sys.modules:
    top.markdown("Opening. The first page after a start takes some seconds: PyTorch is being loaded.")

from app import compute, controls, keeping, pause, state, waiting, words, workplace  # noqa: E402
from app.views import budget, compare, coverage, distil, explore, methods, opening, sensitivity, tradeoff, train  # noqa: E402

STYLE = """<style>
.stMainBlockContainer {padding: 4rem 2.5rem 4rem}
@media (max-width: 40rem) {.stMainBlockContainer {padding: 4rem 1rem}}
[data-testid="stSidebar"] kbd, .st-key-seen {display: none}
.st-key-claim, .st-key-told-lens [data-testid="stMarkdown"] {min-height: 3.2rem}  /* as many lines as it takes: what is below stays */
.st-key-told-waterfall [data-testid="stMarkdown"] {min-height: 4.8rem}
.st-key-claim strong {white-space: nowrap}
[data-testid="stMultiSelectTagsContainer"] [data-tag] {background: transparent; border: 1px solid var(--st-primary-color, currentColor)}
[data-testid="stMultiSelectTagsContainer"] [data-tag], [data-testid="stMultiSelectTagsContainer"] [data-tag] span {color: inherit}
[data-variant="segmented_control"][aria-checked="false"]:not(:hover) {border-inline-color: color-mix(in srgb, currentColor 16%, transparent)}
[data-testid="stTopNavLink"]:focus-visible {outline: 2px solid var(--st-primary-color, currentColor); outline-offset: -2px}
.st-key-cards [data-testid="stMetricDelta"] {font-size: .8rem}
.st-key-cards [data-testid="stMetric"] > div {padding: .8rem}
.st-key-badges [data-testid="stMetric"] > div {padding: .6rem}
.st-key-cards > [data-testid="stElementContainer"] {flex: 8 1 9rem}  /* of no width that hangs on what is told */
.st-key-cards > [data-testid="stElementContainer"]:nth-child(3) {flex: 10 1 11rem}
@media (max-width: 75rem) {
    .st-key-cards > [data-testid="stElementContainer"] {flex-basis: 11rem}
    .st-key-claim {min-height: 4.8rem}
}
@media (max-width: 30rem) {.st-key-claim {min-height: 9.6rem}}
@media (max-width: 40rem) {
    [data-testid="stHorizontalBlock"] {row-gap: 1rem}  /* of columns that stand below one another */
    .st-key-cards > [data-testid="stElementContainer"] {flex-basis: calc(50% - .5rem)}
    .st-key-cards > [data-testid="stElementContainer"]:nth-child(3) {flex-basis: 100%}
}
</style>"""  # keys are named in the buttons' help; shown in them they leave no room for words
PRESENTER = """<style>
html {font-size: 20px}
[data-testid="stToastContainer"], .chart-save {display: none}
</style>"""

st.html(STYLE)
ask = argparse.ArgumentParser(prog="streamlit run app/main.py --", exit_on_error=False)
ask.add_argument("--model", help="package.module:function that returns a torch.nn.Module")
ask.add_argument("--data", help="package.module:function that returns (inputs, labels)")
ask.add_argument("--run-on", default="", help="where studies and scans may run: processes:4, dask:tcp://10.0.0.5:8786, or a backend of joblib")
asked, _ = ask.parse_known_args(sys.argv[1:])
compute.warm()
first, trouble = compute.from_command_line(asked.model, asked.data)
state.begin(first, trouble or workplace.named(asked.run_on))
state.draw()
pause.drawing.begin()
if state.presenting():
    st.set_page_config(initial_sidebar_state="collapsed")
    st.html(PRESENTER)
page = st.navigation(
    [
        st.Page(explore.show, title="Explore", url_path="explore", default=True),
        st.Page(methods.show, title="Methods", url_path="methods"),
        st.Page(coverage.show, title="Coverage", url_path="coverage"),
        st.Page(sensitivity.show, title="Sensitivity", url_path="sensitivity"),
        st.Page(tradeoff.show, title="Trade-off", url_path="trade-off"),
        st.Page(budget.show, title="Budget", url_path="budget"),
        st.Page(compare.show, title="Compare", url_path="compare"),
        st.Page(train.show, title="Train", url_path="train"),
        st.Page(distil.show, title="Distil", url_path="distil"),
    ],
    position="top",
)
state.recall("page", page.url_path)
waiting.stand_in()
if page.title == "Explore":
    explore.ahead()
above = st.container()
for note in state.told():
    above.warning(words.plain(note))
if said := state.passing():
    st.toast(said)
top.empty()
page.run()
with st.sidebar:
    if controls.shows("network"):
        opening.header()
    keeping.steps()
    if controls.shows("presets"):
        keeping.presets()
    controls.dials()
    controls.pins()
    if controls.shows("first"):
        controls.first()
    if controls.shows("repair"):
        controls.repairing()
    if controls.shows("snapshots"):
        keeping.snapshots()
    keeping.share()
    controls.measuring()
for note in state.notes():
    above.warning(words.plain(note))
state.publish()
st.text_input("Number of this page", key=state.stamp())
state.drawn()
pause.drawing.end()
