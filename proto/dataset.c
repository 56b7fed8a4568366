#include "dataset.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "check.h"
#include "file.h"
#include "hash.h"

static const char *const purpose_names[] = {"train", "evaluate"};
static const char *const format_names[] = {"text", "spectrum", "colon", "chat"};

/* One line of a dataset, for error texts. */
struct place {
    const char *name;
    unsigned long line;
};

static enum err_code fail(const struct place *at, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "dataset '%s': line %lu: %s", at->name, at->line, what);
}

static struct str take_string(struct arena *arena, const json_t *value)
{
    size_t len = json_string_length(value);
    return (struct str){arena_strndup(arena, json_string_value(value), len), len};
}

static json_t *parse_line(const char *line, size_t len, const struct place *at, struct err *err)
{
    json_error_t error;
    json_t *root = json_loadb(line, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!root)
        err_set(err, ERR_INVALID, "dataset '%s': %lu:%d: %s", at->name, at->line, error.column,
                error.text);
    return root;
}

/* Version 2 says what is to be done with the sequences; version 1 knows scores only. */
static enum err_code parse_kind(json_t *root, json_int_t version, const struct place *at,
                                struct dataset *d, struct err *err)
{
    if (version == DATASET_VERSION)
        return ERR_OK;
    const char *kind = json_string_value(json_object_get(root, "kind"));
    if (kind && strcmp(kind, record_kind_name(RECORDS_CHOICES)) == 0)
        d->kind = RECORDS_CHOICES;
    else if (kind && strcmp(kind, record_kind_name(RECORDS_SAMPLES)) == 0)
        d->kind = RECORDS_SAMPLES;
    else
        return fail(at, "kind is neither \"choices\" nor \"samples\"", err);
    if (d->purpose != DATASET_EVALUATE)
        return fail(at, "choices and samples are evaluated, not trained on", err);
    return ERR_OK;
}

static enum err_code parse_header(json_t *root, const struct place *at, struct dataset *d,
                                  struct err *err)
{
    const json_int_t version = json_integer_value(json_object_get(root, "triad_dataset"));
    if (version != DATASET_VERSION && version != DATASET_KINDS_VERSION)
        return fail(at, "not a dataset of version 1 or 2 (no \"triad_dataset\":1)", err);
    const char *purpose = json_string_value(json_object_get(root, "purpose"));
    const json_t *name = json_object_get(root, "name");
    const json_t *format = json_object_get(root, "format");
    const json_t *pairing = json_object_get(root, "pairing");
    json_int_t count = json_integer_value(json_object_get(root, "sequences"));
    if (!purpose || !json_is_string(name) || !json_is_string(format) || !json_is_string(pairing))
        return fail(at, "the header needs the strings purpose, name, format and pairing", err);
    struct digest ignored;
    if (json_string_length(pairing) > 0 && !digest_from_hex(json_string_value(pairing), &ignored))
        return fail(at, "\"pairing\" is neither empty nor 64 hex digits", err);
    if (count < 0 || count > DATASET_SEQUENCES_MAX)
        return fail(at, "the header's \"sequences\" is out of range", err);
    if (strcmp(purpose, purpose_names[DATASET_TRAIN]) == 0)
        d->purpose = DATASET_TRAIN;
    else if (strcmp(purpose, purpose_names[DATASET_EVALUATE]) == 0)
        d->purpose = DATASET_EVALUATE;
    else
        return fail(at, "purpose is neither \"train\" nor \"evaluate\"", err);
    enum err_code rc = parse_kind(root, version, at, d, err);
    if (rc != ERR_OK)
        return rc;
    size_t f = 0;
    while (f < ARRAY_COUNT(format_names) && strcmp(format_names[f], json_string_value(format)) != 0)
        f++;
    if (f == ARRAY_COUNT(format_names))
        return fail(at, "format is none of text, spectrum, colon, chat", err);
    d->name = take_string(&d->arena, name);
    d->format = take_string(&d->arena, format);
    d->pairing = take_string(&d->arena, pairing);
    d->sequence_count = (uint32_t)count;
    return ERR_OK;
}

