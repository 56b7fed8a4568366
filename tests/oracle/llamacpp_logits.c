/* Runs a GGUF model in llama.cpp, for families_llamacpp.py:
 *
 *     llamacpp_logits BACKENDS MODEL PROMPT_COUNT NEW_COUNT < IDS > RESULT
 *
 * IDS are int32; RESULT is the float32 logits of every position, then NEW_COUNT int32: the greedy
 * continuation of the first PROMPT_COUNT ids. F32 cache, no flash attention, full-size cache of
 * windowed layers, as two programs can only be compared without roundings in between. */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDS_MAX = 4096 };

static void quiet(enum ggml_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level == GGML_LOG_LEVEL_ERROR)
        fputs(text, stderr);
}

static void need(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "llamacpp_logits: %s\n", what);
        exit(1);
    }
}

/* Decode ids at positions from…; logits of all of them, or of the last alone. */
static void decode(struct llama_context *context, const llama_token *ids, int count, int from,
                   int all)
{
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = from + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = (int8_t)(all || i == count - 1);
    }
    need(llama_decode(context, batch) == 0, "decoding failed");
    llama_batch_free(batch);
}

static llama_token best_of(const float *logits, int vocabulary)
{
    llama_token best = 0;
    for (int i = 1; i < vocabulary; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

int main(int argc, char **argv)
{
    static llama_token ids[IDS_MAX], new_ids[IDS_MAX];
    need(argc == 5, "four arguments are needed");
    const int prompt = atoi(argv[3]), wanted = atoi(argv[4]);
    const int count = (int)fread(ids, sizeof *ids, IDS_MAX, stdin);
    need(count >= prompt && prompt > 0 && wanted <= IDS_MAX, "too few ids");
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    struct llama_model *model = llama_model_load_from_file(argv[2], llama_model_default_params());
    need(model != NULL, "the model does not load");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = IDS_MAX;
    params.n_batch = params.n_ubatch = IDS_MAX;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.swa_full = true;
    struct llama_context *context = llama_init_from_model(model, params);
    need(context != NULL, "no context");
    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    decode(context, ids, count, 0, 1);
    for (int i = 0; i < count; i++)
        fwrite(llama_get_logits_ith(context, i), sizeof(float), (size_t)vocabulary, stdout);
    llama_memory_clear(llama_get_memory(context), true);
    decode(context, ids, prompt, 0, 0);
    for (int i = 0; i < wanted; i++) {
        new_ids[i] = best_of(llama_get_logits_ith(context, -1), vocabulary);
        decode(context, &new_ids[i], 1, prompt + i, 0);
    }
    fwrite(new_ids, sizeof *new_ids, (size_t)wanted, stdout);
    llama_free(context);
    llama_model_free(model);
    return 0;
}
