"""Generated configs of every family and what transformers makes of them: `configs.py COUNT SEED FILE` writes a JSON list.

Each entry is a config.json, how its weights are stored, and either the loss of transformers' model or the key for which ours must refuse
it. Weights and tokens follow from names and positions by integer arithmetic (`units`), which configs-set.ts repeats.
"""

import copy
import json
import logging
import random
import sys
import zlib

import numpy
import torch
from transformers import AutoConfig, AutoModelForCausalLM

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
THETAS = [100.0, 500, 10000.0, 500000]
KINDS = ["sliding_attention", "full_attention"]


def units(key: str, count: int) -> numpy.ndarray:
    """`count` numbers in [-1, 1) from a hash of the key and the position."""
    with numpy.errstate(over="ignore"):
        x = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(2654435761) + numpy.uint32(zlib.crc32(key.encode()))
        x = (x ^ (x >> 16)) * numpy.uint32(0x45D9F3B)
        x = (x ^ (x >> 16)) * numpy.uint32(0x45D9F3B)
        x = x ^ (x >> 16)
    return x.astype(numpy.float64) / 2**31 - 1


def weight(key: str, shape) -> torch.Tensor:
    values = units(key, int(numpy.prod(shape)))
    values = 1 + 0.2 * values if len(shape) == 1 else 0.4 * values
    return torch.from_numpy(values.astype(numpy.float32)).reshape(shape)


def tokens(config) -> torch.Tensor:
    count = min(24, config["max_position_embeddings"])
    return torch.from_numpy(((units("tokens", count) + 1) / 2 * config["vocab_size"]).astype(numpy.int64))[None]


def scaling(rng, context: int, kind: str) -> dict:
    rope = {"factor": rng.choice([2.0, 8.0, 32.0])}
    if kind == "linear":
        return rope
    rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if rng.random() < 0.7:
        rope["original_max_position_embeddings"] = rng.choice([8, 16, 64, context])
    return rope


def rope_of(rng, context: int) -> dict:
    rope = {}
    if rng.random() < 0.6:
        rope["rope_theta"] = rng.choice(THETAS)
    kind = rng.choice(["default", "default", "llama3", "linear"])
    if kind != "default":
        rope |= scaling(rng, context, kind)
    if kind != "default" or rng.random() < 0.5:
        rope["rope_type" if rng.random() < 0.7 else "type"] = kind
    return rope


def rotary(rng, config: dict) -> None:
    """One of the ways in which files of transformers 4 and 5 say the rotary constants of all layers."""
    rope = rope_of(rng, config["max_position_embeddings"])
    if rng.random() < 0.6:
        config["rope_theta"] = rng.choice(THETAS)
    where = rng.choice(["rope_scaling", "rope_parameters", "both", "neither"])
    if where != "neither":
        config["rope_parameters" if where == "both" else where] = rope
    if rng.random() < 0.2:
        config["original_max_position_embeddings"] = rng.choice([8, 32, config["max_position_embeddings"]])
    if where == "both":
        config["rope_scaling"] = rng.choice([None, {}, {"rope_type": "default", "rope_theta": 700.0}])


def gemma_rotary(rng, config: dict) -> None:
    """Its older form, and that of transformers 5 by kind of layer."""
    context = config["max_position_embeddings"]
    if rng.random() < 0.5:
        config["rope_parameters"] = {kind: rope_of(rng, context) for kind in KINDS}
        for rope in config["rope_parameters"].values():
            rope["rope_type"] = rope.pop("type", rope.get("rope_type", "default"))
        return
    if rng.random() < 0.7:
        config["rope_theta"] = rng.choice(THETAS)
    if rng.random() < 0.7:
        config["rope_local_base_freq"] = rng.choice(THETAS)
    if rng.random() < 0.4:
        config["rope_scaling"] = {"rope_type": "linear", "factor": 8.0}


def some(rng, options: dict) -> dict:
    return {key: value for key, value in options.items() if rng.random() < 0.6}


def windows(rng, config: dict, layer_types=True) -> None:
    """Half of the time a window, by the older keys or by `layer_types`."""
    layers = config["num_hidden_layers"]
    config |= some(rng, {"sliding_window": rng.choice([1, 3, 8, 64]), "max_window_layers": rng.randint(0, layers)})
    config["use_sliding_window"] = "sliding_window" in config and rng.random() < 0.7
    if layer_types and config["use_sliding_window"] and rng.random() < 0.5:
        config["layer_types"] = [rng.choice(KINDS) for _ in range(layers)]


def llama(rng, config: dict) -> None:
    rotary(rng, config)
    config |= some(rng, {"attention_bias": rng.random() < 0.3, "mlp_bias": rng.random() < 0.3, "hidden_act": rng.choice(["silu", "swish", "gelu_pytorch_tanh"])})


