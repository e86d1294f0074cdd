"""Run decoder layers of the Llama kind as one autograd step each.

transformers runs such a layer as about forty small operations, and autograd runs as many again. With the few
hundred nodes of a micro-batch, a CPU spends more time between the operations than in matrix products.
layer_step.py has the fused step.

A layer is fused only if its model family is listed here and it matches transformers' own code on random input;
all other layers keep their code. The comparison alone is not enough: in bfloat16 it can miss a difference in a
layer that adds little to its input.
"""

from functools import partial
from typing import Any

import torch

from tutelage.model.cache_name import CACHE
from tutelage.model.fused_lora import group_of
from tutelage.model.layer_step import Attention, DecoderLayer, LayerParts, run_layer
from tutelage.model.linear_groups import is_plain
from tutelage.model.tree_attention import SharedPrefix, attend_over_tree, attend_under_mask
from tutelage.model.tree_plan import TreePlan, plan_tree
from tutelage.tree.prefix_tree import merge_prompts

# Families whose decoder layers compute the same as Llama's.
LLAMA_KIND = ("llama", "mistral", "qwen2")
# Largest difference from transformers' own code on random input, relative to the largest output value.
TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 0.01}
TRIED_TOKENS = 5


def fuse_layers(module: Any) -> int:
    """Give every decoder layer of the Llama kind the fused forward, and return how many there are."""
    body = module.base_model
    if body.config.model_type not in LLAMA_KIND:
        return 0
    rotation = getattr(body, "rotary_emb", None)
    fused = 0
    for layer in getattr(body, "layers", []):
        own_forward = getattr(layer.forward, "own_forward", layer.forward)
        layer.forward = own_forward
        parts = _parts_of(layer)
        if rotation is not None and parts is not None and _agrees(layer, parts, rotation, body.config):
            layer.forward = _FusedForward(parts, own_forward)
            fused += 1
    return fused


def fused_layers(body: Any) -> int:
    """Return the number of layers with the fused forward."""
    return sum(isinstance(layer.forward, _FusedForward) for layer in getattr(body, "layers", []))


def _parts_of(layer: Any) -> LayerParts | None:
    """Return the parts of a layer by their names in Llama; None if one is missing or not plain."""
    try:
        attention, mlp = layer.self_attn, layer.mlp
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        groups = (inputs, (attention.o_proj,), (mlp.gate_proj, mlp.up_proj), (mlp.down_proj,))
        norms = (layer.input_layernorm, layer.post_attention_layernorm)
        epsilons = tuple(getattr(norm, "variance_epsilon", None) or norm.eps for norm in norms)
        size, scaling = attention.head_dim, attention.scaling
        frozen = [not norm.weight.requires_grad for norm in norms]
    except AttributeError:
        return None
    if not all(frozen) or not all(is_plain(linear) for group in groups for linear in group):
        return None
    heads, key_heads = (_outs(linear) // size for linear in inputs[:2])
    return LayerParts(
        layer, tuple(group_of(group) for group in groups), heads, key_heads, size, scaling, epsilons
    )  # type: ignore[arg-type]


def _outs(linear: Any) -> int:
    return getattr(linear, "base_layer", linear).out_features


@torch.no_grad()
def _agrees(layer: Any, parts: LayerParts, rotation: Any, config: Any) -> bool:
    """Return whether the fused forward matches the layer's own code on random input."""
    weight = parts.norms[0]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, TRIED_TOKENS, len(weight), generator=generator).to(weight)
    positions = torch.arange(TRIED_TOKENS, device=x.device)[None]
    tree = merge_prompts([range(TRIED_TOKENS)])
    plan = plan_tree(tree, heads=parts.heads, key_heads=parts.key_heads, device=x.device)
    try:
        given = {"position_embeddings": rotation(x, positions), "tree_plan": plan, CACHE: None}
        expected = layer(x, attention_mask=None, position_ids=positions, use_cache=False, **given)
        found = _FusedForward(parts, layer.forward)(x, **given)
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError):
        return False
    if not isinstance(expected, torch.Tensor) or config.num_attention_heads != parts.heads:
        return False
    return bool((found - expected).abs().max() <= TOLERANCE[x.dtype] * expected.abs().max())


class _FusedForward:
    """The fused forward of one layer; calls that it does not support go to the layer's own forward."""

    def __init__(self, parts: LayerParts, own_forward: Any) -> None:
        self.parts, self.own_forward = parts, own_forward

    def __call__(self, hidden_states: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        attention = self._attention(hidden_states, arguments, options)
        if attention is None:
            return self.own_forward(hidden_states, *arguments, **options)
        parts = self.parts
        x = hidden_states.reshape(-1, hidden_states.shape[-1])  # (tokens, hidden)
        cos, sin = (part.reshape(-1, part.shape[-1]) for part in options["position_embeddings"])
        masters = parts.masters()
        is_trained = torch.is_grad_enabled() and (
            x.requires_grad or any(master.requires_grad for master in masters)
        )
        if is_trained:
            result = DecoderLayer.apply(x, cos, sin, options["tree_plan"], parts, *masters)
        else:
            groups = parts.weights(masters)
            result, _ = run_layer(
                x, cos=cos, sin=sin, parts=parts, groups=groups, attention=attention, empty=x.new_empty
            )
        return result.view(hidden_states.shape)

    def _attention(
        self, hidden_states: torch.Tensor, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Attention | None:
        """Return the attention for this call, or None if the layer's own forward must handle it."""
        parts = self.parts
        if arguments or torch.is_autocast_enabled(hidden_states.device.type):
            return None  # under autocast, each operation casts its weights
        if not all(group.is_as_built() for group in parts.groups):
            return None
        plan, cache = options.get("tree_plan"), options.get(CACHE)
        if cache is not None and torch.is_grad_enabled():
            return None
        options_of_both = {
            "scaling": parts.scaling,
            "cache": cache,
            "place": parts.layer.self_attn.layer_idx,
        }
        if plan is not None:
            return partial(_attend_and_keep, plan=plan, **options_of_both)
        mask = options.get("attention_mask")
        if cache is None or mask is None or hidden_states.shape[1] != 1:
            return None
        shared = options.get("shared_prefix")
        return partial(_attend_over_cache, mask=mask, shared_prefix=shared, **options_of_both)


def _attend_and_keep(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float,
    cache: Any,
    place: int,
    plan: TreePlan,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    if cache is not None:
        cache.update(key[None], value[None], place)
    return attend_over_tree(query, key, value, scaling=scaling, plan=plan)


def _attend_over_cache(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    scaling: float,
    cache: Any,
    place: int,
    mask: torch.Tensor,
    shared_prefix: SharedPrefix | None,
) -> tuple[torch.Tensor, None]:
    """Let one new token per row attend to its row of the cache; input and output are (heads, rows, size)."""
    keys, values = cache.update(key.transpose(0, 1)[:, :, None], value.transpose(0, 1)[:, :, None], place)
    mixed = attend_under_mask(
        query.transpose(0, 1)[:, :, None],
        keys,
        values,
        mask,
        scaling=scaling,
        shared=None if shared_prefix is None else shared_prefix.layers[place],
    )
    return mixed[:, 0].transpose(0, 1), None  # from (rows, 1, heads, size)
