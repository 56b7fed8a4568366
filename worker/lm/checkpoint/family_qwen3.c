/* Qwen3, dense (Qwen team 2025): Llama's layer with an RMSNorm of each head's q and k, and heads
 * whose size does not follow from the width. */
#include "check.h"
#include "model_family.h"

static const struct family_tensor layer_tensors[] = {
    {TENSOR_ATTN_NORM, "input_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_ATTN_Q, "self_attn.q_proj.weight", DIM_QUERY, DIM_WIDTH},
    {TENSOR_ATTN_K, "self_attn.k_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    {TENSOR_ATTN_V, "self_attn.v_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    {TENSOR_ATTN_O, "self_attn.o_proj.weight", DIM_WIDTH, DIM_QUERY},
    {TENSOR_Q_NORM, "self_attn.q_norm.weight", DIM_ONE, DIM_HEAD},
    {TENSOR_K_NORM, "self_attn.k_norm.weight", DIM_ONE, DIM_HEAD},
    {TENSOR_MLP_NORM, "post_attention_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_MLP_GATE, "mlp.gate_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_UP, "mlp.up_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_DOWN, "mlp.down_proj.weight", DIM_WIDTH, DIM_MLP},
};

static const char *const activations[] = {"silu", "swish", NULL};
/* sliding_window counts with use_sliding_window only, which is refused unless false. */
static const char *const reads[] = {"sliding_window", NULL};

const struct model_family family_qwen3 = {
    .name = "qwen3",
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .defaults =
        {.kind = MODEL_QWEN3, .head_dim = 128, .rope_theta = 10000, .norm_eps = 1e-6, .bos_id = -1},
    .reads = reads,
    .activation_key = "hidden_act",
    .activations = activations,
    .gate = GATE_SILU,
    .head_norms = true,
    .layer_tensors = layer_tensors,
    .layer_tensor_count = ARRAY_COUNT(layer_tensors),
};
