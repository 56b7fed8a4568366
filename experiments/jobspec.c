#include "jobspec.h"

#include "canonical.h"
#include "check.h"
#include "json_member.h"

const char *const jobspec_schedule_names[] = {"linear", "cosine", "constant", NULL};
const char *const jobspec_loss_names[] = {"outputs", "all", "first", "last", NULL};
const char *const jobspec_numerics_names[] = {"strict", "fast", NULL};
const char *const jobspec_precision_names[] = {"f32", "bf16", NULL};
const char *const jobspec_backend_names[] = {"packed", "blas", "onednn", NULL};

const char *const jobspec_lora_target_names[] = {"q_proj",    "k_proj",  "v_proj",    "o_proj",
                                                 "gate_proj", "up_proj", "down_proj", NULL};
const char *const jobspec_architecture_names[] = {"llama", "qwen3", "gemma3", NULL};

static json_t *numerics(const struct jobspec *spec)
{
    json_t *object = json_object();
    json_member_text(object, "backend", jobspec_backend_names[spec->backend]);
    json_member_text(object, "mode", jobspec_numerics_names[spec->numerics]);
    json_member_text(object, "precision", jobspec_precision_names[spec->precision]);
    json_member_text(object, "core_type", ""); /* fixed for the experiment by its first attempt */
    return object;
}

static json_t *architecture(const struct jobspec_architecture *a)
{
    json_t *object = json_object();
    json_member_text(object, "kind", jobspec_architecture_names[a->kind]);
    json_member_integer(object, "layers", a->layers);
    json_member_integer(object, "width", a->width);
    json_member_integer(object, "heads", a->heads);
    json_member_integer(object, "kv_heads", a->kv_heads);
    json_member_integer(object, "head_dim", a->head_dim);
    json_member_integer(object, "mlp", a->mlp);
    json_member_integer(object, "context", a->context);
    json_member_real(object, "rope_theta", a->rope_theta);
    json_member_real(object, "norm_eps", a->norm_eps);
    json_member_real(object, "init_std", a->init_std);
    json_object_set_new(object, "tied", json_boolean(a->tied));
    if (a->window > 0) {
        json_member_integer(object, "window", a->window);
        json_member_integer(object, "window_pattern", a->window_pattern);
        json_member_integer(object, "query_scalar", a->query_scalar);
        json_member_real(object, "rope_local_theta", a->rope_local_theta);
    }
    return object;
}

static json_t *lora(const struct jobspec_lora *l)
{
    json_t *object = json_object(), *targets = json_array();
    for (int i = 0; i < LORA_TARGET_COUNT; i++) {
        if (l->targets[i])
            json_array_append_new(targets, json_string(jobspec_lora_target_names[i]));
    }
    json_member_integer(object, "rank", l->rank);
    json_member_real(object, "alpha", l->alpha);
    json_member_real(object, "dropout", l->dropout);
    json_object_set_new(object, "targets", targets);
    json_object_set_new(object, "embeddings", json_boolean(l->embeddings));
    json_object_set_new(object, "head", json_boolean(l->head));
    return object;
}

static json_t *train(const struct jobspec_train *t)
{
    json_t *object = json_object();
    json_member_integer(object, "sequence_tokens", t->sequence_tokens);
    json_member_integer(object, "batch_tokens", t->batch_tokens);
    json_member_integer(object, "batch_sequences", t->batch_sequences);
    json_member_integer(object, "accumulate", t->accumulate);
    json_member_integer(object, "steps", t->steps);
    json_member_integer(object, "epochs", t->epochs);
    json_member_integer(object, "warmup_steps", t->warmup_steps);
    json_member_integer(object, "checkpoint_steps", t->checkpoint_steps);
    json_member_integer(object, "seed", (int64_t)t->seed);
    json_member_real(object, "learning_rate", t->learning_rate);
    json_member_real(object, "minimum_lr_ratio", t->minimum_lr_ratio);
    json_member_real(object, "weight_decay", t->weight_decay);
    json_member_real(object, "beta1", t->beta1);
    json_member_real(object, "beta2", t->beta2);
    json_member_real(object, "epsilon", t->epsilon);
    json_member_real(object, "clip_norm", t->clip_norm);
    json_member_real(object, "loss_rise_max", t->loss_rise_max);
    json_member_text(object, "schedule", jobspec_schedule_names[t->schedule]);
    json_member_text(object, "loss", jobspec_loss_names[t->loss]);
    if (t->shards > 1) /* named only where there are some: identities are older than shards */
        json_member_integer(object, "shards", t->shards);
    if (t->saved_as != JOBSPEC_F32) /* likewise */
        json_member_text(object, "saved_as", jobspec_precision_names[t->saved_as]);
    if (t->lora.rank > 0)
        json_object_set_new(object, "lora", lora(&t->lora));
    return object;
}

