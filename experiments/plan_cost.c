/* Estimates of work, time and memory. They steer nothing but the display and admission to a worker,
 * so they are simple. Memory leans to the high side: a training that finds it needs more than its
 * job has refuses to begin. */
#include "plan_impl.h"

#define FLOPS_PER_THREAD_S 50e9 /* measured: 45e9 to 75e9 on a Zen 4 core, quickstart model */
#define PROGRAM_BYTES      (96LL * 1024 * 1024)

/* Parameters in matrix products, the head included. */
int64_t plan_parameters(const struct plan_model *m)
{
    int64_t query = m->heads * m->head_dim, key = m->kv_heads * m->head_dim;
    int64_t layer = m->width * (2 * query + 2 * key) + 3 * m->width * m->mlp;
    return m->layers * layer + m->vocabulary * m->width;
}

/* Floats kept per token and layer for the backward pass: norms, q, k, v, attention and MLP. */
static int64_t layer_floats(const struct plan_model *m)
{
    return 8 * m->width + 4 * m->heads * m->head_dim + 4 * m->mlp;
}

static double hours(const struct planner *p, double flops, uint32_t threads)
{
    double rate = p->env->flops_per_thread_s > 0 ? p->env->flops_per_thread_s : FLOPS_PER_THREAD_S;
    return flops / (rate * threads) / 3600.0;
}

void plan_cost_training(const struct planner *p, const struct plan_model *model,
                        const struct jobspec_train *train, struct plan_job *job)
{
    int64_t parameters = plan_parameters(model);
    /* Forward and backward: 6 flops per parameter and token (Kaplan et al. 2020), and attention. */
    double attention = 6.0 * (double)(model->layers * model->heads * model->head_dim) *
                       (double)train->sequence_tokens;
    job->flops = (6.0 * (double)parameters + attention) * (double)job->tokens;
    job->hours = hours(p, job->flops, job->threads * (job->ranks ? job->ranks : 1));
}

/* Weights, gradients and two moments; activations of a micro-batch and its logits. */
static int64_t estimated(const struct plan_model *model, const struct jobspec_train *train)
{
    int64_t state = 16 * (plan_parameters(model) + model->vocabulary * model->width);
    int64_t batch =
        train->batch_tokens > train->sequence_tokens ? train->batch_tokens : train->sequence_tokens;
    return state + 4 * batch * (model->layers * layer_floats(model) + 2 * model->vocabulary);
}

/* What the job takes with activations kept or computed twice, the program and the moment when a
 * second model is loaded to copy rows from included. */
static int64_t needed(const struct planner *p, const struct plan_model *model,
                      const struct jobspec_train *train, const struct plan_batch *batch, bool again,
                      struct strbuf *text)
{
    const struct plan_env *env = p->env;
    int64_t bytes =
        env->training_memory ? env->training_memory(env->ctx, model, train, batch, again, text) : 0;
    int64_t two_models = 8 * (plan_parameters(model) + model->vocabulary * model->width);
    bytes = bytes ? bytes : estimated(model, train);
    return PROGRAM_BYTES + (bytes > two_models ? bytes : two_models);
}

enum err_code plan_memory_training(const struct planner *p, const struct plan_model *model,
                                   const struct manifest_stage *stage,
                                   const struct jobspec_train *train, struct plan_job *job,
                                   struct plan_data *data, struct err *err)
{
    const int64_t given = p->manifest->train_resources.memory_bytes;
    const int64_t kept = needed(p, model, train, &data->batch, false, NULL);
    const int64_t twice = needed(p, model, train, &data->batch, true, NULL);
    const int64_t least = stage->recompute == RECOMPUTE_NEVER ? kept : twice;
    bool again = stage->recompute == RECOMPUTE_ALWAYS ||
                 (stage->recompute == RECOMPUTE_AUTO && given > 0 && given < kept);
    struct strbuf text = {0};
    needed(p, model, train, &data->batch, again, &text);
    data->memory = arena_strdup(&p->plan->arena, strbuf_text(&text));
    strbuf_release(&text);
    job->memory_bytes = given ? given : again ? twice : kept;
    if (given == 0 || given >= least)
        return ERR_OK;
    const struct yaml_node *at =
        yaml_get(yaml_get(yaml_get(p->manifest->doc.root, "resources"), "train"), "memory");
    return yaml_fail(&p->manifest->doc, at, err,
                     "%s takes %lld MiB (%lld with activations computed twice), more than 'memory' "
                     "gives; lower its 'batch_tokens' (%lld) or give it more",
                     job->label, (long long)(kept >> 20), (long long)(twice >> 20),
                     (long long)train->batch_tokens);
}

void plan_cost_evaluation(const struct planner *p, const struct plan_model *model,
                          int64_t tokens_max, struct plan_job *job)
{
    enum { SCORING_BATCH_TOKENS = 4096 };
    const int64_t logits_max = 256 * 1024 * 1024; /* more are computed in pieces */
    int64_t parameters = plan_parameters(model);
    double attention =
        2.0 * (double)(model->layers * model->heads * model->head_dim) * (double)tokens_max;
    job->flops = (2.0 * (double)parameters + attention) * (double)job->tokens;
    job->hours = hours(p, job->flops, job->threads);
    int64_t wanted = p->manifest->evaluate_resources.memory_bytes;
    int64_t batch = tokens_max > SCORING_BATCH_TOKENS ? tokens_max : SCORING_BATCH_TOKENS;
    int64_t logits = 4 * batch * model->vocabulary;
    int64_t activations =
        8 * batch * layer_floats(model) + (logits < logits_max ? logits : logits_max);
    int64_t weights = 4 * (parameters + (model->tied ? 0 : model->vocabulary * model->width));
    job->memory_bytes = wanted ? wanted : PROGRAM_BYTES + weights + activations;
}
