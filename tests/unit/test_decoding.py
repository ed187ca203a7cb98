"""The fast llama and the batch, with transformers as the reference."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Event
from typing import Any, cast

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessor, LogitsProcessorList

from shared.batching import BatchEngine, choose_engine
from shared.numpy_llama import MIN_SHARED_PREFIX, NumpyLlama, can_run
from shared.sampling import SampledToken, Sampling, TokenSequence, TransformersEngine, draw_tokens

CONTEXT = 48
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


def make_model(kv_heads: int = 4, context: int = CONTEXT, **values: Any) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        initializer_range=0.4,
        **values,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
        for name, weight in model.named_parameters():
            if "norm" in name:
                torch.nn.init.uniform_(weight, 0.5, 2)
    return model


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return make_model()


def full_pass(model: Any, ids: Sequence[int]) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(model(torch.tensor([ids])).logits[0, -1])


def write(engine: Any, seed: int = 1, count: int = 20, **values: Any) -> list[SampledToken]:
    values = {"prompt_ids": PROMPT, "sampling": Sampling(0.9, 20, 0.95), **values}
    return list(islice(engine.write(make_sequence(seed, **values), Event()), count))


def make_sequence(
    seed: int = 1, prompt_ids: Sequence[int] = PROMPT, sampling: Sampling | None = None
) -> TokenSequence:
    rng = torch.Generator().manual_seed(seed)
    return TokenSequence(list(prompt_ids), sampling or Sampling(), rng)


@pytest.mark.parametrize(
    "values", [{}, {"kv_heads": 2}, {"tie_word_embeddings": True}, {"head_dim": 16}]
)
def test_logits_equal_a_full_forward_pass(values: dict[str, Any]) -> None:
    model = make_model(**values)
    assert can_run(model)
    llama, ids = NumpyLlama(model), list(PROMPT)
    logits = llama.read(0, ids)
    for _ in range(6):
        torch.testing.assert_close(logits, full_pass(model, ids), atol=1e-4, rtol=1e-4)
        ids.append(int(logits.argmax()))
        logits = llama.step([[ids[-1]]])[0, 0]


def test_texts_of_different_lengths_do_not_disturb_each_other(model: LlamaForCausalLM) -> None:
    llama = NumpyLlama(model)
    texts = [PROMPT, [7], [2, 2, 8, 1, 30, 31, 12, 11, 10, 9, 8], [5, 6]]
    for row, ids in enumerate(texts):
        llama.read(row, ids)
    llama.move(3, 0)  # the first ends, the last takes its row
    texts = [texts[3], *texts[1:3]]
    for token in (4, 17, 25):
        logits = llama.step([[token]] * 3)[:, 0]
        texts = [[*ids, token] for ids in texts]
        for row, ids in enumerate(texts):
            torch.testing.assert_close(logits[row], full_pass(model, ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_a_text_that_begins_like_another_is_read_on_from_where_they_part(kv_heads: int) -> None:
    model = make_model(kv_heads, context=2 * MIN_SHARED_PREFIX)
    llama = NumpyLlama(model)
    beginning = [n * n % 50 for n in range(MIN_SHARED_PREFIX + 3)]
    texts = [[*beginning, 4, 17, 25], [*beginning, 8, 9], beginning, [*beginning, 4, 17]]
    llama.read(0, texts[0])
    for row, ids in enumerate(texts[1:], start=1):
        logits = llama.read(row, ids)
        torch.testing.assert_close(logits, full_pass(model, ids), atol=1e-4, rtol=1e-4)
    # In its own row, one is cut where the new one parts from it; the others go on as they were.
    texts[1] = [*beginning, 8, 1, 2]
    llama.read(1, texts[1])
    logits = llama.step([[7], [6], [5], [3]])[:, 0]
    for row, (ids, token) in enumerate(zip(texts, [7, 6, 5, 3], strict=True)):
        expected = full_pass(model, [*ids, token])
        torch.testing.assert_close(logits[row], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "other",
    [{"hidden_act": "gelu"}, {"attention_bias": True}, {"mlp_bias": True}],
)
def test_models_that_it_does_not_know_go_through_transformers(other: dict[str, Any]) -> None:
    model = make_model(**other)
    assert isinstance(choose_engine(model), TransformersEngine)
    (token,) = write(choose_engine(model), sampling=Sampling(0), count=1)
    assert token.id == int(full_pass(model, PROMPT).argmax())


@pytest.mark.parametrize("engine", [TransformersEngine, BatchEngine])
def test_greedy_writing_equals_generate_token_by_token(engine: Any, model: Any) -> None:
    reference = model.generate(
        torch.tensor([PROMPT]), max_new_tokens=30, do_sample=False, eos_token_id=None
    )
    written = write(engine(model), sampling=Sampling(temperature=0), count=30)
    assert [token.id for token in written] == reference[0, len(PROMPT) :].tolist()


class Counted(NumpyLlama):
    """Knows how often it was called."""

    steps = 0

    def step(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        self.steps += 1
        return super().step(ids)


@pytest.mark.parametrize(
    ("ahead", "wrong", "steps"),
    [(0, (), 38), (1, (), 19), (4, (), 8), (100, (), 1), (4, range(50), 38), (4, (20, 21, 30), 9)],
)
def test_what_is_foretold_changes_the_speed_and_nothing_else(
    ahead: int, wrong: Sequence[int], steps: int, model: LlamaForCausalLM
) -> None:
    engine = BatchEngine(model)
    engine._llama = llama = Counted(model)
    expected = write(BatchEngine(model), 7, CONTEXT)
    text = [*PROMPT, *(token.id for token in expected)]

    def propose(ids: Sequence[int]) -> list[int]:
        place = len(ids)
        return [id_ + (n in wrong) for n, id_ in enumerate(text[place:][:ahead], start=place)]

    sequence = make_sequence(7, sampling=Sampling(0.9, 20, 0.95))
    sequence.propose = propose
    tokens = list(engine.write(sequence, Event()))
    assert [token.id for token in tokens] == [token.id for token in expected]
    assert llama.steps == pytest.approx(steps, abs=1)
    for one, other in zip(tokens, expected, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-4)


def test_in_company_each_text_is_foretold_for_itself(model: LlamaForCausalLM) -> None:
    texts = [[token.id for token in write(BatchEngine(model), seed, 30)] for seed in range(4)]

    def know(text: list[int], ahead: int) -> Callable[[Sequence[int]], list[int]]:
        return lambda ids: text[len(ids) - len(PROMPT) :][:ahead]

    engine = BatchEngine(model)
    tokens = []
    for seed, text in enumerate(texts):
        sequence = make_sequence(seed, sampling=Sampling(0.9, 20, 0.95))
        sequence.propose = know(text, seed)  # further and further ahead, the first not at all
        tokens.append(islice(engine.write(sequence, Event()), 30))
    written = zip(*tokens, strict=True)  # a token of each in turn
    assert [[one.id for one in text] for text in zip(*written, strict=True)] == texts


@pytest.mark.parametrize("engine", [TransformersEngine, BatchEngine])
def test_probabilities_are_those_of_the_model_before_any_rule(engine: Any, model: Any) -> None:
    ids = list(PROMPT)
    for token in write(engine(model), count=8):
        expected = full_pass(model, ids).softmax(-1)
        assert token.probability == pytest.approx(expected[token.id].item(), abs=1e-4)
        assert [p for _, p in token.alternatives] == pytest.approx(
            expected.topk(10).values.tolist(), abs=1e-4
        )
        assert token.alternatives[0][0] == int(expected.argmax())
        ids.append(token.id)


CONTROLS = [
    {"temperature": 0.5},
    {"top_k": 3},
    {"top_p": 0.7},
    {"min_p": 0.2},
    {"repetition_penalty": 1.8},
    {"temperature": 1.4, "top_k": 30, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.2},
]


@pytest.mark.parametrize("values", CONTROLS, ids=str)
def test_each_control_is_that_of_generate(values: dict[str, Any], model: Any) -> None:
    options = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, **values}
    config, _ = model._prepare_generation_config(None, **options)
    model._prepare_special_tokens(config)
    theirs: LogitsProcessorList = model._get_logits_processor(
        config, input_ids_seq_length=len(PROMPT)
    )
    ids, logits = torch.tensor([PROMPT]), full_pass(model, PROMPT)[None]
    ours = logits
    for rule in Sampling(**values).processors():
        ours = rule(ids, ours)
    assert torch.equal(ours, cast(Any, theirs)(ids, logits))
    assert not torch.equal(ours, logits)


def test_texts_with_equal_settings_draw_as_each_would_alone() -> None:
    logits = torch.randn(5, 50, generator=torch.Generator().manual_seed(3)) * 3
    bold, shy = Sampling(1.5, repetition_penalty=1.5), Sampling(0.7, top_k=5)
    settings = [bold, shy, bold, bold, shy]

    def sequences() -> list[TokenSequence]:
        texts = enumerate(settings)
        return [
            TokenSequence(PROMPT[: 8 - n], one, torch.Generator().manual_seed(n))
            for n, one in texts
        ]

    together, alone = sequences(), sequences()
    tokens = draw_tokens(together, logits)
    singly = [draw_tokens([one], row[None])[0] for one, row in zip(alone, logits, strict=True)]
    assert [token.id for token in tokens] == [token.id for token in singly]
    assert [one.ids for one in together] == [one.ids for one in alone]


def test_eight_at_once_write_what_each_writes_alone(model: LlamaForCausalLM) -> None:
    engine = BatchEngine(model)
    seeds = range(8)
    prompts = [PROMPT[: 1 + seed] for seed in seeds]
    alone = [write(engine, seed, 30, prompt_ids=prompts[seed]) for seed in seeds]
    gate = threading.Barrier(len(seeds))

    def visit(seed: int) -> list[SampledToken]:
        gate.wait()
        return write(engine, seed, 30, prompt_ids=prompts[seed])

    with ThreadPoolExecutor(len(seeds)) as visitors:
        together = list(visitors.map(visit, seeds))
    for one, other in zip(together, alone, strict=True):
        assert [token.id for token in one] == [token.id for token in other]
        assert [token.probability for token in one] == pytest.approx(
            [token.probability for token in other], abs=1e-4
        )


def test_more_texts_than_rows_are_refused_and_spoil_nothing(model: LlamaForCausalLM) -> None:
    engine, expected = BatchEngine(model, rows=1), write(BatchEngine(model), 2)
    first: Iterator[SampledToken] = engine.write(make_sequence(), Event())
    next(first)
    with pytest.raises(RuntimeError, match="more texts than were admitted"):
        write(engine, 2)
    next(first)
    first.close()  # type: ignore[attr-defined]
    assert write(engine, 2) == expected


class Failing(LogitsProcessor):
    """A rule of one text's own that fails at its second token."""

    def __call__(self, ids: Any, scores: Any) -> Any:
        if ids.shape[1] > len(PROMPT):
            raise ZeroDivisionError
        return scores


