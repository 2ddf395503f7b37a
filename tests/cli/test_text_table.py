"""Tables of text wrap between words only."""

from rlmem.cli.text_table import table


def test_a_column_is_wrapped_between_words_and_a_word_that_is_too_long_stays_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    rows = [
        ("name", "what it is"),
        ("a", "one two three four five six seven"),
        ("b", "kalman_actor_critic-of-one-word"),
    ]
    assert [line.split(maxsplit=1)[-1] for line in table(rows, flexible=1)[2:]] == [
        "one two three four five six",
        "seven",
        "kalman_actor_critic-of-one-word",
    ]
    wide = [("name", "what it is"), ("a" * 30, "recurrent_ppo and others")]
    assert [line.split()[-1] for line in table(wide, flexible=1)[2:]] == ["recurrent_ppo", "others"]
