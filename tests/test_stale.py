"""Until a setting is judged, what is shown of answers is that of the setting before, and says so; never that of another network."""

from threading import Event

from screen import SMALL, cold, measured, nobody_left, opened, put  # noqa: F401 (two of them are fixtures)

from app import compute


def shown(at) -> tuple[str, str, str]:
    """The sentence, the card of the accuracy, and the cards of changed answers."""
    card = next(m for m in at.metric if m.label == "Accuracy")
    return at.markdown[0].value, f"{card.value} {card.delta}", " ".join(h.proto.body for h in at.get("html"))


def test_what_is_shown_meanwhile_names_its_setting_and_is_of_the_same_network(monkeypatch):
    at = measured(opened(net=SMALL))
    before = next(m for m in at.metric if m.label == "Accuracy").value
    assert "Answers for 50 % zero." in shown(at)[2] and 'class="past"' not in shown(at)[2]
    over, judging = Event(), compute.judging

    def late(*given):
        over.wait(60)
        yield from judging(*given)

    monkeypatch.setattr(compute, "judging", late)
    try:
        claim, card, cards = shown(put(at, "dial.sparsity", 0.9))
        assert "measuring… It was" in claim and f"{before} ±" in claim.replace("**", "") and claim.endswith("for 50 % zero.")
        assert card.startswith("… was") and card.endswith("for 50 % zero")
        assert "Answers for 50 % zero. Those for 90 % zero are being measured…" in cards and 'class="past"' in cards
        claim, card, cards = shown(put(at, "pick", "lenet-300-100"))
        assert claim.endswith("measuring…") and card == "… measuring" and 'class="past"' not in cards
    finally:
        over.set()
