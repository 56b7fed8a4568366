#include "train_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "file.h"
#include "json_field.h"
#include "safetensors.h"

/* Raised when a field or a tensor name changes: a file with another number is refused. */
enum { STATE_VERSION = 2, STATE_BYTES_MAX = 64 * 1024 };

static enum err_code path_in(char *path, size_t size, const char *folder, const char *name,
                             struct err *err)
{
    int len = snprintf(path, size, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= size)
        return err_set(err, ERR_INVALID, "the path of folder '%.100s…' is too long", folder);
    return ERR_OK;
}

/* Both moments as one list of tensors whose names tell them apart; the caller free()s it. */
static struct tensor_spec *moment_specs(const struct optimizer *optimizer)
{
    const struct params *moments[] = {&optimizer->first, &optimizer->second};
    static const char *const prefixes[] = {"first", "second"};
    size_t count = optimizer->first.tensor_count;
    struct tensor_spec *specs = calloc(2 * count, sizeof *specs);
    for (size_t m = 0; specs && m < 2; m++) {
        for (size_t i = 0; i < count; i++) {
            struct tensor_spec *spec = &specs[m * count + i];
            *spec = moments[m]->tensors[i];
            int len = snprintf(spec->name, sizeof spec->name, "%s.%s", prefixes[m],
                               moments[m]->tensors[i].name);
            ASSERT(len > 0 && (size_t)len < sizeof spec->name);
        }
    }
    return specs;
}

void train_state_print(const struct train_state *state, struct strbuf *out)
{
    char hex[DIGEST_HEX_SIZE];
    strbuf_printf(out,
                  "{\n \"epoch\": %llu,\n \"fingerprint\": \"%s\",\n \"loss_lowest\": %.17g,\n"
                  " \"loss_mean\": %.17g,\n \"sequence\": %u,\n"
                  " \"step\": %lld,\n \"triad_trainer_state\": %d\n}\n",
                  (unsigned long long)state->cursor.epoch, digest_hex(&state->fingerprint, hex),
                  state->watch.lowest, state->watch.mean, state->cursor.sequence,
                  (long long)state->step, STATE_VERSION);
}

enum err_code train_state_save(const struct train_state *state, const struct optimizer *optimizer,
                               const char *folder, struct err *err)
{
    char path[4096];
    enum err_code rc = path_in(path, sizeof path, folder, "optimizer.safetensors", err);
    if (rc != ERR_OK)
        return rc;
    struct tensor_spec *specs = moment_specs(optimizer);
    if (!specs)
        return err_set(err, ERR_LIMIT, "save '%s': no memory", path);
    rc = safetensors_write(path, specs, 2 * optimizer->first.tensor_count, TENSOR_F32, err);
    free(specs);
    if (rc != ERR_OK)
        return rc;
    struct strbuf text = {0};
    train_state_print(state, &text);
    rc = path_in(path, sizeof path, folder, "trainer_state.json", err);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text.data, text.len, 0644, err);
    strbuf_release(&text);
    return rc;
}

enum err_code train_state_parse(struct train_state *state, const char *text, size_t len,
                                const char *path, uint32_t sequence_count, struct err *err)
{
    json_t *root = NULL;
    int version = 0, step = 0, epoch = 0, sequence = 0;
    double mean = 0, lowest = 0;
    const char *hex = NULL;
    enum err_code rc = json_parse_object(text, len, path, &root, err);
    if (rc != ERR_OK)
        return rc;
    struct json_source from = {root, path};
    rc = json_field_int(from, "triad_trainer_state", true, 0, INT32_MAX, &version, err);
    if (rc == ERR_OK && version != STATE_VERSION)
        rc = err_set(err, ERR_VERSION, "read '%s': version %d is not %d", path, version,
                     STATE_VERSION);
    if (rc == ERR_OK)
        rc = json_field_int(from, "step", true, 0, INT32_MAX, &step, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "epoch", true, 0, INT32_MAX, &epoch, err);
    if (rc == ERR_OK)
        rc = json_field_int(from, "sequence", true, 0, INT32_MAX, &sequence, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "loss_mean", true, &mean, err);
    if (rc == ERR_OK)
        rc = json_field_double(from, "loss_lowest", true, &lowest, err);
    if (rc == ERR_OK)
        rc = json_field_string(from, "fingerprint", true, &hex, err);
    struct digest saved = {0};
    if (rc == ERR_OK && !digest_from_hex(hex, &saved))
        rc = err_set(err, ERR_CORRUPT, "read '%s': 'fingerprint' is not 64 hex digits", path);
    if (rc == ERR_OK && !digest_equal(&saved, &state->fingerprint))
        rc = err_set(err, ERR_CONFLICT,
                     "resume from '%s': it was saved by a run with other data or options", path);
    if (rc == ERR_OK && (uint32_t)sequence >= sequence_count)
        rc = err_set(err, ERR_CORRUPT, "read '%s': sequence %d of %u", path, sequence,
                     sequence_count);
    if (rc == ERR_OK) {
        state->step = step;
        state->cursor = (struct data_cursor){(uint64_t)epoch, (uint32_t)sequence};
        state->watch = (struct loss_watch){step, mean, lowest};
    }
    json_decref(root);
    return rc;
}

static enum err_code read_moments(const char *path, const struct tensor_spec *specs, size_t count,
                                  struct err *err)
{
    struct safetensors *file = NULL;
    enum err_code rc = safetensors_open(path, &file, err);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        const struct tensor_view *view = safetensors_find(file, specs[i].name);
        if (!view || view->elements != tensor_spec_elements(&specs[i]))
            rc = err_set(err, ERR_CORRUPT, "read '%s': tensor '%s' is missing or has another size",
                         path, specs[i].name);
        else
            rc = tensor_view_read_f32(view, specs[i].data, err);
    }
    safetensors_close(file);
    return rc;
}

enum err_code train_state_load(struct train_state *state, struct optimizer *optimizer,
                               const char *folder, uint32_t sequence_count, struct err *err)
{
    char path[4096];
    char *text = NULL;
    size_t len = 0;
    struct train_state loaded = *state;
    enum err_code rc = path_in(path, sizeof path, folder, "trainer_state.json", err);
    if (rc == ERR_OK)
        rc = file_read(path, STATE_BYTES_MAX, &text, &len, err);
    if (rc != ERR_OK)
        return rc;
    rc = train_state_parse(&loaded, text, len, path, sequence_count, err);
    free(text);
    if (rc == ERR_OK)
        rc = path_in(path, sizeof path, folder, "optimizer.safetensors", err);
    if (rc != ERR_OK)
        return rc;
    struct tensor_spec *specs = moment_specs(optimizer);
    if (!specs)
        return err_set(err, ERR_LIMIT, "load '%s': no memory", path);
    rc = read_moments(path, specs, 2 * optimizer->first.tensor_count, err);
    free(specs);
    if (rc == ERR_OK)
        *state = loaded;
    return rc;
}
