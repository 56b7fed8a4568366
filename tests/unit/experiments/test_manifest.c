/* Manifests: every wrong one says exactly what is wrong where, defaults are overridden in order,
 * and specs are canonical. */
#include "cmocka_all.h"

#include <dirent.h>
#include <string.h>

#include "golden.h"
#include "plan.h"

/* A stand-in for worker/lm that makes plans in no time: four bytes are a token, whatever they say.
 */
static enum err_code fake_train(void *ctx, const struct str *texts, size_t count,
                                int64_t vocabulary, const char *const *specials,
                                size_t special_count, struct strbuf *json_out, struct err *err)
{
    (void)ctx, (void)texts, (void)count, (void)vocabulary, (void)specials, (void)special_count;
    (void)err;
    strbuf_puts(json_out, "{}");
    return ERR_OK;
}

static enum err_code fake_open(void *ctx, const char *json, size_t len, const char *name,
                               struct plan_tokenizer **out, struct err *err)
{
    (void)ctx, (void)json, (void)len, (void)name, (void)err;
    *out = NULL;
    return ERR_OK;
}

static enum err_code fake_count(void *ctx, struct plan_tokenizer *tokenizer, struct str text,
                                size_t *count_out, struct err *err)
{
    (void)ctx, (void)tokenizer, (void)err;
    *count_out = (text.len + 3) / 4;
    return ERR_OK;
}

static int64_t fake_vocabulary(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx, (void)tokenizer;
    return 1024;
}

static int64_t fake_special(void *ctx, struct plan_tokenizer *tokenizer, const char *text)
{
    (void)ctx, (void)tokenizer, (void)text;
    return 7;
}

static void fake_close(void *ctx, struct plan_tokenizer *tokenizer)
{
    (void)ctx, (void)tokenizer;
}

static struct plan_env fake_env(void)
{
    return (struct plan_env){
        .reader = reader_disk(),
        .root = TRIAD_SOURCE_DIR "/experiments",
        .numerics_version = 1,
        .tokenizer_train = fake_train,
        .tokenizer_open = fake_open,
        .tokenizer_count = fake_count,
        .tokenizer_vocabulary = fake_vocabulary,
        .tokenizer_special = fake_special,
        .tokenizer_close = fake_close,
    };
}

/* The first error of reading and planning a manifest, or "fine". */
static void verdict(const char *name, char *out, size_t size)
{
    char path[600];
    struct err err = {0};
    char *bytes = NULL;
    size_t len = 0;
    struct manifest manifest;
    struct plan plan;
    struct plan_env env = fake_env();
    snprintf(path, sizeof path, TRIAD_SOURCE_DIR "/tests/golden/manifests/wrong/%s", name);
    assert_int_equal(file_read(path, 0, &bytes, &len, &err), ERR_OK);
    if (manifest_parse(bytes, len, name, &manifest, &err) == ERR_OK) {
        if (plan_build(&manifest, &env, &plan, &err) == ERR_OK) {
            snprintf(err.text, sizeof err.text, "fine");
            plan_release(&plan);
        }
        manifest_release(&manifest);
    }
    snprintf(out, size, "%s\n", err.text);
    free(bytes);
}

/* tests/golden/manifests/wrong/NAME.yaml must be refused with the line in NAME.expected (rewritten
 * by UPDATE_GOLDEN=1; read the difference). */
static void wrong_manifests_say_exactly_what(void **state)
{
    (void)state;
    DIR *dir = opendir(TRIAD_SOURCE_DIR "/tests/golden/manifests/wrong");
    assert_non_null(dir);
    int count = 0, bad = 0;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        const char *dot = strrchr(entry->d_name, '.');
        char text[700], golden[400];
        if (!dot || strcmp(dot, ".yaml") != 0)
            continue;
        verdict(entry->d_name, text, sizeof text);
        assert_string_not_equal(text, "fine\n");
        snprintf(golden, sizeof golden, "manifests/wrong/%.*s.expected", (int)(dot - entry->d_name),
                 entry->d_name);
        bad += !golden_matches(golden, text, strlen(text));
        count++;
    }
    closedir(dir);
    assert_int_equal(bad, 0);
    assert_true(count >= 50);
}

