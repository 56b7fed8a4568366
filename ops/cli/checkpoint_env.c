#include "checkpoint_env.h"

#include <jansson.h>
#include <stdlib.h>

#include "chat_template.h"
#include "checkpoint_files.h"
#include "file.h"
#include "format_turns.h"
#include "hf_cache.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)

enum err_code checkpoint_env_find(void *ctx, const char *reference, struct arena *arena,
                                  const char **folder_out, const char **commit_out, struct err *err)
{
    (void)ctx;
    struct hf_snapshot snapshot;
    enum err_code rc = hf_resolve(reference, arena, &snapshot, err);
    if (rc == ERR_OK) {
        *folder_out = snapshot.folder;
        *commit_out = snapshot.commit;
    }
    return rc;
}

enum err_code checkpoint_env_files(void *ctx, const char *folder, struct arena *arena,
                                   const char ***names_out, size_t *count_out, struct err *err)
{
    (void)ctx;
    return checkpoint_files(folder, arena, names_out, count_out, err);
}

/* The turns of models of this folder's kind, or NULL. */
static const char *turns_of_kind(const char *folder, struct arena *arena)
{
    char *text = NULL;
    size_t len = 0;
    struct err ignored; /* whoever opens the model says what is wrong with its config.json */
    const char *path = arena_printf(arena, "%s/config.json", folder);
    if (file_read(path, CONFIG_BYTES_MAX, &text, &len, &ignored) != ERR_OK)
        return NULL;
    json_t *root = json_loadb(text, len, 0, NULL);
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const struct turn_style *style = type ? turn_style_for_model(type) : NULL;
    json_decref(root);
    free(text);
    return style ? style->name : NULL;
}

enum err_code checkpoint_env_chat(void *ctx, const char *folder, const char *turns,
                                  struct arena *arena, struct plan_chat *out, struct err *err)
{
    (void)ctx;
    const char *text = NULL;
    *out = (struct plan_chat){0};
    enum err_code rc = chat_template_read(folder, arena, &text, err);
    if (rc != ERR_OK)
        return rc;
    struct chat_template_match match = {0};
    if (text)
        match = chat_template_compare(text);
    out->from_template = match.is_known;
    out->turns = match.is_known ? match.style : turns_of_kind(folder, arena);
    if (turns)
        out->warning = chat_template_warning(text, turns, arena);
    return ERR_OK;
}
