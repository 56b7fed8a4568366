/* Llama 3.x (Grattafiori et al. 2024): the plain layer that the others vary. */
#include "check.h"
#include "model_family.h"

static const struct family_tensor layer_tensors[] = {
    {TENSOR_ATTN_NORM, "input_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_ATTN_Q, "self_attn.q_proj.weight", DIM_QUERY, DIM_WIDTH},
    {TENSOR_ATTN_K, "self_attn.k_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    {TENSOR_ATTN_V, "self_attn.v_proj.weight", DIM_KEY_VALUE, DIM_WIDTH},
    {TENSOR_ATTN_O, "self_attn.o_proj.weight", DIM_WIDTH, DIM_QUERY},
    {TENSOR_MLP_NORM, "post_attention_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_MLP_GATE, "mlp.gate_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_UP, "mlp.up_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_DOWN, "mlp.down_proj.weight", DIM_WIDTH, DIM_MLP},
};

static const char *const activations[] = {"silu", "swish", NULL};
static const char *const reads[] = {NULL};

const struct model_family family_llama = {
    .name = "llama",
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    .defaults = {.kind = MODEL_LLAMA, .rope_theta = 10000, .norm_eps = 1e-6, .bos_id = -1},
    .reads = reads,
    .activation_key = "hidden_act",
    .activations = activations,
    .gate = GATE_SILU,
    .layer_tensors = layer_tensors,
    .layer_tensor_count = ARRAY_COUNT(layer_tensors),
};
