"""The training loop for losses of one's own: its steps by hand, accumulation, stopping, resuming, refusals."""

from __future__ import annotations

import pytest
import torch

from detoxbench.core.errors import DetoxbenchError
from detoxbench.methods.training import loop
from detoxbench.methods.training.loop import How, Settings

PLAIN = Settings(epochs=1, learning_rate=0.1, warmup_share=0.0, batch_size=4, device_batch_size=4, gradient_norm=1e9)


def line(seed: int = 0):
    """A linear layer, rows of a point and its value, and the squared error."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(2, 1)
    points = torch.randn(24, 2)
    rows = [(point, point @ torch.tensor([1.0, -2.0]) + 0.5) for point in points]

    def loss(some):
        x, y = torch.stack([one for one, _ in some]), torch.stack([two for _, two in some])
        return (model(x)[:, 0] - y).square().mean()

    return model, rows, loss


def test_one_step_by_hand():
    """RMSprop's first step: the rate over the root of a hundredth of the squared gradient."""
    model, rows, loss = line()
    before = model.weight.detach().clone()
    (gradient,) = torch.autograd.grad(loss(rows[:4]), model.weight)
    settings = PLAIN.replaced(max_steps=1, epochs=1)
    found = loop.train(model, rows[:4], loss, settings, How("line", optimizer="rmsprop"))
    torch.testing.assert_close(
        model.weight, before - 0.1 * gradient / (0.01 * gradient.square()).sqrt(), rtol=1e-5, atol=1e-6
    )
    assert found["updates"] == 1


def test_rates():
    model, rows, _ = line()
    settings = PLAIN.replaced(epochs=5, batch_size=12, warmup_share=0.2)  # 10 steps, 2 of warm-up
    state = loop._State(model, rows, settings, How("line"), None)
    rates = []
    for step in range(10):
        state.step = step
        rates.append(state.rate())
    assert rates == pytest.approx([0.05, 0.1, *(0.1 * left / 8 for left in range(8, 0, -1))])
    constant = loop._State(model, rows, settings, How("line", decay=False), None)
    constant.step = 9
    assert constant.rate() == 0.1


def test_accumulation_changes_nothing():
    one, rows, loss = line()
    loop.train(one, rows, loss, PLAIN.replaced(batch_size=10), How("line"))
    other, rows, loss = line()
    loop.train(other, rows, loss, PLAIN.replaced(batch_size=10, device_batch_size=3), How("line"))
    torch.testing.assert_close(one.weight, other.weight)


def test_learns_and_says_so():
    model, rows, loss = line()
    found = loop.train(model, rows, loss, PLAIN.replaced(epochs=30), How("line"))
    assert found["loss_after"] < 0.1 < found["loss_before"]
    assert found["relative_change"] > 0.1


@pytest.mark.parametrize("stop", [3, 8, 10])
def test_resumed_is_the_same_training(tmp_path, stop):
    """Also within the second epoch, with a best epoch kept."""
    how = How("line", checkpoint_steps=1, patience=9)
    settings = PLAIN.replaced(epochs=3, batch_size=5)
    whole, rows, loss = line()
    wanted = loop.train(whole, rows[4:], loss, settings, how, held_out=rows[:4])
    part, rows, loss = line()
    calls = 0

    class Stopped(Exception):
        pass

    def killed(some):
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls > stop:
            raise Stopped
        return loss(some)

    with pytest.raises(Stopped):
        loop.train(part, rows[4:], killed, settings, how, tmp_path, held_out=rows[:4])
    again, rows, loss = line()
    found = loop.train(again, rows[4:], loss, settings, how, tmp_path, held_out=rows[:4])
    assert found == wanted
    assert torch.equal(again.weight, whole.weight)


def test_stops_at_the_best(tmp_path):
    """Held-out rows that want the opposite: the parameters before training are the best, and nothing was changed."""
    model, rows, loss = line()
    before = model.weight.detach().clone()
    opposite = [(point, -10 * value) for point, value in rows[:8]]
    with pytest.raises(DetoxbenchError, match="changed next to nothing"):
        loop.train(model, rows[8:], loss, PLAIN.replaced(epochs=9), How("line", patience=1), held_out=opposite)
    assert torch.equal(model.weight, before)


def test_refused():
    model, rows, loss = line()
    with pytest.raises(DetoxbenchError, match="line: nothing to learn from"):
        loop.train(model, [], loss, PLAIN, How("line"))
    with pytest.raises(DetoxbenchError, match="diverged"):
        loop.train(model, rows, lambda some: loss(some) * torch.inf, PLAIN, How("line"))
