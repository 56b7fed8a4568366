/* triad model inspect: what a checkpoint is, what it will take, and what may surprise. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chat_template.h"
#include "check.h"
#include "checkpoint.h"
#include "checkpoint_env.h"
#include "file.h"
#include "format_turns.h"
#include "hf_cache.h"
#include "human.h"
#include "model.h"
#include "model_family.h"
#include "rows.h"
#include "special_tokens.h"
#include "tokenizer.h"
#include "verbs.h"

/* What memory is counted for: one sequence of at most so many tokens. */
enum { SEQUENCE_TOKENS = 1024, DTYPES_MAX = 8, WARNINGS_MAX = 16 };

static const struct rows_column tensor_columns[] = {
    {"tensor", "TENSOR", ROWS_TEXT}, {"rows", "ROWS", ROWS_INTEGER},
    {"cols", "COLS", ROWS_INTEGER},  {"parameters", "PARAMETERS", ROWS_INTEGER},
    {"dtype", "DTYPE", ROWS_TEXT},   {"file", NULL, ROWS_TEXT},
};
enum { TENSOR_COLUMNS = sizeof tensor_columns / sizeof tensor_columns[0] };

struct dtype_count {
    const char *name;
    size_t tensors;
    uint64_t bytes;
};

/* All that is found out, before it is printed one way or the other. */
struct inspection {
    struct cli *cli;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer; /* NULL: the folder has none */
    const struct model_config *config;
    const char *named, *folder, *repository, *commit; /* the last two "" for a folder */
    struct rows tensors;
    struct dtype_count dtypes[DTYPES_MAX];
    size_t dtype_count;
    uint64_t file_bytes, score_bytes, train_bytes;
    size_t sequence_tokens;
    const char *template_label, *turns; /* label NULL: no template */
    bool template_known;
    const char *warnings[WARNINGS_MAX];
    size_t warning_count;
};

static void warn(struct inspection *in, const char *text)
{
    if (text && in->warning_count < WARNINGS_MAX)
        in->warnings[in->warning_count++] = text;
}

/* ---- finding out ---- */

static void count_dtype(struct inspection *in, const struct tensor_view *view)
{
    size_t i = 0;
    while (i < in->dtype_count && strcmp(in->dtypes[i].name, view->dtype_name) != 0)
        i++;
    if (i == DTYPES_MAX)
        return;
    if (i == in->dtype_count)
        in->dtypes[in->dtype_count++] = (struct dtype_count){.name = view->dtype_name};
    in->dtypes[i].tensors++;
    in->dtypes[i].bytes += view->elements * tensor_dtype_bytes(view->dtype);
}

static void look_at_tensors(struct inspection *in)
{
    rows_init(&in->tensors, &in->cli->arena, "triad.model/1", tensor_columns, TENSOR_COLUMNS);
    for (size_t i = 0; i < tensor_spec_count(in->config); i++) {
        const struct tensor_spec spec = tensor_spec_at(in->config, i);
        const struct tensor_view *view = checkpoint_tensor(in->checkpoint, &spec);
        const char *slash = strrchr(view->file, '/');
        struct rows_cell *cell = rows_add(&in->tensors);
        cell[0].text = arena_strdup(&in->cli->arena, view->name);
        cell[1].integer = spec.rows;
        cell[2].integer = spec.cols;
        cell[3].integer = (int64_t)tensor_spec_elements(&spec);
        cell[4].text = view->dtype_name;
        cell[5].text = arena_strdup(&in->cli->arena, slash ? slash + 1 : view->file);
        count_dtype(in, view);
    }
    in->file_bytes = checkpoint_bytes(in->checkpoint);
    if (in->dtype_count > 1)
        warn(in, "its tensors are stored in more than one type");
}

/* Scoring maps the file and holds a layer and a panel of the head as float; training holds weights,
 * gradients and two moments as float. */
