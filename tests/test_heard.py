"""A message of an older page takes nothing back that was written since; what a person has set counts."""

from screen import opened, widget

from app.state import heard


def sends(at, seen, **values):
    """The browser's next message: of the page `seen`, with these values in its widgets."""
    at.text_input(key=heard.STAMP).set_value(str(seen))
    for key, value in values.items():
        widget(at, key.replace("__", ".")).set_value(value)
    return at.run()


def test_what_an_undo_has_overwritten_does_not_come_back():
    at = opened(net="digits-mlp")
    before = at.session_state.recipe
    widget(at, "dial.bits").set_value(4)
    at.run()
    seen = at.session_state.drawing
    at.button(key="undo").click()
    at.run()
    assert at.session_state.recipe == before and at.session_state.history.future
    sends(at, seen, dial__bits=4)
    assert at.session_state.recipe == before and at.session_state.history.future and widget(at, "dial.bits").value == 32
    sends(at, at.session_state.drawing, dial__bits=4)
    assert dict(at.session_state.recipe.default[-1].knobs)["bits"] == 4, "the same, of the page that shows what was undone, is a person's"


def test_a_change_of_an_older_page_counts_where_nothing_was_overwritten():
    at = opened(net="digits-mlp")
    seen = at.session_state.drawing
    at.button(key="snapshot").click()
    at.run()
    sends(at, seen, dial__bits=4, dial__sparsity=0.7)
    sends(at, seen, dial__bits=32)
    steps = {name: value for s in at.session_state.recipe.default for name, value in s.knobs}
    assert steps["sparsity"] == 0.7 and steps.get("bits", 32) == 32, "there and back again, quicker than the page answers"


def test_a_network_that_a_button_opened_is_not_closed_by_the_picker_of_the_page_before():
    at = opened(net="digits-mlp")
    seen = at.session_state.drawing
    widget(at, "pick").set_value("lenet-5")
    at.run()
    at.button(key="snapshot").click()
    at.run()
    widget(at, "pick").set_value("digits-mlp")
    at.run()
    at.button(key="snapshot.1").click()
    at.run()
    assert at.session_state.net == "lenet-5"
    sends(at, at.session_state.drawing - 1, pick="digits-mlp")
    assert at.session_state.net == "lenet-5" and widget(at, "pick").value == "lenet-5" and seen < at.session_state.drawing
