#include "plan_document.h"

#include <string.h>

#include "bounds.h"
#include "str.h"

#define PLAN_SCHEMA "triad.plan/2"

/* It comes in slices. */
static enum err_code fetch_text(struct connection *c, const char *experiment, struct strbuf *out,
                                struct err *err)
{
    uint64_t total = 1;
    while (out->len < total) {
        struct arena arena = {0};
        struct msg reply;
        const struct msg request = {
            .kind = MSG_GET_EXPERIMENT,
            .get_experiment = {.experiment = experiment, .plan_offset = out->len}};
        enum err_code rc = connection_call(c, &request, MSG_EXPERIMENT, &arena, &reply, err);
        if (rc == ERR_OK) {
            const struct msg_experiment *e = &reply.experiment;
            total = e->plan_bytes;
            if (total > PLAN_JSON_BYTES_MAX || (e->plan_json.len == 0 && out->len < total))
                rc = err_set(err, ERR_CORRUPT, "read the plan of '%s': it is cut off", experiment);
            else
                strbuf_append(out, e->plan_json.data, e->plan_json.len);
        }
        arena_release(&arena);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

enum err_code plan_document_fetch(struct connection *c, const char *experiment, json_t **out,
                                  struct err *err)
{
    struct strbuf text = {0};
    json_t *plan = NULL;
    enum err_code rc = fetch_text(c, experiment, &text, err);
    if (rc == ERR_OK) {
        json_error_t where;
        plan = json_loadb(strbuf_text(&text), text.len, JSON_REJECT_DUPLICATES, &where);
        const char *schema = json_string_value(json_object_get(plan, "schema"));
        if (!plan)
            rc = err_set(err, ERR_CORRUPT, "read the plan of '%s': %s", experiment, where.text);
        else if (!schema || strcmp(schema, PLAN_SCHEMA) != 0)
            rc = err_set(err, ERR_VERSION, "the plan of '%s' has schema '%s', wanted '%s'",
                         experiment, schema ? schema : "", PLAN_SCHEMA);
    }
    if (rc == ERR_OK)
        *out = plan;
    else
        json_decref(plan);
    strbuf_release(&text);
    return rc;
}
