"""A page with nothing but the lens, on a layer and under a recipe that its address names; run by test_lens_page.py."""

import streamlit as st
import torch
from torch import nn

from app import compute, lens
from compression.network import network
from compression.recipe import Recipe, step
from compression.zoo import shipped


def large():
    """2.4 million weights that were never trained."""
    module = nn.Sequential(nn.Linear(1600, 1500))
    module[0].weight.data = torch.randn(1500, 1600, generator=torch.Generator().manual_seed(0)) / 50
    return network("large", "Large", module), "0"


LAYERS = {
    "10k": lambda: (shipped.load("char-gpt"), "embed"),
    "400k": lambda: (shipped.load("lenet-5"), "fc1"),
    "2.4M": large,
    "depthwise": lambda: (shipped.load("depthwise"), "block1.depthwise"),
    "conv": lambda: (shipped.load("lenet-5"), "conv1"),
}
RECIPES = {
    "half": Recipe((step("pruning.magnitude", sparsity=0.5),)),
    "deep": Recipe((step("pruning.magnitude", sparsity=0.8), step("quantization.uniform", bits=4), step("coding.huffman"))),
    "wanda": Recipe((step("pruning.wanda", sparsity=0.3),)),
    "svd": Recipe((step("lowrank.svd", rank=0.3),)),
    "locked": Recipe((step("pruning.magnitude", sparsity=0.5),), locked=("*",)),
}


@st.cache_resource
def opened(of):
    return LAYERS[of]()


@st.fragment
def looked(told, net, layer, recipe, pin):
    if told != st.session_state.told:
        st.rerun()
    lens.show(net, layer, recipe, f"{id(st.session_state)}.lens", "lens", pin)


def page():
    st.set_page_config("Lens", layout="wide")
    compute.warm()
    ss, asked = st.session_state, st.query_params
    net, layer = opened(asked.get("of", "400k"))
    ss.setdefault("recipe", RECIPES[asked.get("do", "half")])
    ss.setdefault("told", 0)

    def pin(new):
        ss.told += 1
        ss.recipe = ss.recipe.with_pin(layer, new)

    def back():
        ss.recipe = RECIPES[asked.get("do", "half")]

    st.title("A layer")
    st.button("Undo", on_click=back)
    looked(ss.told, net, layer, ss.recipe, pin)
    st.markdown(f"told {ss.told}: {[s.knobs for s in ss.recipe.chain(layer)]}")


if __name__ == "__main__":
    page()
