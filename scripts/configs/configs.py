"""Generated Llama configs and what transformers makes of them: `configs.py COUNT SEED FILE` writes a JSON list.

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
from transformers import LlamaConfig, LlamaForCausalLM

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


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


def llama3(rng, context: int) -> dict:
    rope = {"factor": rng.choice([2.0, 8.0, 32.0]), "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if rng.random() < 0.7:
        rope["original_max_position_embeddings"] = rng.choice([8, 16, 64, context])
    return rope


def rotary(rng, config: dict) -> None:
    """One of the ways in which files of transformers 4 and 5 say the rotary constants."""
    thetas = [100.0, 500, 10000.0, 500000]
    rope = {}
    if rng.random() < 0.6:
        rope["rope_theta"] = rng.choice(thetas)
    kind = rng.choice(["default", "default", "llama3"])
    if kind == "llama3":
        rope.update(llama3(rng, config["max_position_embeddings"]))
    if kind == "llama3" or rng.random() < 0.5:
        rope["rope_type" if rng.random() < 0.7 else "type"] = kind
    if rng.random() < 0.6:
        config["rope_theta"] = rng.choice(thetas)
    where = rng.choice(["rope_scaling", "rope_parameters", "both", "neither"])
    if where != "neither":
        config["rope_parameters" if where == "both" else where] = rope
    if where == "both":
        config["rope_scaling"] = rng.choice([None, {}, {"rope_type": "default", "rope_theta": 700.0}])


def good(rng) -> dict:
    heads = rng.choice([1, 2, 3, 4, 6, 8])
    half = rng.choice([1, 2, 4, 8])
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": rng.randint(20, 90),
        "hidden_size": heads * 2 * half,
        "intermediate_size": rng.randint(6, 70),
        "num_hidden_layers": rng.randint(1, 3),
        "num_attention_heads": heads,
        "max_position_embeddings": rng.choice([16, 64, 2048]),
        "tie_word_embeddings": rng.random() < 0.5,
    }
    optional = {
        "num_key_value_heads": rng.choice([d for d in range(1, heads + 1) if heads % d == 0] + [None]),
        "head_dim": rng.choice([None, 2 * rng.choice([2, 3, 5, 8])]),
        "rms_norm_eps": rng.choice([1e-6, 1e-5, 0.01]),
        "hidden_act": rng.choice(["silu", "swish"]),
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "pretraining_tp": 1,
        "initializer_range": 0.02,
        "use_cache": True,
        "torch_dtype": "float32",
        "dtype": "bfloat16",
        "bos_token_id": None,
        "eos_token_id": [2, 3],
        "rope_interleaved": False,
        "transformers_version": "4.40.1",
    }
    config.update({key: value for key, value in optional.items() if rng.random() < 0.6})
    rotary(rng, config)
    return config


def spoil(rng, config: dict) -> str:
    """Changes one thing to what this project refuses; returns the key that the refusal must name."""
    changes = {
        "attention_bias": True,
        "mlp_bias": True,
        "hidden_act": rng.choice(["gelu", "relu", "gelu_pytorch_tanh"]),
        "attention_dropout": rng.choice([0.1, 0.05]),
        "partial_rotary_factor": rng.choice([0.5, 0.25]),
        "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
        "hidden_size": config["hidden_size"] + 1 if config["num_attention_heads"] > 1 else 0,
        "num_key_value_heads": config["num_attention_heads"] + 1,
        "head_dim": rng.choice([3, 5]),
        "vocab_size": None,
        "intermediate_size": -4,
        "num_hidden_layers": rng.choice(["2", 1.5, [2]]),
        "rms_norm_eps": 0,
        "tie_word_embeddings": "true",
        "rope_theta": rng.choice([-1.0, "10000"]),
        "model_type": rng.choice(["mistral", "qwen2", "gpt_neox"]),
        "rope_scaling.rope_type": {"rope_type": rng.choice(["linear", "dynamic", "yarn"]), "factor": 2.0},
        "rope_parameters.full_attention": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}},
    }
    key = rng.choice(sorted(changes))
    if "rope" in key:
        config.pop("rope_scaling", None)
        config.pop("rope_parameters", None)
    config[key.split(".")[0]] = changes[key]
    return key


def loss_of(config: dict, dtype: str, stored: str) -> float:
    model = LlamaForCausalLM._from_config(LlamaConfig.from_dict(copy.deepcopy(config)), dtype=torch.float32, attn_implementation="eager").eval()
    if stored == "both-differ":
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weight(name, tuple(parameter.shape)).to(TYPES[dtype]))
        ids = tokens(config)
        return float(model(input_ids=ids, labels=ids).loss)


def main() -> None:
    count, seed, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rng = random.Random(seed)
    entries = []
    for index in range(count):
        config = good(rng)
        refused = spoil(rng, config) if index % 3 == 2 else None
        tied = config["tie_word_embeddings"] is True
        stored = rng.choice(["embedding", "head", "both-same", "both-differ"]) if tied else "all"
        dtype = rng.choice(["F32", "F32", "F16", "BF16"])
        loss = None if refused else loss_of(config, dtype, stored)
        entries.append({"config": config, "dtype": dtype, "stored": stored, "refused": refused, "loss": loss})
    with open(file, "w") as out:
        out.write("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")


main()
