"""Put back the mean of each layer's outputs, which rounding its weights has shifted (Nagel et al. 2019, arXiv:1906.04721, 4.2).

For quantization only. Pruning also shrinks the spread of the outputs, and moving the mean alone then does harm (measured:
ResNet-20 at 70 % sparsity fell from 59 to 11 %): there, measure the normalisations again instead.
"""

from torch import Tensor, nn

from compression.calibrate import Calibration
from compression.layer_inputs import inputs_of, outputs_of, stepping
from compression.registry import dial
from compression.repair.repaired import Repair, Repaired, judged, known_of, not_applicable, working
from compression.repair.walk import changed_owners, run


def correct(start: Repaired, known: Calibration) -> Repaired:
    """Shift biases, or the means of the batch normalisation that follows, layer after layer in one forward pass."""
    recipe, network = start.compressed.recipe, start.compressed.network
    if any(dial(step.method) == "sparsity" for layer in network.layers for step in recipe.chain(layer.name)):
        return not_applicable(start, "biases", "Bias correction is for quantization: after pruning, where the spread shrinks as well, it does harm.")
    module = working(start)
    shifted: dict[str, Tensor] = {}

    def visit(name: str, owner: nn.Module, parameter: str, given: tuple[Tensor, ...]) -> None:
        x = inputs_of(owner, parameter, given, None)
        bias = getattr(owner, parameter.replace("weight", "bias"), None)
        if isinstance(x, str) or (bias is None and name not in known.norms):
            return
        shift = known.statistics[name].output_mean - outputs_of(getattr(owner, parameter), x).mean(0)
        if bias is not None:
            new = nn.Parameter(bias + shift, requires_grad=False)
            setattr(owner, parameter.replace("weight", "bias"), new)
            shifted[network.layer(name).names[0].replace("weight", "bias")] = new.detach()
        else:
            norm = module.get_submodule(known.norms[name])
            norm.running_mean = norm.running_mean - shift
            shifted[f"{known.norms[name]}.running_mean"] = norm.running_mean

    with stepping(changed_owners(start, module, known), visit):
        run(module, known.sample)
    if not shifted:
        return not_applicable(start, "biases", "No quantized layer here has a bias or a batch normalisation after it.")
    return judged(start, "biases", f"The means of {len(shifted)} layers put back on {known.sample.described}.", known.sample, {}, shifted)


REPAIR = Repair(
    title="Bias correction",
    summary="The mean of each output that rounding has shifted is put back.",
    reference="Nagel et al. 2019, arXiv:1906.04721, section 4.2",
    turn=4,
    step=lambda start, taken: correct(start, known_of(taken)),
)