static void read_text(const char *text, struct manifest *manifest)
{
    struct err err;
    if (manifest_parse(text, strlen(text), "m.yaml", manifest, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

#define FAMILY_HEAD                                                                                \
    "experiment: x\n"                                                                              \
    "defaults:\n"                                                                                  \
    "  train: {learning_rate: 0.01, batch_tokens: 1000, clip_norm: 5}\n"                           \
    "  evaluate: {max_sequences: 10, k: 3, seed: 1, description_keep: 0.5}\n"                      \
    "families:\n"                                                                                  \
    "  f:\n"                                                                                       \
    "    architecture: {kind: llama, layers: 1, width: 8, heads: 2, mlp: 8, context: 64}\n"        \
    "    tokenizer: {train: bpe, vocabulary: 300}\n"                                               \
    "    train: {learning_rate: 0.02, batch_tokens: 2000}\n"                                       \
    "    evaluate: {max_sequences: 20, k: 4, seed: 2}\n"                                           \
    "    variants:\n"                                                                              \
    "      PT: {pretrain: {mix: m, tokens: 1k, learning_rate: 0.03}}\n"                            \
    "      ST: {from: PT, spectrum: {tasks: train, steps: 2, embeddings_from: none}}\n"            \
    "evaluate:\n"                                                                                  \
    "  - suite: s\n"                                                                               \
    "    tasks: ['*']\n"                                                                           \
    "    max_sequences: 30\n"                                                                      \
    "    k: auto\n"                                                                                \
    "    override: {fl*: {max_sequences: 40}}\n"

static void the_special_overrides_the_general(void **state)
{
    (void)state;
    struct manifest m;
    read_text(FAMILY_HEAD, &m);
    const struct manifest_variant *pt = manifest_find_variant(&m.families[0], "PT");
    const struct manifest_variant *st = manifest_find_variant(&m.families[0], "ST");
    assert_float_equal(pt->stage.train.learning_rate, 0.03, 0);
    assert_int_equal(pt->stage.train.batch_tokens, 2000);
    assert_float_equal(pt->stage.train.clip_norm, 5, 0);
    assert_int_equal(pt->stage.train.schedule, JOBSPEC_COSINE);
    assert_float_equal(st->stage.train.learning_rate, 0.02, 0);
    assert_int_equal(st->stage.train.schedule, JOBSPEC_LINEAR);
    struct manifest_evaluate other =
        manifest_evaluate_settings(&m, &m.families[0], &m.suites[0], "urn");
    assert_int_equal(other.max_sequences, 30);
    assert_int_equal(other.k, 0);
    assert_int_equal(other.seed, 2);
    assert_float_equal(other.description_keep, 0.5, 0);
    struct manifest_evaluate flight =
        manifest_evaluate_settings(&m, &m.families[0], &m.suites[0], "flight");
    assert_int_equal(flight.max_sequences, 40);
    assert_int_equal(manifest_format(&m.suites[0], pt), FORMAT_COLON);
    assert_int_equal(manifest_format(&m.suites[0], st), FORMAT_SPECTRUM);
    assert_int_equal(m.families[0].architecture.head_dim, 4);
    assert_int_equal(m.families[0].architecture.kv_heads, 2);
    manifest_release(&m);
}

/* Presets override families and defaults, a stage's own keys override presets. */
static void presets_are_the_papers(void **state)
{
    (void)state;
    struct manifest m;
    struct strbuf text = {0};
    static const char before[] = "steps: 2, embeddings_from: none";
    const char *at = strstr(FAMILY_HEAD, before);
    strbuf_append(&text, FAMILY_HEAD, (size_t)(at - FAMILY_HEAD));
    strbuf_puts(&text, "preset: spectrum-v1, compat: reference, beta2: 0.9, embeddings_from: none, "
                       "lora: {rank: 4, targets: [k_proj, up_proj], head: false}");
    strbuf_puts(&text, at + strlen(before));
    read_text(strbuf_text(&text), &m);
    const struct manifest_stage *st = &manifest_find_variant(&m.families[0], "ST")->stage;
    assert_int_equal(st->train.batch_sequences, 1024);
    assert_int_equal(st->train.batch_tokens, 2000); /* only bounds memory */
    assert_int_equal(st->train.epochs, 1);
    assert_int_equal(st->train.steps, 0);
    assert_int_equal(st->train.sequence_tokens, 1024);
    assert_float_equal(st->train.learning_rate, 3e-6, 0);
    assert_float_equal(st->train.clip_norm, 1, 0);
    assert_float_equal(st->train.beta2, 0.9, 0);
    assert_float_equal(st->drop_description, 0.4, 0);
    assert_false(st->first_terminator);
    assert_int_equal(st->train.lora.rank, 4);
    assert_float_equal(st->train.lora.alpha, 80, 0);
    assert_true(st->train.lora.targets[LORA_K] && st->train.lora.targets[LORA_UP]);
    assert_false(st->train.lora.targets[LORA_Q]);
    assert_true(st->train.lora.embeddings && !st->train.lora.head);
    manifest_release(&m);
    strbuf_release(&text);
}

static void checkpoints_are_found_beside_the_manifest(void **state)
{
    (void)state;
    struct manifest m;
    struct err err;
    static const char text[] =
        "experiment: x\nfamilies:\n  f:\n    variants:\n      A: {checkpoint: 'llama2c:m/w.bin'}\n"
        "      B: {checkpoint: /abs/folder}\nevaluate: [{suite: s, tasks: t}]\n";
    assert_int_equal(manifest_parse(text, sizeof text - 1, "dir/m.yaml", &m, &err), ERR_OK);
    assert_string_equal(m.families[0].variants[0].checkpoint, "dir/m/w.bin");
    assert_int_equal(m.families[0].variants[0].layout, CHECKPOINT_LLAMA2C);
    assert_string_equal(m.families[0].turns->name, "llama2");
    assert_string_equal(m.families[0].variants[1].checkpoint, "/abs/folder");
    assert_int_equal(m.seed_count, 1);
    assert_int_equal(m.seeds[0], 42);
    manifest_release(&m);
}

static void specs_are_canonical(void **state)
{
    (void)state;
    struct named_digest inputs[2] = {{"tokenizer", {{1}}}, {"data", {{2}}}};
    struct named_digest swapped[2] = {inputs[1], inputs[0]};
    struct jobspec spec = {.kind = JOB_PRETRAIN,
                           .numerics_version = 1,
                           .inputs = inputs,
                           .input_count = 2,
                           .architecture = {.layers = 2, .rope_theta = 10000, .norm_eps = 1e-5},
                           .train = {.learning_rate = 0.1, .steps = 7}};
    struct strbuf one = {0}, two = {0};
    struct digest first = jobspec_write(&spec, &one);
    spec.inputs = swapped;
    struct digest second = jobspec_write(&spec, &two);
    assert_string_equal(strbuf_text(&one), strbuf_text(&two));
    assert_true(digest_equal(&first, &second));
    assert_non_null(strstr(one.data, "\"learning_rate\":0.10000000000000001,"));
    assert_non_null(strstr(one.data, "\"rope_theta\":10000,"));
    assert_non_null(strstr(one.data, "\"norm_eps\":1.0000000000000001e-05,"));
    assert_non_null(strstr(one.data, "{\"architecture\":{\"context\":0,\"head_dim\":0,"));
    assert_null(strchr(one.data, ' '));
    spec.train.steps = 8;
    strbuf_clear(&two);
    second = jobspec_write(&spec, &two);
    assert_false(digest_equal(&first, &second));
    strbuf_release(&one);
    strbuf_release(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_manifests_say_exactly_what),
        cmocka_unit_test(the_special_overrides_the_general),
        cmocka_unit_test(presets_are_the_papers),
        cmocka_unit_test(checkpoints_are_found_beside_the_manifest),
        cmocka_unit_test(specs_are_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