static enum err_code parse_segment(const json_t *value, const struct place *at, struct dataset *d,
                                   struct segment *out, struct err *err)
{
    const char *kind = json_string_value(json_array_get(value, 0));
    const json_t *text = json_array_get(value, 1);
    const json_t *loss = json_array_get(value, 2);
    const json_t *example = json_array_get(value, 3);
    if (json_array_size(value) != 4 || !kind || !json_is_string(text) || !json_is_integer(loss) ||
        !json_is_integer(example))
        return fail(at, "a segment is [kind, text, loss, example]", err);
    if (strcmp(kind, "t") != 0 && strcmp(kind, "s") != 0)
        return fail(at, "a segment's kind is \"t\" or \"s\"", err);
    json_int_t loss_value = json_integer_value(loss);
    json_int_t example_value = json_integer_value(example);
    if (loss_value < LOSS_NONE || loss_value > LOSS_TERMINATOR)
        return fail(at, "a segment's loss is 0, 1 or 2", err);
    if (example_value < -1 || example_value > DATASET_EXAMPLES_MAX)
        return fail(at, "a segment's example is out of range", err);
    out->kind = kind[0] == 't' ? SEGMENT_TEXT : SEGMENT_SPECIAL;
    out->loss = (enum segment_loss)loss_value;
    out->example = (int32_t)example_value;
    out->text = take_string(&d->arena, text);
    return ERR_OK;
}

