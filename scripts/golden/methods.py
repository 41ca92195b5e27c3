"""How each method type of matrix.json makes a model trainable: the function of that name, -> (the model to call, trainable parameters by the
names that our adapters use, and what an adapter keeps beside them). A new type is one function."""

import re

import torch
from peft import GraloraConfig, HiraConfig, LoraConfig, MissConfig, OFTConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

import draws
from mora import MoraLinear

ALL_LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj"]


def none(model, method):
    return model, dict(model.named_parameters()), {}


def lora(model, method, **more):
    """Through Hugging Face PEFT itself."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=method["rank"],
        lora_alpha=method["alpha"],
        use_rslora=method["use_rslora"],
        target_modules=method.get("target_modules", ALL_LINEAR),
        **more,
    )
    wrapped, trained, kept = through_peft(model, config)
    if method.get("init") == "asymmetric":
        kept = {name: trained.pop(name) for name in list(trained) if name.endswith("lora_A")}
        for a in kept.values():
            torch.nn.init.orthogonal_(a.requires_grad_(False), generator=torch.Generator().manual_seed(1))
    return wrapped, trained, kept_by_restarts(wrapped) if "restart" in method else kept


def pissa(model, method):
    """The matrices that PEFT starts with are kept, as they are taken off the base."""
    wrapped, trained, _ = lora(model, method, init_lora_weights="pissa")
    starts = {re.sub(r"lora_([AB])$", r"start_\1", name): p.detach().clone() for name, p in trained.items()}
    return wrapped, trained, starts


def dora(model, method):
    return lora(model, method, use_dora=True)


def hira(model, method):
    return through_peft(model, HiraConfig(task_type="CAUSAL_LM", r=method["rank"], target_modules=ALL_LINEAR))


def gralora(model, method):
    config = GraloraConfig(
        task_type="CAUSAL_LM", r=method["rank"], alpha=method["alpha"], gralora_k=method["sub_blocks"], target_modules=ALL_LINEAR
    )
    return through_peft(model, config)


def miss(model, method):
    return through_peft(model, MissConfig(task_type="CAUSAL_LM", r=method["rank"], target_modules=ALL_LINEAR))


def mora(model, method):
    """Through the reference in mora.py: PEFT has no MoRA."""
    model.requires_grad_(False)
    targets = method.get("target_modules", ALL_LINEAR)
    linears = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    trained = {}
    for name in linears:
        parent, _, leaf = name.rpartition(".")
        if leaf not in targets:
            continue
        layer = MoraLinear(model.get_submodule(name), method["rank"], method["mora_type"], method.get("mora_all_inputs", False))
        setattr(model.get_submodule(parent), leaf, layer)
        trained[f"{name}.mora_M"] = layer.mora_M
    return model, trained, kept_by_restarts(model) if "restart" in method else {}


def kept_by_restarts(model):
    """What the layers of MoRA, and those of PEFT's LoRA, have merged so far."""
    kept = {}
    for name, layer in model.named_modules():
        name = name.removeprefix("base_model.model.")
        if isinstance(layer, MoraLinear):
            kept |= {f"{name}.merged": layer.merged, f"{name}.mora_groups": layer.groups()}
        elif isinstance(layer, LoraLayer):
            if not hasattr(layer, "merged_sum"):
                layer.merged_sum, layer.times = torch.zeros_like(layer.get_base_layer().weight), 0
            kept[f"{name}.merged"] = layer.merged_sum
    return kept


def restart(model, trained):
    """-> what the adapters keep now."""
    for name, layer in model.named_modules():
        if isinstance(layer, MoraLinear):
            layer.restart()
        elif isinstance(layer, LoraLayer):
            restart_lora(name.removeprefix("base_model.model."), layer)
    return kept_by_restarts(model)


@torch.no_grad()
def restart_lora(name, layer):
    """ReLoRA, arXiv:2307.05695: what the pair does now goes into the base, B is zero again, A is drawn anew, uniform in 1 / sqrt(inputs)."""
    delta, a = layer.get_delta_weight("default"), layer.lora_A["default"].weight
    layer.get_base_layer().weight += delta
    layer.merged_sum += delta
    layer.times += 1
    layer.lora_B["default"].weight.zero_()
    random = draws.uniform(draws.mix32(1, draws.hash_name(name), layer.times))
    a.copy_(torch.tensor([(2 * next(random) - 1) / a.shape[1] ** 0.5 for _ in range(a.numel())]).reshape(a.shape))


def oft(model, method):
    """Through Hugging Face PEFT itself, whose default is the five-term series."""
    targets = method.get("target_modules", ALL_LINEAR)
    series = method.get("rotation") != "cayley"
    config = OFTConfig(
        task_type="CAUSAL_LM", r=0, oft_block_size=method["block_size"], target_modules=targets, use_cayley_neumann=series
    )
    return through_peft(model, config)


def whole(model, trained, method):
    """Beside an adapter, or with `none` alone, the weights of the named modules are trained themselves."""
    if method["type"] == "none":
        trained = {}
    kinds = {"norms": r".*norm$", "embeddings": r".*embed_tokens$", "head": r"lm_head$"}
    tests = [kinds.get(name, rf"(.*\.)?{re.escape(name)}(\..*)?$") for name in method["modules_to_save"]]
    for name, p in model.named_parameters():
        name = name.removeprefix("base_model.model.")
        if name in trained:
            continue
        if any(re.match(test, name.rpartition(".")[0]) for test in tests):
            trained[name] = p.requires_grad_(True)
        elif method["type"] == "none":
            p.requires_grad_(False)
    return trained


def through_peft(model, config):
    """Any method of PEFT; its parameters as `<module path>.<role>`."""
    wrapped = get_peft_model(model, config)
    named = ((name, p) for name, p in wrapped.named_parameters() if p.requires_grad)
    trained = {re.sub(r"\.default(\.weight)?$", "", name.removeprefix("base_model.model.")): p for name, p in named}
    return wrapped, trained, {}
