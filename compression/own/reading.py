"""Open a file of weights that a stranger wrote, without running anything that is in it.

safetensors is a header and numbers. A .pt file is a zip with a pickle, and a pickle is a program: its instructions are
read here first, and only those that rebuild dense tensors from the bytes in the file are let through; then torch.load
opens it with weights_only=True, which would refuse code as well. What that lets through (a 1.6 KB file that claims
10^10 elements, memory that was never written, sparse and complex tensors) is refused here.
"""

import io
import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

LIMIT = 2 * 2**30  # bytes of content, unpacked
SMALL, RATIO = 64 * 2**20, 50  # above SMALL, a zip may unpack to RATIO times its size; torch.save does not compress
INSTRUCTIONS = 8 * 2**20  # bytes of the pickle in a zip; one of 10,000 tensors takes under 2 MB
WRAPPERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "model.")  # put before every name by DataParallel, torch.compile, Lightning
MOST, LONGEST = 10_000, 200  # tensors in a file; characters in a name

_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_INTS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
_STORED = "Float Double Half BFloat16 Long Int Short Char Byte Bool ComplexFloat ComplexDouble"
_HARMLESS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter",
             *(f"torch {kind}Storage" for kind in _STORED.split())}
_AGAIN = "Save the network's state_dict() with safetensors and try again."


class Opened(NamedTuple):
    """What a file of weights holds, and what was done to it on the way."""

    tensors: dict[str, Tensor]  # floating ones are float32; in the order of the file
    notes: tuple[str, ...]  # one sentence each, for the screen


def read_tensors(name: str, data: bytes) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a state dict saved by torch.save (.pt, .pth, .bin). See open_file."""
    return open_file(name, data).tensors


def open_file(name: str, data: bytes) -> Opened:
    """The tensors of a file and notes on them. Its kind is told from its content; `name` is for the messages.

    Inside a .pt, {"state_dict": {...}}, {"model_state_dict": {...}} and {"model": {...}} are unwrapped. A prefix
    "module.", "_orig_mod." or "model." that every name has is taken off. Half and double precision become float32. The
    notes say so. Raises ValueError in a sentence or two that say what is wrong and what to do.
    """
    name = short(name)
    if not data:
        raise ValueError(f"{name} is empty (0 bytes). Save the weights again and try once more.")
    if len(data) > LIMIT:
        raise ValueError(f"{name} has {len(data) / 2**30:.1f} GB; the limit is {LIMIT // 2**30} GB. Open a smaller "
                         "network.")
    if data[:4] == b"PK\x03\x04":
        held: Any = _torch_zip(name, data)
    elif data[8:9] == b"{":
        held = _safetensors(name, data)
    elif data[:1] == b"\x80":
        raise ValueError(_old_or_code(name, data))
    else:
        raise ValueError(f"{name} is neither a .safetensors file nor weights saved by torch.save. {_AGAIN}")
    tensors, notes = _unwrapped(name, held)
    _check(name, tensors)
    tensors, renamed = _without_prefix(tensors)
    tensors, converted = _single(tensors)
    return Opened(tensors, (*notes, *renamed, *converted))


def short(text: object, most: int = 60) -> str:
    """A name from a file as it may be shown: printable, one line, not endless."""
    shown = "".join(c if c.isprintable() else "?" for c in str(text)[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def dimensions(shape: tuple[int, ...]) -> str:
    """(300, 784) -> "300 × 784"; () -> "one number"."""
    return " × ".join(f"{n:,}" for n in shape) or "one number"


def unzipped(name: str, data: bytes) -> zipfile.ZipFile:
    """A zip, its directory read and sizes checked, nothing unpacked. Raises ValueError for a broken one or a bomb."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except Exception as problem:  # BadZipFile, or struct.error, OverflowError… on hostile bytes
        raise ValueError(f"{name} is cut short or damaged: its table of contents cannot be read. Copy or save it "
                         "again.") from problem
    size, allowed = sum(entry.file_size for entry in entries), min(LIMIT, max(SMALL, RATIO * len(data)))
    if size > allowed:
        raise ValueError(f"{name} would unpack from {len(data) / 1000:,.0f} KB to {size / 2**20:,.0f} MB; at most "
                         f"{allowed / 2**20:,.0f} MB is opened. Save it without compression, or a smaller one.")
    names = [entry.filename.lower() for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"{name} holds two parts of the same name, so what is in it is not clear. Save it again.")
    return archive


def _safetensors(name: str, data: bytes) -> dict[str, Tensor]:
    import safetensors.torch

    try:
        held = safetensors.torch.load(data)
    except Exception as problem:  # SafetensorError for a bad header, KeyError for an unknown format
        raise ValueError(f"{name} looks like a .safetensors file, but it is cut short, damaged or of an unknown number "
                         "format. Copy or save it again.") from problem
    return {key: held[key] for key in sorted(held)}  # the format has no order of its own


