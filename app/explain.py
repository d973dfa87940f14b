"""Explain this: beside a chart, what one sees there now, why, something to try, where to read on, and the chart as a table."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from app import state

SURVEY = "O’Neill 2020, An Overview of Neural Network Compression, arXiv:2006.03669"


class Why(NamedTuple):
    """What is true of a chart whatever it shows."""

    title: str
    why: str
    section: str  # of the survey
    paper: str


TEXTS = {
    "lens": Why("Why does the middle empty first?",
                "Trained weights crowd around zero. A small weight adds little to any sum, so removing the smallest ones changes the outputs "
                "least, as far as one can tell without data. Rounding instead moves every weight to the nearest of a few levels: each bit "
                "fewer doubles the step and costs about 6 dB.", "3.1, 6", "Han et al. 2015, arXiv:1506.02626"),
    "sizes": Why("Why are a few layers most of the file?",
                 "A linear layer has inputs × outputs weights, a convolution only kernel × channels. The first linear layer after the "
                 "convolutions is often nearly the whole file: compress there first.", "1", "Han et al. 2016, arXiv:1510.00149"),
    "waterfall": Why("Why do zeros still cost bytes?",
                     "The file must say where the kept weights are: a bit for each weight, or gaps between them. That is why half the "
                     "weights gone is not half the bytes. Codes after that need their tables, and scales are stored as well.",
                     "3, 6", "Han et al. 2016, arXiv:1510.00149"),
    "layers": Why("Why do layers look so different?",
                  "Width and shape follow from initialisation, normalisation and weight decay. A wide, flat layer has few weights near zero: "
                  "the same sparsity then removes larger ones.", "3.1", "Han et al. 2015, arXiv:1506.02626"),
    "examples": Why("Why do answers change when accuracy hardly does?",
                    "Newly wrong and newly right answers cancel in the accuracy. The examples that flip are those of which the original "
                    "was unsure: look at its confidence.", "1", "Hooker et al. 2019, arXiv:1911.05248"),
    "sensitivity": Why("Why can some layers take more?",
                       "Layers with many weights for their task have more to spare. First and last layers often have few, and what "
                       "they lose no later layer can make up for.", "3.1", "Han et al. 2015, arXiv:1506.02626"),
    "compare.layers": Why("Why do two recipes of one size differ so much?",
                          "The same bytes can be saved in a few large layers or a little everywhere. Which layers pay decides which answers "
                          "change.", "1, 3", "Han et al. 2016, arXiv:1510.00149"),
    "compare.weights": Why("Why look at the weights of both?",
                           "Zeros, levels and shrunken tails each leave their own shape. Two recipes with equal error can leave quite "
                           "different weights.", "3, 6", "Gray and Neuhoff 1998, Quantization"),
    "compare.classes": Why("Why are some classes hit harder?",
                           "Compression first loses what is rare or near another class. The mean accuracy hides it.", "1",
                           "Hooker et al. 2020, arXiv:2010.03058"),
    "compare.mixups": Why("Why these mix-ups?",
                          "Classes that look alike lie on both sides of a boundary that passes through many examples; a small shift of the "
                          "boundary moves answers from one to the other.", "1", "Hooker et al. 2019, arXiv:1911.05248"),
    "compare.sure": Why("Why can a network be right and yet too sure?",
                        "Confidence is what the scores say, accuracy what the truth says. Rounding and pruning change the size of the scores, "
                        "and with it how sure a network seems.", "6", "Guo et al. 2017, arXiv:1706.04599"),
    "budget.allocation": Why("Why does this layer get so little?",
                             "Every layer’s next step has a price: what it moves the answers for each byte it frees. The best choice takes steps "
                             "where they are cheap until all that is left costs the same. Large layers that few answers hang on pay first.",
                             "3.5, 6", "Shoham and Gersho 1988, Efficient bit allocation for an arbitrary set of quantizers"),
    "budget.ways": Why("Why measure what was proven best?",
                       "Proven is that no choice of layers alone adds up to less. But errors of two layers strengthen or cancel each other. What "
                       "each moves the scores by adds up better, which the solver uses; and still only measuring the whole recipe tells what it "
                       "loses. HAWQ asks the curvature of the loss instead of the answers.", "6",
                       "Dong et al. 2020, arXiv:1911.03852; Deng et al. 2023, arXiv:2307.05657"),
    "budget.race": Why("Why are searches slower?",
                       "A search learns one number from each recipe it measures and has to guess which layer it came from. Single layers "
                       "measured one by one tell that at once, as long as they nearly add up.", "3.5", "Deb et al. 2002, NSGA-II"),
    "budget.recorded.ways": Why("Why is choosing on one set and reporting on another fair?",
                                "Whoever picks the best of many on some examples picks a little of their luck as well. Test examples had no part "
                                "in it, so what a choice loses there is what it would lose on others.", "7", "Cawley and Talbot 2010"),
    "budget.recorded.race": Why("Why do searches differ from seed to seed?",
                                "They draw at random, and few recipes are measured. A line for each seed shows how much of a search’s success "
                                "is luck.", "3.5", "Bergstra and Bengio 2012"),
    "budget.promise": Why("Why is the file not smaller still?",
                          "The promise is kept by the upper end of the interval, not by the middle: with these examples a smaller file might "
                          "lose more than was allowed. More examples would narrow the interval.", "1", "McNemar 1947"),
    "parallel": Why("Why so many axes at once?",
                    "A recipe is more than its size and its accuracy. Lines that run together share settings; where they cross between two axes, "
                    "more of the one goes with less of the other.", "1", "Inselberg 1985, The Plane with Parallel Coordinates"),
    "tried": Why("Why keep what did not work?",
                 "Compression is a search by hand: most steps are taken back. Seen together, they tell which turn cost most, and no recipe that "
                 "was better is lost.", "1", "Heer et al. 2008, Graphical Histories for Visualization"),
    "train.teacher": Why("Why learn from softened answers?",
                         "A label says only which class is right. A teacher's probabilities also say which others were near; divided by T before "
                         "the softmax, its scores let that show, and the student learns how classes resemble each other.", "5",
                         "Hinton et al. 2015, arXiv:1503.02531, equation 1"),
    "train.accuracy": Why("Why does training on give so much back?",
                          "What is left over still has freedom: the kept weights, the codebook or the scales move to where the loss is lowest "
                          "given what was taken. The first hundred steps win most of it; a control beside it shows what training alone does.",
                          "3.1, 5, 6.4", "Han et al. 2015, arXiv:1506.02626"),
    "train.dial": Why("Why is there nothing to train again?",
                      "What was learnt says of every weight how much it matters, or how it moved. Where to cut is decided afterwards: weights far "
                      "from the cut stay on their side, so in a gap the dial changes nothing.", "3.4.3",
                      "Molchanov et al. 2017, arXiv:1701.05369; Ullrich et al. 2017, arXiv:1702.04008"),
    "tradeoff": Why("Why is there no best recipe?",
                    "Smaller and more accurate pull apart. The front holds the recipes that nothing measured beats in both; which of them "
                    "is right depends on what a point is worth.", "1", "Deb et al. 2002, NSGA-II"),
}


class Try(NamedTuple):
    """Something to set, by a button."""

    label: str
    act: Callable[..., None]
    args: tuple[Any, ...] = ()


def beside(name: str, caption: str, see: str | Callable[[], str], attempt: Try | None, table: Callable[[], pd.DataFrame]) -> None:
    """The caption under a chart, and beside it the popover. see: one sentence with the numbers on screen now; table: the chart's numbers.

    What takes time to say is given as a function, asked only when the popover is open.
    """
    told = TEXTS[name]
    with st.container(horizontal=True, gap="small", vertical_alignment="top", key=f"told.{name}"):
        st.markdown(f":small[{caption}]", width="stretch")
        opened = st.popover("Explain", icon=":material/help:", type="tertiary", key=f"explain.{name}", on_change=state.chosen, help=told.title)
    if not opened.open:
        return
    with opened:
        _told(told, name, see if isinstance(see, str) else see(), attempt, table)


def _told(told: Why, name: str, see: str, attempt: Try | None, table: Callable[[], pd.DataFrame]) -> None:
    st.markdown(f"**{told.title}**")
    st.markdown(f"**What you see.** {see}")
    st.markdown(f"**Why.** {told.why}")
    if attempt is not None:
        st.button(f"Try: {attempt.label}", key=f"try.{name}", on_click=attempt.act, args=attempt.args)
    st.markdown(f"**Read.** {SURVEY}, section {told.section}; {told.paper}.")
    st.dataframe(table(), hide_index=True, width="stretch", alt=f"The numbers of this chart: {told.title}")
