#include "exec_kinds.h"

#include <stdio.h>
#include <string.h>

#include "kernels.h"
#include "numerics_version.h"

exec_kind_f *const exec_kinds[JOB_KIND_COUNT] = {
    [JOB_IMPORT] = exec_import,  [JOB_PRETRAIN] = exec_train,    [JOB_INSTRUCT] = exec_train,
    [JOB_SPECTRUM] = exec_train, [JOB_EVALUATE] = exec_evaluate,
};

void exec_warm_release(struct exec_warm *warm)
{
    model_free(warm->model);
    tokenizer_free(warm->tokenizer);
    *warm = (struct exec_warm){.model = NULL};
}

enum err_code exec_agree(const struct exec_context *context, enum err_code code, struct err *err)
{
    return context->group ? train_group_agree(context->group, code, err) : code;
}

static const char *path_of(const struct exec_input *list, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0)
            return list[i].path;
    }
    return NULL;
}

static const char *exec_input_path(const struct exec_job *job, const char *name)
{
    return path_of(job->inputs, job->input_count, name);
}

const char *exec_parent_path(const struct exec_job *job, const char *name)
{
    return path_of(job->parents, job->parent_count, name);
}

static enum err_code needed(const char *path, const char *what, const char *name,
                            const char **path_out, struct err *err)
{
    if (!path)
        return err_set(err, ERR_INVALID, "the job has no %s '%s'", what, name);
    *path_out = path;
    return ERR_OK;
}

enum err_code exec_input_need(const struct exec_job *job, const char *name, const char **path_out,
                              struct err *err)
{
    return needed(exec_input_path(job, name), "input", name, path_out, err);
}

enum err_code exec_parent_need(const struct exec_job *job, const char *name, const char **path_out,
                               struct err *err)
{
    return needed(exec_parent_path(job, name), "parent", name, path_out, err);
}

const char *exec_numeric_class(void)
{
    static char text[NAME_BYTES_MAX];
    snprintf(text, sizeof text, "%s/%d", kernel_class(), NUMERICS_VERSION);
    return text;
}

enum err_code exec_numerics_check(const struct spec *spec, struct err *err)
{
    const struct spec_numerics *n = &spec->numerics;
    if (spec->numerics_version != NUMERICS_VERSION)
        return err_set(err, ERR_INVALID, "the job wants numerics version %lld, this worker has %d",
                       (long long)spec->numerics_version, NUMERICS_VERSION);
    char wanted[NAME_BYTES_MAX];
    snprintf(wanted, sizeof wanted, "%.32s/%.32s", n->backend, n->precision);
    if (!kernel_use(wanted))
        return err_set(err, ERR_INVALID, "the job wants numerics '%s', which this worker lacks: %s",
                       wanted, kernel_lack(wanted));
    int len = snprintf(wanted, sizeof wanted, "%.32s/%.32s/%.64s", n->backend, n->precision,
                       n->core_type);
    bool any_core = n->core_type[0] == '\0'; /* fixed by the coordinator for the experiment */
    const char *here = kernel_class();
    if (any_core ? strncmp(here, wanted, (size_t)len) != 0 : strcmp(here, wanted) != 0)
        return err_set(err, ERR_INVALID, "the job wants numerics '%s%s', this worker has '%s'",
                       wanted, any_core ? "*" : "", here);
    char text[256];
    if (strcmp(n->mode, "strict") == 0 && !kernel_probe(text, sizeof text))
        return err_set(err, ERR_INVALID, "numerics strict: %s", text);
    return ERR_OK;
}
