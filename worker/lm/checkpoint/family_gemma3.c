/* Gemma 3, its text half (Gemma team 2025): five layers with a sliding window and RoPE of a small
 * base to one that sees everything; norms of q and k, and before and after attention and MLP. */
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
    {TENSOR_ATTN_POST_NORM, "post_attention_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_MLP_NORM, "pre_feedforward_layernorm.weight", DIM_ONE, DIM_WIDTH},
    {TENSOR_MLP_GATE, "mlp.gate_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_UP, "mlp.up_proj.weight", DIM_MLP, DIM_WIDTH},
    {TENSOR_MLP_DOWN, "mlp.down_proj.weight", DIM_WIDTH, DIM_MLP},
    {TENSOR_MLP_POST_NORM, "post_feedforward_layernorm.weight", DIM_ONE, DIM_WIDTH},
};

static const char *const activations[] = {"gelu_pytorch_tanh", NULL};
static const char *const reads[] = {"sliding_window", "layer_types", "query_pre_attn_scalar", NULL};

/* Multimodal checkpoints of transformers before and since 4.52. */
static const char *const spellings[][2] = {
    {"model.", "language_model.model."},
    {"model.", "model.language_model."},
    {"lm_head.", "language_model.lm_head."},
    {NULL, NULL},
};
static const char *const other_parts[] = {"vision_tower.", "multi_modal_projector.",
                                          "model.vision_tower.", "model.multi_modal_projector.",
                                          NULL};

const struct model_family family_gemma3 = {
    .name = "gemma3",
    .model_type = "gemma3_text",
    .wrapper_type = "gemma3",
    .architecture = "Gemma3ForCausalLM",
    /* Those of Gemma3TextConfig; the multimodal checkpoints' text_config relies on them. */
    .defaults = {.kind = MODEL_GEMMA3,
                 .layers = 26,
                 .width = 2304,
                 .heads = 8,
                 .kv_heads = 4,
                 .head_dim = 256,
                 .mlp_width = 9216,
                 .vocabulary = 262208,
                 .context = 131072,
                 .rope_theta = 1e6,
                 .rope_local_theta = 10000,
                 .window = 4096,
                 .window_period = 6,
                 .query_scalar = 256,
                 .norm_eps = 1e-6,
                 .head_tied = true,
                 .bos_id = 2,
                 .eos_count = 1,
                 .eos_ids = {1}},
    .reads = reads,
    .activation_key = "hidden_activation",
    .activations = activations,
    .windows = true,
    .gate = GATE_GELU_TANH,
    .head_norms = true,
    .branch_norms = true,
    .embedding_scale = true,
    .norm_base = 1,
    .layer_tensors = layer_tensors,
    .layer_tensor_count = ARRAY_COUNT(layer_tensors),
    .spellings = spellings,
    .other_parts = other_parts,
};