def fail_to_guess(ids: Sequence[int]) -> Sequence[int]:
    raise ZeroDivisionError


@pytest.mark.parametrize("fault", [{"processors": [Failing()]}, {"propose": fail_to_guess}])
def test_a_text_whose_own_rules_fail_spoils_no_other(
    model: LlamaForCausalLM, fault: dict[str, Any]
) -> None:
    engine, expected = BatchEngine(model), write(BatchEngine(model), 2, 20)
    faulty = make_sequence()
    for name, value in fault.items():
        setattr(faulty, name, value)
    bad: Iterator[SampledToken] = engine.write(faulty, Event())
    next(bad)
    assert [one.id for one in write(engine, 2, 20)] == [one.id for one in expected]
    with pytest.raises(ZeroDivisionError):
        list(bad)
    assert write(engine, 2, 20) == expected


@pytest.mark.parametrize("engine", [TransformersEngine, BatchEngine])
def test_stop_ends_it_before_the_next_token_and_the_row_is_free_again(
    engine: Any, model: LlamaForCausalLM
) -> None:
    stop, reused = Event(), engine(model)
    tokens = reused.write(make_sequence(), stop)
    next(tokens)
    stop.set()
    assert list(tokens) == []
    assert write(reused, 5) == write(engine(model), 5)


@pytest.mark.parametrize("engine", [TransformersEngine, BatchEngine])
def test_it_ends_where_the_context_is_full(engine: Any, model: LlamaForCausalLM) -> None:
    assert len(write(engine(model), count=1000)) == CONTEXT - len(PROMPT)
    assert len(write(engine(model), count=9, prompt_ids=[1] * (CONTEXT - 1))) == 1


def test_the_memory_is_counted_before_it_is_used(model: LlamaForCausalLM) -> None:
    engine = BatchEngine(model)
    before = engine.memory
    texts = [engine.write(make_sequence(seed, PROMPT, Sampling()), Event()) for seed in range(8)]
    for text in texts:
        next(text)
    assert engine.memory == before
    rows = engine._llama.cache.shape[2]
    assert sum(before.values()) > rows * engine._llama.cache[:, :, 0].nbytes
