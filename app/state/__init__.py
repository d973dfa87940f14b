"""The only user of session_state and query_params. The modules in here hold the parts; this is the list of what pages may call."""

from app.state.address import HIDEABLE, JUDGES, begin, hide, present, publish
from app.state.edits import commit, fold_edits, pin, redo, release_pins, reset, set_recipe, switch_solo, undo, with_whole
from app.state.mirror import knob_key, set_focus, show_focus
from app.state.picking import add_own, chosen_layer, chosen_network, chosen_split, open_network, titles
from app.state.session import (
    dial_step,
    focus,
    hidden,
    history,
    network,
    notes,
    owner,
    presenting,
    recall,
    recipe,
    remember,
    shadow,
    shown,
    solo,
    split,
    version,
)
from app.state.widgets import change_method, suggest_repairs, switch_coding, turn, turn_first, turn_repair

__all__ = [
    "HIDEABLE", "JUDGES", "add_own", "begin", "change_method", "chosen_layer", "chosen_network", "chosen_split", "commit", "dial_step", "focus",
    "fold_edits", "hidden", "hide", "history", "knob_key", "network", "notes", "open_network", "owner", "pin", "present", "presenting", "publish",
    "recall", "recipe", "redo", "release_pins", "remember", "reset", "set_focus", "set_recipe", "shadow", "show_focus", "shown", "solo", "split",
    "suggest_repairs", "switch_coding", "switch_solo", "titles", "turn", "turn_first", "turn_repair", "undo", "version", "with_whole",
]
