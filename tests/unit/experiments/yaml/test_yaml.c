/* The YAML reader: places, bounds, refusals; and numbers as people write them. */
#include "cmocka_all.h"

#include <string.h>

#include "fields.h"
#include "quantity.h"

static struct err err;

static enum err_code parse(const char *text, struct yaml_doc *doc)
{
    return yaml_parse(text, strlen(text), "t", doc, &err);
}

static void refuse(const char *text, const char *message)
{
    struct yaml_doc doc;
    assert_int_not_equal(parse(text, &doc), ERR_OK);
    assert_string_equal(err.text, message);
}

static void every_node_knows_its_place(void **state)
{
    (void)state;
    struct yaml_doc doc;
    assert_int_equal(parse("a: 1\nb:\n  - x\n  - {c: \"y\", d: 'z'}\ne:\n", &doc), ERR_OK);
    const struct yaml_node *b = yaml_get(doc.root, "b");
    assert_int_equal(b->kind, YAML_SEQUENCE);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->items[0]->line, 3);
    assert_int_equal(b->items[0]->column, 5);
    const struct yaml_node *c = yaml_get(b->items[1], "c");
    assert_string_equal(c->text, "y");
    assert_false(c->plain);
    assert_int_equal(c->line, 4);
    assert_int_equal(c->column, 9);
    assert_true(yaml_is_null(yaml_get(doc.root, "e")));
    assert_int_equal(yaml_get(doc.root, "e")->line, 5);
    assert_null(yaml_get(doc.root, "f"));
    yaml_release(&doc);
}

static void what_makes_short_files_long_is_refused(void **state)
{
    (void)state;
    refuse("a: &x [1]\nb: *x\n",
           "t:1:7: anchors and aliases (& and *) are not supported; write the value out");
    refuse("a: 1\na: 2\n", "t:2:1: key 'a' is given twice (first on line 1)");
    refuse("? [a]\n: 1\n", "t:1:3: a key must be a plain word");
    refuse("", "t:1:1: the file is empty");
    refuse("a: \"\\0\"\n", "t:1:4: a text may not hold a NUL character");
    refuse("a: \x01\n", "t:1:4: control byte in the text");
    refuse("a: \xc0\xaf\n", "t:1:4: not UTF-8 text");
    refuse("a: \xed\xa0\x80\n", "t:1:4: not UTF-8 text");
}

static void depth_and_size_are_bounded(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', sizeof deep);
    struct yaml_doc doc;
    deep[YAML_DEPTH_MAX] = '\0';
    memset(deep + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    deep[2 * YAML_DEPTH_MAX] = '\0';
    assert_int_equal(parse(deep, &doc), ERR_OK);
    yaml_release(&doc);
    memset(deep, '[', YAML_DEPTH_MAX + 1);
    memset(deep + YAML_DEPTH_MAX + 1, ']', YAML_DEPTH_MAX + 1);
    deep[2 * YAML_DEPTH_MAX + 2] = '\0';
    refuse(deep, "t:1:33: nested deeper than 32 levels");
    assert_int_equal(yaml_parse("", YAML_BYTES_MAX + 1, "t", &doc, &err), ERR_LIMIT);
}

static void utf8_is_checked_exactly(void **state)
{
    (void)state;
    assert_true(yaml_is_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    assert_false(yaml_is_utf8("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(yaml_is_utf8("\xe0\x80\x80", 3));     /* overlong */
    assert_false(yaml_is_utf8("\xc3", 1));             /* cut */
    assert_false(yaml_is_utf8("\x80", 1));
}

static void quantities_are_read_as_written(void **state)
{
    (void)state;
    int64_t value = -7;
    assert_true(quantity_count("600k", &value) && value == 600000);
    assert_true(quantity_count("1.5M", &value) && value == 1500000);
    assert_true(quantity_count("12", &value) && value == 12);
    assert_true(quantity_bytes("4GiB", &value) && value == 4294967296);
    assert_true(quantity_bytes("1.5MB", &value) && value == 1500000);
    assert_true(quantity_bytes("1.1GiB", &value) && value == 1181116006);
    assert_false(quantity_bytes("1.5", &value));
    value = -7;
    assert_false(quantity_count("1.5", &value));
    assert_false(quantity_count("k", &value));
    assert_false(quantity_count("6kk", &value));
    assert_false(quantity_count("1e3", &value));
    assert_false(quantity_count("99999999999G", &value));
    assert_false(quantity_bytes("4Gb", &value));
    assert_int_equal(value, -7);
}

struct record {
    const char *text;
    int64_t count;
    struct field_texts texts;
};

static void absent_keys_leave_the_record_alone(void **state)
{
    (void)state;
    static const struct field fields[] = {
        {.key = "text", .kind = FIELD_TEXT, .offset = offsetof(struct record, text)},
        {.key = "count",
         .kind = FIELD_INTEGER,
         .offset = offsetof(struct record, count),
         .min = 1,
         .max = 9},
        {.key = "texts", .kind = FIELD_TEXTS, .offset = offsetof(struct record, texts)},
    };
    static const struct field_table table = {fields, 3};
    struct record record = {.text = "before", .count = 5};
    struct yaml_doc doc;
    assert_int_equal(parse("texts: one\n", &doc), ERR_OK);
    assert_int_equal(fields_read(&doc, doc.root, "it", &table, &record, &err), ERR_OK);
    assert_string_equal(record.text, "before");
    assert_int_equal(record.count, 5);
    assert_int_equal(record.texts.count, 1);
    yaml_release(&doc);
    assert_int_equal(parse("count: 10\n", &doc), ERR_OK);
    assert_int_equal(fields_read(&doc, doc.root, "it", &table, &record, &err), ERR_INVALID);
    assert_string_equal(err.text, "t:1:8: 'count' is 10, allowed is 1 to 9");
    yaml_release(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(what_makes_short_files_long_is_refused),
        cmocka_unit_test(depth_and_size_are_bounded),
        cmocka_unit_test(utf8_is_checked_exactly),
        cmocka_unit_test(quantities_are_read_as_written),
        cmocka_unit_test(absent_keys_leave_the_record_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
