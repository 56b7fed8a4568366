#include "worker_jobs.h"

#include "cmocka_all.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "file.h"
#include "numerics_version.h"
#include "tree.h"

#define GOLDEN TRIAD_SOURCE_DIR "/tests/golden/stories260K/"

#define TEXT_OF(number)   #number
#define NUMBER_TEXT(name) TEXT_OF(name)
#define NUMERICS                                                                                   \
    "\"numerics\":{\"backend\":\"packed\",\"core_type\":\"\",\"mode\":\"strict\","                 \
    "\"precision\":\"f32\"},\"numerics_version\":" NUMBER_TEXT(NUMERICS_VERSION)

static char *hex_of(struct scripted *s, struct digest digest)
{
    char hex[DIGEST_HEX_SIZE];
    return arena_strdup(&s->arena, digest_hex(&digest, hex));
}

static struct digest put_text(struct scripted *s, const struct strbuf *text)
{
    return scripted_put(s, text->data, text->len);
}

struct scripted_job *lease_import(struct scripted *s)
{
    struct tree_file files[] = {
        {.name = "stories260K.bin", .digest = scripted_put_file(s, GOLDEN "stories260K.bin")},
        {.name = "tok512.bin", .digest = scripted_put_file(s, GOLDEN "tok512.bin")},
    };
    for (int i = 0; i < 2; i++)
        files[i].size_bytes = scripted_blob(s, &files[i].digest)->bytes.len;
    struct tree tree = {.files = files, .file_count = 2};
    struct strbuf list = {0};
    tree_encode(&tree, &list);
    struct named_digest input = {"checkpoint", put_text(s, &list)};
    strbuf_release(&list);
    char *spec = arena_printf(&s->arena,
                              "{\"inputs\":{\"checkpoint\":\"%s\"},\"kind\":\"import\","
                              "\"layout\":\"llama2c\"," NUMERICS ",\"parents\":{},\"seed\":1,"
                              "\"special_tokens\":[\"<|end|>\"]}",
                              hex_of(s, input.digest));
    return scripted_lease(s, JOB_IMPORT, spec, &input, 1, NULL, 0);
}

/* `sequences` sequences of two scored examples each. */
static struct digest evaluation_data(struct scripted *s, uint32_t sequences)
{
    struct segment segments[] = {
        {.kind = SEGMENT_TEXT, .example = -1, .text = str_from("Once upon a time")},
        {.kind = SEGMENT_TEXT, .loss = LOSS_CONTENT, .example = 0, .text = str_from(" there")},
        {.kind = SEGMENT_SPECIAL,
         .loss = LOSS_TERMINATOR,
         .example = 0,
         .text = str_from("<|end|>")},
        {.kind = SEGMENT_TEXT, .loss = LOSS_CONTENT, .example = 1, .text = str_from(" was")},
    };
    struct dataset dataset = {.purpose = DATASET_EVALUATE,
                              .name = str_from("test"),
                              .format = str_from("colon"),
                              .pairing = str_from(""),
                              .sequence_count = sequences};
    struct strbuf text = {0};
    dataset_write_header(&text, &dataset);
    for (uint32_t i = 0; i < sequences; i++) {
        char *id = arena_printf(&s->arena, "test/%u", i);
        segments[0].text = str_from(i % 2 ? "Once upon a time" : "One day, a girl named Lily");
        struct sequence sequence = {.id = str_from(id), .segments = segments, .segment_count = 4};
        dataset_write_sequence(&text, &sequence);
    }
    struct digest digest = put_text(s, &text);
    strbuf_release(&text);
    return digest;
}

struct scripted_job *lease_evaluate(struct scripted *s, struct digest model, uint32_t sequences,
                                    const char *task)
{
    struct named_digest data = {"data", evaluation_data(s, sequences)};
    struct named_digest parent = {"model", model};
    char *spec = arena_printf(
        &s->arena,
        "{\"evaluate\":{\"calibration\":false,\"first\":0,\"format\":\"colon\",\"items\":%u,\"k\":"
        "2,"
        "\"kind\":\"scores\",\"restrict\":{\"mode\":\"none\",\"terminators\":false,\"texts\":[]},"
        "\"sequences\":%u,\"suite\":\"s\",\"task\":\"%s\"},\"inputs\":{\"data\":\"%s\"},\"kind\":"
        "\"evaluate\"," NUMERICS ",\"parents\":{\"model\":\"%s\"}}",
        2 * sequences, sequences, task, hex_of(s, data.digest), hex_of(s, model));
    return scripted_lease(s, JOB_EVALUATE, spec, &data, 1, &parent, 1);
}

/* Seven times the same text. */
static struct digest training_data(struct scripted *s)
{
    struct segment segment = {.loss = LOSS_CONTENT,
                              .example = -1,
                              .text = str_from("Once upon a time, there was a little girl named "
                                               "Lily. She loved to play outside in the sun.")};
    struct dataset dataset = {.purpose = DATASET_TRAIN,
                              .name = str_from("text"),
                              .format = str_from("text"),
                              .pairing = str_from(""),
                              .sequence_count = 7};
    struct sequence sequence = {.id = str_from("t"), .segments = &segment, .segment_count = 1};
    struct strbuf text = {0};
    dataset_write_header(&text, &dataset);
    for (int i = 0; i < 7; i++)
        dataset_write_sequence(&text, &sequence);
    struct digest digest = put_text(s, &text);
    strbuf_release(&text);
    return digest;
}

