/* Records out of text: formats, encodings, packing, and what is said when bytes are wrong. */
#include "cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "record_reader.h"

/* All records as text: values between bars, a line each; or the error. */
static char *read_all(const struct record_options *options, const char *bytes, size_t len)
{
    struct record_reader reader = {0};
    struct err err = {0};
    struct strbuf out = {0};
    struct byte_stream stream = byte_stream_unpack(byte_stream_memory(bytes, len), "f");
    bool got = true;
    enum err_code code = record_reader_open(options, stream, "f", &reader, &err);
    if (code)
        strbuf_printf(&out, "%s", err.text);
    while (!code && got) {
        code = record_reader_next(&reader, &got, &err);
        if (code)
            strbuf_printf(&out, "%s", err.text);
        for (size_t i = 0; !code && got && i < reader.column_count; i++) {
            struct str value = record_reader_value(&reader, i);
            strbuf_puts(&out, i ? "|" : "");
            strbuf_append(&out, value.data, value.len);
        }
        strbuf_puts(&out, !code && got ? "\n" : "");
    }
    if (reader.columns)
        record_reader_close(&reader);
    return strbuf_take(&out);
}

static void expect(struct record_options options, const char *bytes, const char *wanted)
{
    options.quote = options.quote ? options.quote : '"';
    char *found = read_all(&options, bytes, strlen(bytes));
    assert_string_equal(found, wanted);
    free(found);
}

static void csv_reads_quotes_and_refuses_what_is_ragged(void **state)
{
    (void)state;
    struct record_options csv = {.format = RECORD_CSV};
    expect(csv, "a,\"b \"\"x\"\"\"\r\n1,\"two\nlines\"\n,3\n", "1|two\nlines\n|3\n");
    expect(csv, "a\tb,c\n1\t2,3\n", "1|2,3\n");
    expect(csv, "a,b\n\n'tis,it's\n", "'tis|it's\n");
    expect(csv, "a,b\r1,2\r3,4", "1|2\n3|4\n");
    expect(csv, "\xef\xbb\xbfname\nx\n", "x\n");
    expect(csv, "a,b\n1,2\n\n3\n", "1|2\nf:4: 1 fields, the header has 2");
    expect(csv, "a,b\n1,\"2\n3\n", "f:2: a quote is opened but never closed");
    expect(csv, "a,b\n\"1\"x,2\n", "f:2: text after a closing quote");
    expect(csv, "a,a\n", "f:1: two columns are called 'a'");
    expect(csv, "", "f:1: the file is empty");
    struct record_options semicolons = {.format = RECORD_CSV, .separator = ';', .quote = '\''};
    expect(semicolons, "a;b\n'1;1';2\n", "1;1|2\n");
    static const char *const names[] = {"x", "y"};
    struct record_options headless = {.format = RECORD_CSV, .header = names, .header_count = 2};
    expect(headless, "1,2\n", "1|2\n");
    struct record_options tsv = {.format = RECORD_TSV, .skip_lines = 1};
    expect(tsv, "# notes\na\tb\n\"1\t2\n", "\"1|2\n");
    struct record_options lines = {.format = RECORD_LINES};
    expect(lines, "one, \"two\r\n\nthree", "one, \"two\n\nthree\n");
}

static void json_is_cut_into_elements(void **state)
{
    (void)state;
    struct record_options json = {.format = RECORD_JSON}, lines = {.format = RECORD_JSONL},
                          whole = {.format = RECORD_DOCUMENT};
    expect(json, " [ {\"a\": \"]\\\"\"} , 2,[3]\n] ", "|{\"a\": \"]\\\"\"}\n|2\n|[3]\n");
    expect(json, "{\"k\": {\"a\": 1}, \"l\":2}", "k|{\"a\": 1}\nl|2\n");
    expect(json, "[]", "");
    expect(json, "[1, 2", "|1\n|2\nf:1: the closing bracket is missing");
    expect(json, "[1 2]", "|1\nf:1: a comma or the closing bracket is missing");
    expect(json, "[1,\n]", "|1\nf:2: a JSON value is missing");
    expect(json, "{\"k\" 1}", "f:1: a colon is missing after the key");
    expect(json, "[1] x", "|1\nf:1: text after the JSON value");
    expect(json, "7", "f:1: an array or an object is expected");
    expect(json, "", "f:1: the file is empty");
    expect(lines, "{\"a\":1}\n\n{\"b\":\n2}\n", "|{\"a\":1}\n|{\"b\":\n2}\n");
    expect(lines, "{\"a\":1}\n{\"b\":[\n",
           "|{\"a\":1}\nf:2: the JSON value that begins here has no end");
    expect(whole, "\n{\"a\": [1]}\n", "|{\"a\": [1]}\n");
    expect(whole, "{} {}", "|{}\nf:1: text after the JSON value");
}

