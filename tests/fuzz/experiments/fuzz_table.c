/* Files of tables and corpora: any bytes, packed or not, as any format, become records or an error
 * that names the file; and WordNet's data lines. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "record_reader.h"
#include "table_json.h"
#include "wordnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_records(const char *bytes, size_t len, enum record_format format)
{
    struct record_reader reader;
    struct err err;
    struct record_options options = {
        .format = format, .quote = '"', .encoding = len % 2 ? TEXT_LATIN1 : TEXT_UTF8};
    struct byte_stream stream = byte_stream_unpack(byte_stream_memory(bytes, len), "fuzz");
    if (record_reader_open(&options, stream, "fuzz", &reader, &err) != ERR_OK) {
        ASSERT(err.text[0] != '\0');
        return;
    }
    bool got = true;
    size_t records = 0;
    while (got && records < 10000) {
        err.text[0] = '\0';
        if (record_reader_next(&reader, &got, &err) != ERR_OK) {
            ASSERT(err.text[0] != '\0');
            break;
        }
        for (size_t i = 0; got && i < reader.column_count; i++)
            ASSERT(str_is_utf8(record_reader_value(&reader, i).data,
                               record_reader_value(&reader, i).len));
        records++;
    }
    record_reader_close(&reader);
}

static void read_python(const char *bytes, size_t len)
{
    struct strbuf out = {0};
    if (len >= 1000 || !str_is_utf8(bytes, len))
        return;
    char *text = malloc(len + 1); /* not a byte more: reading beyond the end shall show */
    ASSERT(text != NULL);
    memcpy(text, bytes, len);
    text[len] = '\0';
    if (table_json_from_python(text, &out)) {
        json_t *json = json_loads(strbuf_text(&out), JSON_DECODE_ANY, NULL);
        ASSERT(json != NULL);
        json_decref(json);
    }
    strbuf_release(&out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    struct arena arena = {0};
    struct text_list texts = {0};
    for (int format = 0; format < RECORD_FORMAT_COUNT; format++)
        read_records((const char *)data, len, (enum record_format)format);
    read_python((const char *)data, len);
    if (wordnet_parse((const char *)data, len, "fuzz", &arena, &texts, &err) == ERR_OK)
        ASSERT(texts.count > 0);
    arena_release(&arena);
    return 0;
}
