#include "jobspec.h"

#include "canonical.h"
#include "check.h"

const char *const jobspec_schedule_names[] = {"linear", "cosine", "constant", NULL};
const char *const jobspec_loss_names[] = {"outputs", "all", NULL};
const char *const jobspec_numerics_names[] = {"strict", "fast", NULL};

static void set_integer(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void set_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, json_real(value));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    json_t *value = json_string(text);
    ASSERT(value != NULL); /* manifests and task files are checked UTF-8 */
    json_object_set_new(object, key, value);
}

static json_t *digests(const struct named_digest *items, size_t count)
{
    json_t *object = json_object();
    char hex[DIGEST_HEX_SIZE];
    for (size_t i = 0; i < count; i++)
        set_text(object, items[i].name, digest_hex(&items[i].digest, hex));
    return object;
}

static json_t *numerics(const struct jobspec *spec)
{
    json_t *object = json_object();
    set_text(object, "backend", "blas");
    set_text(object, "mode", jobspec_numerics_names[spec->numerics]);
    set_text(object, "precision", "f32");
    set_text(object, "core_type", ""); /* fixed for the experiment by its first attempt */
    return object;
}

static json_t *architecture(const struct jobspec_architecture *a)
{
    json_t *object = json_object();
    set_text(object, "kind", "llama");
    set_integer(object, "layers", a->layers);
    set_integer(object, "width", a->width);
    set_integer(object, "heads", a->heads);
    set_integer(object, "kv_heads", a->kv_heads);
    set_integer(object, "head_dim", a->head_dim);
    set_integer(object, "mlp", a->mlp);
    set_integer(object, "context", a->context);
    set_real(object, "rope_theta", a->rope_theta);
    set_real(object, "norm_eps", a->norm_eps);
    set_real(object, "init_std", a->init_std);
    json_object_set_new(object, "tied", json_boolean(a->tied));
    return object;
}

static json_t *train(const struct jobspec_train *t)
{
    json_t *object = json_object();
    set_integer(object, "sequence_tokens", t->sequence_tokens);
    set_integer(object, "batch_tokens", t->batch_tokens);
    set_integer(object, "accumulate", t->accumulate);
    set_integer(object, "steps", t->steps);
    set_integer(object, "warmup_steps", t->warmup_steps);
    set_integer(object, "checkpoint_steps", t->checkpoint_steps);
    set_integer(object, "seed", (int64_t)t->seed);
    set_real(object, "learning_rate", t->learning_rate);
    set_real(object, "minimum_lr_ratio", t->minimum_lr_ratio);
    set_real(object, "weight_decay", t->weight_decay);
    set_real(object, "beta1", t->beta1);
    set_real(object, "beta2", t->beta2);
    set_real(object, "epsilon", t->epsilon);
    set_real(object, "clip_norm", t->clip_norm);
    set_text(object, "schedule", jobspec_schedule_names[t->schedule]);
    set_text(object, "loss", jobspec_loss_names[t->loss]);
    return object;
}

static json_t *evaluate(const struct jobspec_evaluate *e)
{
    json_t *object = json_object();
    set_text(object, "task", e->task);
    set_text(object, "suite", e->suite);
    set_text(object, "format", e->format);
    set_integer(object, "k", e->k);
    set_integer(object, "sequences", e->sequences);
    set_integer(object, "items", e->items);
    return object;
}

static json_t *tokens(const struct jobspec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spec->token_count; i++)
        json_array_append_new(list, json_string(spec->tokens[i]));
    return list;
}

static void set_kind_keys(json_t *root, const struct jobspec *spec)
{
    switch (spec->kind) {
    case JOB_IMPORT:
        set_text(root, "layout", spec->layout);
        set_integer(root, "seed", (int64_t)spec->seed);
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
    set_text(root, "kind", kind_names[spec->kind]);
    set_integer(root, "numerics_version", spec->numerics_version);
    json_object_set_new(root, "numerics", numerics(spec));
    json_object_set_new(root, "inputs", digests(spec->inputs, spec->input_count));
    json_object_set_new(root, "parents", digests(spec->parents, spec->parent_count));
    set_kind_keys(root, spec);
    size_t start = out->len;
    canonical_json(root, out);
    json_decref(root);
    return hash_bytes(out->data + start, out->len - start);
}