static void encodings_are_checked_or_converted(void **state)
{
    (void)state;
    struct record_options utf8 = {.format = RECORD_LINES},
                          latin1 = {.format = RECORD_LINES, .encoding = TEXT_LATIN1};
    expect(utf8, "caf\xc3\xa9\n", "caf\xc3\xa9\n");
    expect(latin1, "caf\xe9\n", "caf\xc3\xa9\n");
    expect(utf8, "fine\nalso\ncaf\xe9\n",
           "f:3: the text is not UTF-8 here; declare 'encoding: latin1' if that is what it is");
    expect(
        utf8, "cut\n\xc3",
        "cut\nf:2: the text is not UTF-8 here; declare 'encoding: latin1' if that is what it is");
    char *found = read_all(&utf8, "a\nb\0c", 5);
    assert_string_equal(found, "f:2: NUL byte in the text");
    free(found);
}

/* A long text of which every line is known, so that pieces and characters are cut everywhere. */
static void make_lines(struct strbuf *out, size_t lines)
{
    for (size_t i = 0; i < lines; i++)
        strbuf_printf(out, "%zu,\xe2\x82\xac%*zu\n", i, (int)(i % 97), i);
}

static size_t count_good(const char *bytes, size_t len)
{
    static const char *const names[] = {"n", "text"};
    struct record_options options = {
        .format = RECORD_CSV, .quote = '"', .header = names, .header_count = 2};
    struct record_reader reader;
    struct err err;
    struct byte_stream stream = byte_stream_unpack(byte_stream_memory(bytes, len), "f");
    assert_int_equal(record_reader_open(&options, stream, "f", &reader, &err), ERR_OK);
    size_t good = 0;
    for (bool got = true; got;) {
        if (record_reader_next(&reader, &got, &err) != ERR_OK)
            fail_msg("%s", err.text);
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%zu", good);
        good += got && strcmp(record_reader_value(&reader, 0).data, wanted) == 0;
    }
    record_reader_close(&reader);
    return good;
}

static void packed_files_are_unpacked(void **state)
{
    (void)state;
    struct strbuf text = {0};
    make_lines(&text, 20000);
    assert_int_equal(count_good(text.data, text.len), 20000);

    size_t cap = ZSTD_compressBound(text.len);
    char *packed = malloc(cap + 2 * text.len);
    assert_non_null(packed);
    size_t half = text.len / 2;
    size_t first = ZSTD_compress(packed, cap, text.data, half, 3);
    size_t second = ZSTD_compress(packed + first, cap, text.data + half, text.len - half, 3);
    assert_int_equal(count_good(packed, first + second), 20000); /* two frames */

    z_stream z = {0};
    size_t len = 0;
    for (int member = 0; member < 2; member++) {
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (unsigned char *)text.data + (member ? half : 0);
        z.avail_in = (unsigned)(member ? text.len - half : half);
        z.next_out = (unsigned char *)packed + len;
        z.avail_out = (unsigned)(cap + text.len - len);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        len += z.total_out;
        deflateEnd(&z);
        z = (z_stream){0};
    }
    assert_int_equal(count_good(packed, len), 20000); /* two members */

    struct record_options lines = {.format = RECORD_LINES};
    char *cut = read_all(&lines, packed, len - 100);
    assert_non_null(strstr(cut, "'f': the packed file is damaged: it ends too early"));
    free(cut);
    packed[len / 2] ^= 0x55;
    char *damaged = read_all(&lines, packed, len);
    assert_non_null(strstr(damaged, "'f': the packed file is damaged"));
    free(damaged);
    free(packed);
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_reads_quotes_and_refuses_what_is_ragged),
        cmocka_unit_test(json_is_cut_into_elements),
        cmocka_unit_test(encodings_are_checked_or_converted),
        cmocka_unit_test(packed_files_are_unpacked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