def _torch_zip(name: str, data: bytes) -> Any:
    with unzipped(name, data) as archive:
        programs = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".pkl")]
        if not any(entry.filename.endswith("/data.pkl") for entry in programs):
            raise ValueError(f"{name} is a zip, but holds no weights saved by torch.save. {_AGAIN}")
        for entry in programs:
            if entry.file_size > INSTRUCTIONS:
                raise ValueError(f"{name} has a table of tensors of {entry.file_size / 2**20:.0f} MB, which no network "
                                 f"needs. {_AGAIN}")
            try:
                called = _calls(archive.read(entry))
            except Exception as problem:
                raise ValueError(f"{name} is damaged: its table of tensors cannot be read. Copy or save it "
                                 "again.") from problem
            if called:
                raise ValueError(_refused(name, called))
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as problem:  # of many kinds; torch's text advises weights_only=False
        raise ValueError(f"{name} was saved by torch.save, but it is damaged or holds more than tensors. "
                         f"{_AGAIN}") from problem


def _calls(program: bytes) -> list[str]:
    """What a pickle would import, "module name", beyond the harmless; reading a pickle's instructions runs none of "
                                               "them."""
    called = []
    for code, argument, _ in pickletools.genops(program):
        if code.name == "GLOBAL" and argument not in _HARMLESS:
            called.append(argument)
        elif code.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            called.append(argument or "an object")
    return called


def _refused(name: str, called: list[str]) -> str:
    """The sentence for a pickle that asks for more than dense tensors."""
    first = short(str(called[0]).replace(" ", "."))
    if any("sparse" in call for call in called):
        return f"{name} holds sparse tensors; only dense ones are opened. Call .to_dense() on them and save again."
    if any("_rebuild_qtensor" in call for call in called):
        return f"{name} holds torch's quantized tensors, which are not opened. Save it before quantizing."
    return f"{name} needs code to run to be opened (`{first}`), so we did not open it. {_AGAIN}"


def _old_or_code(name: str, data: bytes) -> str:
    """The sentence for a bare pickle: torch's format from before 2020, or somebody's objects. Nothing in it is run."""
    try:
        called = _calls(data[:INSTRUCTIONS])
    except Exception:  # cut short or no pickle at all: neither changes what is said
        called = []
    if called:
        return _refused(name, called)
    return f"{name} is a bare pickle, as torch wrote before version 1.6, and such files are not opened. {_AGAIN}"


def _unwrapped(name: str, held: Any) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict itself, out of the dictionary around it."""
    notes: list[str] = []
    if isinstance(held, Mapping):
        for key in WRAPPERS:
            if isinstance(held.get(key), Mapping):
                rest = len(held) - 1
                aside = f"; {rest} other entries were left aside" if rest else ""
                notes.append(f'The weights were under "{key}"{aside}.')
                held = held[key]
                break
    if not isinstance(held, Mapping):
        raise ValueError(f"{name} holds a {type(held).__name__}, not a network's named tensors. {_AGAIN}")
    if not held:
        raise ValueError(f"{name} holds no tensors. {_AGAIN}")
    if len(held) > MOST:
        raise ValueError(f"{name} holds {len(held):,} tensors; at most {MOST:,} are opened. Open a smaller network.")
    for key, value in held.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"{name} holds a {type(value).__name__} under `{short(key)}`, where a named tensor should "
                             f"be. {_AGAIN}")
        if len(key) > LONGEST:
            raise ValueError(f"{name} has a tensor with a name of {len(key):,} characters (`{short(key)}`); {LONGEST} "
                             "are allowed. Rename it.")
    return dict(held), notes


def _check(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse what is no plain, dense, finite tensor, before a single value is touched."""
    total = 0
    for key, tensor in tensors.items():
        key = short(key)
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError(f"`{key}` in {name} is not stored as a dense tensor. Call .to_dense() on it and save "
                             "again.")
        if tensor.dtype not in _FLOATS + _INTS:
            raise ValueError(f"`{key}` in {name} holds {str(tensor.dtype).removeprefix('torch.')} numbers; floating "
                             "point (16, 32 or 64 bits) and integers are opened. Convert it and save again.")
        if tensor.numel() == 0:
            raise ValueError(f"`{key}` in {name} is empty ({dimensions(tuple(tensor.shape))}). Save the network again.")
        claimed, there = tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes()
        if claimed > there:
            raise ValueError(f"`{key}` in {name} claims {claimed:,} bytes, but the file has {there:,} for it. Call "
                             ".contiguous() on it and save again.")
        total += claimed
    if total > LIMIT:
        raise ValueError(f"{name} holds {total / 2**30:.1f} GB of numbers; the limit is {LIMIT // 2**30} GB. Open a "
                         "smaller network.")
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            wrong = int((~tensor.isfinite()).sum())
            raise ValueError(f"`{short(key)}` in {name} has {wrong:,} values that are not finite numbers (NaN or "
                             "infinity). Save the network again from before they appeared.")


def _without_prefix(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    notes = []
    for prefix in PREFIXES:
        if all(key.startswith(prefix) and key != prefix for key in tensors):
            tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
            notes.append(f"The prefix \"{prefix}\" was taken off every name.")
    return tensors, notes


def _single(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Floating point as float32, everything contiguous and without gradients."""
    others = sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values() if t.dtype in _FLOATS[1:]})
    single = {}
    for key, tensor in tensors.items():
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.float()
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"`{short(key)}` holds numbers too large for 32 bits. Scale the network, or save it "
                                 "as float32.")
        single[key] = tensor.contiguous()
    note = f"The file's {' and '.join(others)} numbers are used as float32; sizes start from 32 bits."
    return single, [note] if others else []