def mistral(rng, config: dict) -> None:
    rotary(rng, config)
    config |= some(rng, {"sliding_window": rng.choice([None, 1, 4, 9, 4096]), "hidden_act": "silu"})


def qwen2(rng, config: dict) -> None:
    rotary(rng, config)
    windows(rng, config)


def qwen3(rng, config: dict) -> None:
    qwen2(rng, config)
    config.setdefault("head_dim", 2 * rng.choice([2, 3, 8]))
    config |= some(rng, {"attention_bias": rng.random() < 0.3})


def smollm3(rng, config: dict) -> None:
    rotary(rng, config)
    layers = config["num_hidden_layers"]
    config |= some(rng, {"no_rope_layers": [rng.randint(0, 1) for _ in range(layers)], "no_rope_layer_interval": rng.choice([1, 2, 3])})
    config |= some(rng, {"attention_bias": rng.random() < 0.3, "mlp_bias": rng.random() < 0.3})
    windows(rng, config)
    config["pad_token_id"] = rng.choice([None, 0])


def olmo2(rng, config: dict) -> None:
    rotary(rng, config)
    config |= some(rng, {"attention_bias": rng.random() < 0.3})


def gemma3_text(rng, config: dict) -> None:
    gemma_rotary(rng, config)
    config.setdefault("head_dim", 2 * rng.choice([2, 3, 8]))
    layers = config["num_hidden_layers"]
    optional = {
        "sliding_window": rng.choice([1, 4, 9, 4096]),
        "sliding_window_pattern": rng.choice([1, 2, 3]),
        "query_pre_attn_scalar": rng.choice([4, 16, 30]),
        "hidden_activation": rng.choice(["gelu_pytorch_tanh", "silu"]),
        "hidden_act": "gelu",
        "final_logit_softcapping": None,
        "attention_bias": rng.random() < 0.3,
        "layer_types": [rng.choice(KINDS) for _ in range(layers)],
    }
    config |= some(rng, optional)
    if rng.random() < 0.3:
        config.pop("tie_word_embeddings", None)


