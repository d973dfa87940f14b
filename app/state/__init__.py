"""The only user of session_state and query_params. The modules in here hold the parts; this is the list of what pages may call."""

from app.state.address import HIDEABLE, JUDGES, OPENING, add, asked, begin, chosen_hidden, chosen_presenting, link, publish
from app.state.current import draw, drawn, outdated
from app.state.edits import commit, fold_edits, pin, redo, release_pins, reset, set_recipe, switch_solo, undo, with_whole
from app.state.hand import by_hand
from app.state.heard import drawing, half_drawn, stamp, write
from app.state.mirror import knob_key, set_focus, show_focus
from app.state.picking import CHOICE, add_own, chosen, chosen_layer, chosen_network, chosen_split, open_network, titles
from app.state.session import (
    again,
    dial_step,
    focus,
    hidden,
    history,
    late,
    network,
    note,
    notes,
    owner,
    page,
    passing,
    picks,
    presenting,
    recall,
    recipe,
    remember,
    shadow,
    shown,
    solo,
    split,
    stand_in,
    told,
    tried,
    value,
    version,
    wanted,
)
from app.state.shelf import (
    ORIGINAL,
    SCREEN,
    choose_side,
    chosen_preset,
    chosen_side,
    last_preset,
    learn,
    load,
    remove,
    restore,
    shelf,
    show_preset,
    show_sides,
    side_recipe,
    side_word,
    sides,
    swap,
    take,
)
from app.state.widgets import change_method, suggest_repairs, switch_coding, toggle_coding, turn, turn_first, turn_repair

__all__ = [
    "CHOICE", "HIDEABLE", "JUDGES", "OPENING", "ORIGINAL", "SCREEN", "add", "add_own", "again", "asked", "begin", "by_hand", "change_method",
    "choose_side", "chosen", "chosen_hidden", "chosen_layer", "chosen_network", "chosen_presenting", "chosen_preset", "chosen_side",
    "chosen_split", "commit", "dial_step", "draw", "drawing", "drawn", "focus", "fold_edits", "half_drawn", "hidden", "history",
    "knob_key", "last_preset", "late", "learn", "link", "load", "network", "note", "notes", "open_network", "outdated", "owner", "page",
    "passing", "picks", "pin", "presenting", "publish", "recall", "recipe", "redo", "release_pins", "remember", "remove", "reset", "restore",
    "set_focus", "set_recipe", "shadow", "shelf", "show_focus", "show_preset", "show_sides", "shown", "side_recipe", "side_word", "sides",
    "solo", "split", "stamp", "stand_in", "suggest_repairs", "swap", "switch_coding", "switch_solo", "take", "titles", "toggle_coding", "told",
    "tried", "turn", "turn_first", "turn_repair", "undo", "value", "version", "wanted", "with_whole", "write",
]
