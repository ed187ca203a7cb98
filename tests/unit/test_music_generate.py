from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from threading import Event
from typing import Any

import pytest
import torch

from demos.music.generate import (
    LONG,
    Bar,
    MusicRequest,
    MusicStep,
    generate_music,
    play_otherwise,
)
from demos.music.piece import Piece, command_bars, command_variation
from demos.music.recording import name_file
from demos.music.show import read_token, show_bars, show_caption, show_understood
from demos.music.words import parse_description
from shared.batching import BatchEngine
from shared.catalog import Placement, load_tune_model
from shared.errors import InvalidRequest
from shared.sampling import TransformersEngine
from shared.settings import ROOT
from shared.tunes.compose import TuneModel
from shared.tunes.controls import TuneControls
from shared.tunes.grammar import BarGrammar
from shared.tunes.measures import measures_to_ids, read_measures, write_measures
from shared.tunes.rhythm_drafter import RhythmDrafter
from shared.tunes.sound import HIGHEST
from shared.tunes.tokens import control_ids


def compose(tune_model: TuneModel, **values: Any) -> list[MusicStep]:
    request = MusicRequest.parse(**{"duration": 5, "seed": 1} | values)
    return list(generate_music(tune_model, request, Event()))


def test_a_seed_gives_the_same_music_twice(tune_model: TuneModel) -> None:
    first, second, other = (compose(tune_model, seed=seed)[-1].arrangement for seed in (7, 7, 8))
    assert first == second
    assert first.notes != other.notes


def test_music_grows_bar_by_bar_and_ends_with_the_bar_that_fills_the_time(
    tune_model: TuneModel,
) -> None:
    steps = compose(tune_model, duration=12, description="a slow air in 3/4")
    assert [len(step.bars) for step in steps] == list(range(1, len(steps) + 1))
    assert [step.is_complete for step in steps] == [False] * (len(steps) - 1) + [True]
    music = steps[-1].arrangement
    assert music.bar_starts[-1] < 12 <= music.seconds
    assert music.notes[-1].start < music.seconds


@pytest.mark.parametrize("bars", [1, 7])
def test_so_many_bars_are_composed_as_were_asked_for(tune_model: TuneModel, bars: int) -> None:
    written = compose(tune_model, bars=bars)[-1].bars
    assert len(written) - written[0].measure.is_upbeat == bars


def test_a_piece_is_written_to_its_end_where_only_one_can_write_at_a_time(
    tune_model: TuneModel,
) -> None:
    # Whoever held a place and waited for another would wait for ever when all do so.
    alone = replace(tune_model, engine=BatchEngine(tune_model.model, rows=1))
    for seed in range(4):
        last = compose(alone, bars=2, seed=seed)[-1]
        assert last.arrangement == compose(tune_model, bars=2, seed=seed)[-1].arrangement


def test_what_is_played_does_not_depend_on_what_comes_later(tune_model: TuneModel) -> None:
    steps = compose(tune_model, description="a jig in 6/8 for flute and harp", bars=9)
    whole = steps[-1].arrangement
    for step in steps[:-1]:
        end = step.arrangement.bar_starts[-1]  # the latest bar may still come to rest
        assert step.arrangement.between(0, end) == whole.between(0, end)


def test_a_piece_goes_on_from_bars_that_stand(tune_model: TuneModel) -> None:
    step = compose(tune_model, description="a reel in 4/4", bars=6)[-1]
    text = write_measures(bar.measure for bar in step.bars[:3])
    ending = write_measures(bar.measure for bar in step.bars[4:])
    other = compose(
        tune_model, description="a reel in 4/4", bars=1, beginning=text, ending=ending, seed=9
    )[-1]
    measures = [bar.measure for bar in step.bars]
    changed = [bar.measure for bar in other.bars]
    assert len(changed) == len(measures)
    assert changed[:3] + changed[4:] == measures[:3] + measures[4:]
    assert changed[3] != measures[3]