static void count_memory(struct inspection *in)
{
    const struct model_config *c = in->config;
    const size_t tokens = c->context < SEQUENCE_TOKENS ? (size_t)c->context : SEQUENCE_TOKENS;
    const struct model_capacity capacity = {1, tokens, tokens, tokens};
    uint64_t layer = 0;
    for (size_t i = 0; i < tensor_spec_count(c); i++) {
        const struct tensor_spec spec = tensor_spec_at(c, i);
        layer += spec.layer == 0 ? tensor_spec_elements(&spec) * sizeof(float) : 0;
    }
    in->sequence_tokens = tokens;
    in->score_bytes = in->file_bytes + layer + model_run_bytes(c, MODEL_SCORE, &capacity);
    in->train_bytes =
        4 * sizeof(float) * model_config_parameters(c) + model_run_bytes(c, MODEL_TRAIN, &capacity);
}

static void look_at_turns(struct inspection *in)
{
    const struct turn_style *style = in->turns && in->tokenizer ? turn_style_find(in->turns) : NULL;
    const char *tokens[TURN_TOKENS_MAX];
    size_t turn_first, count = style ? turn_style_tokens(style, tokens, &turn_first) : 0;
    struct strbuf missing = {0};
    for (size_t i = 0; i < count; i++) {
        if (tokenizer_special(in->tokenizer, tokens[i]) == TOKEN_NONE)
            strbuf_printf(&missing, "%s'%s'", missing.len ? ", " : "", tokens[i]);
    }
    if (missing.len)
        warn(in, arena_printf(&in->cli->arena,
                              "the tokenizer lacks %s of the turns '%s'; an experiment appends "
                              "them as new rows",
                              strbuf_text(&missing), style->name));
    strbuf_release(&missing);
}

static enum err_code look_at_template(struct inspection *in, struct err *err)
{
    const char *text = NULL;
    struct plan_chat chat;
    enum err_code rc = chat_template_read(in->folder, &in->cli->arena, &text, err);
    if (rc == ERR_OK)
        rc = checkpoint_env_chat(NULL, in->folder, NULL, &in->cli->arena, &chat, err);
    if (rc != ERR_OK)
        return rc;
    const struct chat_template_match match =
        text ? chat_template_compare(text) : (struct chat_template_match){0};
    in->turns = chat.turns;
    in->template_known = match.is_known;
    in->template_label = !text ? NULL : match.is_known ? match.label : "unknown";
    if (in->turns)
        warn(in, chat_template_warning(text, in->turns, &in->cli->arena));
    look_at_turns(in);
    return ERR_OK;
}

static enum err_code open_tokenizer(struct inspection *in, struct err *err)
{
    const char *path = arena_printf(&in->cli->arena, "%s/tokenizer.json", in->folder);
    if (file_exists(path))
        return tokenizer_load(in->folder, &in->tokenizer, err);
    warn(in, "there is no tokenizer.json: it cannot be scored, continued or used in an experiment");
    return ERR_OK;
}

static void look_at_tokenizer(struct inspection *in)
{
    if (!in->tokenizer)
        return;
    const int tokens = tokenizer_vocabulary(in->tokenizer), rows = in->config->vocabulary;
    const int bos = tokenizer_bos(in->tokenizer);
    if (!special_tokens_fit(in->tokenizer, rows))
        warn(in, arena_printf(&in->cli->arena,
                              "the tokenizer has %d entries, but the model only %d rows: it cannot "
                              "be used as it is",
                              tokens, rows));
    if (bos != TOKEN_NONE && in->config->bos_id >= 0 && bos != in->config->bos_id)
        warn(in, arena_printf(&in->cli->arena,
                              "config.json begins texts with token %d, the tokenizer with %d",
                              in->config->bos_id, bos));
}

