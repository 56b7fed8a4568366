/* A checkpoint that somebody else trained, as a Hugging Face folder of ours: checked, with the
 * special tokens that our formats need. One that has them keeps its files as they are. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint.h"
#include "checkpoint_files.h"
#include "convert_llama2c.h"
#include "exec_kinds.h"
#include "special_tokens.h"

/* The two files of llama2.c by their names: the tokenizer's begins with "tok" (tokenizer.bin,
 * tok512.bin), the model's is the other one. */
static enum err_code llama2c_files(const char *folder, struct arena *arena, const char **model_out,
                                   const char **tokenizer_out, struct err *err)
{
    const char *model = NULL, *tokenizer = NULL;
    bool twice = false;
    DIR *dir = opendir(folder);
    if (!dir)
        return err_os(err, errno, "open folder '%s'", folder);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".bin") != 0)
            continue;
        const char **slot = strncmp(entry->d_name, "tok", 3) == 0 ? &tokenizer : &model;
        twice |= *slot != NULL;
        *slot = arena_printf(arena, "%s/%s", folder, entry->d_name);
    }
    closedir(dir);
    if (!model || !tokenizer || twice)
        return err_set(err, ERR_INVALID,
                       "import llama2c: want exactly one tok*.bin and one other .bin");
    *model_out = model;
    *tokenizer_out = tokenizer;
    return ERR_OK;
}

static bool is_huggingface(const struct exec_context *c)
{
    return strcmp(c->spec->layout, "huggingface") == 0;
}

/* The type to write a model in that was read from `folder`. */
static enum err_code stored_as(const char *folder, enum tensor_dtype *dtype_out, struct err *err)
{
    struct checkpoint *checkpoint = NULL;
    enum err_code code = checkpoint_open(folder, &checkpoint, err);
    if (!code)
        *dtype_out = checkpoint_dtype(checkpoint) == TENSOR_BF16 ? TENSOR_BF16 : TENSOR_F32;
    checkpoint_close(checkpoint);
    return code;
}

/* Where a Hugging Face folder lies: the input itself, or its conversion. */
static enum err_code source_folder(struct exec_context *c, struct arena *arena,
                                   const char **folder_out, struct err *err)
{
    const char *input, *model = NULL, *tokenizer = NULL;
    enum err_code code = exec_input_need(c->job, "checkpoint", &input, err);
    if (code)
        return code;
    if (is_huggingface(c)) {
        *folder_out = input;
        return ERR_OK;
    }
    code = llama2c_files(input, arena, &model, &tokenizer, err);
    if (code)
        return code;
    *folder_out = arena_printf(arena, "%s/converted", c->job->work_folder);
    return llama2c_convert(model, tokenizer, *folder_out, err);
}

/* A folder of the hub's layout that has every token: its very files, once they are looked through.
 */
static enum err_code import_as_is(const char *folder, const char *artifact, struct err *err)
{
    struct checkpoint *checkpoint = NULL;
    enum err_code code = checkpoint_open(folder, &checkpoint, err);
    if (!code)
        code = checkpoint_check_numbers(checkpoint, err);
    checkpoint_close(checkpoint);
    return code ? code : checkpoint_link(folder, artifact, err);
}

/* Write with new rows: as bf16 when everything was, else as float32. */
static enum err_code import_grown(struct exec_context *c, const char *folder, const char *artifact,
                                  struct tokenizer *tokenizer, struct err *err)
{
    struct checkpoint_weights weights;
    struct strbuf added = {0};
    enum tensor_dtype dtype;
    memset(&weights, 0, sizeof weights);
    enum err_code code = stored_as(folder, &dtype, err);
    if (!code)
        code = checkpoint_weights_load(folder, &weights, err);
    if (!code)
        code = special_tokens_append(&weights, tokenizer, c->spec->special_tokens.items,
                                     c->spec->special_tokens.count, (uint64_t)c->spec->seed, &added,
                                     err);
    if (!code && added.len > 0)
        fprintf(stderr, "special tokens appended as new rows:\n%s", added.data);
    if (!code && is_huggingface(c))
        code = checkpoint_write_like(artifact, folder, &weights.config, weights.params.tensors,
                                     weights.params.tensor_count, tokenizer, dtype, err);
    else if (!code)
        code = checkpoint_write(artifact, &weights.config, weights.params.tensors,
                                weights.params.tensor_count, tokenizer, TENSOR_F32, err);
    strbuf_release(&added);
    checkpoint_weights_release(&weights);
    return code;
}

enum err_code exec_import(struct exec_context *c, struct arena *arena, struct exec_result *result,
                          struct err *err)
{
    const char *folder;
    const char *artifact = arena_printf(arena, "%s/%s", c->job->work_folder, EXEC_ARTIFACT_FOLDER);
    struct tokenizer *tokenizer = NULL;
    int missing = 0;
    enum err_code code = source_folder(c, arena, &folder, err);
    if (!code)
        code = tokenizer_load(folder, &tokenizer, err);
    if (!code)
        code = special_tokens_missing(tokenizer, c->spec->special_tokens.items,
                                      c->spec->special_tokens.count, &missing, err);
    if (!code)
        code = missing == 0 && is_huggingface(c)
                   ? import_as_is(folder, artifact, err)
                   : import_grown(c, folder, artifact, tokenizer, err);
    result->artifact = EXEC_ARTIFACT_FOLDER;
    tokenizer_free(tokenizer);
    return code;
}
