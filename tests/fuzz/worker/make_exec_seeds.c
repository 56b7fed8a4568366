/* Write the fuzz seeds of what agent and child say to each other: make_exec_seeds CORPUS_FOLDER.
 * Deterministic, so that running it again after a change of a frame shows as a plain diff. */
#include <math.h>
#include <stdio.h>

#include "exec_protocol.h"
#include "file.h"

static struct exec_input inputs[] = {{"data", "/cache/data"}, {"tokenizer", "/cache/tok"}};
static struct exec_input parents[] = {{"model", "/cache/tree"}};

static const struct {
    const char *name;
    size_t cut; /* bytes left away at the end: a child may die while it writes */
    struct exec_frame frame;
} seeds[] = {
    {"job",
     0,
     {.kind = EXEC_JOB,
      .job = {.kind = JOB_EVALUATE,
              .spec = {(const uint8_t *)"{\"kind\":\"evaluate\"}", 19},
              .work_folder = "/spool/work",
              .inputs = inputs,
              .input_count = 2,
              .parents = parents,
              .parent_count = 1,
              .model = {{1, 2, 3}},
              .resume_folder = "/cache/resume",
              .resume_step = 1500,
              .threads = 4,
              .memory_bytes = 1ull << 32,
              .ranks = 2}}},
    {"job-alone",
     0,
     {.kind = EXEC_JOB,
      .job = {.kind = JOB_IMPORT, .work_folder = "w", .resume_folder = "", .threads = 1}}},
    {"running", 0, {.kind = EXEC_RUNNING}},
    {"progress", 0, {.kind = EXEC_PROGRESS, .progress = {12, 400, 2.5, 1310.25}}},
    {"progress-unknown", 0, {.kind = EXEC_PROGRESS, .progress = {.loss_nats = (double)NAN}}},
    {"batch", 0, {.kind = EXEC_BATCH, .batch = {STREAM_LOG, {(const uint8_t *)"step 12\n", 8}}}},
    {"checkpoint", 0, {.kind = EXEC_CHECKPOINT, .checkpoint = {1500, "checkpoint-1500"}}},
    {"result",
     0,
     {.kind = EXEC_RESULT,
      .result = {.reason = "", .items = 228, .artifact = "model", .numeric_class = "packed"}}},
    {"result-failed",
     0,
     {.kind = EXEC_RESULT,
      .result = {.outcome = OUTCOME_FAILED,
                 .reason = "tokenizer 'x' is not here",
                 .artifact = "",
                 .start_step = 100,
                 .numeric_class = ""}}},
    {"torn", 9, {.kind = EXEC_PROGRESS, .progress = {12, 400, 2.5, 1310.25}}},
};

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_exec_seeds CORPUS_FOLDER\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        char path[1024];
        struct strbuf bytes = {0};
        struct err err;
        exec_frame_encode(&bytes, &seeds[i].frame);
        snprintf(path, sizeof path, "%s/fuzz_exec_frame", argv[1]);
        enum err_code rc = file_mkdirs(path, 0755, &err);
        snprintf(path, sizeof path, "%s/fuzz_exec_frame/%s", argv[1], seeds[i].name);
        if (rc == ERR_OK)
            rc = file_write_atomic(path, bytes.data, bytes.len - seeds[i].cut, 0644, &err);
        strbuf_release(&bytes);
        if (rc != ERR_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
    }
    return 0;
}