def phi3(rng, config: dict) -> None:
    """Plain rotary constants or LongRoPE, of a part of each head, at the top of the file or inside."""
    features, context = config["hidden_size"] // config["num_attention_heads"], config["max_position_embeddings"]
    shares = [share for share in (1.0, 0.75, 0.5, 0.25) if features * share >= 2 and features * share % 2 == 0]
    share, rope = rng.choice(shares), {}
    if rng.random() < 0.5:
        rope["rope_theta"] = rng.choice(THETAS)
    (config if rng.random() < 0.5 else rope)["partial_rotary_factor"] = share
    if rng.random() < 0.6:
        rope["rope_type" if rng.random() < 0.5 else "type"] = rng.choice(["longrope", "longrope", "yarn"])
        for key in ("short_factor", "long_factor"):
            rope[key] = [round(rng.uniform(1, 9), 3) for _ in range(int(features * share) // 2)]
        rope |= some(rng, {"factor": rng.choice([1.0, 4.0])}) | some(rng, {"attention_factor": rng.choice([0.8, 1.3])})
        config |= some(rng, {"original_max_position_embeddings": rng.choice([24, 64, context])})
    if rng.random() < 0.6:
        config["rope_theta"] = rng.choice(THETAS)
    config[rng.choice(["rope_scaling", "rope_parameters"])] = rope
    config |= some(rng, {"sliding_window": rng.choice([None, 1, 4, 9]), "resid_pdrop": 0.0, "attention_bias": False})


FAMILIES = {
    llama: "LlamaForCausalLM",
    mistral: "MistralForCausalLM",
    qwen2: "Qwen2ForCausalLM",
    qwen3: "Qwen3ForCausalLM",
    smollm3: "SmolLM3ForCausalLM",
    olmo2: "Olmo2ForCausalLM",
    gemma3_text: "Gemma3ForCausalLM",
    phi3: "Phi3ForCausalLM",
}


def good(rng) -> dict:
    family, name = rng.choice([(llama, "LlamaForCausalLM"), *FAMILIES.items()])
    heads = rng.choice([1, 2, 3, 4, 6, 8])
    half = rng.choice([1, 2, 4, 8])
    kv_heads = rng.choice([d for d in range(1, heads + 1) if heads % d == 0])
    config = {
        "architectures": [name],
        "model_type": family.__name__,
        "vocab_size": rng.randint(20, 90),
        "hidden_size": heads * 2 * half,
        "intermediate_size": rng.randint(6, 70),
        "num_hidden_layers": rng.randint(1, 3),
        "num_attention_heads": heads,
        "max_position_embeddings": rng.choice([16, 64, 2048]),
        "tie_word_embeddings": rng.random() < 0.5,
        "num_key_value_heads": kv_heads,
        "pad_token_id": None,
    }
    config |= some(rng, {
        "num_key_value_heads": None if family in (llama, qwen2, olmo2) else kv_heads,
        "head_dim": rng.choice([None if family in (llama, mistral) else 4, 2 * rng.choice([2, 3, 5, 8])]),
        "rms_norm_eps": rng.choice([1e-6, 1e-5, 0.01]),
        "attention_dropout": 0.0,
        "pretraining_tp": 1,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": "float32",
        "dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": [2, 3],
        "transformers_version": "4.40.1",
    })
    if family in (olmo2, phi3):
        config.pop("head_dim", None)
    family(rng, config)
    return config


def spoil(rng, config: dict) -> str:
    """Changes one thing to what this project refuses; returns the key that the refusal must name."""
    family, layers = config["model_type"], config["num_hidden_layers"]
    changes = {
        "attention_dropout": rng.choice([0.1, 0.05]),
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
        "num_key_value_heads": config["num_attention_heads"] + 1,
        "head_dim": rng.choice([3, 5]),
        "vocab_size": None,
        "intermediate_size": -4,
        "num_hidden_layers": rng.choice(["2", 1.5, [2]]),
        "rms_norm_eps": 0,
        "tie_word_embeddings": "true",
        "model_type": rng.choice(["gemma2", "qwen2_moe", "gpt_neox"]),
        "partial_rotary_factor": rng.choice([0.5, 0.25] if family != "phi3" else [1.5, 0.01]),
    }
    if family != "gemma3_text":
        changes |= {
            "hidden_act": rng.choice(["gelu", "relu"]),
            "rope_theta": rng.choice([-1.0, "10000"]),
            "rope_scaling.rope_type": {"rope_type": rng.choice(["dynamic", "yarn"]), "factor": 2.0},
            "rope_parameters.full_attention": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}},
        }
    else:
        changes |= {
            "hidden_activation": "gelu",
            "final_logit_softcapping": 30.0,
            "attn_logit_softcapping": 50.0,
            "use_bidirectional_attention": True,
            "rope_parameters.rope_type": {"rope_type": "linear", "factor": 2.0},
        }
    if family in ("llama", "gemma3_text") and config["num_attention_heads"] > 1:
        changes["hidden_size"] = config["hidden_size"] + 1
    if family == "phi3":
        longrope = {"rope_type": "longrope", "long_factor": [2.0]}
        changes |= {
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
            "lm_head_bias": True,
            "attention_bias": True,
            "rope_scaling.rope_type": {"rope_type": rng.choice(["llama3", "linear"]), "factor": 2.0},
            "rope_scaling.short_factor": longrope | rng.choice([{}, {"short_factor": [2.0] * 65}, {"short_factor": 2.0}]),
        }
    if family in ("mistral", "qwen2", "qwen3", "olmo2", "gemma3_text", "phi3"):
        changes["mlp_bias"] = True
    if family in ("qwen2", "qwen3", "gemma3_text", "smollm3"):
        changes["layer_types"] = rng.choice([["full_attention"] * (layers + 1), ["chunked_attention"] * layers])
    if family == "mistral":
        changes |= {"attention_bias": True, "layer_types": ["sliding_attention"] * layers}
    key = rng.choice(sorted(changes))
    if "rope" in key or "rotary" in key:
        config.pop("rope_scaling", None)
        config.pop("rope_parameters", None)
    config[key.split(".")[0]] = changes[key]
    return key


def model_of(config: dict, dtype: str, stored: str, prefix: str = ""):
    """transformers' model with the weights of a case; `prefix` of their keys stands for another model of the same shapes."""
    settings = copy.deepcopy(config)
    parsed = AutoConfig.for_model(settings.pop("model_type"), **settings)
    model = AutoModelForCausalLM.from_config(parsed, dtype=torch.float32, attn_implementation="eager").eval()
    if stored == "both-differ":
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weight(prefix + name, tuple(parameter.shape)).to(TYPES[dtype]))
    return model


def loss_of(config: dict, dtype: str, stored: str) -> float:
    ids = tokens(config)
    with torch.no_grad():
        return float(model_of(config, dtype, stored)(input_ids=ids, labels=ids).loss)


def main() -> None:
    count, seed, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rng = random.Random(seed)
    entries = []
    for index in range(count):
        config = good(rng)
        refused = spoil(rng, config) if index % 3 == 2 else None
        tied = config.get("tie_word_embeddings", True) is True
        stored = rng.choice(["embedding", "head", "both-same", "both-differ"]) if tied else "all"
        dtype = rng.choice(["F32", "F32", "F16", "BF16"])
        loss = None if refused else loss_of(config, dtype, stored)
        entries.append({"config": config, "dtype": dtype, "stored": stored, "refused": refused, "loss": loss})
    with open(file, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    main()
