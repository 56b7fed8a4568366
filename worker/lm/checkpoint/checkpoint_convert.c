#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "checkpoint.h"
#include "checkpoint_files.h"
#include "file.h"

enum { FILE_MODE = 0644, FOLDER_MODE = 0755 };

static void fill_from_view(void *ctx, const struct tensor_spec *spec, size_t start, size_t count,
                           float *out)
{
    const struct tensor_view *view = checkpoint_tensor(ctx, spec);
    tensor_convert_f32(view->dtype, view->bytes + start * tensor_dtype_bytes(view->dtype), count,
                       out);
    if (start + count == view->elements)
        tensor_view_forget(view);
}

static enum err_code write_weights(struct checkpoint *checkpoint, const char *folder,
                                   enum tensor_dtype dtype, struct err *err)
{
    char path[4096];
    const struct model_config *config = checkpoint_config(checkpoint);
    const size_t count = tensor_spec_count(config);
    struct tensor_spec *specs = calloc(count, sizeof *specs);
    ASSERT(specs != NULL);
    for (size_t i = 0; i < count; i++)
        specs[i] = tensor_spec_at(config, i);
    enum err_code rc = ERR_OK;
    if (snprintf(path, sizeof path, "%s/model.safetensors", folder) >= (int)sizeof path)
        rc = err_set(err, ERR_INVALID, "path too long");
    if (rc == ERR_OK)
        rc = safetensors_write_filled(path, specs, count, dtype, fill_from_view, checkpoint, err);
    free(specs);
    return rc;
}

static enum err_code write_config(const char *from, const struct model_config *config,
                                  const char *folder, enum tensor_dtype dtype, struct err *err)
{
    char path[4096];
    struct strbuf text = {0};
    enum err_code rc = checkpoint_config_like(from, config, dtype, &text, err);
    if (rc == ERR_OK && snprintf(path, sizeof path, "%s/config.json", folder) >= (int)sizeof path)
        rc = err_set(err, ERR_INVALID, "path too long");
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text.data, text.len, FILE_MODE, err);
    strbuf_release(&text);
    return rc;
}

enum err_code checkpoint_convert(const char *from, const char *folder, enum tensor_dtype dtype,
                                 struct err *err)
{
    static const char *const none[] = {NULL};
    struct checkpoint *checkpoint = NULL;
    enum err_code rc = checkpoint_open(from, &checkpoint, err);
    if (rc == ERR_OK)
        rc = checkpoint_check_numbers(checkpoint, err);
    if (rc == ERR_OK)
        rc = file_mkdirs(folder, FOLDER_MODE, err);
    if (rc == ERR_OK)
        rc = checkpoint_carry(from, folder, none, err);
    if (rc == ERR_OK)
        rc = write_config(from, checkpoint_config(checkpoint), folder, dtype, err);
    if (rc == ERR_OK)
        rc = write_weights(checkpoint, folder, dtype, err);
    checkpoint_close(checkpoint);
    return rc == ERR_OK ? rc : err_wrap(err, "write checkpoint '%s'", folder);
}
