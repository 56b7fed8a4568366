/* Plans of the manifests that ship with Triad, on real tokenizers. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "check.h"
#include "corpus.h"
#include "dataset.h"
#include "file.h"
#include "plan_lm.h"
#include "spec.h"
#include "tokenizer.h"
#include "train_memory.h"

/* A manifest from a file, with some text replaced; the plan points to its manifest, so neither may
 * move. */
struct planned {
    char *text;
    struct manifest manifest;
    struct plan plan;
};

/* Replace the first `old` in `text` by `new`. */
static void replace(struct strbuf *text, const char *old, const char *new)
{
    struct strbuf out = {0};
    const char *at = strstr(strbuf_text(text), old);
    assert_non_null(at);
    strbuf_append(&out, text->data, (size_t)(at - text->data));
    strbuf_puts(&out, new);
    strbuf_puts(&out, at + strlen(old));
    strbuf_release(text);
    *text = out;
}

/* Plan a shipped manifest. With a replacement it also gets little to pretrain on, to be quick. */
static enum err_code try_plan(const char *file, const char *old, const char *new,
                              struct planned *out, struct err *err)
{
    char path[600];
    char *bytes = NULL;
    size_t len = 0;
    struct strbuf text = {0};
    struct plan_env env = plan_lm_env(TRIAD_SOURCE_DIR "/experiments");
    snprintf(path, sizeof path, TRIAD_SOURCE_DIR "/experiments/manifests/%s", file);
    assert_int_equal(file_read(path, 0, &bytes, &len, err), ERR_OK);
    strbuf_append(&text, bytes, len);
    free(bytes);
    if (old) {
        replace(&text, old, new);
        replace(&text, "tokens: 1.2M", "tokens: 20k");
    }
    len = text.len;
    out->text = strbuf_take(&text);
    enum err_code code = manifest_parse(out->text, len, path, &out->manifest, err);
    if (!code) {
        code = plan_build(&out->manifest, &env, &out->plan, err);
        if (code)
            manifest_release(&out->manifest);
    }
    if (code)
        free(out->text);
    return code;
}