/* An array of segments into the arena. */
static enum err_code parse_segments(const json_t *segments, const struct place *at,
                                    struct dataset *d, struct segment **out, uint32_t *count_out,
                                    struct err *err)
{
    const size_t count = json_array_size(segments);
    if (count > DATASET_SEGMENTS_MAX)
        return fail(at, "too many segments in one sequence", err);
    *out = arena_array(&d->arena, count, sizeof **out);
    *count_out = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        enum err_code rc = parse_segment(json_array_get(segments, i), at, d, &(*out)[i], err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code parse_candidates(const json_t *list, const struct place *at, struct dataset *d,
                                      struct sequence *out, struct err *err)
{
    const size_t count = json_array_size(list);
    double total = 0.0;
    if (count == 0 || count > RECORD_CHOICES_MAX)
        return fail(at, "a choice needs 1 to 2048 \"candidates\"", err);
    out->candidates = arena_array(&d->arena, count, sizeof *out->candidates);
    out->candidate_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        struct candidate *c = &out->candidates[i];
        const json_t *o = json_array_get(list, i);
        const json_t *target = json_object_get(o, "target");
        const json_t *segments = json_object_get(o, "segments");
        c->target = json_number_value(target);
        if (json_array_size(segments) == 0 || !json_is_number(target) || !isfinite(c->target) ||
            c->target < 0)
            return fail(at, "a candidate needs \"segments\" and a \"target\" of at least 0", err);
        enum err_code rc = parse_segments(segments, at, d, &c->segments, &c->segment_count, err);
        if (rc != ERR_OK)
            return rc;
        total += c->target;
    }
    return total > 0 ? ERR_OK : fail(at, "no candidate has a target above 0", err);
}

static bool take_stops(const json_t *list, struct dataset *d, struct str *out, uint32_t *count_out)
{
    const size_t count = json_array_size(list);
    if ((list && !json_is_array(list)) || count > DATASET_STOPS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *text = json_array_get(list, i);
        if (json_string_length(text) == 0)
            return false;
        out[i] = take_string(&d->arena, text);
    }
    *count_out = (uint32_t)count;
    return true;
}

static enum err_code parse_sampling(const json_t *o, const struct place *at, struct dataset *d,
                                    struct sequence *out, struct err *err)
{
    struct sampling *s = arena_alloc(&d->arena, sizeof *s);
    const json_int_t draws = json_integer_value(json_object_get(o, "draws"));
    const json_int_t max_tokens = json_integer_value(json_object_get(o, "max_tokens"));
    const json_int_t seed = json_integer_value(json_object_get(o, "seed"));
    s->temperature = json_number_value(json_object_get(o, "temperature"));
    s->top_p = json_number_value(json_object_get(o, "top_p"));
    s->top_k = json_integer_value(json_object_get(o, "top_k"));
    if (draws < 1 || draws > DATASET_DRAWS_MAX || max_tokens < 1 ||
        max_tokens > DATASET_DRAW_TOKENS_MAX)
        return fail(at, "a prompt needs \"sample\" with \"draws\" and \"max_tokens\" in range",
                    err);
    if (!(s->temperature >= 0) || !isfinite(s->temperature) || !(s->top_p > 0 && s->top_p <= 1) ||
        s->top_k < 0 || s->top_k > INT32_MAX || seed < 0)
        return fail(at, "temperature, top_p, top_k or seed is out of range", err);
    if (!take_stops(json_object_get(o, "stop_tokens"), d, s->stop_tokens, &s->stop_token_count) ||
        !take_stops(json_object_get(o, "stop_texts"), d, s->stop_texts, &s->stop_text_count))
        return fail(at, "stops must be lists of at most 16 texts", err);
    s->draws = (uint32_t)draws;
    s->max_tokens = (uint32_t)max_tokens;
    s->seed = (uint64_t)seed;
    out->sampling = s;
    return ERR_OK;
}

static enum err_code parse_sequence(json_t *root, const struct place *at, struct dataset *d,
                                    struct sequence *out, struct err *err)
{
    const json_t *id = json_object_get(root, "id");
    const json_t *segments = json_object_get(root, "segments");
    if (!json_is_string(id) || !json_is_array(segments))
        return fail(at, "a sequence needs a string \"id\" and an array \"segments\"", err);
    out->id = take_string(&d->arena, id);
    enum err_code rc = parse_segments(segments, at, d, &out->segments, &out->segment_count, err);
    if (rc == ERR_OK && d->kind == RECORDS_CHOICES)
        rc = parse_candidates(json_object_get(root, "candidates"), at, d, out, err);
    if (rc == ERR_OK && d->kind == RECORDS_SAMPLES)
        rc = parse_sampling(json_object_get(root, "sample"), at, d, out, err);
    return rc;
}

/* The count of lines, to size the sequence array by what is there, not by what the header claims.
 */
static size_t count_lines(const char *bytes, size_t len)
{
    size_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines + (len > 0 && bytes[len - 1] != '\n');
}

static enum err_code parse_lines(const char *bytes, size_t len, struct place *at, struct dataset *d,
                                 struct err *err)
{
    const size_t lines = count_lines(bytes, len);
    if (lines == 0)
        return fail(at, "empty file", err);
    d->sequences = arena_array(&d->arena, lines, sizeof *d->sequences);
    uint32_t found = 0;
    for (const char *line = bytes; line < bytes + len; at->line++) {
        const char *end = memchr(line, '\n', (size_t)(bytes + len - line));
        if (!end)
            end = bytes + len;
        json_t *root = parse_line(line, (size_t)(end - line), at, err);
        if (!root)
            return ERR_INVALID;
        enum err_code rc = at->line == 1 ? parse_header(root, at, d, err)
                                         : parse_sequence(root, at, d, &d->sequences[found++], err);
        json_decref(root);
        if (rc != ERR_OK)
            return rc;
        line = end + 1;
    }
    if (found != d->sequence_count)
        return err_set(err, ERR_CORRUPT,
                       "dataset '%s': the header promises %u sequences, the file holds %u",
                       at->name, d->sequence_count, found);
    return ERR_OK;
}

enum err_code dataset_parse(const char *bytes, size_t len, const char *name, struct dataset *out,
                            struct err *err)
{
    if (len > DATASET_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "dataset '%s': %zu bytes, at most %zu are read", name, len,
                       (size_t)DATASET_BYTES_MAX);
    struct dataset d = {0};
    struct place at = {name, 1};
    enum err_code rc = parse_lines(bytes, len, &at, &d, err);
    if (rc != ERR_OK) {
        dataset_release(&d);
        return rc;
    }
    *out = d;
    return ERR_OK;
}

enum err_code dataset_load(const char *path, struct dataset *out, struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    enum err_code rc = file_read(path, DATASET_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = dataset_parse(bytes, len, path, out, err);
    free(bytes);
    return rc;
}

void dataset_release(struct dataset *d)
{
    arena_release(&d->arena);
    *d = (struct dataset){0};
}

static void append_json(struct strbuf *out, json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
    ASSERT(text != NULL); /* only invalid UTF-8 fails, and jansson refused that on the way in */
    strbuf_puts(out, text);
    strbuf_putc(out, '\n');
    free(text);
    json_decref(root);
}

static json_t *json_from(struct str s)
{
    json_t *value = json_stringn(s.data ? s.data : "", s.len);
    ASSERT(value != NULL); /* the planner hands over valid UTF-8 only */
    return value;
}

void dataset_write_header(struct strbuf *out, const struct dataset *d)
{
    const bool plain = d->kind == RECORDS_SCORES;
    json_t *root = json_object();
    json_object_set_new(root, "triad_dataset",
                        json_integer(plain ? DATASET_VERSION : DATASET_KINDS_VERSION));
    json_object_set_new(root, "purpose", json_string(purpose_names[d->purpose]));
    if (!plain)
        json_object_set_new(root, "kind", json_string(record_kind_name(d->kind)));
    json_object_set_new(root, "name", json_from(d->name));
    json_object_set_new(root, "format", json_from(d->format));
    json_object_set_new(root, "sequences", json_integer(d->sequence_count));
    json_object_set_new(root, "pairing", json_from(d->pairing));
    append_json(out, root);
}

static json_t *segments_json(const struct segment *segments, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct segment *segment = &segments[i];
        json_t *row = json_array();
        json_array_append_new(row, json_string(segment->kind == SEGMENT_TEXT ? "t" : "s"));
        json_array_append_new(row, json_from(segment->text));
        json_array_append_new(row, json_integer(segment->loss));
        json_array_append_new(row, json_integer(segment->example));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *candidates_json(const struct sequence *s)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < s->candidate_count; i++) {
        const struct candidate *c = &s->candidates[i];
        json_t *o = json_object();
        json_object_set_new(o, "segments", segments_json(c->segments, c->segment_count));
        json_object_set_new(o, "target", json_real(c->target));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *texts_json(const struct str *texts, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_from(texts[i]));
    return list;
}

static json_t *sampling_json(const struct sampling *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "draws", json_integer(s->draws));
    json_object_set_new(o, "max_tokens", json_integer(s->max_tokens));
    json_object_set_new(o, "temperature", json_real(s->temperature));
    json_object_set_new(o, "top_p", json_real(s->top_p));
    json_object_set_new(o, "top_k", json_integer(s->top_k));
    json_object_set_new(o, "seed", json_integer((json_int_t)s->seed));
    json_object_set_new(o, "stop_tokens", texts_json(s->stop_tokens, s->stop_token_count));
    json_object_set_new(o, "stop_texts", texts_json(s->stop_texts, s->stop_text_count));
    return o;
}

void dataset_write_sequence(struct strbuf *out, const struct sequence *s)
{
    json_t *root = json_object();
    json_object_set_new(root, "id", json_from(s->id));
    json_object_set_new(root, "segments", segments_json(s->segments, s->segment_count));
    if (s->candidate_count > 0)
        json_object_set_new(root, "candidates", candidates_json(s));
    if (s->sampling)
        json_object_set_new(root, "sample", sampling_json(s->sampling));
    append_json(out, root);
}