def test_bars_that_cannot_be_read_are_refused(tune_model: TuneModel) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        compose(tune_model, beginning="7/4 0:200:x")


def test_playing_otherwise_keeps_every_note(tune_model: TuneModel) -> None:
    step = compose(tune_model, description="a jig in D for fiddle alone", bars=4)[-1]
    wanted = MusicRequest.parse(description="in F, 60 bpm, for flute alone").controls
    other = play_otherwise(step, wanted)
    pairs = zip(step.arrangement.notes, other.arrangement.notes, strict=True)
    assert {(b.pitch - a.pitch) % 12 for a, b in pairs} == {3}
    assert other.arrangement.parts[0].instrument == "flute"
    assert other.arrangement.seconds > step.arrangement.seconds


def test_a_full_context_slides_and_the_meter_stays(tune_model: TuneModel) -> None:
    bars = compose(tune_model, duration=25, description="jig in 6/8", temperature=1.5)[-1].bars
    assert sum(len(bar.tokens) for bar in bars) > 2 * 96
    assert {bar.tokens[1].name for bar in bars} == {"TimeSig_6/8"}
    assert all(bar.tokens[0].name == "Bar_None" for bar in bars)


def test_another_tune_follows_one_that_ends_early(tune_model: TuneModel) -> None:
    # Of the tokens that may follow, this model always likes the end best.
    model, end = tune_model.model, tune_model.tokenizer["EOS_None"]

    def prefer_end(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        output[..., end] += 100
        return output

    hook = model.lm_head.register_forward_hook(prefer_end)
    try:
        slow = replace(tune_model, engine=TransformersEngine(model))  # goes through the hook
        step = compose(slow)[-1]
    finally:
        hook.remove()
    count = len(step.bars)
    assert [bar.tune for bar in step.bars] == list(range(1, count + 1))
    assert f"{count} bars: {count} tunes in a row" in show_caption(step, "Tunes", 1)


def test_the_grammar_gives_every_note_a_place_and_a_length(tune_model: TuneModel) -> None:
    names = [t.name for bar in compose(tune_model)[-1].bars for t in bar.tokens]
    follows = {"Bar": {"TimeSig"}, "Position": {"Pitch"}, "Pitch": {"Duration"}}
    kinds = [name.split("_")[0] for name in names]
    assert all(b in follows.get(a, {b}) for a, b in pairwise(kinds))
    tokenizer = tune_model.tokenizer
    grammar = BarGrammar(tokenizer, longest_bar=5, highest_pitch=90)
    full = [tokenizer[n] for n in ("Bar_None", "TimeSig_4/4", "Position_0", "Pitch_60")]
    full.append(tokenizer["Duration_1.0.12"])
    assert grammar.next_ids(full) == [tokenizer["Bar_None"], tokenizer["EOS_None"]]


def test_the_rhythm_of_a_tune_is_foretold(tune_model: TuneModel) -> None:
    tokenizer = tune_model.tokenizer
    controls = TuneControls(style="Jig", meter="6/8")
    text = "6/8 0:60:1/2 1/2:62:1/2 1:64:1/2 3/2:65:1 5/2:67:1/2"
    bars = measures_to_ids(tokenizer, read_measures(f"{text}\n{text}\n{text}"))
    head, ids = control_ids(tokenizer, controls), [id_ for bar in bars for id_ in bar]
    foresight = RhythmDrafter(tokenizer)
    for place in range(len(bars[0]), len(ids)):  # after the first bar, everything but pitches
        proposed = foresight([*head, *ids[:place]])
        assert proposed or tokenizer[ids[place]].startswith("Pitch")
        assert all(one == other for one, other in zip(proposed, ids[place:], strict=False))


def test_no_note_is_too_high_for_the_synthesizer(tune_model: TuneModel) -> None:
    step = compose(tune_model, description="G# minor, 60 bpm", temperature=1.5, seed=7)[-1]
    assert 60 < max(note.pitch for note in step.arrangement.notes) <= HIGHEST


def test_music_starts_with_its_first_note(tune_model: TuneModel) -> None:
    assert compose(tune_model)[-1].arrangement.notes[0].start == 0


def test_stop_ends_it_within_a_step(tune_model: TuneModel) -> None:
    stop = Event()
    steps = generate_music(tune_model, MusicRequest.parse(duration=60, seed=1), stop)
    taken = list(islice(steps, 2))
    stop.set()
    assert len(taken) == 2
    assert len(list(steps)) <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration": 4}, "duration must be at least 5"),
        ({"duration": 121}, "duration must be at most 120"),
        ({"bars": 97}, "bars must be at most 96"),
        ({"bars": 90, "tempo": 40, "meter": "9/8"}, "last 10 minutes, and 5 are the most"),
        ({"tempo": 0}, "tempo must be at least 40"),
        ({"tempo": 9000}, "tempo must be at most 300"),
        ({"style": "Techno"}, "style must be one of Any, Air"),
        ({"instrument": ""}, "instrument must be one of piano"),
        ({"key": 3}, "key must be text"),
        ({"temperature": 0}, "temperature must be at least 0.1"),
        ({"description": "x" * 501}, "description is too long"),
        ({"seed": -2}, "seed must be at least -1"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        MusicRequest.parse(**values)


def test_tokens_read_as_parts_of_a_whole_note() -> None:
    eighth = Fraction(1, 8)
    assert read_token("Position_18", eighth) == "Position 3/16"
    assert read_token("Duration_2.0.12", eighth) == "Duration 1/4"
    assert read_token("Pitch_67", eighth) == "Pitch G4"


def test_the_caption_says_what_it_is(tune_model: TuneModel) -> None:
    step = compose(tune_model, description="a jig in D major for harp and <guitar>")[-1]
    caption = show_caption(step, "<Tunes>", 1, note="goes on", remark="without <b>drums")
    assert caption.startswith("<b>Jig, D major, 168 quarter notes a minute, harp and guit")
    assert "&lt;Tunes&gt;" in caption
    assert "goes on" in caption
    assert caption.endswith("<br>without &lt;b&gt;drums")
    assert "tunes in a row" not in caption
    assert show_bars(step).count("<b>Bar") == len(step.bars)


@pytest.mark.parametrize(("third", "mode"), [(64, "major"), (63, "minor")])
def test_a_complete_piece_says_which_mode_came_out(third: int, mode: str) -> None:
    measures = read_measures(f"4/4 0:60:1 1:62:1 2:{third}:1 3:67:1\n4/4 0:65:2 2:{third + 5}:2")
    bars = tuple(Bar(1, (), measure) for measure in measures)
    begun = MusicStep(TuneControls(style="Reel"), bars, done=0.5)
    assert show_caption(begun, "Tunes", 1).startswith("<b>Reel, D, 110")
    complete = replace(begun, done=1.0)
    assert show_caption(complete, "Tunes", 1).startswith(f"<b>Reel, D {mode}, 110")
    assert name_file(complete, 1).startswith(f"reel-d-{mode}-")


@pytest.mark.parametrize(
    ("tempo", "said"), [(70, "6 seconds"), (82, "5 seconds"), (60, "8 seconds"), (250, "1 second ")]
)
def test_the_caption_counts_full_seconds_like_the_player(tempo: int, said: str) -> None:
    bars = tuple(Bar(1, (), measure) for measure in read_measures("4/4 0:60:4\n4/4 0:60:4"))
    assert f" · {said}" in show_caption(MusicStep(TuneControls(tempo=tempo), bars), "Tunes", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("three minutes", "120 seconds are the most."),
        ("3 seconds", "5 seconds are the least."),
        ("two minutes", ""),
        ("200 bars", "96 bars are the most."),
    ],
)
def test_a_length_that_cannot_be_had_is_told(words: str, said: str) -> None:
    *_, last = show_understood(parse_description(words)).split("<br>")
    assert last == (said or f"Understood: <b>{words}</b>.")


def test_the_page_shows_what_was_not_understood() -> None:
    shown = show_understood(parse_description("a jig about a <dragon>"), ["tempo"])
    assert "<b>jig</b>" in shown
    assert "Not understood: <b>dragon</b>" in shown
    assert "Yours: tempo" in shown


def test_words_set_what_was_not_chosen() -> None:
    said = MusicRequest.parse(description="a slow reel in G, 16 bars, for harp alone")
    assert (said.style, said.key, said.tempo, said.bars) == ("Reel", "G", 133, 16)
    assert (said.instrument, said.accompaniment) == ("harp", "none")
    own = MusicRequest.parse(description="a slow reel in G, 16 bars", style="Air", duration=30)
    assert (own.style, own.key, own.tempo, own.bars) == ("Air", "G", 59, 0)


@pytest.fixture(scope="module")
def bundled() -> TuneModel:
    return load_tune_model(
        ROOT / "models" / "music-tunes", Placement(torch.device("cpu"), torch.float32)
    )


@pytest.mark.parametrize(
    "words", ["a jig", "a slip jig in 9/8", "a waltz in 3/4", "a march in 2/4"]
)
def test_a_piece_comes_to_rest_on_the_key_note_although_its_length_is_given(
    words: str, bundled: TuneModel
) -> None:
    for seed in range(6):
        measure = compose(bundled, description=words, bars=4, seed=seed)[-1].bars[-1].measure
        last = max(measure.notes, key=lambda note: note.start)
        assert last.pitch % 12 == 0, "it writes in C"
        assert last.duration >= LONG


@pytest.mark.parametrize("words", ["a Bach chorale in D major", "a lied for voice and piano"])
def test_what_has_several_parts_comes_to_rest_on_the_chord_of_the_key(
    words: str, bundled: TuneModel
) -> None:
    for seed in range(3):
        measure = compose(bundled, description=words, bars=3, seed=seed)[-1].bars[-1].measure
        last = [n.pitch for n in measure.notes if n.start + n.duration == measure.quarters]
        assert min(last) % 12 == 0
        assert len(last) >= 3
        assert {pitch % 12 for pitch in last} <= {0, 4, 7} or {p % 12 for p in last} <= {0, 3, 7}


def test_a_piece_does_not_end_with_the_upbeat_of_a_tune_that_nobody_will_hear(
    bundled: TuneModel,
) -> None:
    for seed in range(12):
        words = "a waltz in 3/4"
        measure = compose(bundled, description=words, duration=12, seed=seed)[-1].bars[-1].measure
        assert not measure.is_upbeat


def test_a_loop_does_not_come_to_rest(tune_model: TuneModel) -> None:
    loop = {"description": "a jig", "bars": 4, "loop": True}
    longer = compose(tune_model, **loop | {"bars": 5})[-1].bars
    assert compose(tune_model, **loop)[-1].bars[:4] == longer[:4], "its last bar is as any other"


def test_keys_may_be_called_by_their_other_names() -> None:
    assert MusicRequest.parse(key="Db", seed=1).key == "C#"
    assert MusicRequest.parse(key="Ab", seed=1).key == "G#"


def test_bars_are_counted_as_players_count_them() -> None:
    text = "6/8 5/2:67:1/2\n6/8 0:72:3\n6/8 0:74:3\n6/8 0:76:3"
    bars = tuple(Bar(1, (), measure) for measure in read_measures(text))
    piece = Piece(MusicStep(TuneControls(), bars), "Tunes")
    shown = show_bars(piece.step)
    assert "<b>Upbeat</b>" in shown
    assert "<b>Bar 3</b>" in shown
    assert "<b>Bar 4</b>" not in shown
    command = command_bars(piece, 2, 2)
    assert (command.before, command.after) == (bars[:2], bars[3:])
    assert command_variation(piece, 1).before == bars[:2]
    with pytest.raises(InvalidRequest, match="There are bars 1 to 3"):
        command_bars(piece, 1, 4)