static enum err_code inspect(struct inspection *in, struct err *err)
{
    struct hf_snapshot snapshot = {.repository = "", .commit = "", .folder = in->named};
    enum err_code rc = ERR_OK;
    if (hf_is_reference(in->named))
        rc = hf_resolve(in->named, &in->cli->arena, &snapshot, err);
    in->folder = snapshot.folder;
    in->repository = snapshot.repository;
    in->commit = snapshot.commit;
    if (rc == ERR_OK)
        rc = checkpoint_open(in->folder, &in->checkpoint, err);
    if (rc == ERR_OK && cli_flag(in->cli, "check"))
        rc = checkpoint_check_numbers(in->checkpoint, err);
    if (rc == ERR_OK)
        rc = open_tokenizer(in, err);
    if (rc != ERR_OK)
        return rc;
    in->config = checkpoint_config(in->checkpoint);
    look_at_tensors(in);
    count_memory(in);
    look_at_tokenizer(in);
    return look_at_template(in, err);
}

/* ---- printing ---- */

static void print_model(const struct inspection *in)
{
    const struct model_config *c = in->config;
    char text[HUMAN_SIZE];
    printf("folder      %s\n", in->folder);
    if (in->commit[0])
        printf("hub         %s, commit %s\n", in->repository, in->commit);
    printf("model       %s: %d layers, width %d, %d heads of %d, %d key/value heads, mlp %d\n",
           model_family(c->kind)->name, c->layers, c->width, c->heads, c->head_dim, c->kv_heads,
           c->mlp_width);
    if (c->window > 0)
        printf("windows     of %d tokens, in all but every %d. layer; there rope theta is %g\n",
               c->window, c->window_period, c->rope_local_theta);
    printf("context     %d tokens, rope theta %g, norm eps %g\n"
           "vocabulary  %d rows, ",
           c->context, c->rope_theta, c->norm_eps, c->vocabulary);
    if (in->tokenizer)
        printf("%d in the tokenizer, ", tokenizer_vocabulary(in->tokenizer));
    printf("head %s\n"
           "parameters  %s\n",
           c->head_tied ? "tied to the embedding" : "a matrix of its own",
           human_count((double)model_config_parameters(c), text));
    for (size_t i = 0; i < in->dtype_count; i++)
        printf("%s%s, %zu tensors, %s\n", i ? "            " : "stored as   ", in->dtypes[i].name,
               in->dtypes[i].tensors, human_bytes(in->dtypes[i].bytes, text));
    printf("memory      %s to score a sequence of %zu tokens, ", human_bytes(in->score_bytes, text),
           in->sequence_tokens);
    printf("%s to train on one\n", human_bytes(in->train_bytes, text));
    printf("chat        template %s; turns '%s'\n",
           in->template_label ? in->template_label : "none", in->turns ? in->turns : "none known");
}

/* Long lists (Gemma has 6,415 added tokens) are cut for people. */
static void print_specials(const struct tokenizer *tokenizer)
{
    enum { SHOWN = 12 };
    int count = 0;
    struct strbuf clean = {0};
    printf("specials    ");
    for (int32_t id = 0; id < tokenizer_vocabulary(tokenizer); id++) {
        if (!tokenizer_is_special(tokenizer, id))
            continue;
        const struct str text = tokenizer_token(tokenizer, id);
        if (count++ >= SHOWN)
            continue;
        strbuf_clear(&clean);
        strbuf_append_clean(&clean, text.data, text.len);
        printf("%s%" PRId32 " %s", count > 1 ? ", " : "", id, strbuf_text(&clean));
    }
    if (count > SHOWN)
        printf(" and %d more", count - SHOWN);
    printf("%s\n", count ? "" : "none");
    strbuf_release(&clean);
}