static void plan_of(const char *file, const char *old, const char *new, struct planned *out)
{
    struct err err;
    if (try_plan(file, old, new, out, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void release(struct planned *p)
{
    plan_release(&p->plan);
    manifest_release(&p->manifest);
    free(p->text);
}

/* The manifest of one family as it ships, planned once for all tests that only look at it. */
static struct planned one_family;

static int plan_one_family(void **state)
{
    (void)state;
    plan_of("one-family.yaml", NULL, NULL, &one_family);
    return 0;
}

static int release_one_family(void **state)
{
    (void)state;
    release(&one_family);
    return 0;
}

static const struct plan_job *job_labelled(const struct plan *plan, const char *label)
{
    for (size_t i = 0; i < plan->job_count; i++) {
        if (strcmp(plan->jobs[i].label, label) == 0)
            return &plan->jobs[i];
    }
    fail_msg("no job '%s'", label);
    return NULL;
}

static const struct plan_blob *blob_of(const struct plan *plan, const struct digest *digest)
{
    for (size_t i = 0; i < plan->blob_count; i++) {
        if (digest_equal(&plan->blobs[i].digest, digest))
            return &plan->blobs[i];
    }
    fail_msg("an input is in no blob");
    return NULL;
}

static void one_family_keeps_its_promises(void **state)
{
    (void)state;
    const struct plan *plan = &one_family.plan;
    assert_int_equal(plan->task_count, 4);
    assert_int_equal(plan->cell_count, 12);
    assert_int_equal(plan->job_count, 3 + 12);
    assert_int_equal(plan->warning_count, 0);
    for (size_t i = 0; i < plan->task_count; i++) {
        assert_true(plan->tasks[i].k >= 8);
        assert_true(plan->tasks[i].tokens_max <= 768);
        assert_true(plan->tasks[i].sequences >= 100);
    }
    /* Parents come before children, and every input is among the blobs. */
    for (size_t i = 0; i < plan->job_count; i++) {
        const struct plan_job *job = &plan->jobs[i];
        for (size_t d = 0; d < job->parent_count; d++) {
            size_t before = 0;
            while (before < i &&
                   !digest_equal(&plan->jobs[before].identity, &job->parents[d].digest))
                before++;
            assert_true(before < i);
        }
        for (size_t d = 0; d < job->input_count; d++)
            blob_of(plan, &job->inputs[d].digest);
        struct digest identity = hash_bytes(job->spec.data, job->spec.len);
        assert_true(digest_equal(&identity, &job->identity));
    }
    assert_int_equal(job_labelled(plan, "llama-tiny/ST/42")->parent_count, 2);
}

/* All formats of a task hold the same examples: same pairing, same items, and each example once. */
static void formats_score_the_same_positions(void **state)
{
    (void)state;
    for (size_t c = 0; c < one_family.plan.cell_count; c++) {
        const struct plan_cell *cell = &one_family.plan.cells[c];
        const struct plan_job *job = &one_family.plan.jobs[cell->jobs[0]];
        const struct plan_blob *blob = blob_of(&one_family.plan, &job->inputs[0].digest);
        struct dataset dataset;
        struct err err;
        assert_int_equal(dataset_parse(blob->data, (size_t)blob->bytes, "d", &dataset, &err),
                         ERR_OK);
        assert_true(str_equal(dataset.format, str_from(cell->format)));
        assert_true(str_equal(dataset.pairing, str_from(cell->pairing)));
        assert_int_equal(cell->items, (int64_t)dataset.sequence_count * (cell->k + 1));
        for (uint32_t s = 0; s < dataset.sequence_count; s++) {
            const struct sequence *sequence = &dataset.sequences[s];
            uint32_t terminators = 0;
            for (uint32_t g = 0; g < sequence->segment_count; g++) {
                if (sequence->segments[g].loss == LOSS_TERMINATOR) {
                    assert_int_equal(sequence->segments[g].example, terminators);
                    terminators++;
                }
            }
            assert_int_equal(terminators, cell->k + 1);
            assert_int_equal(sequence->segments[sequence->segment_count - 1].loss, LOSS_TERMINATOR);
        }
        dataset_release(&dataset);
    }
}

/* The same design for every architecture, within the time that it promises. */
static void the_quickstart_compares_three_families(void **state)
{
    (void)state;
    struct planned p;
    plan_of("quickstart.yaml", NULL, NULL, &p);
    double hours = 0;
    assert_int_equal(p.plan.cell_count, 3 * 12);
    assert_int_equal(p.plan.job_count, 3 * (3 + 12));
    assert_int_equal(p.plan.warning_count, 0);
    for (size_t i = 0; i < p.plan.task_count; i++) {
        assert_true(p.plan.tasks[i].k >= 8);
        assert_true(p.plan.tasks[i].tokens_max <= 768);
        assert_true(p.plan.tasks[i].sequences >= 100);
    }
    for (size_t i = 0; i < p.plan.job_count; i++)
        hours += p.plan.jobs[i].hours * p.plan.jobs[i].threads;
    assert_true(hours / 2 < 0.1); /* 6 minutes on two cores */
    release(&p);
}

/* The memory planned for a training job is what the worker will take, and the program; what the
 * planner does not know (which tokens have a loss) it takes at its largest. */
static void check_memory(const struct planned *p, const struct plan_job *job,
                         const struct batch_plan *batches, int vocabulary)
{
    const struct jobspec_architecture *a = &p->manifest.families[0].architecture;
    struct model_config config = model_config_default();
    config.layers = (int)a->layers;
    config.width = (int)a->width;
    config.heads = (int)a->heads;
    config.kv_heads = (int)a->kv_heads;
    config.head_dim = (int)a->head_dim;
    config.mlp_width = (int)a->mlp;
    config.context = (int)a->context;
    config.vocabulary = vocabulary;
    const struct micro_batch largest = batch_largest(batches, 0);
    const struct model_capacity capacity = {
        .sequences = largest.sequence_count,
        .tokens = largest.token_count,
        .loss_tokens = largest.loss_token_count,
        .sequence_tokens = corpus_length_max(batches->corpus),
    };
    const struct train_memory memory = train_memory_of(&config, NULL, &capacity, 0, false);
    const int64_t program = 96 * 1024 * 1024;
    assert_in_range(job->memory_bytes, memory.all, program + (int64_t)memory.all * 3 / 2);
    for (size_t i = 0; i < p->plan.data_count; i++) {
        const struct plan_data *d = &p->plan.data[i];
        if (strcmp(d->label, job->label) != 0)
            continue;
        assert_in_range(d->batch.sequences, largest.sequence_count, largest.sequence_count + 1);
        assert_int_equal(d->batch.tokens, largest.token_count);
        assert_non_null(strstr(d->memory, "(4 layers of "));
    }
}

/* Steps and tokens of a training job, as worker/lm counts them. */
static void check_training(const struct planned *p, const struct plan_job *job,
                           struct tokenizer *tokenizer)
{
    struct err err;
    struct spec spec;
    struct dataset dataset;
    struct corpus corpus = {0};
    const struct plan_blob *blob = blob_of(&p->plan, &job->inputs[0].digest);
    assert_int_equal(spec_parse(job->spec.data, job->spec.len, &spec, &err), ERR_OK);
    assert_int_equal(dataset_parse(blob->data, (size_t)blob->bytes, "d", &dataset, &err), ERR_OK);
    if (corpus_for_training(&dataset, tokenizer, (size_t)spec.train.sequence_tokens,
                            CORPUS_LOSS_OUTPUTS, &corpus, &err) != ERR_OK)
        fail_msg("%s", err.text);
    struct batch_plan batches = {&corpus, (size_t)spec.train.batch_tokens,
                                 (uint32_t)spec.train.accumulate,
                                 (uint32_t)spec.train.batch_sequences, 1};
    assert_int_equal(corpus.dropped_count, 0);
    assert_int_equal(batch_steps_per_pass(&batches), job->steps);
    check_memory(p, job, &batches, tokenizer_vocabulary(tokenizer));
    if (job->kind == JOB_PRETRAIN) { /* continued documents repeat one token each */
        assert_int_equal(spec.train.steps, 0);
        assert_in_range(corpus.starts[corpus.sequence_count] - (size_t)job->tokens, 0,
                        corpus.sequence_count);
    } else {
        assert_int_equal(spec.train.steps, job->steps);
        assert_int_equal(corpus.starts[corpus.sequence_count], (size_t)job->tokens);
    }
    corpus_release(&corpus);
    dataset_release(&dataset);
    spec_release(&spec);
}

static void check_evaluation(const struct planned *p, const struct plan_job *job,
                             struct tokenizer *tokenizer, size_t context)
{
    struct err err;
    struct spec spec;
    struct dataset dataset;
    struct corpus corpus = {0};
    const struct plan_blob *blob = blob_of(&p->plan, &job->inputs[0].digest);
    assert_int_equal(spec_parse(job->spec.data, job->spec.len, &spec, &err), ERR_OK);
    assert_int_equal(spec.evaluate.items, job->items);
    assert_int_equal(dataset_parse(blob->data, (size_t)blob->bytes, "d", &dataset, &err), ERR_OK);
    if (corpus_for_evaluation(&dataset, tokenizer, context, &corpus, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(corpus.starts[corpus.sequence_count], (size_t)job->tokens);
    corpus_release(&corpus);
    dataset_release(&dataset);
    spec_release(&spec);
}

/* The worker's own readers accept every spec and data set, and count what was planned. */
static void workers_count_what_was_planned(void **state)
{
    (void)state;
    struct err err;
    struct tokenizer *tokenizer = NULL;
    const struct plan_job *pretrain = job_labelled(&one_family.plan, "llama-tiny/PT/42");
    assert_string_equal(pretrain->inputs[1].name, "tokenizer");
    const struct plan_blob *json = blob_of(&one_family.plan, &pretrain->inputs[1].digest);
    assert_int_equal(tokenizer_parse(json->data, (size_t)json->bytes, "t", &tokenizer, &err),
                     ERR_OK);
    assert_int_equal(tokenizer_vocabulary(tokenizer), 1024);
    for (size_t i = 0; i < one_family.plan.job_count; i++) {
        if (one_family.plan.jobs[i].kind == JOB_EVALUATE)
            check_evaluation(&one_family, &one_family.plan.jobs[i], tokenizer, 768);
        else
            check_training(&one_family, &one_family.plan.jobs[i], tokenizer);
    }
    tokenizer_free(tokenizer);
}

static void planning_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    struct planned a, b;
    plan_of("stories.yaml", NULL, NULL, &a);
    plan_of("stories.yaml", NULL, NULL, &b);
    struct strbuf one = {0}, two = {0};
    plan_json(&a.plan, NULL, NULL, NULL, &one);
    plan_json(&b.plan, NULL, NULL, NULL, &two);
    assert_string_equal(strbuf_text(&one), strbuf_text(&two));
    plan_text(&a.plan, NULL, NULL, NULL, &one);
    assert_non_null(strstr(strbuf_text(&one), "none of them is held out"));
    assert_int_equal(a.plan.jobs[0].kind, JOB_IMPORT);
    assert_int_equal(a.plan.warning_count, 1);
    assert_non_null(strstr(a.plan.warnings[0], "embeddings_from is none"));
    strbuf_release(&one);
    strbuf_release(&two);
    release(&a);
    release(&b);
}

static bool same_identity(const struct planned *a, const struct planned *b, const char *label)
{
    return digest_equal(&job_labelled(&a->plan, label)->identity,
                        &job_labelled(&b->plan, label)->identity);
}

/* An edit changes the identities of what it touches and of what follows, and no other. */
static void an_edit_changes_only_what_follows(void **state)
{
    (void)state;
    struct planned a;
    plan_of("one-family.yaml", "steps: 80", "steps: 80", &a);
    struct planned st;
    plan_of("one-family.yaml", "steps: 80", "steps: 81", &st);
    assert_true(same_identity(&a, &st, "llama-tiny/PT/42"));
    assert_true(same_identity(&a, &st, "llama-tiny/IT/42"));
    assert_false(same_identity(&a, &st, "llama-tiny/ST/42"));
    assert_true(same_identity(&a, &st, "llama-tiny/IT/flight_small/42"));
    assert_false(same_identity(&a, &st, "llama-tiny/ST/flight_small/42"));
    release(&st);
    struct planned threads;
    plan_of("one-family.yaml", "threads: 2", "threads: 1", &threads);
    assert_true(same_identity(&a, &threads, "llama-tiny/ST/flight_small/42"));
    release(&threads);
    struct planned rate;
    plan_of("one-family.yaml", "learning_rate: 0.003", "learning_rate: 0.004", &rate);
    assert_false(same_identity(&a, &rate, "llama-tiny/PT/42"));
    assert_false(same_identity(&a, &rate, "llama-tiny/ST/flight_small/42"));
    release(&rate);
    /* Names are labels. */
    struct planned renamed;
    plan_of("one-family.yaml", "  llama-tiny:", "  other-name:", &renamed);
    assert_int_equal(renamed.plan.job_count, a.plan.job_count);
    for (size_t i = 0; i < a.plan.job_count; i++)
        assert_true(digest_equal(&a.plan.jobs[i].identity, &renamed.plan.jobs[i].identity));
    release(&renamed);
    release(&a);
}

/* A pretrained model is evaluated in colon: it must have met every label of it, inputs too. */
static void pretraining_shows_the_colon_labels(void **state)
{
    (void)state;
    struct err err;
    struct dataset dataset;
    const struct plan_job *job = job_labelled(&one_family.plan, "llama-tiny/PT/42");
    const struct plan_blob *blob = blob_of(&one_family.plan, &job->inputs[0].digest);
    static const char *const labels[] = {"Description: ", "\n\nInput: ", "\n\nOutput: "};
    assert_int_equal(dataset_parse(blob->data, (size_t)blob->bytes, "d", &dataset, &err), ERR_OK);
    for (size_t l = 0; l < ARRAY_COUNT(labels); l++) {
        int documents = 0;
        for (uint32_t i = 0; i < dataset.sequence_count; i++) {
            struct str text = dataset.sequences[i].segments[1].text;
            documents += memmem(text.data, text.len, labels[l], strlen(labels[l])) != NULL;
        }
        assert_true(documents >= 10);
    }
    dataset_release(&dataset);
}

/* What the trainer would drop is not planned: a description may leave no room for an output. */
static void sequences_that_teach_nothing_are_left_out(void **state)
{
    (void)state;
    struct planned p;
    struct err err;
    struct tokenizer *tokenizer = NULL;
    static const char shipped[] = "tasks: train, steps: 80,";
    plan_of("one-family.yaml", shipped,
            "tasks: [categorical_small], steps: 4, sequence_tokens: 60,", &p);
    const struct plan_job *pretrain = job_labelled(&p.plan, "llama-tiny/PT/42");
    const struct plan_blob *json = blob_of(&p.plan, &pretrain->inputs[1].digest);
    assert_int_equal(tokenizer_parse(json->data, (size_t)json->bytes, "t", &tokenizer, &err),
                     ERR_OK);
    check_training(&p, job_labelled(&p.plan, "llama-tiny/ST/42"), tokenizer);
    tokenizer_free(tokenizer);
    release(&p);
    assert_int_equal(try_plan("one-family.yaml", shipped,
                              "tasks: [verbagg], steps: 4, sequence_tokens: 8,", &p, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.text, "hardly any sequence has an output within 8 tokens; "
                                     "raise 'sequence_tokens' or 'context'"));
}

/* Too little memory is refused where it stands; a little too little computes activations twice. */
static void memory_is_planned(void **state)
{
    (void)state;
    struct planned p, same;
    struct err err;
    plan_of("one-family.yaml", "train: {threads: 2}", "train: {threads: 2, memory: 300MiB}", &p);
    assert_int_equal(job_labelled(&p.plan, "llama-tiny/IT/42")->memory_bytes, 300 << 20);
    assert_non_null(strstr(p.plan.data[1].memory, "computed twice"));
    release(&p);
    assert_int_equal(try_plan("one-family.yaml", "train: {threads: 2}",
                              "train: {threads: 2, memory: 100MiB}", &p, &err),
                     ERR_INVALID);
    assert_non_null(strstr(err.text, "one-family.yaml:"));
    assert_non_null(strstr(err.text, "MiB (1"));
    assert_non_null(strstr(err.text, "with activations computed twice), more than 'memory' gives"));
    plan_of("one-family.yaml", "train: {batch_tokens: 4096,",
            "train: {batch_tokens: 4096, recompute: always,", &p);
    assert_true(job_labelled(&p.plan, "llama-tiny/IT/42")->memory_bytes <
                job_labelled(&one_family.plan, "llama-tiny/IT/42")->memory_bytes);
    /* It changes no result, so no identity. */
    plan_of("one-family.yaml", "train: {batch_tokens: 4096,", "train: {batch_tokens: 4096,", &same);
    assert_true(same_identity(&p, &same, "llama-tiny/ST/42"));
    release(&same);
    release(&p);
}

/* A head of its own is loaded for an evaluation too, beside the embedding. */
static void an_untied_head_takes_memory(void **state)
{
    (void)state;
    struct planned p;
    plan_of("one-family.yaml", "context: 768}", "context: 768, tied: false}", &p);
    const char *label = "llama-tiny/IT/flight_small/42";
    assert_int_equal(job_labelled(&p.plan, label)->memory_bytes -
                         job_labelled(&one_family.plan, label)->memory_bytes,
                     1024 * 128 * sizeof(float));
    release(&p);
}

/* A pass over everything: every person once, in random order; 'epochs' repeats it. */
static void a_pass_takes_every_sequence_once(void **state)
{
    (void)state;
    struct planned p;
    static const char shipped[] = "tasks: train, steps: 80,";
    plan_of("one-family.yaml", shipped,
            "tasks: train, epochs: 2, sequences_per_task: 7, batch_sequences: 10, format: colon,",
            &p);
    const struct plan_job *job = job_labelled(&p.plan, "llama-tiny/ST/42");
    const struct plan_blob *blob = blob_of(&p.plan, &job->inputs[0].digest);
    struct dataset dataset;
    struct err err;
    assert_int_equal(dataset_parse(blob->data, (size_t)blob->bytes, "d", &dataset, &err), ERR_OK);
    assert_int_equal(dataset.sequence_count % 7, 0);
    assert_true(str_equal(dataset.format, str_from("colon")));
    const int64_t pass = (dataset.sequence_count + 9) / 10;
    assert_int_equal(job->steps, 2 * pass);
    /* No task comes in one piece at the end. */
    int changes = 0;
    for (uint32_t i = 1; i < dataset.sequence_count; i++) {
        struct str a = dataset.sequences[i - 1].id, b = dataset.sequences[i].id;
        changes += a.data[0] != b.data[0];
        for (uint32_t j = 0; j < i; j++)
            assert_false(str_equal(dataset.sequences[j].id, b));
    }
    assert_true(changes > (int)dataset.sequence_count / 3);
    dataset_release(&dataset);
    release(&p);
}

static void filters_prune_the_training_nobody_needs(void **state)
{
    (void)state;
    struct planned p;
    plan_of("one-family.yaml",
            "compare:", "exclude: [{variant: ST}, {task: flight_small}]\ncompare:", &p);
    assert_int_equal(p.plan.cell_count, 2 * 3);
    assert_int_equal(p.plan.job_count, 2 + 6);
    release(&p);
    plan_of("one-family.yaml", "compare:", "include: [{variant: ST, task: urn_icl}]\ncompare:", &p);
    assert_int_equal(p.plan.cell_count, 1);
    assert_int_equal(p.plan.job_count, 3 + 1); /* ST needs PT, and IT's rows */
    /* k is as without the filter: formats that are left out still count. */
    assert_int_equal(p.plan.tasks[0].k, one_family.plan.tasks[3].k);
    assert_string_equal(p.plan.tasks[0].task, one_family.plan.tasks[3].task);
    release(&p);
}

/* What else would be found out when jobs fail, or when the wrong cells have run. */
static void slips_are_found_before_anything_runs(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *expected;
    } slips[] = {
        {"compare:", "exclude: [{task: urn_ic}]\ncompare:",
         "no task matches 'urn_ic', did you mean 'urn_icl'?"},
        {"compare:", "include: [{variant: S}]\ncompare:", "no variant matches 'S'"},
        {"compare:", "exclude: [{family: gemma}]\ncompare:", "no family matches 'gemma'"},
        {"compare:", "exclude: [{seed: 43}]\ncompare:", "43 is not among the manifest's 'seeds'"},
        {"compare:", "  - {suite: steerability, tasks: [\"urn_i*\"], max_sequences: 3}\ncompare:",
         "'urn_i*' of suite 'steerability' is evaluated by the entry in line "},
        {"suite: steerability", "suite: steerability\n    override: {urn_ic: {k: 3}}",
         "no task of suite 'steerability' matches 'urn_ic', did you mean 'urn_icl'?"},
        {"suite: steerability", "suite: steerabilty",
         "no task belongs to a suite 'steerabilty', did you mean 'steerability'?"},
        {"batch_tokens: 4096,", "batch_tokens: 4096, sequence_tokens: 4096,",
         "tokens does not fit the model's context of 768: set 'sequence_tokens' (4096 here) to at "
         "most 768"},
    };
    for (size_t i = 0; i < sizeof slips / sizeof *slips; i++) {
        struct planned p;
        struct err err;
        assert_int_equal(try_plan("one-family.yaml", slips[i].old, slips[i].new, &p, &err),
                         ERR_INVALID);
        if (!strstr(err.text, slips[i].expected))
            fail_msg("'%s' is answered with '%s'", slips[i].new, err.text);
    }
}

/* A person's notes come whole into plan and report. */
static void long_notes_are_kept(void **state)
{
    (void)state;
    struct planned p;
    struct strbuf notes = {0};
    for (int i = 0; i < 600; i++)
        strbuf_puts(&notes, "\xc3\xa9");
    char *line = NULL;
    assert_true(asprintf(&line, "notes: >-\n  %s", strbuf_text(&notes)) > 0);
    plan_of("one-family.yaml", "notes: >-", line, &p);
    assert_memory_equal(p.plan.notes[0], notes.data, notes.len);
    free(line);
    strbuf_release(&notes);
    release(&p);
}

static void held_out_sources_are_refused(void **state)
{
    (void)state;
    struct planned p;
    struct err err;
    assert_int_equal(
        try_plan("one-family.yaml", "tasks: train", "tasks: [train, urn_icl]", &p, &err),
        ERR_INVALID);
    assert_non_null(strstr(err.text, "source 'generator-urn' is held out for the task 'urn_icl', "
                                     "but 'ST' would train on it"));
}

static enum err_code no_wordnet(void *ctx, const char *path, size_t bytes_max, char **data_out,
                                size_t *len_out, struct err *err)
{
    if (strstr(path, "/wordnet/"))
        return err_set(err, ERR_NOT_FOUND, "open '%s': none", path);
    return reader_disk().read(ctx, path, bytes_max, data_out, len_out, err);
}

static void a_missing_corpus_names_its_package(void **state)
{
    (void)state;
    struct plan_env env = plan_lm_env(TRIAD_SOURCE_DIR "/experiments");
    struct manifest manifest;
    struct plan plan;
    struct err err;
    char *bytes;
    size_t len;
    env.reader.read = no_wordnet;
    assert_int_equal(
        file_read(TRIAD_SOURCE_DIR "/experiments/manifests/one-family.yaml", 0, &bytes, &len, &err),
        ERR_OK);
    assert_int_equal(manifest_parse(bytes, len, "m", &manifest, &err), ERR_OK);
    assert_int_equal(plan_build(&manifest, &env, &plan, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "mix 'pretrain-small': corpus 'wordnet' needs "
                                  "'/usr/share/wordnet/data.noun'; install it with: apt-get "
                                  "install wordnet-base");
    manifest_release(&manifest);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_family_keeps_its_promises),
        cmocka_unit_test(the_quickstart_compares_three_families),
        cmocka_unit_test(formats_score_the_same_positions),
        cmocka_unit_test(workers_count_what_was_planned),
        cmocka_unit_test(planning_twice_gives_the_same_bytes),
        cmocka_unit_test(an_edit_changes_only_what_follows),
        cmocka_unit_test(pretraining_shows_the_colon_labels),
        cmocka_unit_test(sequences_that_teach_nothing_are_left_out),
        cmocka_unit_test(memory_is_planned),
        cmocka_unit_test(an_untied_head_takes_memory),
        cmocka_unit_test(a_pass_takes_every_sequence_once),
        cmocka_unit_test(filters_prune_the_training_nobody_needs),
        cmocka_unit_test(slips_are_found_before_anything_runs),
        cmocka_unit_test(long_notes_are_kept),
        cmocka_unit_test(held_out_sources_are_refused),
        cmocka_unit_test(a_missing_corpus_names_its_package),
    };
    return cmocka_run_group_tests(tests, plan_one_family, release_one_family);
}
