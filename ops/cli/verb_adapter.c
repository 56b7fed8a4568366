/* triad model merge | adapter: LoRA folders of PEFT. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "file.h"
#include "hf_cache.h"
#include "peft.h"
#include "verbs.h"

static enum err_code refuse_taken(struct cli *cli, const char *folder, const char *name,
                                  struct err *err)
{
    if (!file_exists(arena_printf(&cli->arena, "%s/%s", folder, name)))
        return ERR_OK;
    return err_set(err, ERR_CONFLICT, "'%s' already holds a %s; remove it or name another folder",
                   folder, name);
}

enum cli_exit verb_model_merge(struct cli *cli)
{
    struct err err;
    const char *base = NULL, *adapter = cli->arguments[1], *folder = cli->arguments[2];
    struct checkpoint_weights weights = {.params = {0}};
    struct strbuf done = {0};
    /* Also one in several files, whose index would be read before what is written here. */
    enum err_code rc = refuse_taken(cli, folder, "config.json", &err);
    if (rc == ERR_OK)
        rc = refuse_taken(cli, folder, "model.safetensors", &err);
    if (rc == ERR_OK)
        rc = hf_folder(cli->arguments[0], &cli->arena, &base, &err);
    if (rc == ERR_OK)
        rc = checkpoint_weights_load(base, &weights, &err);
    if (rc == ERR_OK)
        rc = peft_merge(adapter, &weights, &done, &err);
    if (rc == ERR_OK)
        rc = checkpoint_write_like(folder, base, &weights.config, weights.params.tensors,
                                   weights.params.tensor_count, NULL, TENSOR_F32, &err);
    if (rc == ERR_OK) {
        size_t count = 0;
        for (const char *at = strbuf_text(&done); (at = strchr(at, '\n')); at++)
            count++;
        cli_note(cli, "merged %zu tensors into '%s'", count, folder);
    }
    strbuf_release(&done);
    checkpoint_weights_release(&weights);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}

/* The config with the base model's name in it, as PEFT wants it. */
static enum err_code write_config(const char *from, const char *to, const char *base,
                                  struct err *err)
{
    static const char unnamed[] = "\"base_model_name_or_path\": null";
    char *text = NULL;
    size_t len = 0;
    struct strbuf out = {0};
    enum err_code rc = file_read(from, 1024 * 1024, &text, &len, err);
    if (rc != ERR_OK)
        return rc;
    const char *at = base ? strstr(text, unnamed) : NULL;
    if (at) {
        json_t *name = json_string(base);
        char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        strbuf_append(&out, text, (size_t)(at - text));
        strbuf_printf(&out, "\"base_model_name_or_path\": %s", quoted ? quoted : "null");
        strbuf_puts(&out, at + sizeof unnamed - 1);
        free(quoted);
        json_decref(name);
    } else {
        strbuf_append(&out, text, len);
    }
    rc = file_write_atomic(to, out.data, out.len, cli_file_mode(), err);
    strbuf_release(&out);
    free(text);
    return rc;
}

enum cli_exit verb_model_adapter(struct cli *cli)
{
    struct err err;
    const char *from = cli->arguments[0], *to = cli->arguments[1];
    struct arena *arena = &cli->arena;
    const char *tensors = arena_printf(arena, "%s/lora_adapter_model.safetensors", from);
    enum err_code rc = refuse_taken(cli, to, "adapter_model.safetensors", &err);
    if (rc == ERR_OK && !file_exists(tensors))
        rc = err_set(&err, ERR_NOT_FOUND,
                     "'%s' holds no adapter: only trainings with 'lora' leave one there, and not "
                     "those that could not hold the rows of 'embeddings_from'",
                     from);
    if (rc == ERR_OK)
        rc = file_mkdirs(to, 0755, &err);
    if (rc == ERR_OK)
        rc = write_config(arena_printf(arena, "%s/lora_adapter_config.json", from),
                          arena_printf(arena, "%s/adapter_config.json", to), cli_value(cli, "base"),
                          &err);
    if (rc == ERR_OK)
        rc = file_copy(tensors, arena_printf(arena, "%s/adapter_model.safetensors", to),
                       cli_file_mode(), &err);
    if (rc != ERR_OK)
        return cli_fail(cli, &err);
    cli_note(cli, "wrote '%s': PeftModel.from_pretrained(base, '%s') loads it", to, to);
    return EXIT_OK;
}