static json_t *restriction(const struct jobspec_evaluate *e)
{
    static const char *const modes[] = {"none", "auto", "list"};
    json_t *object = json_object(), *texts = json_array();
    for (size_t i = 0; i < e->restrict_count; i++)
        json_array_append_new(texts, json_string(e->restrict_texts[i]));
    json_member_text(object, "mode", modes[e->restrict_mode]);
    json_object_set_new(object, "texts", texts);
    json_object_set_new(object, "terminators", json_boolean(e->restrict_terminators));
    return object;
}

static json_t *evaluate(const struct jobspec_evaluate *e)
{
    json_t *object = json_object();
    json_member_text(object, "task", e->task);
    json_member_text(object, "suite", e->suite);
    json_member_text(object, "format", e->format);
    json_member_text(object, "kind", record_kind_name(e->kind));
    json_member_integer(object, "k", e->k);
    json_member_integer(object, "first", e->first);
    json_member_integer(object, "sequences", e->sequences);
    json_member_integer(object, "items", e->items);
    json_object_set_new(object, "calibration", json_boolean(e->calibration));
    json_object_set_new(object, "restrict", restriction(e));
    return object;
}

static json_t *tokens(const struct jobspec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spec->token_count; i++)
        json_array_append_new(list, json_string(spec->tokens[i]));
    return list;
}

static json_t *turns(const struct jobspec *spec)
{
    json_t *object = json_object();
    json_member_text(object, "end", spec->turn_end);
    json_member_text(object, "template", spec->chat_template);
    return object;
}

static void set_kind_keys(json_t *root, const struct jobspec *spec)
{
    switch (spec->kind) {
    case JOB_IMPORT:
        json_member_text(root, "layout", spec->layout);
        json_member_integer(root, "seed", (int64_t)spec->seed);
        json_object_set_new(root, "special_tokens", tokens(spec));
        return;
    case JOB_PRETRAIN:
        json_object_set_new(root, "architecture", architecture(&spec->architecture));
        json_object_set_new(root, "train", train(&spec->train));
        return;
    case JOB_INSTRUCT:
    case JOB_SPECTRUM:
        json_object_set_new(root, "train", train(&spec->train));
        json_object_set_new(root, "embedding_tokens", tokens(spec));
        if (spec->turn_end)
            json_object_set_new(root, "turns", turns(spec));
        return;
    case JOB_EVALUATE:
        json_object_set_new(root, "evaluate", evaluate(&spec->evaluate));
        return;
    case JOB_KIND_COUNT:
        break;
    }
    UNREACHABLE("no such job kind");
}

/* Named here and not taken from vocab.c, so that a renamed label cannot change identities. */
static const char *const kind_names[] = {"import", "pretrain", "instruct", "spectrum", "evaluate"};
_Static_assert(ARRAY_COUNT(kind_names) == JOB_KIND_COUNT, "one name per kind");

struct digest jobspec_write(const struct jobspec *spec, struct strbuf *out)
{
    json_t *root = json_object();
    json_member_text(root, "kind", kind_names[spec->kind]);
    json_member_integer(root, "numerics_version", spec->numerics_version);
    json_object_set_new(root, "numerics", numerics(spec));
    json_member_digests(root, "inputs", spec->inputs, spec->input_count);
    json_member_digests(root, "parents", spec->parents, spec->parent_count);
    set_kind_keys(root, spec);
    size_t start = out->len;
    canonical_json(root, out);
    json_decref(root);
    return hash_bytes(out->data + start, out->len - start);
}