static json_t *specials_json(const struct tokenizer *tokenizer)
{
    json_t *list = json_array();
    for (int32_t id = 0; id < tokenizer_vocabulary(tokenizer); id++) {
        if (!tokenizer_is_special(tokenizer, id))
            continue;
        const struct str text = tokenizer_token(tokenizer, id);
        json_t *entry = json_object();
        json_object_set_new(entry, "id", json_integer(id));
        struct strbuf clean = {0};
        strbuf_append_clean(&clean, text.data, text.len);
        json_object_set_new(entry, "text", json_string(strbuf_text(&clean)));
        strbuf_release(&clean);
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static void print_document(const struct inspection *in)
{
    const struct model_config *c = in->config;
    const struct {
        const char *name;
        uint64_t value;
    } sizes[] = {
        {"parameters", model_config_parameters(c)},
        {"layers", (uint64_t)c->layers},
        {"width", (uint64_t)c->width},
        {"heads", (uint64_t)c->heads},
        {"kv_heads", (uint64_t)c->kv_heads},
        {"head_dim", (uint64_t)c->head_dim},
        {"mlp", (uint64_t)c->mlp_width},
        {"context", (uint64_t)c->context},
        {"window", (uint64_t)c->window},
        {"vocabulary", (uint64_t)c->vocabulary},
        {"file_bytes", in->file_bytes},
        {"sequence_tokens", in->sequence_tokens},
        {"score_bytes", in->score_bytes},
        {"train_bytes", in->train_bytes},
    };
    json_t *root = json_object(), *dtypes = json_object(), *warnings = json_array();
    json_object_set_new(root, "schema", json_string(in->tensors.schema));
    json_object_set_new(root, "folder", json_string(rows_clean(&in->cli->arena, in->folder)));
    json_object_set_new(root, "repository", json_string(in->repository));
    json_object_set_new(root, "commit", json_string(in->commit));
    json_object_set_new(root, "family", json_string(model_family(c->kind)->name));
    json_object_set_new(root, "head_tied", json_boolean(c->head_tied));
    json_object_set_new(root, "rope_theta", json_real(c->rope_theta));
    json_object_set_new(root, "rope_local_theta",
                        c->window > 0 ? json_real(c->rope_local_theta) : json_null());
    json_object_set_new(root, "norm_eps", json_real(c->norm_eps));
    json_object_set_new(root, "turns", text_or_null(in->turns));
    json_object_set_new(root, "chat_template", text_or_null(in->template_label));
    json_object_set_new(root, "chat_template_known", json_boolean(in->template_known));
    for (size_t i = 0; i < in->dtype_count; i++)
        json_object_set_new(dtypes, in->dtypes[i].name,
                            json_integer((json_int_t)in->dtypes[i].bytes));
    json_object_set_new(root, "dtype_bytes", dtypes);
    for (size_t i = 0; i < in->warning_count; i++)
        json_array_append_new(warnings, json_string(rows_clean(&in->cli->arena, in->warnings[i])));
    json_object_set_new(root, "warnings", warnings);
    json_object_set_new(root, "tokens",
                        in->tokenizer ? json_integer(tokenizer_vocabulary(in->tokenizer))
                                      : json_null());
    json_object_set_new(root, "special_tokens",
                        in->tokenizer ? specials_json(in->tokenizer) : json_null());
    json_object_set_new(root, "rows", rows_json(&in->tensors));
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        json_object_set_new(root, sizes[i].name, json_integer((json_int_t)sizes[i].value));
    rows_print_document(root);
}

static void print_all(struct inspection *in)
{
    switch (in->cli->output) {
    case OUTPUT_JSON:
        print_document(in);
        break;
    case OUTPUT_CSV:
        rows_print(&in->tensors, in->cli);
        break;
    case OUTPUT_TABLE:
        print_model(in);
        if (in->tokenizer)
            print_specials(in->tokenizer);
        if (cli_flag(in->cli, "tensors")) {
            putchar('\n');
            rows_print(&in->tensors, in->cli);
        }
        for (size_t i = 0; i < in->warning_count; i++)
            printf("warning     %s\n", in->warnings[i]);
        break;
    }
}

enum cli_exit verb_model_inspect(struct cli *cli)
{
    struct err err;
    struct inspection in = {.cli = cli, .named = cli->arguments[0]};
    enum err_code rc = inspect(&in, &err);
    if (rc == ERR_OK)
        print_all(&in);
    tokenizer_free(in.tokenizer);
    checkpoint_close(in.checkpoint);
    return rc == ERR_OK ? EXIT_OK : cli_fail(cli, &err);
}