static char *train_object(struct scripted *s, const struct training *t)
{
    return arena_printf(
        &s->arena,
        "\"train\":{\"accumulate\":1,\"batch_sequences\":0,\"batch_tokens\":64,\"beta1\":0.9,"
        "\"beta2\":0.95,\"checkpoint_steps\":%d,\"clip_norm\":0,\"epochs\":1,\"epsilon\":1e-08,"
        "\"learning_rate\":%s,%s\"loss\":\"all\",\"loss_rise_max\":%s,\"minimum_lr_ratio\":0.1,"
        "\"schedule\":\"constant\",\"seed\":7,\"sequence_tokens\":48,\"steps\":%d,"
        "\"warmup_steps\":0,\"weight_decay\":0.1}",
        t->checkpoint_steps, t->rate, t->lora, t->rise_max, t->steps);
}

struct scripted_job *lease_training(struct scripted *s, const struct training *t)
{
    struct named_digest inputs[] = {
        {"data", training_data(s)},
        {"tokenizer", scripted_put_file(s, GOLDEN "tokenizer.json")},
    };
    char *spec = arena_printf(
        &s->arena,
        "{\"architecture\":{\"context\":64,\"head_dim\":8,\"heads\":4,\"init_std\":0.02,\"kind\":"
        "\"llama\",\"kv_heads\":2,\"layers\":2,\"mlp\":64,\"norm_eps\":1e-05,\"rope_theta\":10000,"
        "\"tied\":true,\"width\":32},\"inputs\":{\"data\":\"%s\",\"tokenizer\":\"%s\"},\"kind\":"
        "\"pretrain\"," NUMERICS ",\"parents\":{},%s}",
        hex_of(s, inputs[0].digest), hex_of(s, inputs[1].digest), train_object(s, t));
    return scripted_lease(s, JOB_PRETRAIN, spec, inputs, 2, NULL, 0);
}

struct scripted_job *lease_pretrain(struct scripted *s, int steps, int checkpoint_steps,
                                    const char *rate)
{
    const struct training t = {steps, checkpoint_steps, rate, "0", ""};
    return lease_training(s, &t);
}

struct scripted_job *lease_adapter(struct scripted *s, struct digest model, int steps,
                                   int checkpoint_steps)
{
    struct named_digest data = {"data", training_data(s)}, parent = {"start", model};
    const struct training t = {steps, checkpoint_steps, "0.001", "3",
                               "\"lora\":{\"alpha\":8,\"dropout\":0.1,\"embeddings\":false,"
                               "\"head\":true,\"rank\":4,\"targets\":[\"q_proj\",\"down_proj\"]},"};
    char *spec = arena_printf(&s->arena,
                              "{\"embedding_tokens\":[],\"inputs\":{\"data\":\"%s\"},\"kind\":"
                              "\"instruct\"," NUMERICS ",\"parents\":{\"start\":\"%s\"},%s,"
                              "\"turns\":{\"end\":\"<|end|>\",\"template\":\"{{ t }}\"}}",
                              hex_of(s, data.digest), hex_of(s, model), train_object(s, &t));
    return scripted_lease(s, JOB_INSTRUCT, spec, &data, 1, &parent, 1);
}

/* ---- conditions ---- */

bool has_session(struct scripted *s)
{
    return s->session > 0;
}

bool all_ended(struct scripted *s)
{
    for (size_t i = 0; i < s->job_count; i++) {
        if (!s->jobs[i].ended)
            return false;
    }
    return true;
}

bool nothing_held(struct scripted *s)
{
    return s->held_count == 0;
}

bool has_metrics(struct scripted *s)
{
    return s->jobs[s->job_count - 1].next[STREAM_METRICS] > 0;
}

bool has_checkpoint(struct scripted *s)
{
    return s->jobs[s->job_count - 1].checkpoint_step > 0;
}

bool has_started(struct scripted *s)
{
    return s->jobs[s->job_count - 1].starts > 0;
}

bool result_is_spooled(struct scripted *s)
{
    const struct lease_key *lease = &s->jobs[s->job_count - 1].lease.lease;
    char hex[DIGEST_HEX_SIZE], path[256];
    snprintf(path, sizeof path, "%s/worker/spool/%s-%u/result", s->folder,
             digest_hex(&lease->job, hex), lease->epoch);
    return file_exists(path);
}

bool said_bye(struct scripted *s)
{
    return s->byes > 0;
}

const char *file_of(struct scripted *s, const struct digest *artifact, const char *name)
{
    const struct strbuf *list = &scripted_blob(s, artifact)->bytes;
    struct tree tree;
    const char *text = NULL;
    assert_int_equal(tree_parse(list->data, list->len, &tree, NULL), ERR_OK);
    for (size_t i = 0; i < tree.file_count; i++) {
        if (strcmp(tree.files[i].name, name) == 0)
            text = strbuf_text(&scripted_blob(s, &tree.files[i].digest)->bytes);
    }
    tree_release(&tree);
    if (!text)
        fail_msg("the artifact has no %s", name);
    return text;
}

void begin(struct scripted *s, const char *threads)
{
    scripted_begin(s);
    scripted_worker_start(s, threads);
    AWAIT(&s->loop, has_session(s));
}

pid_t child_of(pid_t worker)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)worker, (int)worker);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    return n ? (pid_t)atoi(line) : 0;
}

size_t count_names(const struct scripted *s, const char *folder, const char *start)
{
    char path[256];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/worker/%s", s->folder, folder);
    DIR *dir = opendir(path);
    for (const struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        count += e->d_name[0] != '.' && strncmp(e->d_name, start, strlen(start)) == 0;
    if (dir)
        closedir(dir);
    return count;
}

void expect_outcome(const struct scripted_job *job, enum outcome outcome)
{
    if (job->result.outcome != outcome)
        fail_msg("outcome %s: %s\n%s", outcome_name(job->result.outcome), job->reason,
                 strbuf_text(&job->streams[STREAM_LOG]));
}
