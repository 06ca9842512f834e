"""Laws of the ODE solvers and of the network around them, with SciPy's solver as the oracle."""

import re

import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from restool.errors import RestoolError, UsageError
from restool.models import DCN, ConvergenceError, Solver
from restool.models.dcn import END, ODEBlock
from restool.testing import assert_close, relative_error

MATRIX = torch.tensor([[-0.3, 1.1], [-0.9, 0.2]], dtype=torch.float64)
START = torch.tensor([1.0, -0.5], dtype=torch.float64)
EXACT = torch.from_numpy(expm(END * MATRIX.numpy())) @ START


def linear(matrix):
    return lambda time, state: matrix @ state


@pytest.mark.parametrize(("scheme", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(scheme, order):
    solutions = [Solver(scheme=scheme, steps=steps).solve(linear(MATRIX), START, []) for steps in (32, 64, 128)]
    errors = [relative_error(solution, EXACT) for solution in solutions]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert coarse / fine == pytest.approx(2**order, rel=0.1)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_dopri5_keeps_its_tolerance(tolerance):
    solution = Solver(scheme="dopri5", tolerance=tolerance).solve(linear(MATRIX), START, [])
    assert relative_error(solution, EXACT) < 10 * tolerance  # that of one step, and there are a few


def test_the_time_runs_from_zero_to_the_end():
    solution = Solver(scheme="rk4", steps=3).solve(lambda time, state: time.expand_as(state), START, [])
    assert_close(solution, START + END**2 / 2)


@pytest.mark.parametrize(("scheme", "tolerance"), [("dopri5", 1e-6), ("rk4", 1e-4)])  # rk4's backward steps differ
def test_the_adjoint_gives_the_gradient_of_the_solution(scheme, tolerance):
    matrix, start = MATRIX.clone().requires_grad_(), START.clone().requires_grad_()
    gradients = []
    for adjoint in (False, True):
        solver = Solver(scheme=scheme, steps=16, tolerance=1e-9, adjoint=adjoint)
        solution = solver.solve(linear(matrix), start, [matrix])
        gradients.append(torch.autograd.grad(solution.square().sum(), [matrix, start]))
    for direct, adjoint in zip(*gradients, strict=True):
        assert_close(adjoint, direct, tolerance=tolerance)


MESSAGE = (
    r"^dopri5 does not converge at time [-+.e0-9]+ of 2 \({}\); lower the learning rate, raise tolerance, "
    "or choose a scheme with fixed steps such as rk4$"
)


@pytest.mark.parametrize("adjoint", [False, True])
def test_a_solution_that_leaves_every_bound_is_told_in_one_line(adjoint):
    solver = Solver(scheme="dopri5", adjoint=adjoint)
    with pytest.raises(ConvergenceError, match=MESSAGE.format("underflow in dt")) as caught:
        solver.solve(lambda time, state: state.square(), torch.ones(2), [])  # 1 / (1 - t)
    assert isinstance(caught.value, RestoolError)


def test_a_field_that_is_no_number_is_told_in_one_line():
    with pytest.raises(ConvergenceError, match=MESSAGE.format("underflow in dt")):
        Solver(scheme="dopri5").solve(lambda time, state: state * torch.nan, torch.ones(2), [])


def test_a_stiff_field_is_given_up_after_a_number_of_steps():
    with pytest.raises(ConvergenceError, match=MESSAGE.format("more than 1000 steps")):
        Solver(scheme="dopri5").solve(lambda time, state: -1e5 * state, torch.ones(2), [])


def test_an_adjoint_that_cannot_be_solved_backwards_is_told_in_one_line():
    start = torch.full((2,), 1e3, requires_grad=True)
    solution = Solver(scheme="dopri5", adjoint=True).solve(lambda time, state: -(state**3), start, [])
    with pytest.raises(ConvergenceError, match=MESSAGE.format("(underflow in dt|more than 1000 steps)")):
        solution.sum().backward()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"scheme": "rk5"}, "`scheme` must be one of euler, midpoint, rk4, dopri5, but is 'rk5'"),
        ({"steps": 0}, "`steps` must be at least 1, but is 0"),
        ({"tolerance": 0.0}, "`tolerance` must be above 0, but is 0.0"),
    ],
)
def test_a_wrong_choice_is_rejected(choice, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        Solver(**choice)


def block_field(block, kernels):
    """The vector field of the paper, written anew."""

    def normalised(norm, x):
        return F.group_norm(x, len(norm.weight), norm.weight, norm.bias)

    def field(time, h):
        for norm, kernel in zip((block.norm1, block.norm2), kernels, strict=True):
            h = F.celu(normalised(norm, h))
            h = F.conv2d(torch.cat([torch.full_like(h[:, :1], time), h], 1), kernel, padding=kernel.shape[-1] // 2)
        return normalised(block.norm3, h)

    return field


@torch.no_grad()
def test_a_block_is_the_solution_of_its_equation():
    torch.manual_seed(0)
    block = ODEBlock(3, Solver(scheme="dopri5", tolerance=1e-8)).double()
    for norm in (block.norm1, block.norm2, block.norm3):
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
    h = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    field = block_field(block, [block.conv1.discrete_kernel(), block.conv2.discrete_kernel()])
    solution = solve_ivp(
        lambda time, flat: field(time, torch.from_numpy(flat).view(h.shape)).flatten().numpy(),
        (0, 2),
        h.flatten().numpy(),
        method="DOP853",
        rtol=1e-9,
        atol=1e-9,
    )
    expected = torch.from_numpy(solution.y[:, -1]).view(h.shape)
    assert_close(block(h), expected, tolerance=1e-6)  # of two adaptive solvers
    fixed = ODEBlock(3, Solver(scheme="rk4", steps=64)).double()
    fixed.load_state_dict(block.state_dict())
    assert_close(fixed(h), expected, tolerance=1e-4)


def test_the_adjoint_of_a_network_gives_the_gradient_of_its_parameters():
    gradients = []
    for adjoint in (False, True):
        torch.manual_seed(0)
        model = DCN((3, 4), classes=3, solver=Solver(scheme="dopri5", tolerance=1e-7, adjoint=adjoint)).double()
        x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        model(x).square().sum().backward()
        kernels = [p.grad for block in model.blocks for conv in (block.conv1, block.conv2) for p in conv.parameters()]
        norms = [p.grad for block in model.blocks for p in block.norm2.parameters()]
        gradients.append([model.stem.weight.grad, *kernels, *norms])
    for direct, backwards in zip(*gradients, strict=True):
        assert_close(backwards, direct, tolerance=1e-3)  # errors of two solutions


@torch.no_grad()
def test_the_network_is_that_of_the_paper_around_its_blocks():
    torch.manual_seed(0)
    model = DCN((32, 64), solver=Solver(steps=1)).double()
    for norm in model.norms:
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
    state = model.state_dict()
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)

    def activated(index, h):
        return F.celu(F.group_norm(h, 32, state[f"norms.{index}.weight"], state[f"norms.{index}.bias"]))

    h = F.conv2d(x, state["stem.weight"], state["stem.bias"])
    h = activated(0, model.blocks[0](h))
    h = F.conv2d(h, state["downsamplings.0.weight"], state["downsamplings.0.bias"], stride=2, padding=1)
    h = activated(1, model.blocks[1](h))
    assert_close(model(x), h.mean((2, 3)) @ state["head.weight"].T + state["head.bias"])


def test_an_image_that_vanishes_on_the_way_is_refused():
    model = DCN((2, 2, 2), solver=Solver(steps=1))
    assert model(torch.zeros(2, 3, 6, 9)).shape == (2, 10)
    with pytest.raises(UsageError, match=r"^this DCN takes images of at least 6 pixels, but got \(5, 9\)$"):
        model(torch.zeros(1, 3, 5, 9))
