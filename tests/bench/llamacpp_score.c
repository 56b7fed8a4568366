/* Times llama.cpp scoring one sequence, for compare_llamacpp.py:
 *
 *     llamacpp_score BACKENDS MODEL IDS THREADS ROUNDS
 *
 * IDS are int32. The sequence but for its last token is decoded at once, with logits at every
 * position; prints, per round after one that is not measured, "SECONDS CPU_SECONDS NATS", NATS
 * being the sum of -ln p of the tokens. F16 cache and flash attention are left at llama.cpp's
 * defaults, which are its fastest. */
#include <llama.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

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
        fprintf(stderr, "llamacpp_score: %s\n", what);
        exit(1);
    }
}

static double seconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double nats_of(const float *logits, int vocabulary, llama_token target)
{
    float largest = logits[0];
    double sum = 0;
    for (int i = 1; i < vocabulary; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    for (int i = 0; i < vocabulary; i++)
        sum += exp((double)(logits[i] - largest));
    return (double)largest + log(sum) - (double)logits[target];
}

int main(int argc, char **argv)
{
    static llama_token ids[IDS_MAX];
    need(argc == 6, "five arguments are needed");
    FILE *file = fopen(argv[3], "rb");
    need(file != NULL, "no ids");
    const int count = (int)fread(ids, sizeof *ids, IDS_MAX, file) - 1;
    fclose(file);
    llama_log_set(quiet, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    struct llama_model *model = llama_model_load_from_file(argv[2], llama_model_default_params());
    need(model != NULL, "the model does not load");
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = (uint32_t)count;
    params.n_threads = params.n_threads_batch = atoi(argv[4]);
    struct llama_context *context = llama_init_from_model(model, params);
    need(context != NULL, "no context");
    const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
    struct llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    for (int round = -1; round < atoi(argv[5]); round++) {
        llama_memory_clear(llama_get_memory(context), true);
        const double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        need(llama_decode(context, batch) == 0, "decoding failed");
        llama_synchronize(context);
        const double wall_end = seconds(CLOCK_MONOTONIC),
                     cpu_end = seconds(CLOCK_PROCESS_CPUTIME_ID);
        double nats = 0;
        for (int i = 0; i < count; i++)
            nats += nats_of(llama_get_logits_ith(context, i), vocabulary, ids[i + 1]);
        if (round >= 0)
            printf("%.4f %.4f %.4f\n", wall_end - wall, cpu_end - cpu, nats);
        fflush(stdout);
    }
    llama_free(context);
    llama_model_free(model);
    return 0;
}
